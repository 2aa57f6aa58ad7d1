//! The synchronisation protocol as state machines without I/O.
