//! Nothing acknowledged is lost.

use super::Rule;
use super::promises::Promises;
use crate::findings::Findings;
use crate::history::Event;
use crate::world::{Observation, World};

#[derive(Debug, Default)]
pub(super) struct AcknowledgedIsHeld {
    promises: Promises,
}

impl Rule for AcknowledgedIsHeld {
    fn observe(&mut self, world: &World, seen: &Observation<'_>, found: &mut Findings) {
        if let Observation::Event(Some(node), Event::Acknowledged { facts, .. }) = seen {
            for fact in facts {
                self.promises.make(*node, fact.id, fact.place, world.now);
            }
        }
        self.promises.observe(world, seen, found, "acknowledged");
    }
}
