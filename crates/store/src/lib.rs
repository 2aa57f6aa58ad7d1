//! Durable storage of log rows: the FactStore trait, in memory and on redb.
