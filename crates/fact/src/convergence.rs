//! Convergence receipts: what each of two domains signs about what it holds of their common logs, and what it knows of
//! the other (`docs/src/spec/log.md`, section "Convergence receipts").

use crate::checkpoint::LogId;
use crate::codec::DecodeError;
use crate::codec::Decoder;
use crate::codec::Encoder;
use crate::hash::TaggedHash;
use crate::hash::tagged_message;
use crate::hlc::Hlc;
use crate::id::DomainId;
use crate::id::KeyId;
use crate::key::KEY_RECORDS_MAX;
use crate::tree::TreeHead;
use std::collections::BTreeMap;

/// The version of convergence receipts that this crate writes.
pub const CONVERGENCE_RECEIPT_VERSION: u8 = 0;

const RECEIPT_TAG: &str = "causality/0/convergence";
const RECEIPT_ID_TAG: &str = "causality/0/convergence-id";
const FRONTIER_TAG: &str = "causality/0/frontier";

/// What each side of a receipt holds, as [`frontier_digest`]s. Equal where the two have converged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "closed by the specification of version 0"
)]
pub struct Frontiers {
    /// What who signs holds.
    pub signer: [u8; 32],
    /// What the peer holds, as far as who signs knows.
    pub peer: [u8; 32],
}

/// What a domain says, once signed: at this time I hold this within the scope, and know that the peer holds that.
///
/// The receipts of one domain to one peer are a chain, so that none can be taken out later.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "closed by the specification of version 0"
)]
pub struct ConvergenceReceipt {
    /// Who signs.
    pub signer: DomainId,
    /// To whom.
    pub peer: DomainId,
    /// Which logs are meant: a digest on which the two agree.
    pub scope: [u8; 16],
    /// What the two hold of them.
    pub frontiers: Frontiers,
    /// When it was signed.
    pub hlc: Hlc,
    /// [`ConvergenceReceipt::hash`] of the one that the signer gave this peer before; zeros in the first.
    pub previous: [u8; 32],
    /// The epoch of the key record whose key signs.
    pub epoch: u32,
    /// The key that signs.
    pub key: KeyId,
    /// Ed25519 over [`ConvergenceReceipt::signed_message`].
    pub signature: [u8; 64],
}

impl ConvergenceReceipt {
    /// Whether the two, one of each side and both verified, say the same of both sides.
    pub fn agrees_with(&self, other: &Self) -> bool {
        let mirrored = Frontiers {
            signer: other.frontiers.peer,
            peer: other.frontiers.signer,
        };
        (self.signer, self.peer) == (other.peer, other.signer)
            && self.scope == other.scope
            && self.frontiers == mirrored
    }

    /// Whether it comes right after another in the chain of one signer and peer; after `None`, whether it is the first.
    pub fn follows(&self, previous: Option<&Self>) -> bool {
        let Some(previous) = previous else {
            return self.previous == [0; 32];
        };
        let chain = |receipt: &Self| (receipt.signer, receipt.peer);
        chain(self) == chain(previous)
            && self.previous == previous.hash()
            && self.hlc > previous.hlc
            && self.epoch >= previous.epoch
    }

    /// What the next one in the chain names.
    pub fn hash(&self) -> [u8; 32] {
        TaggedHash::new(RECEIPT_ID_TAG).chain(self.body()).finish()
    }

    /// What the signature covers.
    pub fn signed_message(&self) -> Vec<u8> {
        tagged_message(RECEIPT_TAG, &self.body())
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
        to.u8(CONVERGENCE_RECEIPT_VERSION)
            .raw(self.signer.as_ref())
            .raw(self.peer.as_ref())
            .raw(&self.scope)
            .raw(&self.frontiers.signer)
            .raw(&self.frontiers.peer)
            .fixed_u64(self.hlc.to_bits())
            .raw(&self.previous)
            .uint(u64::from(self.epoch))
            .raw(self.key.as_ref());
        to.finish()
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        from.version("convergence receipt version", CONVERGENCE_RECEIPT_VERSION)?;
        Ok(Self {
            signer: DomainId::decode(from)?,
            peer: DomainId::decode(from)?,
            scope: from.array()?,
            frontiers: Frontiers {
                signer: from.array()?,
                peer: from.array()?,
            },
            hlc: Hlc::from_bits(from.fixed_u64()?),
            previous: from.array()?,
            epoch: from.length("key epoch", KEY_RECORDS_MAX - 1)? as u32,
            key: KeyId::decode(from)?,
            signature: from.array()?,
        })
    }
}

/// The digest of how far logs are held: equal for equal logs, sizes and roots only.
pub fn frontier_digest(frontier: &BTreeMap<LogId, TreeHead>) -> [u8; 32] {
    let mut count = Encoder::new();
    count.length(frontier.len());
    let start = TaggedHash::new(FRONTIER_TAG).chain(count.finish());
    let each = |hash: TaggedHash, (log, head): (&LogId, &TreeHead)| {
        let mut size = Encoder::new();
        size.uint(head.size);
        hash.chain(log.to_bytes())
            .chain(size.finish())
            .chain(head.root.as_bytes())
    };
    frontier.iter().fold(start, each).finish()
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
    use crate::tree::TreeHash;
    use ed25519_dalek::Signer as _;

    const PEER: DomainId = DomainId::new([8; 32]);

    /// What key `seed` of epoch 0 signs after a change.
    fn signed(seed: u8, change: impl FnOnce(&mut ConvergenceReceipt)) -> ConvergenceReceipt {
        let mut receipt = ConvergenceReceipt {
            signer: domain(),
            peer: PEER,
            scope: [6; 16],
            frontiers: Frontiers {
                signer: [1; 32],
                peer: [2; 32],
            },
            hlc: Hlc::from_millis(5),
            previous: [0; 32],
            epoch: 0,
            key: public(seed).id(),
            signature: [0; 64],
        };
        change(&mut receipt);
        receipt.signature = secret(seed).sign(&receipt.signed_message()).to_bytes();
        receipt
    }

    fn verify(receipt: ConvergenceReceipt) -> Result<(), KeyError> {
        keys().verify_convergence_receipt(receipt).map(drop)
    }

    #[test]
    fn a_receipt_survives_its_bytes_and_verifies() {
        for previous in [[0; 32], [7; 32]] {
            let receipt = signed(1, |receipt| receipt.previous = previous);
            let read = ConvergenceReceipt::from_bytes(&receipt.to_bytes());
            assert_eq!(read, Ok(receipt.clone()));
            assert_eq!(verify(receipt), Ok(()));
        }
    }

    #[test]
    fn any_flipped_bit_is_refused() {
        let good = signed(1, |_| ()).to_bytes();
        let keys = keys();
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let refused = match ConvergenceReceipt::from_bytes(&bytes) {
                Ok(receipt) => keys.verify_convergence_receipt(receipt).is_err(),
                Err(_) => true,
            };
            assert!(refused, "bit {bit}");
        }
    }

    #[test]
    fn what_another_signed_is_refused() {
        let other = signed(1, |receipt| receipt.signer = PEER);
        let (expected, found) = (domain(), PEER);
        assert_eq!(
            verify(other),
            Err(KeyError::OtherDomain { expected, found })
        );
        let (key, epoch) = (public(2).id(), 0);
        assert_eq!(
            verify(signed(2, |_| ())),
            Err(KeyError::UnknownKey { key, epoch })
        );
        let forged = signed(2, |receipt| receipt.key = public(1).id());
        assert_eq!(verify(forged), Err(KeyError::BadSignature));
    }

    #[test]
    fn versions_and_epochs_have_limits() {
        let decode = |bytes: &[u8]| ConvergenceReceipt::from_bytes(bytes).map(drop);
        let with_epoch = |epoch| signed(1, |receipt| receipt.epoch = epoch).to_bytes();
        assert_eq!(decode(&with_epoch(1023)), Ok(()));
        let error = DecodeError::LimitExceeded {
            at: 185,
            what: "key epoch",
            actual: 1024,
            limit: 1023,
        };
        assert_eq!(decode(&with_epoch(1024)), Err(error));
        let mut newer = with_epoch(0);
        newer[0] = 1;
        let (at, what, code) = (0, "convergence receipt version", 1);
        let error = DecodeError::UnknownCode { at, what, code };
        assert_eq!(decode(&newer), Err(error));
    }

    #[test]
    fn receipts_agree_when_each_says_of_the_other_what_it_says_itself() {
        let mine = signed(1, |_| ());
        let theirs = |change: fn(&mut ConvergenceReceipt)| {
            signed(2, |receipt| {
                (receipt.signer, receipt.peer) = (PEER, domain());
                receipt.frontiers = Frontiers {
                    signer: [2; 32],
                    peer: [1; 32],
                };
                receipt.hlc = Hlc::from_millis(6);
                change(receipt);
            })
        };
        let same = theirs(|_| ());
        assert!(mine.agrees_with(&same) && same.agrees_with(&mine));
        let changes: [fn(&mut ConvergenceReceipt); 5] = [
            |receipt| receipt.signer = DomainId::new([9; 32]),
            |receipt| receipt.peer = DomainId::new([9; 32]),
            |receipt| receipt.scope[0] ^= 1,
            |receipt| receipt.frontiers.signer[0] ^= 1,
            |receipt| receipt.frontiers.peer[0] ^= 1,
        ];
        for change in changes {
            let other = theirs(change);
            assert!(!mine.agrees_with(&other) && !other.agrees_with(&mine));
        }
        assert!(!mine.agrees_with(&mine), "both sides are needed");
    }

    #[test]
    fn receipts_to_one_peer_are_a_chain() {
        let first = signed(1, |_| ());
        let next = |change: fn(&mut ConvergenceReceipt)| {
            signed(1, |receipt| {
                receipt.previous = first.hash();
                receipt.hlc = Hlc::from_millis(6);
                change(receipt);
            })
        };
        assert!(first.follows(None) && !first.follows(Some(&first)));
        let second = next(|_| ());
        assert!(second.follows(Some(&first)) && !second.follows(None));
        let changes: [fn(&mut ConvergenceReceipt); 4] = [
            |receipt| receipt.peer = DomainId::new([9; 32]),
            |receipt| receipt.signer = PEER,
            |receipt| receipt.previous[0] ^= 1,
            |receipt| receipt.hlc = Hlc::from_millis(5),
        ];
        for change in changes {
            assert!(!next(change).follows(Some(&first)));
        }
        let late = signed(1, |receipt| receipt.epoch = 1);
        let early = signed(1, |receipt| {
            (receipt.previous, receipt.hlc) = (late.hash(), Hlc::from_millis(6));
        });
        assert!(!early.follows(Some(&late)), "epochs do not decrease");
    }

    #[test]
    fn a_frontier_digest_tells_logs_sizes_and_roots_apart() {
        let head = |size, root| TreeHead {
            size,
            root: TreeHash::new([root; 32]),
        };
        let mut other = log();
        other.lane = crate::id::LaneId::new([4; 16]);
        let frontiers = [
            vec![],
            vec![(log(), head(1, 5))],
            vec![(log(), head(2, 5))],
            vec![(log(), head(1, 6))],
            vec![(other, head(1, 5))],
            vec![(log(), head(1, 5)), (other, head(1, 5))],
            vec![(log(), head(1, 5)), (other, head(2, 5))],
        ];
        let digests: std::collections::BTreeSet<_> = frontiers
            .iter()
            .map(|logs| frontier_digest(&logs.iter().copied().collect()))
            .collect();
        assert_eq!(digests.len(), frontiers.len());
    }
}
