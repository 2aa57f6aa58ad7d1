//! The program as its users meet it: real processes, real homes, real sockets on loopback; nothing is reached behind
//! the command line, except where a test damages files on purpose.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests are tests; the lint's exemption sees only test functions"
)]

mod bad_input;
mod crash;
mod daemon;
mod damage;
mod exit_codes;
mod explain;
mod local;
mod network;
mod policy;
mod proof;
mod standing;
mod support;
mod swapped;
mod sync;
mod trouble;
