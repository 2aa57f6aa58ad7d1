//! Reads the history of a world of nodes, line by line, and says which promises were broken.
//!
//! A world of simulated nodes writes a [`history`]: what it was asked, what it said, what its stores held in the end. The
//! judge reads only that. It shares no code with the nodes: rows, trees, key logs and checkpoints are decoded and verified
//! here once more, by somebody who has read `docs/src/spec` and nothing else, so that a mistake of the engine is not made
//! twice. `docs/src/spec/history.md` has the format and the rules.
//!
//! What this crate deliberately does not do: it runs no node, holds no secret, repairs nothing, and depends on none of the
//! other crates. A history that no world can have is refused with its line ([`BadHistory`]); one that is possible but
//! breaks a promise gets a [`Violation`] for each.
//!
//! Memory is bounded by what has to be compared, not by the file: of each position of each log the id and who showed it,
//! of each fact the names of its fields and its integers, the roots that were said, what checkpoints and key records came to,
//! what nodes promised, and the rules that they went by. Their bytes, and rows, are gone with their line.
//!
//! ```
//! let history = r#"{"causality_history":0,"seed":1,"domains":1,"mode":"safety"}
//! {"at":0,"node":"uw","event":"started","domain":"4b05d1c8c723f08e7ca3e0790f3442fc68f95707cdd5561bece96c9a30126dee"}
//! {"at":5,"node":"uw","event":"appended","request":1,"compartment":"00000000000000000000000000000000","facts":1}
//! {"at":9,"node":"uw","event":"acknowledged","request":1,"facts":[{"id":"68736c19deea20ce32c053b80fa93b09acb5b699fca4f1e11eb01cf802cd6f18"}]}
//! {"at":20,"node":"uw","event":"dumped","final":true}
//! {"at":20,"event":"end"}
//! "#;
//! let verdict = causality_judge::judge(history.as_bytes())?;
//! assert_eq!(verdict.violations.len(), 1);
//! assert_eq!(verdict.violations[0].rule, "acknowledged_is_held");
//! # Ok::<(), causality_judge::BadHistory>(())
//! ```

mod branches;
mod codec;
mod disclosed;
mod dump;
mod findings;
pub mod history;
mod id;
mod keys;
mod policy;
mod positions;
mod read;
mod row;
mod rules;
mod statement;
mod story;
mod tree;
mod world;

pub use codec::DecodeError;
pub use findings::{VIOLATIONS_MAX, Verdict, Violation};
pub use id::{Bytes, CompartmentId, DomainId, FactId, LaneId, LogId, Stored, TextError, TreeHash};
pub use keys::{Checkpoint, KeyError, KeyLog};
pub use positions::hash as position_set_hash;
pub use read::{BadHistory, HistoryError, LINE_BYTES_MAX, judge};
pub use row::{RowFacts, read as read_row};
pub use statement::Statement;
pub use tree::{GrowingTree, leaf_hash};

use findings::Findings;
use history::{Entry, Header, VERSION};
use rules::Rule;
use world::World;

/// Takes in a history entry by entry. [`judge`] does so with a file; a world can do it while it runs.
#[derive(Debug)]
pub struct Judge {
    world: World,
    rules: Vec<(&'static str, Box<dyn Rule>)>,
    found: Findings,
    events: u64,
}

impl Judge {
    /// A judge of the world with this header.
    ///
    /// # Errors
    ///
    /// When the history has another version.
    pub fn new(header: Header) -> Result<Self, HistoryError> {
        if header.version != VERSION {
            return Err(HistoryError::UnknownVersion(header.version));
        }
        Ok(Self {
            world: World::new(header),
            rules: rules::all(),
            found: Findings::default(),
            events: 0,
        })
    }

    /// Takes in the next entry.
    ///
    /// # Errors
    ///
    /// When this cannot have happened. The judge is of no use after that.
    pub fn observe(&mut self, entry: &Entry) -> Result<(), HistoryError> {
        self.events += 1;
        // The header is line 1.
        let observations = self.world.apply(self.events + 1, entry)?;
        for observation in &observations {
            for (name, rule) in &mut self.rules {
                self.found.rule = name;
                rule.observe(&self.world, observation, &mut self.found);
            }
        }
        Ok(())
    }

    /// The violations found so far.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.found.violations
    }

    /// The verdict, after `end`.
    ///
    /// # Errors
    ///
    /// When there was no `end`.
    pub fn finish(self) -> Result<Verdict, HistoryError> {
        self.world.finish()?;
        Ok(Verdict {
            violations: self.found.violations,
            omitted: self.found.omitted,
            events: self.events,
        })
    }
}

#[cfg(test)]
mod tests;
