//! What the two sides sign for each other when a round is over and says something new: first the side that opened it, then
//! the other (`docs/src/spec/sync.md`, section "Convergence").

use causality_fact::LogId;
use causality_fact::TreeHead;
use causality_wire::BoundedBytes;
use causality_wire::Convergence;
use causality_wire::SyncMessage;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::Session;
use crate::effect::SyncError;
use crate::engine::Engine;
use crate::receipts::Given;
use crate::receipts::Statement;

impl Session {
    /// Signs what the round that this side opened has led to, if that is new; says whether the peer has to answer.
    pub(super) fn state_convergence(
        &mut self,
        engine: &mut Engine,
        round: u32,
    ) -> Result<bool, SyncError> {
        let scope = self.scope(engine);
        if scope.is_empty() {
            return Ok(false);
        }
        let statement = self.statement(engine, &scope);
        let is_due = engine.awaits_answer(self.peer, &statement);
        if is_due {
            self.give_receipt(engine, round, statement)?;
        }
        Ok(is_due)
    }

    /// The peer gives its receipt: about a round that it opened, or as the answer.
    pub(super) fn convergence(
        &mut self,
        engine: &mut Engine,
        convergence: &Convergence,
    ) -> Result<(), SyncError> {
        let round = convergence.round;
        if self.rounds.awaits_answer(round) {
            engine.take_receipt(self.peer, &convergence.receipt, Given::Answer)?;
            return self.end_round(engine);
        }
        if !self.rounds.take_question(round) {
            let what = "a convergence receipt in no round that is over";
            return Err(SyncError::Violation(what));
        }
        engine.take_receipt(self.peer, &convergence.receipt, Given::First)?;
        let statement = self.statement(engine, &self.scope(engine));
        self.give_receipt(engine, round, statement)
    }

    /// The logs that both sides have to do with: that one offers to the other, who wants it.
    fn scope(&self, engine: &Engine) -> BTreeSet<LogId> {
        let given = self.sending.logs.iter();
        let given =
            given.filter(|(log, outgoing)| outgoing.is_shared() && self.offers(engine, log));
        let taken = self.desired(engine).into_iter();
        let taken = taken.filter(|log| self.receiving.peer_size(log).is_some());
        given.map(|(log, _)| *log).chain(taken).collect()
    }

    /// What is known now of how far both hold these logs.
    fn statement(&self, engine: &Engine, scope: &BTreeSet<LogId>) -> Statement {
        let (mut own, mut peer) = (BTreeMap::<_, TreeHead>::new(), BTreeMap::new());
        for log in scope {
            let head = engine.held(log);
            let confirmed = self.sending.logs.get(log).map_or(0, |o| o.confirmed());
            let size = confirmed.max(self.receiving.peer_size(log).unwrap_or(0));
            if head.size > 0 {
                own.insert(*log, head);
            }
            // Of another size the root is not known.
            if head.size > 0 && head.size == size {
                peer.insert(*log, head);
            }
        }
        Statement::new(scope, &own, &peer)
    }

    /// Sends the receipt that says this, once it is durable: what was signed is never signed otherwise.
    fn give_receipt(
        &mut self,
        engine: &mut Engine,
        round: u32,
        statement: Statement,
    ) -> Result<(), SyncError> {
        let (receipt, write) = engine.own_receipt(self.peer, statement);
        let receipt = BoundedBytes::new(receipt.to_bytes())
            .map_err(|_| SyncError::Failed("a receipt does not fit its message"))?;
        let message = Convergence { round, receipt };
        match write {
            Some(write) => engine.commit_receipt(self.id, write, message),
            None => self.send_control(engine, SyncMessage::Convergence(message)),
        }
        Ok(())
    }

    /// The own receipt is durable.
    pub(crate) fn receipt_written(&self, engine: &mut Engine, message: Convergence) {
        self.send_control(engine, SyncMessage::Convergence(message));
    }
}
