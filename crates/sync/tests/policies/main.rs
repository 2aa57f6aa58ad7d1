//! What policies let through: an engine against a model of it, random policies against what they say, and stories of holes,
//! reveals and relays.
#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod agree;
mod dice;
mod leaks;
mod model;
mod order;
mod overheard;
mod secrets;

#[expect(dead_code, reason = "the stories next door need the rest of it")]
#[path = "../scenarios/domain.rs"]
mod domain;
#[expect(dead_code, reason = "the stories next door need the rest of it")]
#[path = "../scenarios/world.rs"]
mod world;
