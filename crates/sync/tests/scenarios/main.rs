//! Stories of domains that append, synchronise, fail and lie, on engines without network, disk or clock.
#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod append;
mod audience;
mod catch_up;
mod conditions;
mod domain;
mod floods;
mod forge;
mod gate;
mod grants;
mod holes;
mod hostile;
mod hostile_reveals;
mod lanes;
mod limits;
mod live;
mod lost;
mod metrics;
mod not_taken;
mod policy_schedules;
mod progress;
mod receipts;
mod relays;
mod restore;
mod schedules;
mod sets;
mod widening;
mod world;
