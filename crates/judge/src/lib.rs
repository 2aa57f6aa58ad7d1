//! Reads the history of a world of nodes, line by line, and says which promises were broken.
pub mod history;
pub mod id;
