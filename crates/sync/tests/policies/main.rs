//! What policies let through: an engine against a model of it, random policies against what they say, and stories of holes,
//! reveals and relays.
#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod dice;
mod model;
