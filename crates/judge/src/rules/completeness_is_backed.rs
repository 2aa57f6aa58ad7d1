//! Who says that it lacks nothing of a log, or nothing but what the origin withholds, is right.

use super::Rule;
use crate::dump::HeldLog;
use crate::findings::Findings;
use crate::history::{Completeness, Place, Span};
use crate::id::LogId;
use crate::policy::{Gift, Reading};
use crate::world::{Moment, NodeId, Observation, World};

#[derive(Debug, Default)]
pub(super) struct CompletenessIsBacked {
    /// Claims that are true only if their node has declined some facts. What these are may be shown later.
    open: Vec<Claim>,
}

/// What a node said of a log of which it has only hashes of these positions.
#[derive(Debug)]
struct Claim {
    node: NodeId,
    when: Moment,
    log: LogId,
    said: &'static str,
    holes: Vec<Span>,
}

impl Rule for CompletenessIsBacked {
    fn observe(&mut self, world: &World, seen: &Observation<'_>, found: &mut Findings) {
        match seen {
            Observation::Log(held) => match holes(world, held) {
                Ok(None) => {}
                Ok(Some((said, holes))) => self.open.push(Claim {
                    node: held.node,
                    when: world.now,
                    log: held.log,
                    said,
                    holes,
                }),
                Err(flaw) => {
                    let sentence = format!("{}, {}: {flaw}", world.name(held.node), world.now);
                    found.add(world, &[held.node], sentence);
                }
            },
            Observation::End => {
                for claim in &self.open {
                    claim.check(world, found);
                }
            }
            _ => {}
        }
    }
}

/// What a node says of a log, and the positions of which it has to have declined the facts for that to be true; none if it
/// says nothing.
fn holes(world: &World, held: &HeldLog) -> Result<Option<(&'static str, Vec<Span>)>, String> {
    let said = match held.completeness {
        Completeness::Attested => "attested",
        Completeness::Incomplete => return Ok(None),
        Completeness::Proven => "proven",
    };
    let log = held.log.short();
    let signed = match &held.proof.checkpoint {
        Some(Ok(checkpoint)) => checkpoint.size,
        None if held.size == 0 => {
            return Err(format!(
                "it says that {log} is {said}, without a checkpoint"
            ));
        }
        // That nothing vouches for what is held is another violation.
        _ => return Ok(None),
    };
    if held.size < signed {
        return Err(format!(
            "it says that {log} is {said}, but shows {} of {signed} signed positions",
            held.size
        ));
    }
    let kept = match (held.completeness, &held.proof.kept) {
        (Completeness::Proven, _) => None,
        (_, None) => {
            return Err(format!(
                "it says that {log} is {said}, and shows nothing that its origin stated"
            ));
        }
        (_, Some(Err(flaw))) => {
            return Err(format!(
                "it says that {log} is {said}, by a statement that {flaw}"
            ));
        }
        (_, Some(Ok(kept))) => Some(kept),
    };
    let meant = (held.log, world.domain(held.node));
    if kept.is_some_and(|kept| (kept.log, kept.audience) != meant) {
        return Err(format!(
            "it says that {log} is {said}, by a statement about another log or to another domain"
        ));
    }
    let mut partial = held.partial.iter();
    let is_kept = |run: &&Span| kept.is_some_and(|kept| kept.covers_part(run));
    if let Some(run) = partial.find(|run| !is_kept(run)) {
        return Err(format!(
            "it says that {log} is {said}, but lacks fields at positions {} to {}",
            run.0,
            run.1 - 1
        ));
    }
    let holes = kept.map_or_else(|| held.hidden.clone(), |kept| kept.uncovered(&held.hidden));
    Ok(Some((said, holes)))
}

impl Claim {
    fn check(&self, world: &World, found: &mut Findings) {
        let positions = self.holes.iter().flat_map(|run| run.0..run.1);
        let mut lacking = positions.filter(|position| {
            let place = Place {
                log: self.log,
                position: *position,
            };
            !self.may_have_declined(world, place)
        });
        if let Some(position) = lacking.next() {
            let sentence = format!(
                "{}, {}: it says that {} is {}, but has a hash only of position {position}, and declined it by no rule",
                world.name(self.node),
                self.when,
                self.log.short(),
                self.said
            );
            found.add(world, &[self.node], sentence);
        }
    }

    /// Whether some domain may have shown the fact at a place to the node, whose rules about that domain did not take it.
    /// Of a fact that no row shows it is not known.
    fn may_have_declined(&self, world: &World, place: Place) -> bool {
        let mut facts = world.facts_at(place).peekable();
        if facts.peek().is_none() {
            return true;
        }
        let own = world.domain(self.node);
        let (log, at) = (place.log, self.when.at);
        facts.any(|fact| {
            world.nodes().any(|giver| {
                let domain = world.domain(giver);
                let gift = Gift {
                    compartment: log.compartment,
                    fact,
                    is_passed_on: ![own, domain].contains(&log.origin),
                };
                let out = world.in_force(giver, own, 0, Reading::Lenient);
                let mut shown = out.iter().filter(|out| out.from <= at);
                let taken = world.rules_at(self.node, domain, at, Reading::Strict);
                domain != own
                    && taken.iter().any(|taken| taken.declines(&gift))
                    && shown.any(|out| out.shows(&gift, fact.all()).is_some())
            })
        })
    }
}
