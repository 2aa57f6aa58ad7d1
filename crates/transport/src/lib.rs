//! The joint to a network: connections and streams between domains, and an in-memory twin.
