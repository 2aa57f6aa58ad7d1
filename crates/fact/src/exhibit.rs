//! Exhibits: a fact on its own, with all that a third party needs to check it offline (`docs/src/spec/log.md`).

use crate::checkpoint::Checkpoint;
use crate::codec::DecodeError;
use crate::codec::Decoder;
use crate::codec::Encoder;
use crate::key::KEY_RECORDS_MAX;
use crate::key::KeyError;
use crate::key::KeyLog;
use crate::row::ROW_BYTES_MAX;
use crate::row::Row;
use crate::tree::TreeError;
use crate::tree::TreeHash;
use crate::tree::TreeHead;
use crate::tree::leaf_hash;
use crate::tree::verify_inclusion;
use crate::verified::Verified;
use thiserror::Error;

/// What an exhibit's bytes start with.
pub const EXHIBIT_MAGIC: &[u8; 16] = b"causality proof\n";
/// The version of exhibits that this crate writes.
pub const EXHIBIT_VERSION: u8 = 0;
/// The most bytes of an exhibit with a key log of ordinary length: a larger file is none.
pub const EXHIBIT_BYTES_MAX: usize = 4 << 20;

const KEY_RECORD_BYTES_MAX: usize = 4096;
const CHECKPOINT_BYTES_MAX: usize = 512;
const PATH_MAX: usize = 64;

/// A fact with its place in a signed log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a claim: any values are legal until verified"
)]
pub struct Exhibit {
    /// The origin's key records from genesis on.
    pub keys: Vec<Vec<u8>>,
    /// The checkpoint under which the fact is proven.
    pub checkpoint: Checkpoint,
    /// The position of the fact.
    pub position: u64,
    /// The hashes from the fact up to the root (RFC 9162, section 2.1.3).
    pub path: Vec<TreeHash>,
    /// The fact's core and disclosed content.
    pub row: Row,
}

/// Why an exhibit proves nothing.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExhibitError {
    /// The bytes do not start as a proof does.
    #[error("this is not a proof of a fact")]
    NotAnExhibit,
    /// The bytes are not canonical.
    #[error("malformed proof: {0}")]
    Malformed(#[from] DecodeError),
    /// The keys or the signature do not verify.
    #[error("the origin's signature does not hold: {0}")]
    Key(#[from] KeyError),
    /// The fact does not stand where the proof says.
    #[error("the fact does not stand in the log: {0}")]
    NotIncluded(#[from] TreeError),
}

impl Exhibit {
    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut to = Encoder::new();
        to.raw(EXHIBIT_MAGIC)
            .u8(EXHIBIT_VERSION)
            .length(self.keys.len());
        for record in &self.keys {
            to.bytes(record);
        }
        to.bytes(&self.checkpoint.to_bytes())
            .uint(self.position)
            .length(self.path.len());
        for hash in &self.path {
            to.raw(hash.as_bytes());
        }
        to.bytes(self.row.bytes());
        to.finish()
    }

    /// Reads and verifies an exhibit: keys from genesis, signature, place, commitments.
    ///
    /// # Errors
    ///
    /// When anything does not hold.
    pub fn verify(bytes: &[u8]) -> Result<Verified<Self>, ExhibitError> {
        let rest = bytes
            .strip_prefix(EXHIBIT_MAGIC)
            .ok_or(ExhibitError::NotAnExhibit)?;
        let exhibit = Decoder::exactly(rest, Self::decode)?;
        let keys = KeyLog::verify(exhibit.keys.iter().map(Vec::as_slice))?;
        let checkpoint = keys.verify_checkpoint(exhibit.checkpoint.clone())?;
        let head = TreeHead {
            size: checkpoint.size,
            root: checkpoint.root,
        };
        verify_inclusion(
            exhibit.position,
            &leaf_hash(&exhibit.row.id()),
            &exhibit.path,
            &head,
        )?;
        Ok(Verified::new(exhibit))
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let at = from.at();
        let code = from.u8()?;
        if code != EXHIBIT_VERSION {
            return Err(DecodeError::UnknownCode {
                at,
                what: "proof version",
                code,
            });
        }
        let count = from.length("number of key records", KEY_RECORDS_MAX)?;
        let keys = (0..count)
            .map(|_| {
                from.bytes("key record length", KEY_RECORD_BYTES_MAX)
                    .map(<[u8]>::to_vec)
            })
            .collect::<Result<_, _>>()?;
        let checkpoint = from.bytes("checkpoint length", CHECKPOINT_BYTES_MAX)?;
        let checkpoint = Checkpoint::from_bytes(checkpoint)?;
        let position = from.uint()?;
        let count = from.length("length of the path", PATH_MAX)?;
        let path = (0..count)
            .map(|_| from.array().map(TreeHash::new))
            .collect::<Result<_, _>>()?;
        let row = from.bytes("row length", ROW_BYTES_MAX)?;
        let row = Row::from_bytes(row, checkpoint.log.origin)?;
        Ok(Self {
            keys,
            checkpoint,
            position,
            path,
            row,
        })
    }
}
