//! Stories of two and three domains that synchronise, over the in-memory network and over QUIC.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod world;

mod busy;
mod catch_up;
mod events;
mod hostile;
mod live;
mod openmetrics;
mod standing;
mod strangers;
mod strategies;
