//! Convergence receipts: what this domain and each peer have signed for each other at the ends of rounds
//! (`docs/src/spec/sync.md`, section "Convergence").

use causality_fact::ConvergenceReceipt;
use causality_fact::DecodeError;
use causality_fact::Decoder;
use causality_fact::DomainId;
use causality_fact::Encoder;
use causality_fact::Frontiers;
use causality_fact::Hlc;
use causality_fact::LogId;
use causality_fact::TaggedHash;
use causality_fact::TreeHead;
use causality_fact::frontier_digest;
use causality_store::SideWrite;
use causality_wire::CONVERGENCE_BYTES_MAX;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;

use crate::effect::Event;
use crate::effect::SyncError;
use crate::engine::Engine;
use crate::logbook::RECEIPTS;
use crate::peers::Remembered;
use crate::peers::VERSION;
use crate::peers::version;

/// How many receipts are kept of a peer, own ones and its own together.
pub const RECEIPTS_MAX: usize = 64;

/// The last receipts that this domain and a peer gave each other, in the order in which they last came up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Receipts {
    receipts: VecDeque<ConvergenceReceipt>,
    /// Whether the last own one was the first in its round, and was not answered.
    is_unanswered: bool,
}

/// What a receipt says, before it is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) scope: [u8; 16],
    pub(crate) frontiers: Frontiers,
}

/// Why a receipt is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    /// The other side has given one in this round.
    Answer,
    /// It is the first in its round.
    First,
}

impl Statement {
    /// About the logs of a scope, as far as each side holds them.
    pub(crate) fn new(
        scope: &BTreeSet<LogId>,
        own: &BTreeMap<LogId, TreeHead>,
        peer: &BTreeMap<LogId, TreeHead>,
    ) -> Self {
        let start = TaggedHash::new(SCOPE_TAG);
        let scope = scope
            .iter()
            .fold(start, |hash, log| hash.chain(log.to_bytes()));
        let scope = scope.finish();
        Self {
            scope: *scope.first_chunk().expect("16 bytes are fewer than 32"),
            frontiers: Frontiers {
                signer: frontier_digest(own),
                peer: frontier_digest(peer),
            },
        }
    }

    fn is_in(&self, receipt: &ConvergenceReceipt) -> bool {
        self.scope == receipt.scope && self.frontiers == receipt.frontiers
    }
}

impl Receipts {
    /// The last one of a signer.
    pub(crate) fn last_of(&self, signer: DomainId) -> Option<&ConvergenceReceipt> {
        self.receipts
            .iter()
            .rfind(|receipt| receipt.signer == signer)
    }

    /// Adds one behind all others, or moves it there.
    fn add(&mut self, receipt: ConvergenceReceipt) {
        self.receipts.retain(|known| *known != receipt);
        self.receipts.push_back(receipt);
        while self.receipts.len() > RECEIPTS_MAX {
            self.receipts.pop_front();
        }
    }

    /// Whether a new one of the peer cannot stand behind those that are held: it names one of them that has a successor, or
    /// none at all, or goes back. (It may name one that is not held: that was lost on its way.)
    fn is_fork(&self, new: &ConvergenceReceipt) -> bool {
        let Some(last) = self.last_of(new.signer) else {
            return false;
        };
        let is_earlier = |known: &ConvergenceReceipt| {
            known.signer == new.signer && known != last && known.hash() == new.previous
        };
        new.hlc <= last.hlc
            || new.epoch < last.epoch
            || new.previous == [0; 32]
            || self.receipts.iter().any(is_earlier)
    }

    pub(crate) fn write(&self, peer: DomainId) -> SideWrite {
        let mut to = Encoder::new();
        to.u8(VERSION)
            .u8(u8::from(self.is_unanswered))
            .length(self.receipts.len());
        for receipt in &self.receipts {
            to.bytes(&receipt.to_bytes());
        }
        SideWrite {
            table: RECEIPTS,
            key: peer.as_bytes().to_vec(),
            value: Some(to.finish()),
        }
    }

    pub(crate) fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        version(from)?;
        let at = from.at();
        let is_unanswered = match from.u8()? {
            0 => false,
            1 => true,
            code => {
                let what = "whether a receipt is answered";
                return Err(DecodeError::UnknownCode { at, what, code });
            }
        };
        let count = from.length("number of receipts", RECEIPTS_MAX)?;
        let mut receipts = VecDeque::new();
        for _ in 0..count {
            let bytes = from.bytes("length of a receipt", CONVERGENCE_BYTES_MAX)?;
            receipts.push_back(ConvergenceReceipt::from_bytes(bytes)?);
        }
        Ok(Self {
            receipts,
            is_unanswered,
        })
    }
}

impl Engine {
    /// The last receipts that this domain and a peer gave each other, the newest last: at most [`RECEIPTS_MAX`].
    pub fn receipts(&self, peer: DomainId) -> impl Iterator<Item = &ConvergenceReceipt> {
        let receipts = self.receipts.get(&peer);
        receipts.into_iter().flat_map(|receipts| &receipts.receipts)
    }

    /// Whether a round has led to something that the peer is to be told: it then owes an answer.
    pub(crate) fn awaits_answer(&mut self, peer: DomainId, statement: &Statement) -> bool {
        let own = self.domain();
        let receipts = self.receipts.entry(peer).or_default();
        let last = receipts.last_of(own);
        receipts.is_unanswered |= !last.is_some_and(|last| statement.is_in(last));
        receipts.is_unanswered
    }

    /// The receipt that says this to a peer, and what is to be written before it may be sent: nothing if it is not new.
    pub(crate) fn own_receipt(
        &mut self,
        peer: DomainId,
        statement: Statement,
    ) -> (ConvergenceReceipt, Option<SideWrite>) {
        let own = self.domain();
        let receipts = self.receipts.entry(peer).or_default();
        let last = receipts.last_of(own).cloned();
        let previous = match &last {
            Some(last) if statement.is_in(last) => {
                let last = last.clone();
                receipts.add(last.clone());
                return (last, None);
            }
            Some(last) => last.hash(),
            None => [0; 32],
        };
        let before = last.map_or_else(Hlc::default, |last| last.hlc);
        let hlc = before.next(self.now_ms).unwrap_or(before);
        let Statement { scope, frontiers } = statement;
        let receipt = self
            .keys
            .sign_convergence_receipt(peer, scope, frontiers, hlc, previous);
        receipts.add(receipt.clone());
        let write = receipts.write(peer);
        (receipt, Some(write))
    }

    /// Takes the receipt that a peer gives.
    pub(crate) fn take_receipt(
        &mut self,
        peer: DomainId,
        bytes: &[u8],
        given: Given,
    ) -> Result<(), SyncError> {
        let receipt = ConvergenceReceipt::from_bytes(bytes)
            .map_err(|_| SyncError::Violation("a convergence receipt that is not canonical"))?;
        if receipt.peer != self.domain() {
            return Err(SyncError::Violation(
                "a convergence receipt for somebody else",
            ));
        }
        let keys = self.key_logs.get(&peer);
        let verified = keys.and_then(|keys| keys.verify_convergence_receipt(receipt).ok());
        let Some(receipt) = verified else {
            let what = "a convergence receipt that does not verify";
            return Err(SyncError::Violation(what));
        };
        let receipt = receipt.into_inner();
        let receipts = self.receipts.entry(peer).or_default();
        let is_known = receipts.receipts.contains(&receipt);
        let is_fork = !is_known && receipts.is_fork(&receipt);
        receipts.add(receipt);
        receipts.is_unanswered &= given != Given::Answer;
        // Should that be lost, the peer's next one names one that is not held.
        self.remember(Remembered::Receipts(peer));
        if is_fork {
            self.event(Event::ReceiptsForked { peer });
        }
        Ok(())
    }
}

const SCOPE_TAG: &str = "causality/0/scope";

#[cfg(test)]
mod tests {
    use super::*;
    use causality_envelope::DomainKeys;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng as _;

    const PEER: DomainId = DomainId::new([7; 32]);

    struct Chain {
        keys: DomainKeys,
        receipts: Receipts,
    }

    impl Chain {
        fn new() -> Self {
            let mut random = ChaCha20Rng::seed_from_u64(1);
            Self {
                keys: DomainKeys::generate(&mut random, 0..i64::MAX).unwrap(),
                receipts: Receipts::default(),
            }
        }

        fn signed(&self, time: u64, previous: [u8; 32]) -> ConvergenceReceipt {
            let frontiers = Frontiers {
                signer: [1; 32],
                peer: [2; 32],
            };
            let hlc = Hlc::from_millis(time);
            self.keys
                .sign_convergence_receipt(PEER, [3; 16], frontiers, hlc, previous)
        }
    }

    #[test]
    fn a_chain_may_have_gaps_but_no_forks() {
        let mut chain = Chain::new();
        let first = chain.signed(1, [0; 32]);
        let second = chain.signed(2, first.hash());
        for receipt in [&first, &second] {
            assert!(!chain.receipts.is_fork(receipt));
            chain.receipts.add(receipt.clone());
        }
        let forks = [
            chain.signed(3, first.hash()),
            chain.signed(3, [0; 32]),
            chain.signed(2, second.hash()),
        ];
        for fork in forks {
            assert!(chain.receipts.is_fork(&fork));
        }
        assert!(!chain.receipts.is_fork(&chain.signed(3, second.hash())));
        assert!(!chain.receipts.is_fork(&chain.signed(3, [9; 32])), "lost");
    }

    #[test]
    fn the_last_receipts_survive_their_row_and_older_ones_are_forgotten() {
        let mut chain = Chain::new();
        for time in 0..RECEIPTS_MAX as u64 + 3 {
            chain.receipts.add(chain.signed(time, [9; 32]));
        }
        assert_eq!(chain.receipts.receipts.len(), RECEIPTS_MAX);
        assert_eq!(chain.receipts.receipts[0].hlc, Hlc::from_millis(3));
        let row = chain.receipts.write(PEER).value.unwrap();
        assert_eq!(Decoder::exactly(&row, Receipts::decode), Ok(chain.receipts));
        let mut more = row;
        more[2] += 1;
        assert!(matches!(
            Decoder::exactly(&more, Receipts::decode),
            Err(DecodeError::LimitExceeded { actual: 65, .. })
        ));
    }
}
