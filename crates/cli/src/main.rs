//! The `causality` program: daemon and commands.

fn main() {}
