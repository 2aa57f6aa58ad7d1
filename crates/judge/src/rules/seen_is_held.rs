//! What a reader saw is held.

use super::Rule;
use super::promises::Promises;
use crate::findings::Findings;
use crate::world::{Observation, World};

#[derive(Debug, Default)]
pub(super) struct SeenIsHeld {
    promises: Promises,
}

impl Rule for SeenIsHeld {
    fn observe(&mut self, world: &World, seen: &Observation<'_>, found: &mut Findings) {
        if let Observation::Read(node, row) = seen {
            self.promises
                .make(*node, row.told, Some(row.place), world.now);
        }
        self.promises.observe(world, seen, found, "showed a reader");
    }
}
