//! The lines of a history, as `docs/src/spec/history.md` has them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{Bytes, CompartmentId, DomainId, FactId, LogId, Stored, TreeHash};

/// The version of the format that this crate reads.
pub const VERSION: u32 = 0;

/// The first line: what kind of world this was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::exhaustive_structs,
    reason = "closed by the version of the format"
)]
pub struct Header {
    /// The version of the format: [`VERSION`].
    #[serde(rename = "causality_history")]
    pub version: u32,
    /// What the world was made from.
    pub seed: u64,
    /// How many domains it has.
    pub domains: u32,
    /// What may be expected of it.
    pub mode: Mode,
}

/// What may be expected of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "closed by the version of the format"
)]
pub enum Mode {
    /// The faults stop at `healed`, and the nodes have the time to agree before the end.
    Liveness,
    /// Faults up to the end: nothing wrong may happen, and nothing has to.
    Safety,
}

/// Any other line: something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::exhaustive_structs,
    reason = "closed by the version of the format"
)]
pub struct Entry {
    /// When, in milliseconds of the world's time.
    pub at: u64,
    /// The name of the node to which it happened; none for what happened to the world.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
#[expect(
    clippy::exhaustive_enums,
    reason = "closed by the version of the format"
)]
pub enum Event {
    /// The node runs for the first time. It is of this domain.
    Started {
        /// The node's domain.
        domain: DomainId,
    },
    /// What the node may have, once everything works. Each such line replaces the one before.
    Entitled {
        /// All logs of these.
        to: Vec<Scope>,
    },
    /// The node lost its process, and what its disk had not flushed.
    Crashed {},
    /// The node ended in good order.
    Stopped {},
    /// The node runs again, on the store that it has.
    Restarted {},
    /// The store of the node, which does not run, was replaced by a backup.
    Restored {
        /// When the backup was begun: it has all that was acknowledged earlier.
        taken_at: u64,
        /// Whether the store knows that it was restored, so that the node opens new lanes from the start. Not, if the file
        /// was copied back behind the back of the program.
        marked: bool,
        /// How much the backup has of each log; nothing of those that are not named.
        logs: Vec<Extent>,
    },
    /// The node goes for ever; no more is asked of it.
    Left {},
    /// What the node shares with a domain changes: it is told these rules in place of earlier ones.
    Policy {
        /// The domain that the rules are about.
        peer: DomainId,
        /// What the domain may have. Grants add up; without any it may have nothing.
        out: Vec<Rule>,
        /// What of that stays here all the same.
        kept: Vec<Kept>,
        /// What is taken from the domain. Grants add up.
        #[serde(rename = "in")]
        taken: Vec<Rule>,
    },
    /// From here on the node goes by the rules that it was told last, and by no earlier ones.
    Obeys {},
    /// The clock of the node, which showed the time of the world, or ran as was said last, goes on in another way.
    Clock {
        /// What it shows now, in milliseconds.
        shows: u64,
        /// How many of its milliseconds are a million of the world's.
        rate: u64,
    },
    /// Somebody asked the node to append.
    Appended {
        /// A number that this node was never given before.
        request: u64,
        /// The compartment in which.
        compartment: CompartmentId,
        /// How many facts.
        facts: u32,
    },
    /// The node said that what was asked is durable.
    Acknowledged {
        /// Which request.
        request: u64,
        /// What it became.
        facts: Vec<Acknowledged>,
    },
    /// The node said that positions of a log are durable at it, whether own or received.
    Durable {
        /// Which log.
        log: LogId,
        /// The positions below this.
        size: u64,
        /// The root of the log at that size, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        root: Option<TreeHash>,
        /// The node from which they came, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        peer: Option<String>,
    },
    /// A query returned these to a reader.
    Seen {
        /// In the order in which they were returned.
        facts: Vec<Seen>,
    },
    /// The node and a peer are about to tell each other what they hold.
    Meets {
        /// The other node.
        peer: String,
        /// The compartments whose logs both tell each other.
        compartments: Vec<CompartmentId>,
    },
    /// They have: what the node makes of it was said before this.
    Met {
        /// The other node.
        peer: String,
    },
    /// The node gave up writing to an own lane, and said so.
    LaneStopped {
        /// The log of that lane.
        log: LogId,
        /// The node that held more of it, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        peer: Option<String>,
    },
    /// The node said that a log has two histories.
    ForkNoticed {
        /// Which log.
        log: LogId,
        /// The node that holds the other one, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        peer: Option<String>,
    },
    /// What the node's store has of a log; `rows` follow.
    Holds {
        /// Which log.
        log: LogId,
        /// How many of its positions the store says that it knows.
        size: u64,
        /// The newest checkpoint.
        checkpoint: Option<Bytes>,
        /// The key records of its origin, from genesis.
        records: Vec<Bytes>,
        /// What the node says about what it lacks.
        completeness: Completeness,
        /// What it has to show for that, if the origin has stated what it keeps back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stated: Option<Stated>,
    },
    /// The next positions of the log that the `holds` before this is about.
    Rows {
        /// The first one.
        from: u64,
        /// What is stored there and behind it.
        rows: Vec<Stored>,
    },
    /// All logs of the node were shown, as they were at one moment.
    Dumped {
        /// Whether this is the last dump of the node.
        #[serde(rename = "final")]
        is_final: bool,
    },
    /// A fault, or anything else that helps whoever reads a story. Nothing is concluded from it.
    Note {
        /// One line.
        text: String,
    },
    /// From here on every link works, no fault happens any more, and every node that has not left runs.
    Healed {},
    /// The last line.
    End {},
}

/// Logs of a compartment: of one origin, or of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::exhaustive_structs,
    reason = "closed by the version of the format"
)]
pub struct Scope {
    /// Whose; of all domains without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<DomainId>,
    /// In which compartment.
    pub compartment: CompartmentId,
}

impl Scope {
    pub(crate) fn has(&self, log: &LogId) -> bool {
        self.compartment == log.compartment && self.origin.is_none_or(|of| of == log.origin)
    }
}

/// Facts that meet all of these conditions, while the rule is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::exhaustive_structs,
    reason = "closed by the version of the format"
)]
pub struct Rule {
    /// In this compartment.
    pub compartment: CompartmentId,
    /// With one of these labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// For which this is true.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "where")]
    pub at_least: Option<AtLeast>,
    /// The rule is in force while the clock of the node shows a time of this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_force: Option<Window>,
}

impl Rule {
    /// Everything in a compartment, at any time.
    #[must_use]
    pub fn all_of(compartment: CompartmentId) -> Self {
        Self {
            compartment,
            labels: None,
            at_least: None,
            in_force: None,
        }
    }
}

/// An integer in a field of a fact is at least so large.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::exhaustive_structs,
    reason = "closed by the version of the format"
)]
pub struct AtLeast {
    /// Which field.
    pub field: String,
    /// The least integer that will do.
    pub least: i64,
}

/// A stretch of time, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::exhaustive_structs,
    reason = "closed by the version of the format"
)]
pub struct Window {
    /// The first moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// The first one that is no longer in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

/// A rule that restricts: what it means is not shown, in whole or in part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::exhaustive_structs,
    reason = "closed by the version of the format"
)]
pub struct Kept {
    /// Of these facts.
    pub of: Rule,
    /// These fields; the whole of each fact without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Vec<String>>,
}

/// What a node says about what it lacks of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "closed by the version of the format"
)]
pub enum Completeness {
    /// Only what the origin itself has said that it withholds.
    Attested,
    /// It does not know.
    Incomplete,
    /// Nothing: the newest checkpoint proves it.
    Proven,
}

/// What the origin of a log has stated that it keeps back from a domain. The sets are maximal runs in ascending order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::exhaustive_structs,
    reason = "closed by the version of the format"
)]
pub struct Stated {
    /// The withheld statement, with the origin's signature.
    pub statement: Bytes,
    /// Not shown.
    pub withheld: Vec<Span>,
    /// Not shown yet.
    pub deferred: Vec<Span>,
    /// Shown in part.
    pub partial: Vec<Span>,
}

/// Positions from the first number on, and before the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "any two numbers are some")]
pub struct Span(pub u64, pub u64);

/// So much of a log, from its first position on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::exhaustive_structs,
    reason = "closed by the version of the format"
)]
pub struct Extent {
    /// Which log.
    pub log: LogId,
    /// How many positions.
    pub size: u64,
    /// Of which of them there is only a hash, in ascending order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holes: Vec<Span>,
}

impl Extent {
    /// Whether a fact at a position is in it.
    pub fn has(&self, position: u64) -> bool {
        let is_hole = |hole: &Span| (hole.0..hole.1).contains(&position);
        position < self.size && !self.holes.iter().any(is_hole)
    }
}

/// A position of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::exhaustive_structs,
    reason = "closed by the version of the format"
)]
pub struct Place {
    /// Which log.
    pub log: LogId,
    /// Which position, from 0.
    pub position: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "position {} of {}", self.position, self.log.short())
    }
}

/// A fact that a node said is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::exhaustive_structs,
    reason = "closed by the version of the format"
)]
pub struct Acknowledged {
    /// Its id.
    pub id: FactId,
    /// Where it stands, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// A fact that a reader saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::exhaustive_structs,
    reason = "closed by the version of the format"
)]
pub struct Seen {
    /// The id that the reader was told.
    pub id: FactId,
    /// Where it stands.
    pub place: Place,
    /// The row that the reader was given.
    pub row: Bytes,
}
