//! The judge against small worlds: honest ones pass, and each rule sees the violation that is planted for it.
#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod causes;
mod completeness;
mod forks;
mod input;
mod planted;
mod policies;
mod program;
mod statement;
mod world;
