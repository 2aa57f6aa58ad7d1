//! The public interface from outside: what attackers try, and the vector files that a second implementation reads as well.

#![expect(clippy::unwrap_used, reason = "tests")]

mod attacks;
mod forge;
mod vectors;
