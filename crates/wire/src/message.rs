//! The messages of a session (`docs/src/spec/wire.md`). Fields and variants stand in the order of their bytes.
#![expect(
    clippy::exhaustive_enums,
    clippy::exhaustive_structs,
    reason = "closed by the specification of version 0; a message is a claim, any values are legal until checked"
)]

use causality_fact::CHUNK_BYTES_MAX;
use causality_fact::Chunk;
use causality_fact::LogId;
use causality_fact::ROW_BYTES_MAX;
use serde::Deserialize;
use serde::Serialize;

use crate::bounded::BoundedBytes;
use crate::bounded::BoundedString;
use crate::bounded::BoundedVec;
use crate::bounded::Hashes;
use crate::bounded::TooLong;
use crate::fixed;

/// What two domains say to each other in a session. Each limit holds by itself, and
/// [`MESSAGE_BYTES_MAX`](crate::MESSAGE_BYTES_MAX) for the message as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SyncMessage {
    /// What the sender holds, log by log.
    Frontier(Frontier),
    /// Asks for the sets behind the digests of a log.
    SetsRequest(SetsRequest),
    /// The sets behind the digests of a log.
    Sets(Sets),
    /// What a log is to be verified against, before its facts.
    Announce(Announce),
    /// A run of positions of a log.
    FactSync(FactSync),
    /// What of a log is stored now, and how much more may be sent.
    Receipt(Receipt),
    /// The sender owes nothing more in this round.
    CaughtUp(CaughtUp),
    /// The sender ends the session.
    Goodbye(Goodbye),
    /// Facts at positions of a log that the receiver knows by their hashes, or holds in part.
    Reveal(Reveal),
    /// What the sender keeps back of a log.
    Holes(Holes),
    /// What the sender signs about both sides at the end of a round.
    Convergence(Convergence),
}

impl SyncMessage {
    /// How many bytes of facts it carries, with their hashes and positions.
    pub fn fact_bytes(&self) -> usize {
        match self {
            Self::FactSync(chunk) => chunk.entries.len(),
            Self::Reveal(reveal) => reveal.rows.len(),
            _ => 0,
        }
    }
}

/// What the sender holds of each log that it shares with the receiver, or that the receiver named first. More logs than
/// [`LOGS_PER_FRONTIER_MAX`] take several messages of the same round and part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frontier {
    /// The round of catch-up it belongs to, as the side that opened the round numbered it.
    pub round: u32,
    /// Which step of the round it is.
    pub part: FrontierPart,
    /// The id of the trigger that fired, if the opener opened the round for that; otherwise, and in the other steps, empty.
    pub trigger: BoundedString<TRIGGER_BYTES_MAX>,
    /// Whether the sender of this frontier wants facts in this round.
    pub receives: Receives,
    /// Whether further messages of this part follow.
    pub last: Page,
    /// The state of each log at the sender.
    pub logs: BoundedVec<LogState, LOGS_PER_FRONTIER_MAX>,
}

/// The steps of a round, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FrontierPart {
    /// The opener's logs. It opens the round.
    Open,
    /// The other side's logs.
    Reply,
    /// The opener's state of the logs that the reply offered and that it had not wanted before.
    Answer,
}

/// Whether a side wants facts in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receives {
    /// Everything that the other side may show.
    Everything,
    /// Nothing: it only sends.
    Nothing,
}

/// Whether a part of a frontier, or an answer about sets, is all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Page {
    /// A further message of the same round and part follows; the rest of the sets may be asked for.
    More,
    /// This is the last one.
    Last,
}

/// What the sender holds of one log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogState {
    /// The log.
    pub log: LogName,
    /// How many positions of the log the sender holds at least by their hashes, from 0 on.
    pub size: u64,
    /// The head tag: shows whether both sides mean the same tree at this size, and tells nothing to others.
    #[serde(with = "fixed::bytes")]
    pub tag: [u8; 8],
    /// Which positions the sender holds.
    pub held: Held,
    /// How many records of the origin's key log the sender holds, from the genesis record on.
    pub keys: u32,
    /// Whether the receiver may have the log from the sender.
    pub offered: bool,
    /// Whether the sender takes the log from the receiver, and what comes of it under this name. Facts of a log travel
    /// only to who wants it.
    pub wanted: bool,
}

/// Names a log within a session. The side that first names a log draws the number: the dialer an even one, the acceptor
/// an odd one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogNumber(pub u32);

/// Names a log: by its number once both sides know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LogName {
    /// A log that either side has named before.
    Known(LogNumber),
    /// A log that is named for the first time in this session.
    New {
        /// The number that it has from here on.
        number: LogNumber,
        /// Which log it is.
        #[serde(with = "fixed::log_id")]
        log: LogId,
        /// The name of its compartment, which its audience may know.
        compartment: BoundedString<COMPARTMENT_NAME_BYTES_MAX>,
    },
}

impl LogName {
    /// The number of the log.
    pub fn number(&self) -> LogNumber {
        match self {
            Self::Known(number) | Self::New { number, .. } => *number,
        }
    }
}

/// Which positions below its size the sender holds of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Held {
    /// All of them, with their whole content.
    Complete,
    /// Those of three sets, given by their digests.
    Sets {
        /// Positions held with their whole content: [`PositionSet::digest`](causality_fact::PositionSet::digest).
        #[serde(with = "fixed::bytes")]
        full: [u8; 16],
        /// Positions held with a part of their content: 16 bytes of the tagged hash `causality/0/partial` of
        /// [`Sets::partial`], so it tells which part.
        #[serde(with = "fixed::bytes")]
        partial: [u8; 16],
        /// Positions that the sender does not want from the receiver, refused by its policy, erased, pruned or void:
        /// [`PositionSet::digest`](causality_fact::PositionSet::digest).
        #[serde(with = "fixed::bytes")]
        declined: [u8; 16],
    },
    /// Not all of them, or not whole. Only in receipts, where the digests are not always said.
    Incomplete,
}

/// Asks for the sets of a log, of which the receiver of this message has said that it does not hold all, or for the rest of
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetsRequest {
    /// The log.
    pub log: LogNumber,
    /// From which position on: 0, or where the answer before ended that was not all.
    pub from: u64,
}

/// The sets behind the digests of [`Held::Sets`], of some positions of a log. Sets are in the one encoding of
/// [`PositionSet`](causality_fact::PositionSet).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sets {
    /// The log.
    pub log: LogNumber,
    /// The sets are about the positions from this one on, which was asked for.
    pub from: u64,
    /// They are about the positions below this. It is the size of the log at the sender, or less where the sets of all of
    /// it would be too large.
    pub until: u64,
    /// Whether this is the last of them.
    pub last: Page,
    /// Positions held with their whole content.
    pub full: BoundedBytes<SET_BYTES_MAX>,
    /// Positions held with a part of their content: a count, then for each set of fields, ascending, its
    /// [mask](causality_fact::FieldMask) and the length and bytes of the set of positions.
    pub partial: BoundedBytes<SET_BYTES_MAX>,
    /// Positions that the sender does not want.
    pub declined: BoundedBytes<SET_BYTES_MAX>,
}

/// What the positions of a log are to be verified against: the keys of its origin, its newest checkpoint, and the roots
/// of the blocks that the receiver lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Announce {
    /// The log.
    pub log: LogNumber,
    /// The records of the origin's key log behind those that the receiver holds, in order, each in the canonical
    /// encoding of [`SignedKeyRecord`](causality_fact::SignedKeyRecord).
    pub key_records: BoundedVec<BoundedBytes<KEY_RECORD_BYTES_MAX>, KEY_RECORDS_PER_ANNOUNCE_MAX>,
    /// The checkpoint in the canonical encoding of [`Checkpoint`](causality_fact::Checkpoint).
    pub checkpoint: BoundedBytes<CHECKPOINT_BYTES_MAX>,
    /// The index of the block of the first root, counted from 0 in blocks of
    /// [`BLOCK_LEAVES`](causality_fact::BLOCK_LEAVES) positions.
    pub first_block: u64,
    /// The roots of the blocks from there up to the end of the log.
    pub block_roots: Hashes<BLOCK_ROOTS_MAX>,
}

/// A run of positions of a log: a [`Chunk`] as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FactSync {
    /// The log.
    pub log: LogNumber,
    /// The first position.
    pub from: u64,
    /// The entries in order of their positions, each in the canonical encoding of [`Entry`](causality_fact::Entry).
    pub entries: BoundedBytes<ENTRIES_BYTES_MAX>,
    /// The hashes to the right of the last entry.
    pub right: Hashes<RIGHT_HASHES_MAX>,
}

impl FactSync {
    /// The message that carries a chunk of a log. The entries are moved, not copied.
    ///
    /// # Errors
    ///
    /// When the chunk is larger than [`ENTRIES_BYTES_MAX`] or has more than [`RIGHT_HASHES_MAX`] hashes.
    pub fn new(log: LogNumber, chunk: Chunk) -> Result<Self, TooLong> {
        Ok(Self {
            log,
            from: chunk.from,
            entries: BoundedBytes::new(chunk.entries)?,
            right: Hashes::new(&chunk.right)?,
        })
    }

    /// The chunk that it carries, unverified. The entries are moved, not copied.
    pub fn into_chunk(self) -> Chunk {
        Chunk {
            from: self.from,
            entries: self.entries.into_vec(),
            right: self.right.to_vec(),
        }
    }
}

/// Facts at positions below the size of a log at the receiver, which knows their hashes already: so they need no proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reveal {
    /// The log.
    pub log: LogNumber,
    /// Positions and rows, as [`encode_reveal`](causality_fact::encode_reveal) writes them.
    pub rows: BoundedBytes<ENTRIES_BYTES_MAX>,
}

/// What the sender keeps back of a log from the receiver, of what it holds itself. Sets are in the one encoding of
/// [`PositionSet`](causality_fact::PositionSet); no two of them have a position in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holes {
    /// The log.
    pub log: LogNumber,
    /// Of the positions below this.
    pub size: u64,
    /// Positions whose facts are not shown.
    pub withheld: BoundedBytes<SET_BYTES_MAX>,
    /// Positions whose facts will be shown later, once a time has come.
    pub deferred: BoundedBytes<SET_BYTES_MAX>,
    /// Positions whose facts are shown without some of their fields.
    pub partial: BoundedBytes<SET_BYTES_MAX>,
    /// Where the sender is the origin: its signed statement of this, in the canonical encoding of
    /// [`WithheldStatement`](causality_fact::WithheldStatement). Otherwise empty.
    pub statement: BoundedBytes<STATEMENT_BYTES_MAX>,
}

/// What the sender signs about what both sides hold, once a round is over: first the side that opened the round, then the
/// other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Convergence {
    /// The round.
    pub round: u32,
    /// The receipt in the canonical encoding of [`ConvergenceReceipt`](causality_fact::ConvergenceReceipt).
    pub receipt: BoundedBytes<CONVERGENCE_BYTES_MAX>,
}

/// What the sender has done with the positions of a log that it received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The log.
    pub log: LogNumber,
    /// Every position below it that was sent is stored durably, or refused.
    pub size: u64,
    /// How many [`Reveal`]s of the log, under this number of it, are stored durably, or refused.
    pub reveals: u64,
    /// Which positions below the size of the log are held.
    pub held: Held,
    /// The positions refused since the last receipt for this log.
    pub refused: BoundedVec<Refusal, REFUSALS_MAX>,
    /// How many bytes of entries may be sent on top of what was granted before, over all logs.
    pub credit: u64,
}

/// Positions of a log that were refused: from `from` on and below `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// The first position.
    pub from: u64,
    /// The position behind the last.
    pub to: u64,
    /// Why. Coarse on purpose: the exact rule stays with who refused.
    pub reason: RefusalReason,
}

/// Why positions were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// The bytes are not canonical, or do not verify.
    Malformed,
    /// The key that vouches for them is unknown or not valid for them.
    Key,
    /// They are void: behind a cut or a closing checkpoint.
    Void,
    /// The policy of who refused does not let them in.
    Policy,
    /// A limit of who refused is reached.
    Limit,
    /// Their version or type is unknown and not kept.
    Unsupported,
    /// They may be sent again in a later round.
    RetryLater,
}

/// The sender has sent everything that it owes in this round, and all of it was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaughtUp {
    /// The round.
    pub round: u32,
    /// How many facts it sent in the round.
    pub facts: u64,
    /// How many bytes of entries it sent in the round.
    pub bytes: u64,
}

/// The sender ends the session and sends nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Goodbye {
    /// Why.
    pub reason: GoodbyeReason,
}

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GoodbyeReason {
    /// The work is done.
    Done,
    /// The sender stops.
    Shutdown,
    /// The sender does not know the receiver.
    UnknownPeer,
    /// The receiver broke the protocol.
    Violation,
    /// The sender has no room for this session; the receiver may come back later.
    Overloaded,
    /// The sender failed for a reason of its own, such as its disk.
    Failed,
}

/// The most logs of one [`Frontier`].
pub const LOGS_PER_FRONTIER_MAX: usize = 4096;
/// The longest id of a trigger that travels, in bytes.
pub const TRIGGER_BYTES_MAX: usize = 64;
/// The most bytes of the name of a compartment.
pub const COMPARTMENT_NAME_BYTES_MAX: usize = 64;
/// The most bytes of one encoded set of positions, or of those of [`Sets::partial`].
pub const SET_BYTES_MAX: usize = 1 << 20;
/// The most key records of one [`Announce`].
pub const KEY_RECORDS_PER_ANNOUNCE_MAX: usize = 1024;
/// The most bytes of an encoded key record.
pub const KEY_RECORD_BYTES_MAX: usize = 4096;
/// The most bytes of an encoded checkpoint.
pub const CHECKPOINT_BYTES_MAX: usize = 512;
/// The most bytes of an encoded statement of what is withheld.
pub const STATEMENT_BYTES_MAX: usize = 512;
/// The most bytes of an encoded convergence receipt.
pub const CONVERGENCE_BYTES_MAX: usize = 512;
/// The most block roots of one [`Announce`]: 2^27 positions.
pub const BLOCK_ROOTS_MAX: usize = 32_768;
/// The most bytes of the entries of one [`FactSync`], and of the rows of one [`Reveal`]: a full chunk and the row that
/// filled it, or one large row.
pub const ENTRIES_BYTES_MAX: usize = CHUNK_BYTES_MAX + ROW_BYTES_MAX + 16;
/// The most hashes to the right of a chunk: two for each level of a block.
pub const RIGHT_HASHES_MAX: usize = 24;
/// The most ranges of refused positions in one [`Receipt`].
pub const REFUSALS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use causality_fact::TreeHash;

    use super::*;

    fn chunk(entry_bytes: usize, right: usize) -> Chunk {
        Chunk {
            from: 7,
            entries: vec![1; entry_bytes],
            right: vec![TreeHash::new([2; 32]); right],
        }
    }

    #[test]
    fn the_largest_chunk_survives_its_message() {
        let largest = chunk(ENTRIES_BYTES_MAX, RIGHT_HASHES_MAX);
        let message = FactSync::new(LogNumber(4), largest.clone()).unwrap();
        assert_eq!(message.into_chunk(), largest);
    }

    #[test]
    fn larger_chunks_are_refused() {
        let of = |chunk| FactSync::new(LogNumber(4), chunk).unwrap_err().to_string();
        assert_eq!(
            of(chunk(ENTRIES_BYTES_MAX + 1, 0)),
            "1113593 bytes, the limit is 1113592"
        );
        assert_eq!(
            of(chunk(0, RIGHT_HASHES_MAX + 1)),
            "25 hashes, the limit is 24"
        );
    }

    #[test]
    fn both_names_of_a_log_have_its_number() {
        let number = LogNumber(3);
        let log = LogId {
            origin: causality_fact::DomainId::new([1; 32]),
            compartment: causality_fact::CompartmentId::PUBLIC,
            lane: causality_fact::LaneId::new([2; 16]),
        };
        let new = LogName::New {
            number,
            log,
            compartment: BoundedString::new("public").unwrap(),
        };
        assert_eq!(new.number(), LogName::Known(number).number());
    }
}
