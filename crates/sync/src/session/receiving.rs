//! Receiving: announcements and chunks of the logs that come from the peer, and the receipts for them.

use causality_fact::Chunk;
use causality_fact::DecodeError;
use causality_fact::Entry;
use causality_fact::LOG_SIZE_MAX;
use causality_fact::LogId;
use causality_fact::PositionSet;
use causality_fact::Row;
use causality_fact::decode_entries;
use causality_fact::decode_reveal;
use causality_wire::Announce;
use causality_wire::BoundedVec;
use causality_wire::Held;
use causality_wire::Holes;
use causality_wire::LogName;
use causality_wire::REFUSALS_MAX;
use causality_wire::Receipt;
use causality_wire::Refusal;
use causality_wire::RefusalReason;
use causality_wire::Reveal;
use causality_wire::SyncMessage;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::CREDIT_BYTES;
use super::OVERDRAFT_BYTES_MAX;
use super::SESSION_ANNOUNCED_BYTES_MAX;
use super::Session;
use super::cost;
use super::cost_of_announce;
use super::gaps::REVEAL_POSITIONS_MAX;
use crate::effect::Event;
use crate::effect::GivenUp;
use crate::effect::LogError;
use crate::effect::SyncError;
use crate::engine::Engine;
use crate::holes::Extent;
use crate::holes::insert;
use crate::ingest::Announced;
use crate::ingest::Announcement;
use crate::ingest::Bringer;
use crate::ingest::Fault;
use crate::ingest::Ingested;
use crate::ingest::Taken;
use crate::logbook::LogState;
use crate::peers::Remembered;
use crate::peers::Rules;
use crate::upgrade::Brought;
use crate::upgrade::Upgrade;

/// What comes from the peer.
#[derive(Debug, Default)]
pub(super) struct Receiving {
    logs: BTreeMap<LogId, Incoming>,
    /// How many bytes of feed messages have come for which no credit was given back.
    unpaid: u64,
    /// Bytes of the announcements that are kept.
    announced_bytes: usize,
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
    /// Up to where it has sent it, or was told in a state that it is held.
    brought: u64,
    /// The rules by which was decided what the peer heard in a state, and brought since.
    rules: Option<Rules>,
    /// The cost of announcements, which is paid back with their first facts.
    unpaid: u64,
    /// Whether the peer offers it, and how many positions it said that it holds.
    is_offered: bool,
    stated: u64,
    /// How many messages beside chunks are durable.
    reveals: u64,
    /// Where the chunks began of which a part is on its way to positions that were known.
    overlaps: Vec<u64>,
    /// Positions that were not taken since the last receipt.
    not_taken: PositionSet,
}

#[derive(Debug, Default)]
enum Stage {
    /// The peer was not told that it is wanted.
    #[default]
    Unwanted,
    /// The peer was told so.
    Wanted,
    /// Facts come under this.
    Announced(Box<Announced>),
    /// All that was announced is held.
    Complete,
    /// Nothing more of it is taken in this session, for this reason.
    Closed(RefusalReason),
    /// Nothing more of it is taken under its number. It gets another one when it is wanted again.
    Refused,
}

impl Stage {
    /// When nothing more is taken: what the peer is to hear of it, should it send something all the same. Of a number that
    /// was refused it has heard; of a log that is closed it may not have.
    fn refused(&self) -> Option<Option<RefusalReason>> {
        match self {
            Self::Closed(reason) => Some(Some(*reason)),
            Self::Refused => Some(None),
            Self::Unwanted | Self::Wanted | Self::Announced(_) | Self::Complete => None,
        }
    }
}

impl Incoming {
    /// How much of a log the peer may count as done. What came from elsewhere may show less than the peer is about to send;
    /// and where the log is not shared with it any more, it does not even hear that it came.
    fn confirms(&self, state: &LogState, is_shared: bool) -> u64 {
        let came = if state.holes.is_empty() && is_shared {
            self.reach
        } else {
            self.reach.min(self.brought)
        };
        let overlap = self.overlaps.iter().min().copied();
        let durable = state.durable.size();
        durable.min(came).min(overlap.unwrap_or(u64::MAX))
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

    /// Whether the peer was told that a log is wanted.
    pub(super) fn wants(&self, log: &LogId) -> bool {
        let incoming = self.logs.get(log);
        incoming.is_some_and(|incoming| !matches!(incoming.stage, Stage::Unwanted))
    }

    /// How much of a log that is taken from it the peer holds, as far as it said or showed.
    pub(super) fn peer_size(&self, log: &LogId) -> Option<u64> {
        let incoming = self.logs.get(log).filter(|incoming| incoming.is_offered)?;
        let is_taken =
            !matches!(incoming.stage, Stage::Unwanted) && incoming.stage.refused().is_none();
        is_taken.then(|| incoming.stated.max(incoming.reach))
    }

    pub(super) fn logs(&self) -> impl Iterator<Item = LogId> {
        self.logs.keys().copied()
    }

    /// How many positions of a log the peer holds, or has announced, as far as it said.
    pub(super) fn reach(&self, log: &LogId) -> Option<u64> {
        self.logs.get(log).map(|incoming| incoming.reach)
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
    /// The logs that the peer offers and that are taken from it.
    pub(super) fn desired(&self, engine: &Engine) -> BTreeSet<LogId> {
        let is_open = |i: &Incoming| i.is_offered && !matches!(i.stage, Stage::Closed(_));
        let open = self.receiving.logs.iter().filter(|(_, i)| is_open(i));
        let open = open.map(|(log, _)| *log);
        open.filter(|log| self.takes(engine, log)).collect()
    }

    pub(super) fn peer_offers(&mut self, log: LogId, size: u64) {
        let incoming = self.receiving.logs.entry(log).or_default();
        incoming.is_offered = true;
        incoming.stated = incoming.stated.max(size);
    }

    /// The peer is about to be told that so much of a log is durable here. If more of it is wanted: under which name.
    pub(super) fn want(
        &mut self,
        engine: &Engine,
        log: LogId,
        durable: u64,
    ) -> Result<Option<LogName>, SyncError> {
        let takes = self.takes(engine, &log);
        let incoming = self.receiving.logs.entry(log).or_default();
        incoming.told = incoming.told.max(durable);
        incoming.brought = incoming.brought.max(durable);
        incoming.rules = engine.rules_of_declined(self.peer, &log);
        match incoming.stage {
            Stage::Closed(_) => return Ok(None),
            _ if !takes => return Ok(None),
            Stage::Refused => {
                // What is on its way under the old number is told from what comes now.
                incoming.stage = Stage::Wanted;
                incoming.reveals = 0;
                incoming.reach = incoming.told;
                return self.names.name_anew(engine, log).map(Some);
            }
            Stage::Unwanted => incoming.stage = Stage::Wanted,
            Stage::Wanted | Stage::Announced(_) | Stage::Complete => {}
        }
        self.names.name(engine, log).map(Some)
    }

    /// Takes nothing more of a log that is forked. The peer sees that as well, unless its log has grown meanwhile: then
    /// it hears of it when it sends more.
    pub(super) fn close_forked(&mut self, log: &LogId) {
        let stage = Stage::Closed(RefusalReason::Malformed);
        self.receiving.move_to(log, stage);
    }

    pub(super) fn feed(
        &mut self,
        engine: &mut Engine,
        message: SyncMessage,
    ) -> Result<(), SyncError> {
        let number = match &message {
            SyncMessage::Announce(announce) => announce.log,
            SyncMessage::FactSync(chunk) => chunk.log,
            SyncMessage::Reveal(reveal) => reveal.log,
            SyncMessage::Holes(holes) => holes.log,
            _ => return Ok(()),
        };
        let cost = cost(&message);
        let log = self.names.log(number)?;
        if !self.receiving.wants(&log) {
            return Err(SyncError::Violation("facts that nobody asked for"));
        }
        if self.names.number(&log) != Some(number) {
            // It was on its way when the old number was refused.
            self.pay_back(engine, log, cost, None);
            return Ok(());
        }
        if !self.takes(engine, &log) {
            self.refuse(engine, log, LogError::NotGranted);
        }
        let bytes = match &message {
            SyncMessage::FactSync(chunk) => chunk.entries.len(),
            SyncMessage::Reveal(reveal) => reveal.rows.len(),
            _ => 0,
        };
        engine.metrics.of(self.peer).received.bytes += bytes as u64;
        match message {
            SyncMessage::Announce(announce) => self.announce(engine, log, &announce),
            SyncMessage::FactSync(chunk) => self.chunk(engine, log, chunk.into_chunk(), cost),
            SyncMessage::Reveal(reveal) => self.reveal(engine, log, &reveal, cost),
            SyncMessage::Holes(holes) => self.holes(engine, log, &holes, cost),
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
            Ok(Announcement::New(announced)) => self.keep_announced(engine, log, announced),
            Ok(Announcement::Held(size)) => {
                if let Some(incoming) = self.receiving.logs.get_mut(&log) {
                    incoming.reach = incoming.reach.max(size);
                }
                self.receiving.move_to(&log, Stage::Complete);
            }
            Err(Fault::Log(error)) => self.refuse(engine, log, error),
            Err(Fault::Peer(error)) => return Err(error),
        }
        Ok(())
    }

    fn keep_announced(&mut self, engine: &mut Engine, log: LogId, announced: Box<Announced>) {
        let size = announced.size();
        let held = engine.logs.get(&log);
        if engine.writes(&log) && held.is_none_or(|held| size > held.durable.size()) {
            // The origin's own signature proves that this store was set back.
            engine.give_up(GivenUp::Ahead(log, self.peer));
        }
        if let Some(incoming) = self.receiving.logs.get_mut(&log) {
            incoming.reach = incoming.reach.max(size);
        }
        let announced = Stage::Announced(announced);
        self.receiving.move_to(&log, announced);
        if self.receiving.announced_bytes > SESSION_ANNOUNCED_BYTES_MAX {
            self.refuse(engine, log, LogError::Limit);
        }
        self.complete(engine, &log);
    }

    fn chunk(
        &mut self,
        engine: &mut Engine,
        log: LogId,
        chunk: Chunk,
        cost: u64,
    ) -> Result<(), SyncError> {
        if chunk.entries.is_empty() {
            return Err(SyncError::Violation("a chunk without entries"));
        }
        let Some(incoming) = self.receiving.logs.get(&log) else {
            return Ok(());
        };
        let bringer = Bringer {
            peer: self.peer,
            told: self.names.told(&log),
        };
        let refused = incoming.stage.refused().flatten();
        let known = engine.logs.get(&log).map_or(0, |state| state.tree.size());
        let taken = match &incoming.stage {
            Stage::Unwanted | Stage::Wanted => {
                return Err(SyncError::Violation("facts before what proves them"));
            }
            Stage::Closed(_) | Stage::Refused => {
                self.pay_back(engine, log, cost, refused);
                return Ok(());
            }
            Stage::Complete if chunk.from < known => Ok(None),
            Stage::Complete => {
                return Err(SyncError::Violation("facts behind what was announced"));
            }
            Stage::Announced(announced) => announced.extend(engine, bringer, &chunk),
        };
        let is_overlap = match &taken {
            Ok(new) if chunk.from < known => {
                // What is not paid back with the new part is when this is done.
                let cost = if new.is_none() { cost } else { 0 };
                self.overlap(engine, log, &chunk, (known, cost))?
            }
            _ => false,
        };
        match taken {
            Ok(Some((batch, ingested))) => {
                let size = ingested.size();
                if let Some(incoming) = self.receiving.logs.get_mut(&log) {
                    incoming.reach = incoming.reach.max(size);
                    incoming.brought = incoming.brought.max(size);
                }
                self.peer_sent(engine, &log, size, ingested.is_whole());
                let is_declined = ingested.taken.rules.is_some();
                engine.commit_ingested(self.id, (batch, ingested), cost);
                if is_declined {
                    engine.remember(Remembered::Declined(self.peer, log));
                }
                self.complete(engine, &log);
            }
            Ok(None) if is_overlap => {}
            Ok(None) => self.pay_back(engine, log, cost, refused),
            Err(Fault::Log(error)) => {
                self.refuse(engine, log, error);
                self.pay_back(engine, log, cost, None);
            }
            Err(Fault::Peer(error)) => return Err(error),
        }
        Ok(())
    }

    /// Of a chunk that begins below what is known, since that came from elsewhere meanwhile: takes the facts of which less is
    /// held. Says whether there are any.
    fn overlap(
        &mut self,
        engine: &mut Engine,
        log: LogId,
        chunk: &Chunk,
        (known, cost): (u64, u64),
    ) -> Result<bool, SyncError> {
        let is_held =
            |state: &LogState| state.holes.is_empty() && state.durable.size() == state.tree.size();
        let Some(incoming) = self.receiving.logs.get_mut(&log) else {
            return Ok(false);
        };
        if engine.logs.get(&log).is_some_and(is_held) {
            incoming.brought = incoming.brought.max(known);
            return Ok(false);
        }
        let entries =
            decode_entries(&chunk.entries, log.origin).map_err(|error| wrong(log, error))?;
        let end = chunk.from + entries.len() as u64;
        incoming.brought = incoming.brought.max(end.min(known));
        let known = (chunk.from..known).zip(entries);
        let rows = known.filter_map(|(position, entry)| match entry {
            Entry::Row(row) => Some((position, row)),
            Entry::Withheld { .. } => None,
        });
        let rows: Vec<_> = rows.collect();
        if rows.is_empty() {
            return Ok(false);
        }
        incoming.overlaps.push(chunk.from);
        self.take_known(engine, log, rows, cost, Brought::Overlap(chunk.from))?;
        Ok(true)
    }

    fn reveal(
        &mut self,
        engine: &mut Engine,
        log: LogId,
        reveal: &Reveal,
        cost: u64,
    ) -> Result<(), SyncError> {
        let Some(incoming) = self.receiving.logs.get(&log) else {
            return Ok(());
        };
        if let Some(refused) = incoming.stage.refused() {
            self.pay_back(engine, log, cost, refused);
            return Ok(());
        }
        let rows = decode_reveal(&reveal.rows, log.origin).map_err(|error| wrong(log, error))?;
        let known = engine.logs.get(&log).map_or(0, |state| state.tree.size());
        if rows.last().is_none_or(|(last, _)| *last >= known) {
            return Err(SyncError::Violation("a reveal of what is not known"));
        }
        if rows.len() > REVEAL_POSITIONS_MAX {
            return Err(SyncError::Violation("more facts than a reveal may have"));
        }
        let number = self.names.number(&log);
        self.take_known(engine, log, rows, cost, Brought::Message(number))
    }

    /// Takes rows at known positions, as far as the rules let them in.
    fn take_known(
        &mut self,
        engine: &mut Engine,
        log: LogId,
        rows: Vec<(u64, Row)>,
        cost: u64,
        by: Brought,
    ) -> Result<(), SyncError> {
        let bringer = Bringer {
            peer: self.peer,
            told: self.names.told(&log),
        };
        let entries: Vec<_> = rows
            .iter()
            .map(|(position, row)| (*position, Entry::Row(row.clone())))
            .collect();
        let entries = entries.iter().map(|(position, entry)| (*position, entry));
        let taken = match engine.take(bringer, &log, entries) {
            Ok(taken) => taken,
            Err(Fault::Peer(error)) => return Err(error),
            Err(Fault::Log(error)) => {
                self.refuse(engine, log, error);
                self.pay_back(engine, log, cost, None);
                return Ok(());
            }
        };
        self.note_not_taken(engine, log, &taken);
        if taken.rules.is_some() {
            engine.remember(Remembered::Declined(self.peer, log));
        }
        if let Some(outgoing) = self.sending.logs.get_mut(&log) {
            for (position, row) in &rows {
                let extent = row.mask().map_or(Extent::Full, Extent::Partial);
                outgoing.gaps.peer_showed(*position, extent);
            }
        }
        let is_taken =
            |(position, _): &(u64, Row)| taken.not_taken.binary_search(position).is_err();
        let upgrade = Upgrade {
            session: self.id,
            peer: self.peer,
            rows: rows.into_iter().filter(is_taken).collect(),
            side: Vec::new(),
            source: None,
            cost,
            by,
        };
        self.upgrades.push((log, upgrade));
        Ok(())
    }

    /// The peer tells what it keeps back of a log.
    fn holes(
        &mut self,
        engine: &mut Engine,
        log: LogId,
        holes: &Holes,
        cost: u64,
    ) -> Result<(), SyncError> {
        let stage = self
            .receiving
            .logs
            .get(&log)
            .map(|incoming| &incoming.stage);
        if let Some(refused) = stage.and_then(Stage::refused) {
            self.pay_back(engine, log, cost, refused);
            return Ok(());
        }
        let source = engine
            .source(self.peer, log, holes)
            .map_err(SyncError::Violation)?;
        let write = source.write(self.peer, &log);
        let upgrade = Upgrade {
            session: self.id,
            peer: self.peer,
            rows: Vec::new(),
            side: write.into_iter().collect(),
            source: Some(source),
            cost,
            by: Brought::Message(self.names.number(&log)),
        };
        self.upgrades.push((log, upgrade));
        Ok(())
    }

    /// Rows at known positions are durable, or told nothing new.
    pub(crate) fn upgraded(
        &mut self,
        engine: &mut Engine,
        log: LogId,
        upgrade: &Upgrade,
        facts: u64,
    ) {
        self.receiving.facts += facts;
        if facts > 0 {
            let received = &mut engine.metrics.of(self.peer).received;
            received.batch(facts);
            received.revealed += facts;
        }
        if let Some(incoming) = self.receiving.logs.get_mut(&log) {
            match upgrade.by {
                Brought::Part => return,
                // Under another number it is counted no more.
                Brought::Message(number) => {
                    incoming.reveals += u64::from(number == self.names.number(&log));
                }
                Brought::Overlap(from) => {
                    let at = incoming.overlaps.iter().position(|start| *start == from);
                    at.map(|at| incoming.overlaps.swap_remove(at));
                }
            }
        }
        self.pay_back(engine, log, upgrade.cost, None);
    }

    fn note_not_taken(&mut self, engine: &mut Engine, log: LogId, taken: &Taken) {
        let Some((incoming, rules)) = self.receiving.logs.get_mut(&log).zip(taken.rules) else {
            return;
        };
        let told = incoming.rules.filter(|told| told.is_same(&rules));
        incoming.rules = told.map(|told| told.and(rules));
        for position in &taken.not_taken {
            insert(&mut incoming.not_taken, *position..*position + 1);
        }
        engine.event(Event::NotTaken {
            log,
            peer: self.peer,
            facts: taken.not_taken.len() as u64,
        });
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
        engine.metrics.of(self.peer).received.batch(ingested.facts);
        self.note_not_taken(engine, ingested.log, &ingested.taken);
        self.pay_back(engine, ingested.log, cost, None);
    }

    /// Something of a log became durable; it may have come from elsewhere while this peer sends it too.
    pub(super) fn confirm_progress(&mut self, engine: &mut Engine, log: LogId) {
        self.complete(engine, &log);
        let is_shared = self.is_shared(engine, &log);
        let Some(incoming) = self.receiving.logs.get(&log) else {
            return;
        };
        let state = engine.logs.get(&log);
        if state.is_some_and(|state| incoming.confirms(state, is_shared) > incoming.told) {
            self.pay_back(engine, log, 0, None);
        }
    }

    /// Takes nothing more of a log from this peer, at least under this number.
    pub(crate) fn refuse(&mut self, engine: &mut Engine, log: LogId, error: LogError) {
        let is_refused = |incoming: &Incoming| incoming.stage.refused().is_some();
        if self.receiving.logs.get(&log).is_none_or(is_refused) {
            return;
        }
        let stage = match error {
            LogError::NotGranted | LogError::Limit => Stage::Refused,
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
        let is_shared = self.is_shared(engine, &log);
        let (Some(number), Some(incoming)) = (number, self.receiving.logs.get_mut(&log)) else {
            return;
        };
        let state = engine.logs.get(&log);
        let confirmed = state.map_or(0, |state| incoming.confirms(state, is_shared));
        incoming.told = incoming.told.max(confirmed);
        let (from, to) = (incoming.told, LOG_SIZE_MAX);
        let refused = refused.map(|reason| Refusal { from, to, reason });
        let not_taken = incoming.not_taken.runs().take(REFUSALS_MAX - 1);
        let not_taken: Vec<_> = not_taken.collect();
        for run in &not_taken {
            incoming.not_taken.remove(run.clone());
        }
        let not_taken = not_taken.into_iter().map(|run| Refusal {
            from: run.start,
            to: run.end,
            reason: RefusalReason::Policy,
        });
        let refused = not_taken.chain(refused).collect();
        // What was not taken may be, once the peer has heard in a state that the rules are others.
        let policies = engine.policies(self.peer);
        let rules = policies.zip(incoming.rules);
        let is_quiet = rules.is_some_and(|(now, rules)| rules.hold(&now.inward, engine.now_ms))
            && self.rounds.is_open()
            && incoming.overlaps.is_empty()
            && !matches!(incoming.stage, Stage::Announced(_))
            && !engine.is_upgrading(&log)
            && state.is_none_or(|state| state.durable.size() == state.tree.size());
        let held = match state {
            _ if !is_shared => Held::Incomplete,
            _ if is_quiet => engine.says_held(self.peer, &log),
            Some(state) if !state.holes.is_empty() => Held::Incomplete,
            _ if engine.declined(self.peer, &log).is_some() => Held::Incomplete,
            _ => Held::Complete,
        };
        let credit = cost + std::mem::take(&mut incoming.unpaid);
        let reveals = incoming.reveals;
        self.receiving.unpaid = self.receiving.unpaid.saturating_sub(credit);
        self.owe_sets(log);
        let receipt = Receipt {
            log: number,
            size: from,
            reveals,
            held,
            refused: BoundedVec::new(refused).unwrap_or_default(),
            credit,
        };
        self.send_control(engine, SyncMessage::Receipt(receipt));
    }
}

fn wrong(log: LogId, error: DecodeError) -> SyncError {
    SyncError::Log {
        log,
        error: Box::new(error.into()),
    }
}
