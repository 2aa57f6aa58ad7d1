//! What a session does with the logs that come from the peer.

use causality_fact::ChunkError;
use causality_fact::LogId;
use causality_wire::Announce;
use causality_wire::BoundedVec;
use causality_wire::FactSync;
use causality_wire::Receipt;
use causality_wire::Refusal;
use causality_wire::RefusalReason;
use causality_wire::SyncMessage;

use super::CREDIT_BYTES;
use super::Session;
use crate::effect::Event;
use crate::effect::StreamNumber;
use crate::effect::SyncError;
use crate::engine::Engine;
use crate::ingest::Announced;
use crate::ingest::Chunked;
use crate::ingest::Ingested;

impl Session {
    pub(super) fn announce(
        &mut self,
        engine: &mut Engine,
        announce: Announce,
    ) -> Result<(), SyncError> {
        let log = self.names.log(announce.log)?;
        let told = self.names.told.get(&log).cloned();
        let Some(incoming) = self.incoming.get_mut(&log) else {
            return Err(SyncError::Violation("facts that nobody asked for"));
        };
        match Announced::verify(engine, log, told, announce) {
            Ok(Some(announced)) => incoming.announced = Some(announced),
            Ok(None) => {}
            // The origin signed two trees: that is not this peer's fault, and no other log's.
            Err(SyncError::Log { error, .. }) if matches!(*error, ChunkError::WrongRoot { .. }) => {
                incoming.is_refused = true;
                engine.event(Event::Forked {
                    log,
                    peer: self.peer,
                });
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    pub(super) fn chunk(
        &mut self,
        engine: &mut Engine,
        now_ms: u64,
        chunk: FactSync,
    ) -> Result<(), SyncError> {
        let number = chunk.log;
        let log = self.names.log(number)?;
        let bytes = chunk.entries.len() as u64;
        if self.peer_credit <= 0 {
            return Err(SyncError::Violation("more than was granted"));
        }
        self.peer_credit -= bytes as i64;
        let Some(incoming) = self.incoming.get_mut(&log) else {
            return Err(SyncError::Violation("facts that nobody asked for"));
        };
        if incoming.is_refused {
            self.refuse(engine, log, bytes);
            return Ok(());
        }
        let Some(announced) = &mut incoming.announced else {
            // The checkpoint was older than what is held, so the facts are held.
            self.confirm(engine, log, bytes);
            return Ok(());
        };
        match announced.extend(engine, now_ms, chunk)? {
            Chunked::Held => self.confirm(engine, log, bytes),
            Chunked::New(batch, ingested) => {
                if let Some(outgoing) = self.outgoing.get_mut(&log) {
                    // Whoever sends it holds it: it does not go back.
                    outgoing.sent = outgoing.sent.max(ingested.size);
                    outgoing.confirmed = outgoing.confirmed.max(ingested.size);
                }
                engine.commit_ingested(self.id, batch, *ingested);
            }
        }
        Ok(())
    }

    /// Says that a log will not be taken, so that nobody waits for it.
    fn refuse(&mut self, engine: &mut Engine, log: LogId, bytes: u64) {
        let Some(number) = self.names.numbers.get(&log).copied() else {
            return;
        };
        let size = engine.logs.get(&log).map_or(0, |state| state.durable);
        let reason = RefusalReason::Malformed;
        let all = Refusal {
            from: size,
            to: u64::MAX,
            reason,
        };
        let refused = BoundedVec::new(vec![all]).unwrap_or_default();
        self.peer_credit = self
            .peer_credit
            .saturating_add(bytes as i64)
            .min(CREDIT_BYTES);
        let receipt = Receipt {
            log: number,
            size,
            refused,
            credit: bytes,
        };
        engine.send(
            self.id,
            StreamNumber::CONTROL,
            SyncMessage::Receipt(receipt),
        );
    }

    /// What a chunk brought is durable.
    pub(crate) fn ingested(&mut self, engine: &mut Engine, ingested: &Ingested) {
        self.facts_received += ingested.facts;
        self.confirm(engine, ingested.log, ingested.bytes);
    }

    fn confirm(&mut self, engine: &mut Engine, log: LogId, bytes: u64) {
        let Some(number) = self.names.numbers.get(&log).copied() else {
            return;
        };
        let size = engine.logs.get(&log).map_or(0, |state| state.durable);
        self.peer_credit = self
            .peer_credit
            .saturating_add(bytes as i64)
            .min(CREDIT_BYTES);
        let receipt = Receipt {
            log: number,
            size,
            refused: BoundedVec::default(),
            credit: bytes,
        };
        engine.send(
            self.id,
            StreamNumber::CONTROL,
            SyncMessage::Receipt(receipt),
        );
    }
}
