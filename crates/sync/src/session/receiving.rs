//! Receiving: announcements and chunks of the logs that come from the peer, and the receipts for them.

use causality_fact::LOG_SIZE_MAX;
use causality_fact::LogId;
use causality_wire::Announce;
use causality_wire::BoundedVec;
use causality_wire::FactSync;
use causality_wire::LogNumber;
use causality_wire::Receipt;
use causality_wire::Refusal;
use causality_wire::RefusalReason;
use causality_wire::SyncMessage;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::CREDIT_BYTES;
use super::OVERDRAFT_BYTES_MAX;
use super::SESSION_ANNOUNCED_BYTES_MAX;
use super::Session;
use super::cost;
use super::cost_of_announce;
use super::cost_of_chunk;
use crate::effect::Event;
use crate::effect::LogError;
use crate::effect::SyncError;
use crate::engine::Engine;
use crate::ingest::Announced;
use crate::ingest::Fault;
use crate::ingest::Ingested;

/// What comes from the peer.
#[derive(Debug, Default)]
pub(super) struct Receiving {
    logs: BTreeMap<LogId, Incoming>,
    /// How many bytes of feed messages have come for which no credit was given back.
    unpaid: u64,
    /// Bytes of the announcements that are kept.
    announced_bytes: usize,
    /// Feed messages that came before the reply or answer that explains them, by log in their order. All of them are unpaid.
    early: BTreeMap<LogNumber, Vec<SyncMessage>>,
    /// Facts received and durable since the session began.
    pub(super) facts: u64,
}

/// A log of which the peer knows what is held here.
#[derive(Debug, Default)]
struct Incoming {
    stage: Stage,
    /// How many positions the peer knows to be durable here.
    told: u64,
    /// Up to where the peer has sent, or announced, what it holds.
    reach: u64,
    /// The cost of announcements, which is paid back with their first facts.
    unpaid: u64,
    /// The number under which it comes, after it was refused under another.
    renewed: Option<LogNumber>,
}

#[derive(Debug, Default)]
enum Stage {
    /// The peer has not offered it.
    #[default]
    Named,
    /// The peer has offered it, and knows that it is wanted.
    Asked,
    /// Facts come under this.
    Announced(Box<Announced>),
    /// All that was announced is held.
    Complete,
    /// Nothing more of it is taken in this session, for this reason.
    Closed(RefusalReason),
    /// Nothing more of it is taken under this number.
    Refused(LogNumber),
}

impl Stage {
    /// When nothing more is taken: what the peer is to hear of it, should it send something all the same. Of a number that
    /// was refused it has heard; of a log that is closed it may not have.
    fn refused(&self) -> Option<Option<RefusalReason>> {
        match self {
            Self::Closed(reason) => Some(Some(*reason)),
            Self::Refused(_) => Some(None),
            Self::Named | Self::Asked | Self::Announced(_) | Self::Complete => None,
        }
    }
}

impl Receiving {
    /// Notes the cost of a feed message.
    pub(super) fn charge(&mut self, message: &SyncMessage) -> Result<(), SyncError> {
        self.unpaid += cost(message);
        if self.unpaid > CREDIT_BYTES + OVERDRAFT_BYTES_MAX {
            return Err(SyncError::Violation("more than was granted"));
        }
        Ok(())
    }

    pub(super) fn has_asked(&self, log: &LogId) -> bool {
        self.logs
            .get(log)
            .is_some_and(|incoming| !matches!(incoming.stage, Stage::Named))
    }

    /// Whether the peer may name a log anew.
    pub(super) fn is_refused(&self, log: &LogId) -> bool {
        let incoming = self.logs.get(log);
        incoming.is_some_and(|incoming| matches!(incoming.stage, Stage::Refused(_)))
    }

    /// The new number of a log that was refused before.
    pub(super) fn renewed(&self, log: &LogId) -> Option<LogNumber> {
        self.logs.get(log)?.renewed
    }

    /// Moves a log to another stage.
    fn move_to(&mut self, log: &LogId, stage: Stage) {
        let bytes = |stage: &Stage| match stage {
            Stage::Announced(announced) => announced.bytes(),
            _ => 0,
        };
        if let Some(incoming) = self.logs.get_mut(log) {
            self.announced_bytes += bytes(&stage);
            let before = std::mem::replace(&mut incoming.stage, stage);
            self.announced_bytes -= bytes(&before);
        }
    }
}

impl Session {
    /// The logs that come from the peer, should it have more of them.
    pub(super) fn asked(&self, engine: &Engine) -> BTreeSet<LogId> {
        let is_asked = |incoming: &Incoming| {
            !matches!(
                incoming.stage,
                Stage::Named | Stage::Closed(_) | Stage::Refused(_)
            )
        };
        let asked = self.receiving.logs.iter().filter(|(_, i)| is_asked(i));
        let asked = asked.map(|(log, _)| *log);
        asked.filter(|log| self.takes(engine, log)).collect()
    }

    /// The peer offers a log that is taken from it.
    pub(super) fn ask(&mut self, log: LogId, number: LogNumber) {
        let incoming = self.receiving.logs.entry(log).or_default();
        match incoming.stage {
            Stage::Named => incoming.stage = Stage::Asked,
            Stage::Refused(refused) if refused != number => {
                incoming.stage = Stage::Asked;
                incoming.renewed = Some(number);
                incoming.reach = incoming.told;
            }
            _ => {}
        }
    }

    /// The peer was told how much of a log is durable here.
    pub(super) fn told_size(&mut self, log: LogId, size: u64) {
        let incoming = self.receiving.logs.entry(log).or_default();
        incoming.told = incoming.told.max(size);
    }

    /// Takes nothing more of a log that is forked. The peer sees that as well, unless its log has grown meanwhile: then
    /// it hears of it when it sends more.
    pub(super) fn close_forked(&mut self, log: &LogId) {
        let stage = Stage::Closed(RefusalReason::Malformed);
        self.receiving.move_to(log, stage);
    }

    /// What came before the reply or answer that has come now.
    pub(super) fn feed_early(&mut self, engine: &mut Engine, now_ms: u64) -> Result<(), SyncError> {
        let early = std::mem::take(&mut self.receiving.early);
        let mut messages = early.into_values().flatten();
        messages.try_for_each(|message| self.feed(engine, now_ms, message))
    }

    pub(super) fn feed(
        &mut self,
        engine: &mut Engine,
        now_ms: u64,
        message: SyncMessage,
    ) -> Result<(), SyncError> {
        let number = match &message {
            SyncMessage::Announce(announce) => announce.log,
            SyncMessage::FactSync(chunk) => chunk.log,
            _ => return Ok(()),
        };
        let log = self.names.find(number);
        let is_asked = log.is_some_and(|log| self.receiving.has_asked(&log));
        // Also behind what waits already, if an open of the peer has explained the log in between.
        let waits = !is_asked || self.receiving.early.contains_key(&number);
        if waits && self.rounds.awaits_states() {
            let early = self.receiving.early.entry(number).or_default();
            early.push(message);
            return Ok(());
        }
        let log = self.names.log(number)?;
        if !self.receiving.logs.contains_key(&log) || (!is_asked && self.takes(engine, &log)) {
            return Err(SyncError::Violation("facts that nobody asked for"));
        }
        if !self.takes(engine, &log) {
            self.refuse(engine, log, number, LogError::NotGranted);
        }
        if self
            .receiving
            .renewed(&log)
            .is_some_and(|new| new != number)
        {
            // It was on its way when the old number was refused.
            self.pay_back(engine, log, cost(&message), None);
            return Ok(());
        }
        match message {
            SyncMessage::Announce(announce) => self.announce(engine, log, &announce),
            SyncMessage::FactSync(chunk) => self.chunk(engine, now_ms, log, chunk),
            _ => Ok(()),
        }
    }

    fn announce(
        &mut self,
        engine: &mut Engine,
        log: LogId,
        announce: &Announce,
    ) -> Result<(), SyncError> {
        let cost = cost_of_announce(announce);
        let Some(incoming) = self.receiving.logs.get_mut(&log) else {
            return Ok(());
        };
        incoming.unpaid += cost;
        if let Some(refused) = incoming.stage.refused() {
            self.pay_back(engine, log, 0, refused);
            return Ok(());
        }
        match Announced::verify(engine, log, announce) {
            Ok(Some(announced)) => self.keep_announced(engine, log, announce.log, announced),
            Ok(None) => self.receiving.move_to(&log, Stage::Complete),
            Err(Fault::Log(error)) => self.refuse(engine, log, announce.log, error),
            Err(Fault::Peer(error)) => return Err(error),
        }
        Ok(())
    }

    fn keep_announced(
        &mut self,
        engine: &mut Engine,
        log: LogId,
        number: LogNumber,
        announced: Announced,
    ) {
        let size = announced.size();
        let held = engine.logs.get(&log);
        if engine.writes(&log) && held.is_none_or(|held| size > held.durable.size()) {
            // The origin's own signature proves that this store was set back.
            engine.stop_writing(&log);
            let peer = self.peer;
            engine.event(Event::LaneAhead { log, peer });
        }
        if let Some(incoming) = self.receiving.logs.get_mut(&log) {
            incoming.reach = incoming.reach.max(size);
        }
        let announced = Stage::Announced(Box::new(announced));
        self.receiving.move_to(&log, announced);
        if self.receiving.announced_bytes > SESSION_ANNOUNCED_BYTES_MAX {
            self.refuse(engine, log, number, LogError::Limit);
        }
        self.complete(engine, &log);
    }

    fn chunk(
        &mut self,
        engine: &mut Engine,
        now_ms: u64,
        log: LogId,
        chunk: FactSync,
    ) -> Result<(), SyncError> {
        let (number, cost, from) = (chunk.log, cost_of_chunk(&chunk), chunk.from);
        if chunk.entries.is_empty() {
            return Err(SyncError::Violation("a chunk without entries"));
        }
        let Some(incoming) = self.receiving.logs.get(&log) else {
            return Ok(());
        };
        let told = self.names.told(&log);
        let refused = incoming.stage.refused().flatten();
        let taken = match &incoming.stage {
            Stage::Named | Stage::Asked => {
                return Err(SyncError::Violation("facts before what proves them"));
            }
            Stage::Closed(_) | Stage::Refused(_) => Ok(None),
            Stage::Complete => match engine.logs.get(&log) {
                Some(state) if from < state.tree.size() => Ok(None),
                _ => return Err(SyncError::Violation("facts behind what was announced")),
            },
            Stage::Announced(announced) => announced.extend(engine, now_ms, told, chunk),
        };
        match taken {
            Ok(Some((batch, ingested))) => {
                let size = ingested.size();
                if let Some(incoming) = self.receiving.logs.get_mut(&log) {
                    incoming.reach = incoming.reach.max(size);
                }
                self.peer_sent(&log, size);
                engine.commit_ingested(self.id, (batch, ingested), cost);
                self.complete(engine, &log);
            }
            Ok(None) => self.pay_back(engine, log, cost, refused),
            Err(Fault::Log(error)) => {
                self.refuse(engine, log, number, error);
                self.pay_back(engine, log, cost, None);
            }
            Err(Fault::Peer(error)) => return Err(error),
        }
        Ok(())
    }

    /// Forgets an announcement when all of it is held, or on its way to the store.
    fn complete(&mut self, engine: &Engine, log: &LogId) {
        let held = engine.logs.get(log).map_or(0, |state| state.tree.size());
        let incoming = self.receiving.logs.get(log);
        let is_complete =
            |i: &Incoming| matches!(&i.stage, Stage::Announced(a) if a.size() <= held);
        if incoming.is_some_and(is_complete) {
            self.receiving.move_to(log, Stage::Complete);
        }
    }

    /// What a chunk brought is durable.
    pub(crate) fn ingested(&mut self, engine: &mut Engine, ingested: &Ingested, cost: u64) {
        self.receiving.facts += ingested.facts;
        self.pay_back(engine, ingested.log, cost, None);
    }

    /// Something of a log became durable; it may have come from elsewhere while this peer sends it too.
    pub(super) fn confirm_progress(&mut self, engine: &mut Engine, log: LogId) {
        let Some(incoming) = self.receiving.logs.get(&log) else {
            return;
        };
        let durable = engine.logs.get(&log).map_or(0, |s| s.durable.size());
        if durable.min(incoming.reach) > incoming.told {
            self.pay_back(engine, log, 0, None);
        }
    }

    /// Takes nothing more of a log from this peer, at least under this number.
    fn refuse(&mut self, engine: &mut Engine, log: LogId, number: LogNumber, error: LogError) {
        let is_closed = |i: &Incoming| match i.stage {
            Stage::Closed(_) => true,
            Stage::Refused(refused) => refused == number,
            _ => i.renewed.is_some_and(|new| new != number),
        };
        if self.receiving.logs.get(&log).is_none_or(is_closed) {
            return;
        }
        let stage = match error {
            LogError::NotGranted | LogError::Limit => Stage::Refused(number),
            _ => Stage::Closed(error.reason()),
        };
        self.receiving.move_to(&log, stage);
        self.pay_back(engine, log, 0, Some(error.reason()));
        let peer = self.peer;
        engine.event(Event::Refused { log, peer, error });
    }

    /// Tells the peer how much of a log is durable, gives credit back, and says why nothing more of it is taken, if so.
    fn pay_back(
        &mut self,
        engine: &mut Engine,
        log: LogId,
        cost: u64,
        refused: Option<RefusalReason>,
    ) {
        let number = self.names.number(&log);
        let (Some(number), Some(incoming)) = (number, self.receiving.logs.get_mut(&log)) else {
            return;
        };
        let durable = engine.logs.get(&log).map_or(0, |s| s.durable.size());
        incoming.told = incoming.told.max(durable.min(incoming.reach));
        let (from, to) = (incoming.told, LOG_SIZE_MAX);
        let refused = refused.map(|reason| Refusal { from, to, reason });
        let credit = cost + std::mem::take(&mut incoming.unpaid);
        self.receiving.unpaid = self.receiving.unpaid.saturating_sub(credit);
        let receipt = Receipt {
            log: number,
            size: from,
            refused: BoundedVec::new(refused.into_iter().collect()).unwrap_or_default(),
            credit,
        };
        self.send_control(engine, SyncMessage::Receipt(receipt));
    }
}
