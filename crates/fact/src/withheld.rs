//! Withheld statements: what an origin signs about the positions of a log that it keeps back from one audience
//! (`docs/src/spec/log.md`, section "Withheld statements").

use crate::checkpoint::LOG_SIZE_MAX;
use crate::checkpoint::LogId;
use crate::codec::DecodeError;
use crate::codec::Decoder;
use crate::codec::Encoder;
use crate::hash::tagged_message;
use crate::hlc::Hlc;
use crate::id::DomainId;
use crate::id::KeyId;
use crate::key::KEY_RECORDS_MAX;
use crate::positions::PositionSet;

/// The version of withheld statements that this crate writes.
pub const WITHHELD_STATEMENT_VERSION: u8 = 0;

const WITHHELD_TAG: &str = "causality/0/withheld";

/// The positions of a log that a source keeps back from an audience. All others it shows in full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "closed by the specification of version 0"
)]
pub struct KeptBack {
    /// Not shown.
    pub withheld: PositionSet,
    /// Not shown yet: a time will come that opens them.
    pub deferred: PositionSet,
    /// Shown in part.
    pub partial: PositionSet,
}

impl KeptBack {
    /// Whether no position is in two of the sets, and all lie below `size`.
    pub fn fits(&self, size: u64) -> bool {
        let all = self.withheld.union(&self.deferred).union(&self.partial);
        let each = self.withheld.len() + self.deferred.len() + self.partial.len();
        all.len() == each && all.runs().last().is_none_or(|run| run.end <= size)
    }
}

/// What an origin says, once signed: of the first positions of this log, these are all that it keeps back from this
/// audience at this time. An origin never signs two of one time that say different things.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "closed by the specification of version 0"
)]
pub struct WithheldStatement {
    /// The log.
    pub log: LogId,
    /// Of how many positions it speaks, at most [`LOG_SIZE_MAX`].
    pub size: u64,
    /// The domain from which they are kept back.
    pub audience: DomainId,
    /// [`PositionSet::hash`] of those not shown.
    pub withheld: [u8; 32],
    /// The same of those not shown yet.
    pub deferred: [u8; 32],
    /// The same of those shown in part.
    pub partial: [u8; 32],
    /// When it was signed.
    pub hlc: Hlc,
    /// The epoch of the key record whose key signs.
    pub epoch: u32,
    /// The key that signs.
    pub key: KeyId,
    /// Ed25519 over [`WithheldStatement::signed_message`].
    pub signature: [u8; 64],
}

impl WithheldStatement {
    /// Whether it is about these sets, and they can be what it says.
    pub fn is_about(&self, kept: &KeptBack) -> bool {
        let hashes = [&kept.withheld, &kept.deferred, &kept.partial].map(PositionSet::hash);
        hashes == self.hashes() && kept.fits(self.size)
    }

    /// Whether the two, both verified, prove that their origin said two things at once: they are about the same
    /// positions of one log, for one audience, at one time, and differ. Later the origin may say another thing, for its
    /// policy may have changed, or a time have come.
    pub fn contradicts(&self, other: &Self) -> bool {
        let about = |said: &Self| (said.log, said.size, said.audience, said.hlc);
        about(self) == about(other) && self.hashes() != other.hashes()
    }

    /// What the signature covers.
    pub fn signed_message(&self) -> Vec<u8> {
        tagged_message(WITHHELD_TAG, &self.body())
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

    fn hashes(&self) -> [[u8; 32]; 3] {
        [self.withheld, self.deferred, self.partial]
    }

    fn body(&self) -> Vec<u8> {
        let mut to = Encoder::new();
        to.u8(WITHHELD_STATEMENT_VERSION)
            .raw(&self.log.to_bytes())
            .uint(self.size)
            .raw(self.audience.as_ref())
            .raw(self.hashes().as_flattened())
            .fixed_u64(self.hlc.to_bits())
            .uint(u64::from(self.epoch))
            .raw(self.key.as_ref());
        to.finish()
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        from.version("withheld statement version", WITHHELD_STATEMENT_VERSION)?;
        Ok(Self {
            log: LogId::decode(from)?,
            size: from.uint_up_to("log size", LOG_SIZE_MAX)?,
            audience: DomainId::decode(from)?,
            withheld: from.array()?,
            deferred: from.array()?,
            partial: from.array()?,
            hlc: Hlc::from_bits(from.fixed_u64()?),
            epoch: from.length("key epoch", KEY_RECORDS_MAX - 1)? as u32,
            key: KeyId::decode(from)?,
            signature: from.array()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyError;
    use crate::tests::domain;
    use crate::tests::keys;
    use crate::tests::log;
    use crate::tests::public;
    use crate::tests::secret;
    use ed25519_dalek::Signer as _;

    const AUDIENCE: DomainId = DomainId::new([8; 32]);

    fn set(positions: &[u64]) -> PositionSet {
        let mut set = PositionSet::new();
        positions
            .iter()
            .for_each(|position| set.insert(*position..position + 1).unwrap());
        set
    }

    fn kept() -> KeptBack {
        KeptBack {
            withheld: set(&[1, 2]),
            deferred: set(&[4]),
            partial: set(&[5, 9]),
        }
    }

    /// What key `seed` of epoch 0 signs after a change.
    fn signed(seed: u8, change: impl FnOnce(&mut WithheldStatement)) -> WithheldStatement {
        let kept = kept();
        let mut statement = WithheldStatement {
            log: log(),
            size: 10,
            audience: AUDIENCE,
            withheld: kept.withheld.hash(),
            deferred: kept.deferred.hash(),
            partial: kept.partial.hash(),
            hlc: Hlc::from_millis(5),
            epoch: 0,
            key: public(seed).id(),
            signature: [0; 64],
        };
        change(&mut statement);
        statement.signature = secret(seed).sign(&statement.signed_message()).to_bytes();
        statement
    }

    fn verify(statement: WithheldStatement) -> Result<(), KeyError> {
        keys().verify_withheld_statement(statement).map(drop)
    }

    #[test]
    fn a_statement_survives_its_bytes_and_verifies() {
        for size in [0, 10, LOG_SIZE_MAX] {
            let statement = signed(1, |statement| statement.size = size);
            let read = WithheldStatement::from_bytes(&statement.to_bytes());
            assert_eq!(read, Ok(statement.clone()));
            assert_eq!(verify(statement), Ok(()));
        }
    }

    #[test]
    fn any_flipped_bit_is_refused() {
        let good = signed(1, |_| ()).to_bytes();
        let keys = keys();
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let refused = match WithheldStatement::from_bytes(&bytes) {
                Ok(statement) => keys.verify_withheld_statement(statement).is_err(),
                Err(_) => true,
            };
            assert!(refused, "bit {bit}");
        }
    }

    #[test]
    fn what_another_signed_is_refused() {
        let other = signed(1, |statement| statement.log.origin = AUDIENCE);
        let (expected, found) = (domain(), AUDIENCE);
        assert_eq!(
            verify(other),
            Err(KeyError::OtherDomain { expected, found })
        );
        let (key, epoch) = (public(2).id(), 0);
        let unknown = Err(KeyError::UnknownKey { key, epoch });
        assert_eq!(verify(signed(2, |_| ())), unknown);
        let epoch = 1;
        let later = signed(1, |statement| statement.epoch = epoch);
        let key = later.key;
        assert_eq!(verify(later), Err(KeyError::UnknownKey { key, epoch }));
        let forged = signed(2, |statement| statement.key = public(1).id());
        assert_eq!(verify(forged), Err(KeyError::BadSignature));
    }

    #[test]
    fn a_statement_has_limits() {
        let decode =
            |statement: WithheldStatement| WithheldStatement::from_bytes(&statement.to_bytes());
        let limit = |at, what, actual, limit| {
            Err(DecodeError::LimitExceeded {
                at,
                what,
                actual,
                limit,
            })
        };
        let above = LOG_SIZE_MAX + 1;
        let large = signed(1, |statement| statement.size = above);
        assert_eq!(decode(large), limit(65, "log size", above, LOG_SIZE_MAX));
        assert!(decode(signed(1, |statement| statement.epoch = 1023)).is_ok());
        let late = signed(1, |statement| statement.epoch = 1024);
        assert_eq!(decode(late), limit(202, "key epoch", 1024, 1023));
        let mut newer = signed(1, |_| ()).to_bytes();
        newer[0] = 1;
        let (at, what, code) = (0, "withheld statement version", 1);
        let error = DecodeError::UnknownCode { at, what, code };
        assert_eq!(WithheldStatement::from_bytes(&newer), Err(error));
    }

    #[test]
    fn a_statement_is_about_the_sets_that_it_was_signed_for() {
        let statement = signed(1, |_| ());
        assert!(statement.is_about(&kept()));
        let changes: [fn(&mut KeptBack); 4] = [
            |kept| kept.withheld = set(&[1]),
            |kept| kept.deferred = set(&[]),
            |kept| kept.partial = set(&[5, 8]),
            |kept| std::mem::swap(&mut kept.withheld, &mut kept.partial),
        ];
        for change in changes {
            let mut other = kept();
            change(&mut other);
            assert!(!statement.is_about(&other), "{other:?}");
        }
        let small = signed(1, |statement| statement.size = 9);
        assert!(!small.is_about(&kept()), "position 9 is not below 9");
    }

    #[test]
    fn sets_fit_below_a_size_when_none_overlap() {
        assert!(KeptBack::default().fits(0));
        assert!(kept().fits(10) && !kept().fits(9));
        let changes: [fn(&mut KeptBack); 3] = [
            |kept| kept.deferred = set(&[2]),
            |kept| kept.partial = set(&[1]),
            |kept| kept.partial = kept.deferred.clone(),
        ];
        for change in changes {
            let mut overlapping = kept();
            change(&mut overlapping);
            assert!(!overlapping.fits(10), "{overlapping:?}");
        }
    }

    #[test]
    fn only_two_things_said_at_once_contradict_each_other() {
        let one = signed(1, |_| ());
        let changes: [fn(&mut WithheldStatement); 3] = [
            |said| said.withheld = set(&[1]).hash(),
            |said| said.deferred = set(&[]).hash(),
            |said| said.partial = set(&[]).hash(),
        ];
        for change in changes {
            let other = signed(1, change);
            assert!(one.contradicts(&other) && other.contradicts(&one));
        }
        assert!(!one.contradicts(&one));
        let elsewhere: [fn(&mut WithheldStatement); 4] = [
            |said| said.log.lane = crate::id::LaneId::new([4; 16]),
            |said| said.size = 11,
            |said| said.audience = DomainId::new([9; 32]),
            |said| said.hlc = Hlc::from_millis(6),
        ];
        for change in elsewhere {
            let other = signed(1, |said| {
                said.withheld = set(&[]).hash();
                change(said);
            });
            assert!(!one.contradicts(&other) && !other.contradicts(&one));
        }
    }
}
