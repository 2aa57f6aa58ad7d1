//! Checkpoints: what an origin signs about one of its logs (`docs/src/spec/log.md`).

use crate::codec::DecodeError;
use crate::codec::Decoder;
use crate::codec::Encoder;
use crate::hash::tagged_message;
use crate::hlc::Hlc;
use crate::id::CompartmentId;
use crate::id::DomainId;
use crate::id::KeyId;
use crate::id::LaneId;
use crate::key::KEY_RECORDS_MAX;
use crate::tree::TreeHash;
use std::fmt;

/// The version of checkpoints that this crate writes.
pub const CHECKPOINT_VERSION: u8 = 0;
/// The most positions of a log: 2^48, so that sums of sizes never overflow.
pub const LOG_SIZE_MAX: u64 = 1 << 48;

const CHECKPOINT_TAG: &str = "causality/0/checkpoint";

/// Names a log: one lane of one origin in one compartment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "any three ids name a log")]
pub struct LogId {
    /// Who writes it.
    pub origin: DomainId,
    /// For which audience.
    pub compartment: CompartmentId,
    /// Which of the origin's writers.
    pub lane: LaneId,
}

impl LogId {
    /// How many bytes it takes.
    pub const LENGTH: usize = DomainId::LENGTH + CompartmentId::LENGTH + LaneId::LENGTH;

    /// Its bytes: origin, compartment, lane.
    pub fn to_bytes(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..32].copy_from_slice(self.origin.as_bytes());
        bytes[32..48].copy_from_slice(self.compartment.as_bytes());
        bytes[48..].copy_from_slice(self.lane.as_bytes());
        bytes
    }

    /// From its bytes.
    pub fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            origin: DomainId::decode(from)?,
            compartment: CompartmentId::decode(from)?,
            lane: LaneId::decode(from)?,
        })
    }
}

/// The first eight digits of each id.
impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.8}/{:.8}/{:.8}",
            self.origin, self.compartment, self.lane
        )
    }
}

/// What an origin says of a log, once signed: it has this size and root.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "closed by the specification of version 0"
)]
pub struct Checkpoint {
    /// The log.
    pub log: LogId,
    /// How many positions it has, at most [`LOG_SIZE_MAX`].
    pub size: u64,
    /// The root of the tree over them.
    pub root: TreeHash,
    /// When it was signed; not before the last fact below it.
    pub hlc: Hlc,
    /// The epoch of the key record whose key signs.
    pub epoch: u32,
    /// The key that signs.
    pub key: KeyId,
    /// Whether it closes the lane: positions behind it are void, without blame.
    pub closing: bool,
    /// Ed25519 over [`Checkpoint::signed_message`].
    pub signature: [u8; 64],
}

impl Checkpoint {
    /// What the signature covers.
    pub fn signed_message(&self) -> Vec<u8> {
        tagged_message(CHECKPOINT_TAG, &self.body())
    }

    /// Its canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.body();
        bytes.extend_from_slice(&self.signature);
        bytes
    }

    /// Reads canonical bytes; verifies nothing.
    ///
    /// # Errors
    ///
    /// When the bytes are not canonical.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        Decoder::exactly(bytes, Self::decode)
    }

    fn body(&self) -> Vec<u8> {
        let mut to = Encoder::new();
        to.u8(CHECKPOINT_VERSION)
            .raw(&self.log.to_bytes())
            .uint(self.size)
            .raw(self.root.as_bytes());
        to.fixed_u64(self.hlc.to_bits())
            .uint(u64::from(self.epoch))
            .raw(self.key.as_ref());
        to.u8(u8::from(self.closing));
        to.finish()
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        from.version("checkpoint version", CHECKPOINT_VERSION)?;
        Ok(Self {
            log: LogId::decode(from)?,
            size: from.uint_up_to("log size", LOG_SIZE_MAX)?,
            root: TreeHash::new(from.array()?),
            hlc: Hlc::from_bits(from.fixed_u64()?),
            epoch: from.length("key epoch", KEY_RECORDS_MAX - 1)? as u32,
            key: KeyId::decode(from)?,
            closing: decode_flag(from)?,
            signature: from.array()?,
        })
    }
}

fn decode_flag(from: &mut Decoder<'_>) -> Result<bool, DecodeError> {
    let at = from.at();
    match from.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        code => Err(DecodeError::UnknownCode {
            at,
            what: "closing flag",
            code,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::checkpoint;
    use crate::tests::keys;

    const ROOT: TreeHash = TreeHash::new([5; 32]);

    fn decode(bytes: &[u8]) -> Result<Checkpoint, DecodeError> {
        Checkpoint::from_bytes(bytes)
    }

    #[test]
    fn a_checkpoint_survives_its_bytes() {
        for (size, closing) in [(0, false), (300, true), (LOG_SIZE_MAX, false)] {
            let mut signed = checkpoint(size, ROOT, 0, 1);
            signed.closing = closing;
            assert_eq!(decode(&signed.to_bytes()), Ok(signed));
        }
    }

    #[test]
    fn sizes_and_epochs_have_limits() {
        let mut signed = checkpoint(LOG_SIZE_MAX + 1, ROOT, 0, 1);
        let size = DecodeError::LimitExceeded {
            at: 65,
            what: "log size",
            actual: LOG_SIZE_MAX + 1,
            limit: LOG_SIZE_MAX,
        };
        assert_eq!(decode(&signed.to_bytes()), Err(size));
        (signed.size, signed.epoch) = (1, 1023);
        assert_eq!(decode(&signed.to_bytes()), Ok(signed.clone()));
        signed.epoch = 1024;
        let epoch = DecodeError::LimitExceeded {
            at: 106,
            what: "key epoch",
            actual: 1024,
            limit: 1023,
        };
        assert_eq!(decode(&signed.to_bytes()), Err(epoch));
    }

    #[test]
    fn unknown_codes_are_refused() {
        let good = checkpoint(1, ROOT, 0, 1).to_bytes();
        for (at, what) in [(0, "checkpoint version"), (123, "closing flag")] {
            let mut bytes = good.clone();
            bytes[at] = 2;
            let error = DecodeError::UnknownCode { at, what, code: 2 };
            assert_eq!(decode(&bytes), Err(error));
        }
    }

    #[test]
    fn any_flipped_bit_is_refused() {
        let good = checkpoint(300, ROOT, 0, 1).to_bytes();
        let keys = keys();
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let refused = match decode(&bytes) {
                Ok(checkpoint) => keys.verify_checkpoint(checkpoint).is_err(),
                Err(_) => true,
            };
            assert!(refused, "bit {bit}");
        }
    }

    #[test]
    fn a_log_id_is_its_three_ids() {
        let log = crate::tests::log();
        let bytes = log.to_bytes();
        assert_eq!(bytes[..32], *log.origin.as_bytes());
        assert_eq!(bytes[48..], *log.lane.as_bytes());
        assert_eq!(Decoder::exactly(&bytes, LogId::decode), Ok(log));
    }
}
