//! The promises, one in each file. `docs/src/spec/history.md` says in words what they mean.

mod acknowledged_is_held;
mod causes_are_seen_first;
mod completeness_is_backed;
mod entitled_is_held;
mod equal_after_heal;
mod fork_is_noticed;
mod forks_follow_restores;
mod held_is_permitted;
mod lane_in_order;
mod promises;
mod received_is_kept;
mod seen_is_held;
mod stopped_lane_stays;
mod stored_verifies;

use std::fmt::Debug;

use crate::findings::Findings;
use crate::world::{Observation, World};

/// A promise, with what has to be remembered to see it broken.
pub(crate) trait Rule: Debug {
    /// Takes in what happened, after `world` has; adds what it breaks to `found`, once for each thing broken.
    fn observe(&mut self, world: &World, seen: &Observation<'_>, found: &mut Findings);
}

/// All rules by their names. Another one is a file and a line here.
pub(crate) fn all() -> Vec<(&'static str, Box<dyn Rule>)> {
    vec![
        (
            "stored_verifies",
            Box::new(stored_verifies::StoredVerifies) as Box<dyn Rule>,
        ),
        (
            "lane_in_order",
            Box::<lane_in_order::LaneInOrder>::default(),
        ),
        (
            "acknowledged_is_held",
            Box::<acknowledged_is_held::AcknowledgedIsHeld>::default(),
        ),
        (
            "received_is_kept",
            Box::<received_is_kept::ReceivedIsKept>::default(),
        ),
        ("seen_is_held", Box::<seen_is_held::SeenIsHeld>::default()),
        (
            "causes_are_seen_first",
            Box::<causes_are_seen_first::CausesAreSeenFirst>::default(),
        ),
        (
            "forks_follow_restores",
            Box::<forks_follow_restores::ForksFollowRestores>::default(),
        ),
        (
            "fork_is_noticed",
            Box::<fork_is_noticed::ForkIsNoticed>::default(),
        ),
        (
            "stopped_lane_stays",
            Box::<stopped_lane_stays::StoppedLaneStays>::default(),
        ),
        (
            "equal_after_heal",
            Box::<equal_after_heal::EqualAfterHeal>::default(),
        ),
        (
            "held_is_permitted",
            Box::<held_is_permitted::HeldIsPermitted>::default(),
        ),
        (
            "entitled_is_held",
            Box::<entitled_is_held::EntitledIsHeld>::default(),
        ),
        (
            "completeness_is_backed",
            Box::<completeness_is_backed::CompletenessIsBacked>::default(),
        ),
    ]
}
