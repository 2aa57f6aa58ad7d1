//! Criterion benches over the public interfaces of the crates; this library is empty.
