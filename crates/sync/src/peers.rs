//! What is remembered of each peer and log, and kept in the store's side tables: what was declined from it, how far it has
//! what it may have, and what it says that it keeps back (`docs/src/spec/sync.md`, section "Side tables").

use causality_fact::DecodeError;
use causality_fact::Decoder;
use causality_fact::DomainId;
use causality_fact::Encoder;
use causality_fact::KeptBack;
use causality_fact::LogId;
use causality_fact::PositionSet;
use causality_store::SIDE_VALUE_BYTES_MAX;
use causality_store::SideTable;
use causality_store::SideWrite;
use causality_strategy::PeerPolicy;
use causality_wire::Held;
use causality_wire::SET_BYTES_MAX;
use causality_wire::STATEMENT_BYTES_MAX;

use crate::engine::Engine;
use crate::engine::Pending;
use crate::holes::RUNS_MAX;
use crate::holes::decode_kept;
use crate::holes::decode_set;
use crate::holes::encode_kept;
use crate::holes::insert;
use crate::holes::is_small;
use crate::logbook::DECLINED;
use crate::logbook::SETTLEMENTS;
use crate::logbook::SOURCES;
use crate::logbook::of_peer;

pub(crate) const VERSION: u8 = 0;

/// A row that is written again and again as more becomes known: one write of it at a time is under way, since a peer decides
/// how often it changes, and it may be large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Remembered {
    Declined(DomainId, LogId),
    Receipts(DomainId),
    Settlement(DomainId, LogId),
    Waiting(LogId),
}

/// By which rules something was decided: those of a digest, from one time until another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    digest: [u8; 32],
    from_ms: u64,
    until_ms: u64,
}

impl Rules {
    /// The rules of a policy as they are at a time.
    pub(crate) fn of(policy: &PeerPolicy, now_ms: u64) -> Self {
        Self {
            digest: *policy.digest().as_bytes(),
            from_ms: policy.last_edge(now_ms).unwrap_or(0),
            until_ms: policy.next_edge(now_ms).unwrap_or(u64::MAX),
        }
    }

    /// Whether a policy still decides so.
    pub(crate) fn hold(&self, policy: &PeerPolicy, now_ms: u64) -> bool {
        let is_then = (self.from_ms..self.until_ms).contains(&now_ms);
        self.digest == *policy.digest().as_bytes() && is_then
    }

    /// Until when they hold at most.
    pub(crate) fn until_ms(&self) -> u64 {
        self.until_ms
    }

    /// The same, but not beyond a time.
    pub(crate) fn until(self, until_ms: u64) -> Self {
        Self {
            until_ms: self.until_ms.min(until_ms),
            ..self
        }
    }

    /// The same, while others hold too.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            from_ms: self.from_ms.max(other.from_ms),
            ..self.until(other.until_ms)
        }
    }

    /// Whether these are the same rules, whatever their time.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.digest == other.digest
    }

    fn encode(&self, to: &mut Encoder) {
        to.raw(&self.digest);
        to.fixed_u64(self.from_ms).fixed_u64(self.until_ms);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            digest: from.array()?,
            from_ms: from.fixed_u64()?,
            until_ms: from.fixed_u64()?,
        })
    }
}

/// Positions that were not taken from a peer. The rules that said so may differ from peer to peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Declined {
    pub(crate) rules: Rules,
    pub(crate) positions: PositionSet,
    /// Of these the peer did not show enough to tell: they are welcome with more.
    pub(crate) undetermined: PositionSet,
    /// Those of the positions for which there was no room, since a volume was used up.
    pub(crate) put_off: PositionSet,
    /// When there is room again.
    pub(crate) room_ms: u64,
}

impl Declined {
    /// Adds what was not taken by the same rules.
    pub(crate) fn add(&mut self, more: &Self) {
        self.rules = self.rules.and(more.rules);
        self.room_ms = self.room_ms.min(more.room_ms);
        for (set, more) in [
            (&mut self.positions, &more.positions),
            (&mut self.undetermined, &more.undetermined),
            (&mut self.put_off, &more.put_off),
        ] {
            more.runs().for_each(|run| insert(set, run));
        }
    }

    /// Forgets what was put off, if there is room by now; says whether there is.
    pub(crate) fn make_room(&mut self, now_ms: u64) -> bool {
        let has_room = self.room_ms <= now_ms;
        if has_room {
            self.positions = self.refused();
            self.put_off = PositionSet::new();
            self.room_ms = u64::MAX;
        }
        has_room
    }

    /// Those that were not only put off.
    pub(crate) fn refused(&self) -> PositionSet {
        self.positions.difference(&self.put_off)
    }

    /// When something of it ends.
    pub(crate) fn until_ms(&self) -> u64 {
        self.rules.until_ms().min(self.room_ms)
    }

    /// The write that keeps it; `None` when it has no room. What is not kept is offered, and declined, again.
    pub(crate) fn write(&self, peer: DomainId, log: &LogId) -> Option<SideWrite> {
        let mut to = Encoder::new();
        to.u8(VERSION);
        self.rules.encode(&mut to);
        let sets = [&self.positions, &self.undetermined, &self.put_off];
        for set in sets {
            to.bytes(&set.encode());
        }
        to.fixed_u64(self.room_ms);
        let is_small = sets.into_iter().all(|set| set.run_count() <= RUNS_MAX);
        fitting(write(DECLINED, peer, log, to)).filter(|_| is_small)
    }

    pub(crate) fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        version(from)?;
        let rules = Rules::decode(from)?;
        let mut set = || decode_set(from.bytes("length of a set", SET_BYTES_MAX)?);
        Ok(Self {
            rules,
            positions: set()?,
            undetermined: set()?,
            put_off: set()?,
            room_ms: from.fixed_u64()?,
        })
    }
}

/// That a peer has everything of a log that it may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settlement {
    /// By these rules.
    pub(crate) rules: Rules,
    /// Of what is held here at this count of changes,
    pub(crate) changes: u64,
    /// below this position,
    pub(crate) size: u64,
    /// when it holds this: the digests of its sets.
    pub(crate) held: [[u8; 16]; 3],
    /// What was kept back.
    pub(crate) kept: KeptBack,
    /// What the peer did not take, as far as it said so.
    pub(crate) refused: PositionSet,
}

impl Settlement {
    /// The write that keeps it; `None` when what is kept back has no room.
    pub(crate) fn write(&self, peer: DomainId, log: &LogId) -> Option<SideWrite> {
        let mut to = Encoder::new();
        to.u8(VERSION);
        self.rules.encode(&mut to);
        to.uint(self.changes).uint(self.size);
        for digest in &self.held {
            to.raw(digest);
        }
        encode_kept(&self.kept, &mut to);
        to.bytes(&self.refused.encode());
        let is_small = is_small(&self.kept) && self.refused.run_count() <= RUNS_MAX;
        fitting(write(SETTLEMENTS, peer, log, to)).filter(|_| is_small)
    }

    pub(crate) fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        version(from)?;
        Ok(Self {
            rules: Rules::decode(from)?,
            changes: from.uint()?,
            size: from.uint()?,
            held: [from.array()?, from.array()?, from.array()?],
            kept: decode_kept(from)?,
            refused: decode_set(from.bytes("length of a set", SET_BYTES_MAX)?)?,
        })
    }
}

/// What a peer said that it keeps back of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// Of the positions below this.
    pub(crate) size: u64,
    pub(crate) kept: KeptBack,
    /// The origin's signed statement of it, verified when it came. Otherwise empty.
    pub(crate) statement: Vec<u8>,
}

impl Source {
    /// The write that keeps it; `None` when it has no room.
    pub(crate) fn write(&self, peer: DomainId, log: &LogId) -> Option<SideWrite> {
        let mut to = Encoder::new();
        to.u8(VERSION).uint(self.size);
        encode_kept(&self.kept, &mut to);
        to.bytes(&self.statement);
        fitting(write(SOURCES, peer, log, to)).filter(|_| is_small(&self.kept))
    }

    pub(crate) fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        version(from)?;
        Ok(Self {
            size: from.uint()?,
            kept: decode_kept(from)?,
            statement: from
                .bytes("length of a statement", STATEMENT_BYTES_MAX)?
                .to_vec(),
        })
    }
}

impl Engine {
    /// Keeps a row as it is now, or as it will be when the write of it that is under way has ended. It may be lost until then.
    pub(crate) fn remember(&mut self, row: Remembered) {
        match self.remembering.get_mut(&row) {
            Some(is_outdated) => *is_outdated = true,
            None => self.write_remembered(row),
        }
    }

    /// A write of a row is durable.
    pub(crate) fn remembered(&mut self, row: Remembered) {
        if self.remembering.remove(&row) == Some(true) {
            self.write_remembered(row);
        }
    }

    fn write_remembered(&mut self, row: Remembered) {
        let write = match &row {
            Remembered::Declined(peer, log) => {
                let declined = self.declined.get(&(*peer, *log));
                declined.and_then(|declined| declined.write(*peer, log))
            }
            Remembered::Receipts(peer) => {
                let receipts = self.receipts.get(peer);
                receipts.map(|receipts| receipts.write(*peer))
            }
            Remembered::Settlement(peer, log) => {
                let settlement = self.settlements.get(&(*peer, *log));
                settlement.and_then(|settlement| settlement.write(*peer, log))
            }
            Remembered::Waiting(log) => Some(self.waiting_write(log)),
        };
        if let Some(write) = write {
            self.remembering.insert(row, false);
            self.commit_side(vec![write], Pending::Remembered(row));
        }
    }
}

/// The digests of what a peer holds, if it does not hold all.
pub(crate) fn digests(held: &Held) -> Option<[[u8; 16]; 3]> {
    match held {
        Held::Sets {
            full,
            partial,
            declined,
        } => Some([*full, *partial, *declined]),
        Held::Complete | Held::Incomplete => None,
    }
}

fn write(table: SideTable, peer: DomainId, log: &LogId, value: Encoder) -> SideWrite {
    SideWrite {
        table,
        key: of_peer(peer, log),
        value: Some(value.finish()),
    }
}

fn fitting(write: SideWrite) -> Option<SideWrite> {
    let fits = |value: &Vec<u8>| value.len() <= SIDE_VALUE_BYTES_MAX;
    write.value.as_ref().is_some_and(fits).then_some(write)
}

pub(crate) fn version(from: &mut Decoder<'_>) -> Result<(), DecodeError> {
    let at = from.at();
    match from.u8()? {
        VERSION => Ok(()),
        code => Err(DecodeError::UnknownCode {
            at,
            what: "version of a row",
            code,
        }),
    }
}
