//! Broken promises, and how they are told.

use std::fmt;

use crate::world::{NodeId, World};

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The name of the rule, as `docs/src/spec/history.md` has it.
    pub rule: &'static str,
    /// What happened, with nodes, times, lines and ids.
    pub sentence: String,
    /// The last events of the nodes concerned, one a line.
    pub story: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.sentence)?;
        for line in &self.story {
            write!(f, "\n    {line}")?;
        }
        Ok(())
    }
}

/// What a judge says of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// The broken promises in order of their discovery, at most [`VIOLATIONS_MAX`] of each rule.
    pub violations: Vec<Violation>,
    /// How many more there were.
    pub omitted: u64,
    /// How many events were judged.
    pub events: u64,
}

impl Verdict {
    /// Whether every promise was kept.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }
}

/// Where rules put what they find.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) violations: Vec<Violation>,
    pub(crate) omitted: u64,
    pub(crate) rule: &'static str,
}

impl Findings {
    /// Adds a violation of the rule whose turn it is, which concerns these nodes.
    pub(crate) fn add(&mut self, world: &World, nodes: &[NodeId], sentence: String) {
        let same = self
            .violations
            .iter()
            .filter(|known| known.rule == self.rule);
        if same.count() >= VIOLATIONS_MAX {
            self.omitted += 1;
            return;
        }
        self.violations.push(Violation {
            rule: self.rule,
            sentence,
            story: world.story(nodes),
        });
    }
}

/// How many violations of one rule are told.
pub const VIOLATIONS_MAX: usize = 16;
