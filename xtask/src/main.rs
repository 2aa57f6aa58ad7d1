//! The project's own chores: one verb a file.

fn main() {}
