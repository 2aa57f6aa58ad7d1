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
/// The most bytes of an exhibit. The longest key log takes 2.4 MB of it, so that every fact has one.
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

    /// Reads canonical bytes; verifies nothing.
    ///
    /// # Errors
    ///
    /// [`ExhibitError::NotAnExhibit`] for bytes of another kind, [`ExhibitError::Malformed`] when they are not
    /// canonical or more than [`EXHIBIT_BYTES_MAX`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ExhibitError> {
        let rest = bytes
            .strip_prefix(EXHIBIT_MAGIC)
            .ok_or(ExhibitError::NotAnExhibit)?;
        if bytes.len() > EXHIBIT_BYTES_MAX {
            let error = DecodeError::LimitExceeded {
                at: 0,
                what: "proof length",
                actual: bytes.len() as u64,
                limit: EXHIBIT_BYTES_MAX as u64,
            };
            return Err(error.into());
        }
        Ok(Decoder::exactly(rest, Self::decode)?)
    }

    /// Reads and verifies an exhibit: keys from genesis, signature, place, commitments.
    ///
    /// # Errors
    ///
    /// When anything does not hold.
    pub fn verify(bytes: &[u8]) -> Result<Verified<Self>, ExhibitError> {
        let exhibit = Self::from_bytes(bytes)?;
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
        from.version("proof version", EXHIBIT_VERSION)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Encoder;
    use crate::tests::Writer;
    use crate::tests::checkpoint;
    use crate::tests::genesis;
    use crate::tree::inclusion_path;
    use crate::tree::root_of;

    /// The proof of one fact in a log of `size`.
    fn exhibit(position: u64, size: u64) -> Exhibit {
        let log = Writer::new(size);
        let path = inclusion_path(position, size).unwrap().into_iter();
        let path = path.map(|subtree| {
            let leaves = subtree.range_in(size);
            root_of(&log.leaves[leaves.start as usize..leaves.end as usize])
        });
        Exhibit {
            keys: vec![genesis().to_bytes()],
            checkpoint: log.checkpoint(size).into_inner(),
            position,
            path: path.collect(),
            row: log.rows[position as usize].clone(),
        }
    }

    #[test]
    fn a_fact_is_proven_whole_and_redacted() {
        for size in 1..12 {
            for position in 0..size {
                let mut exhibit = exhibit(position, size);
                let verified = Exhibit::verify(&exhibit.to_bytes()).map(Verified::into_inner);
                assert_eq!(verified.as_ref(), Ok(&exhibit));
                let redacted = exhibit.row.fact().unwrap().redact(|_| false);
                exhibit.row = Row::from(&redacted);
                let verified = Exhibit::verify(&exhibit.to_bytes()).map(Verified::into_inner);
                assert_eq!(verified, Ok(exhibit));
            }
        }
    }

    #[test]
    fn any_flipped_bit_is_refused() {
        let good = exhibit(2, 5).to_bytes();
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Exhibit::verify(&bytes).is_err(), "bit {bit}");
        }
        for length in 0..good.len() {
            assert!(Exhibit::verify(&good[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn other_files_are_told_apart_from_damaged_ones() {
        let not = Err(ExhibitError::NotAnExhibit);
        assert_eq!(Exhibit::verify(b""), not);
        assert_eq!(Exhibit::verify(b"causality"), not);
        assert_eq!(Exhibit::verify(&[b' '; 500]), not);
        let mut newer = exhibit(0, 1).to_bytes();
        newer[16] = 1;
        let (what, code) = ("proof version", 1);
        let error = DecodeError::UnknownCode { at: 0, what, code };
        assert_eq!(Exhibit::verify(&newer), Err(ExhibitError::Malformed(error)));
        let longer = [&exhibit(0, 1).to_bytes()[..], &[0]].concat();
        assert!(matches!(
            Exhibit::verify(&longer),
            Err(ExhibitError::Malformed(DecodeError::Trailing {
                extra: 1,
                ..
            }))
        ));
    }

    #[test]
    fn a_stranger_s_signature_or_another_domain_is_refused() {
        let mut stranger = exhibit(2, 5);
        let (size, root) = (stranger.checkpoint.size, stranger.checkpoint.root);
        stranger.checkpoint = checkpoint(size, root, 0, 9);
        let error = Exhibit::verify(&stranger.to_bytes());
        assert!(matches!(
            error,
            Err(ExhibitError::Key(KeyError::UnknownKey { epoch: 0, .. }))
        ));
        let mut keyless = exhibit(2, 5);
        keyless.keys = vec![];
        assert_eq!(
            Exhibit::verify(&keyless.to_bytes()),
            Err(ExhibitError::Key(KeyError::NotGenesis))
        );
    }

    #[test]
    fn a_fact_elsewhere_is_refused() {
        let mut moved = exhibit(2, 5);
        moved.position = 1;
        let error = ExhibitError::NotIncluded(TreeError::RootMismatch { size: 5 });
        assert_eq!(Exhibit::verify(&moved.to_bytes()), Err(error));
        moved.position = 5;
        let error = ExhibitError::NotIncluded(TreeError::IndexBeyondSize { index: 5, size: 5 });
        assert_eq!(Exhibit::verify(&moved.to_bytes()), Err(error));
        let mut other = exhibit(2, 5);
        other.row = exhibit(3, 5).row;
        let error = ExhibitError::NotIncluded(TreeError::RootMismatch { size: 5 });
        assert_eq!(Exhibit::verify(&other.to_bytes()), Err(error));
    }

    #[test]
    fn exhibits_have_limits() {
        let limit = |bytes: &[u8]| match Exhibit::from_bytes(bytes) {
            Err(ExhibitError::Malformed(DecodeError::LimitExceeded {
                what,
                actual,
                limit,
                ..
            })) => Some((what, actual, limit)),
            _ => None,
        };
        let mut bytes = EXHIBIT_MAGIC.to_vec();
        bytes.resize(EXHIBIT_BYTES_MAX, 0);
        assert_eq!(limit(&bytes), None);
        bytes.push(0);
        let (actual, most) = (bytes.len() as u64, EXHIBIT_BYTES_MAX as u64);
        assert_eq!(limit(&bytes), Some(("proof length", actual, most)));

        // A proof that breaks off behind these lengths.
        let start = |lengths: &[usize]| {
            let mut to = Encoder::new();
            to.raw(EXHIBIT_MAGIC).u8(EXHIBIT_VERSION);
            for length in lengths {
                to.length(*length);
            }
            limit(&to.finish())
        };
        assert_eq!(start(&[1024]), None);
        assert_eq!(start(&[1025]), Some(("number of key records", 1025, 1024)));
        assert_eq!(start(&[1, 4096]), None);
        assert_eq!(start(&[1, 4097]), Some(("key record length", 4097, 4096)));
        assert_eq!(start(&[0, 512]), None);
        assert_eq!(start(&[0, 513]), Some(("checkpoint length", 513, 512)));
        let mut long = exhibit(0, 1);
        long.path = vec![long.checkpoint.root; 64];
        assert_eq!(limit(&long.to_bytes()), None);
        long.path.push(long.checkpoint.root);
        assert_eq!(
            limit(&long.to_bytes()),
            Some(("length of the path", 65, 64))
        );
    }
}
