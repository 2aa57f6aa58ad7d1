//! Who says that it lacks nothing of a log, or nothing but what the origin withholds, is right.

use std::collections::BTreeMap;

use super::Rule;
use crate::dump::HeldLog;
use crate::findings::Findings;
use crate::history::{Completeness, Event, Span};
use crate::id::{DomainId, LogId};
use crate::world::{Observation, World};

#[derive(Debug, Default)]
pub(super) struct CompletenessIsBacked {
    /// What origins have told a domain that they withhold of a log.
    stated: BTreeMap<(LogId, DomainId), Vec<Statement>>,
}

#[derive(Debug)]
struct Statement {
    size: u64,
    withheld: Vec<Span>,
}

impl Statement {
    /// Whether all positions of a span are below its size, and withheld.
    fn covers(&self, span: &Span) -> bool {
        let mut covered = span.0;
        for Span(from, until) in &self.withheld {
            if *from <= covered {
                covered = covered.max(*until);
            }
        }
        covered.min(self.size) >= span.1
    }
}

impl Rule for CompletenessIsBacked {
    fn observe(&mut self, world: &World, seen: &Observation<'_>, found: &mut Findings) {
        match seen {
            Observation::Event(
                Some(node),
                Event::Stated {
                    log,
                    size,
                    peer,
                    withheld,
                },
            ) if world.domain(*node) == log.origin => {
                let mut withheld = withheld.clone();
                withheld.sort_unstable();
                let stated = self.stated.entry((*log, *peer)).or_default();
                stated.push(Statement {
                    size: *size,
                    withheld,
                });
            }
            Observation::Log(held) => {
                if let Some(flaw) = self.flaw(world, held) {
                    let sentence = format!("{}, {}: {flaw}", world.name(held.node), world.now);
                    found.add(world, &[held.node], sentence);
                }
            }
            _ => {}
        }
    }
}

impl CompletenessIsBacked {
    fn flaw(&self, world: &World, held: &HeldLog) -> Option<String> {
        if held.completeness == Completeness::Incomplete {
            return None;
        }
        let said = match held.completeness {
            Completeness::Proven => "proven",
            _ => "attested",
        };
        let log = held.log.short();
        let signed = match &held.proof.checkpoint {
            Some(Ok(checkpoint)) => checkpoint.size,
            None if held.size == 0 => {
                return Some(format!(
                    "it says that {log} is {said}, without a checkpoint"
                ));
            }
            // That nothing vouches for what is held is another violation.
            _ => return None,
        };
        if held.size < signed {
            return Some(format!(
                "it says that {log} is {said}, but shows {} of {signed} signed positions",
                held.size
            ));
        }
        let lacks = |span: &Span| {
            format!(
                "it says that {log} is {said}, but lacks positions {} to {}, or fields of them",
                span.0,
                span.1 - 1
            )
        };
        if held.completeness == Completeness::Proven {
            return held.lacking.first().map(lacks);
        }
        let stated = self.stated.get(&(held.log, world.domain(held.node)));
        let covers = |statement: &&Statement| {
            let mut lacking = held.lacking.iter();
            lacking.all(|span| statement.covers(span))
        };
        if stated.into_iter().flatten().any(|of| covers(&of)) {
            return None;
        }
        Some(format!(
            "it says that {log} is attested, and nothing that its origin stated covers what it lacks"
        ))
    }
}
