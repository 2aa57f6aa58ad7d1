//! Without a restore of its writer no log has two histories.

use std::collections::BTreeSet;

use data_encoding::HEXLOWER;

use super::Rule;
use crate::findings::Findings;
use crate::id::LogId;
use crate::world::{Observation, World};

#[derive(Debug, Default)]
pub(super) struct ForksFollowRestores {
    told: BTreeSet<LogId>,
}

impl Rule for ForksFollowRestores {
    fn observe(&mut self, world: &World, seen: &Observation<'_>, found: &mut Findings) {
        let Observation::Split(split) = seen else {
            return;
        };
        if world.writer_was_restored(&split.log) || !self.told.insert(split.log) {
            return;
        }
        let [first, second] = split.witnesses;
        let [one, other] = split.values;
        let sentence = format!(
            "log {} has at {} both {}, as {} showed {}, and {}, as {} showed {}, and no writer of it was restored",
            split.log,
            split.spot,
            HEXLOWER.encode(&one),
            world.name(first.node),
            first.when,
            HEXLOWER.encode(&other),
            world.name(second.node),
            second.when
        );
        found.add(world, &[first.node, second.node], sentence);
    }
}
