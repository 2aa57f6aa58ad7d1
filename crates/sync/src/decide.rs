//! Asks the policies about single facts: what of a stored entry a peer may see, and whether a row is taken from a peer.

use causality_fact::DomainId;
use causality_fact::Entry;
use causality_fact::LogId;
use causality_fact::Onward;
use causality_fact::PositionSet;
use causality_fact::Row;
use causality_fact::TreeHash;
use causality_fact::peek_row;
use causality_store::StoredBody;
use causality_store::StoredEntry;
use causality_strategy::Decision;
use causality_strategy::Flow;
use causality_strategy::PeerPolicy;
use causality_strategy::Refusal;
use causality_strategy::Share;
use causality_strategy::Subject;
use causality_wire::Held;
use std::borrow::Cow;

use crate::effect::SyncError;
use crate::engine::Engine;
use crate::holes::Decided;
use crate::holes::Extent;
use crate::peers::Declined;
use crate::peers::Rules;

/// The length of a row, and how far its position is from the one before it.
const LENGTH_BYTES_MAX: usize = 3 + 7;

/// What of an entry goes to a peer.
#[derive(Debug)]
pub(crate) enum Shown<'a> {
    /// A row, with so much of the fact.
    Row(Cow<'a, [u8]>, Extent),
    /// The hash alone, since that was decided; `None` where no more is held here. The decision holds as long as the rules
    /// do, but not beyond a time.
    Hash {
        hash: TreeHash,
        decided: Option<Decided>,
        until_ms: u64,
    },
}

impl Shown<'_> {
    /// How many bytes it has as an entry, at most.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Row(bytes, _) => bytes.len() + LENGTH_BYTES_MAX,
            Self::Hash { .. } => TreeHash::LENGTH + 2,
        }
    }

    fn hash(hash: TreeHash, decided: Option<Decided>) -> Self {
        Self::Hash {
            hash,
            decided,
            until_ms: u64::MAX,
        }
    }
}

impl Engine {
    /// Decides what of an entry of a log, in a compartment of this name, a peer may see. Whoever asks for many asks
    /// `is_whole` once: [`PeerPolicy::shares_whole`].
    pub(crate) fn show<'a>(
        &mut self,
        (peer, policy): (DomainId, &PeerPolicy),
        (log, name): (&LogId, &str),
        is_whole: bool,
        entry: &'a StoredEntry,
    ) -> Result<Shown<'a>, SyncError> {
        let broken = |_| SyncError::Failed("the store has a row that is none");
        let (state, bytes) = match &entry.body {
            StoredBody::Withheld { hash, .. } => return Ok(Shown::hash(*hash, None)),
            StoredBody::Row {
                state: _, bytes, ..
            } => (self.extent(log, entry.position), bytes),
        };
        let hash = entry.hash();
        if is_whole {
            let keeps = policy.passes_on(log.origin)
                && peek_row(bytes).map_err(broken)?.onward == Onward::None;
            return Ok(if keeps {
                Shown::hash(hash, Some(Decided::Withheld))
            } else {
                Shown::Row(Cow::Borrowed(bytes), state)
            });
        }
        let Ok(Entry::Row(row)) = entry.entry(log.origin) else {
            return Err(SyncError::Failed("the store has a row that is none"));
        };
        let subject = Subject {
            origin: log.origin,
            compartment: name,
            row: &row,
        };
        let now_ms = self.now_ms;
        let share = match policy.should_synchronize_fact(&subject, now_ms) {
            Decision::Share(share) => share,
            Decision::Refuse { .. } => {
                let opens = policy.opens_at(&subject, now_ms);
                let decided = opens.map_or(Decided::Withheld, |_| Decided::Deferred);
                return Ok(Shown::hash(hash, Some(decided)));
            }
        };
        let shown = redacted(&share, row, bytes);
        let Some((bytes, extent)) = shown else {
            return Ok(Shown::hash(hash, Some(Decided::Withheld)));
        };
        let meters = self.meters.entry((peer, Flow::Out)).or_default();
        if let Err(until_ms) = meters.count(&share, now_ms, bytes.len() as u64) {
            self.wake_at(until_ms, peer);
            return Ok(Shown::Hash {
                hash,
                decided: Some(Decided::Deferred),
                until_ms,
            });
        }
        Ok(Shown::Row(bytes, extent))
    }

    /// Whether a row is taken from a peer; if not, until when that holds. It is not said, `None`, where what the peer shows
    /// of the fact does not tell: it is welcome with more of it.
    pub(crate) fn takes_row(
        &mut self,
        (peer, policy): (DomainId, &PeerPolicy),
        (log, name): (&LogId, &str),
        row: &Row,
    ) -> Result<(), Option<u64>> {
        let subject = Subject {
            origin: log.origin,
            compartment: name,
            row,
        };
        match policy.should_synchronize_fact(&subject, self.now_ms) {
            Decision::Share(share) => {
                let meters = self.meters.entry((peer, Flow::In)).or_default();
                let counted = meters.count(&share, self.now_ms, row.bytes().len() as u64);
                counted.map_err(Some)
            }
            Decision::Refuse {
                reason: Refusal::Undetermined,
                ..
            } => Err(None),
            Decision::Refuse { .. } => Err(Some(u64::MAX)),
        }
    }

    /// The positions of a log that are not taken from a peer, by the rules of now.
    pub fn declined(&self, peer: DomainId, log: &LogId) -> Option<&PositionSet> {
        Some(&self.not_taken(peer, log)?.positions)
    }

    /// The same, with those that may be taken should the peer show more of them.
    pub(crate) fn not_taken(&self, peer: DomainId, log: &LogId) -> Option<&Declined> {
        let declined = self.declined.get(&(peer, *log))?;
        let policies = self.policies.get(&peer)?;
        let hold = declined.rules.hold(&policies.inward, self.now_ms);
        hold.then_some(declined)
    }

    /// By which rules all that is not taken of a log from a peer was decided.
    pub(crate) fn rules_of_declined(&self, peer: DomainId, log: &LogId) -> Option<Rules> {
        let rules = Rules::of(&self.policies.get(&peer)?.inward, self.now_ms);
        let declined = self.not_taken(peer, log);
        let until_ms = declined.map_or(u64::MAX, Declined::until_ms);
        Some(rules.until(until_ms))
    }

    /// What of a log is durable, as it is told to a peer.
    pub(crate) fn says_held(&self, peer: DomainId, log: &LogId) -> Held {
        let state = self.logs.get(log);
        state.map_or(Held::Complete, |state| {
            // Also what is undetermined, or nobody would learn that other rules may take it.
            let not_taken = self
                .not_taken(peer, log)
                .map(|declined| declined.positions.union(&declined.undetermined));
            state.holes.held(state.durable.size(), not_taken.as_ref())
        })
    }

    /// How much is held of a fact of which there is a row.
    fn extent(&self, log: &LogId, position: u64) -> Extent {
        let state = self.logs.get(log);
        state.map_or(Extent::Full, |state| state.holes.extent(position))
    }
}

/// A row without what is withheld of it; `None` where that cannot be cut out.
fn redacted<'a>(share: &Share<'_>, row: Row, bytes: &'a [u8]) -> Option<(Cow<'a, [u8]>, Extent)> {
    let extent = |row: &Row| row.mask().map_or(Extent::Full, Extent::Partial);
    if !share.withholds() {
        return Some((Cow::Borrowed(bytes), extent(&row)));
    }
    let shown = Row::from(share.redact(&row.fact()?));
    if shown.bytes() == bytes {
        return Some((Cow::Borrowed(bytes), extent(&row)));
    }
    let extent = extent(&shown);
    Some((Cow::Owned(shown.bytes().to_vec()), extent))
}
