//! Drafts: what a caller wants to say, before it has a time, a salt and a place in a log.

use causality_fact::Aspect;
use causality_fact::ConflictKey;
use causality_fact::ContentError;
use causality_fact::FactId;
use causality_fact::FactTooLarge;
use causality_fact::FactType;
use causality_fact::Label;
use causality_fact::Onward;
use causality_fact::Resource;
use causality_fact::TemporalFact;
use causality_fact::TooManyReferences;
use causality_fact::ValidTime;
use causality_fact::Value;
use causality_store::BATCH_BYTES_MAX;
use causality_store::Mark;
use std::collections::BTreeMap;
use thiserror::Error;

/// The most drafts of one append.
pub const DRAFTS_MAX: usize = 8192;
/// The most bytes of rows that the new facts of one append may have together.
pub const APPEND_BYTES_MAX: usize = BATCH_BYTES_MAX - (1 << 20);

/// A fact to append.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a caller states all of it; append checks it"
)]
pub struct Draft {
    /// What kind of statement it is.
    pub fact_type: FactType,
    /// What it is about.
    pub resource: Resource,
    /// Which side of the resource.
    pub aspect: Aspect,
    /// When it is true; `None` for since the moment of appending.
    pub valid: Option<ValidTime>,
    /// The handling label.
    pub label: Label,
    /// Who may pass it on.
    pub onward: Onward,
    /// Its causes.
    pub requires: Vec<Reference>,
    /// What it replaces.
    pub supersedes: Supersedes,
    /// What the caller had read when it decided to say this.
    pub context: ReadContext,
    /// Its fields.
    pub content: BTreeMap<String, Value>,
    /// A digest of where it comes from: a draft with a mark that is in the store already adds nothing.
    pub mark: Option<Mark>,
}

impl Draft {
    /// A statement without content, true since the moment of appending, that replaces the own heads of its key.
    pub fn new(fact_type: FactType, resource: Resource) -> Self {
        Self {
            fact_type,
            resource,
            aspect: Aspect::default(),
            valid: None,
            label: Label::default(),
            onward: Onward::default(),
            requires: Vec::new(),
            supersedes: Supersedes::OwnHeads,
            context: ReadContext::new(),
            content: BTreeMap::new(),
            mark: None,
        }
    }
}

/// A fact that a draft refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a fact has an id, or will get one in this append"
)]
pub enum Reference {
    /// A fact by its id.
    Fact(FactId),
    /// The draft with this index in the same append, which must come earlier.
    Earlier(usize),
}

/// What a draft replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "either the rule or a list")]
pub enum Supersedes {
    /// The origin's own heads of the conflict key whose valid time overlaps, and what of that key the context has.
    OwnHeads,
    /// These, to the letter.
    Exactly(Vec<Reference>),
}

/// Collects what a caller reads, so that causes are declared without thinking of them: facts of the conflict key that
/// is then written are superseded, all others are required.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadContext {
    read: BTreeMap<FactId, ConflictKey>,
}

impl ReadContext {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that a fact was read.
    pub fn read(&mut self, fact: &TemporalFact) {
        self.read.insert(fact.id(), fact.core().conflict_key());
    }

    /// The facts read of this conflict key, or of all others.
    pub(crate) fn of_key(&self, key: ConflictKey, same: Same) -> impl Iterator<Item = FactId> {
        let wanted = move |read: &ConflictKey| (*read == key) == (same == Same::Key);
        self.read
            .iter()
            .filter(move |(_, read)| wanted(read))
            .map(|(id, _)| *id)
    }
}

/// Which facts of a context.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Same {
    Key,
    No,
}

/// What became of a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "an id and how it came about")]
pub struct Appended {
    /// The fact.
    pub id: FactId,
    /// Whether it is new.
    pub outcome: AppendOutcome,
}

/// Whether an appended fact is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it is new or it is not")]
pub enum AppendOutcome {
    /// It was added.
    Added,
    /// A fact with the same mark was there; nothing was added.
    AlreadyThere,
}

/// Why an append was refused; nothing of it was written.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum AppendError {
    /// A draft cannot become a fact.
    #[error("draft {index}: {error}")]
    Draft {
        /// Its index.
        index: usize,
        /// What is wrong.
        error: DraftError,
    },
    /// More drafts than one append may have.
    #[error("{0} drafts, the limit is {DRAFTS_MAX}")]
    TooMany(usize),
    /// The lane has no time left.
    #[error("the clock is at the end of its range")]
    EndOfTime,
    /// The facts are more than one append may write.
    #[error("facts of {0} bytes together, the limit is {APPEND_BYTES_MAX}")]
    TooLarge(usize),
    /// The name of the compartment is not one.
    #[error("a compartment name has 1 to 64 bytes without control characters, not {0:?}")]
    CompartmentName(String),
}

/// Why a draft cannot become a fact.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum DraftError {
    /// A field breaks a rule.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// Too large as a whole.
    #[error(transparent)]
    TooLarge(#[from] FactTooLarge),
    /// More causes, or more replaced facts, than a fact may have.
    #[error(transparent)]
    References(#[from] TooManyReferences),
    /// Refers to a draft that does not come earlier.
    #[error("it refers to draft {0}, which does not come earlier")]
    NotEarlier(usize),
}
