//! One session with a peer: rounds of catch-up, what is sent and what is received (`docs/src/spec/sync.md`).

mod receive;

use causality_envelope::SessionKeys;
use causality_fact::BLOCK_LEAVES;
use causality_fact::Chunk;
use causality_fact::DomainId;
use causality_fact::LogId;
use causality_fact::Subtree;
use causality_fact::TreeHash;
use causality_fact::TreeHead;
use causality_store::StoredEntry;
use causality_wire::BoundedVec;
use causality_wire::CaughtUp;
use causality_wire::FactSync;
use causality_wire::Frontier;
use causality_wire::FrontierPart;
use causality_wire::LOGS_PER_FRONTIER_MAX;
use causality_wire::LogName;
use causality_wire::LogState as StateMessage;
use causality_wire::Page;
use causality_wire::Receipt;
use causality_wire::Receives;
use causality_wire::Share;
use causality_wire::SyncMessage;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::content::{announce, encode, held, right};
use crate::effect::Direction;
use crate::effect::Event;
use crate::effect::FEEDS;
use crate::effect::RequestId;
use crate::effect::RoundReport;
use crate::effect::SessionId;
use crate::effect::Side;
use crate::effect::StreamNumber;
use crate::effect::SyncError;
use crate::engine::Engine;
use crate::ingest::Announced;
use crate::logbook::Signed;
use crate::names::Names;
use crate::names::check_count;
use crate::round::{MyRound, Owed, TheirRound};

/// How many bytes of entries each side may send before the other has granted more: what is not yet durable at the
/// receiver never takes more memory than this and one chunk.
pub const CREDIT_BYTES: i64 = 8 << 20;
/// No more is read from the store while this many bytes of entries wait for the network.
pub const UNFLUSHED_BYTES_MAX: usize = 4 << 20;
/// How many reads of a session are under way at once.
pub const LOADS_MAX: usize = FEEDS as usize;
/// The most logs of one session.
pub const SESSION_LOGS_MAX: usize = 1 << 16;

/// A session with a peer whose identity is proven.
#[derive(Debug)]
pub(crate) struct Session {
    id: SessionId,
    peer: DomainId,
    keys: SessionKeys,
    sends: bool,
    receives: bool,
    /// Whether the peer takes anything, as it said in its last frontier.
    peer_receives: bool,
    names: Names,
    outgoing: BTreeMap<LogId, Outgoing>,
    incoming: BTreeMap<LogId, Incoming>,
    /// How many bytes of entries may be sent, and how many the peer may send. The last chunk may overdraw either.
    credit: i64,
    peer_credit: i64,
    unflushed: usize,
    loads: usize,
    mine: Option<MyRound>,
    theirs: Option<TheirRound>,
    /// Requests for a round after the one that is open.
    waiting: Vec<RequestId>,
    rounds_opened: u32,
    /// Facts and bytes of entries that were sent, and facts received, since the session began.
    facts_sent: u64,
    bytes_sent: u64,
    facts_received: u64,
    /// How many of the facts sent the peer has confirmed as durable.
    facts_confirmed: u64,
    /// Whether a round was finished: from then on new facts go out by themselves.
    is_live: bool,
}

/// A log that the peer wants from here.
#[derive(Debug, Default)]
struct Outgoing {
    /// How many positions the peer holds, or was sent.
    sent: u64,
    /// How many of them it confirmed as durable.
    confirmed: u64,
    /// How many key records of the origin it holds.
    keys: usize,
    /// The size of the last checkpoint that was announced to it.
    announced: u64,
    is_loading: bool,
    /// Whether the peer refused it.
    is_refused: bool,
}

/// A log that comes from the peer.
#[derive(Debug, Default)]
struct Incoming {
    announced: Option<Announced>,
    /// Whether the peer's tree is another than the one held.
    is_refused: bool,
}

/// A read of a chunk, and under which checkpoint it will be sent.
#[derive(Debug)]
pub(crate) struct ChunkLoad {
    pub(crate) log: LogId,
    pub(crate) from: u64,
    pub(crate) signed: Signed,
}

impl ChunkLoad {
    /// The size of the checkpoint.
    pub(crate) fn until(&self) -> u64 {
        self.signed.checkpoint.size
    }
}

impl Session {
    pub(crate) fn new(
        id: SessionId,
        peer: DomainId,
        keys: SessionKeys,
        side: Side,
        direction: Direction,
    ) -> Self {
        Self {
            id,
            peer,
            keys,
            sends: direction != Direction::Pull,
            receives: direction != Direction::Push,
            peer_receives: true,
            names: Names::new(side),
            outgoing: BTreeMap::new(),
            incoming: BTreeMap::new(),
            credit: CREDIT_BYTES,
            peer_credit: CREDIT_BYTES,
            unflushed: 0,
            loads: 0,
            mine: None,
            theirs: None,
            waiting: Vec::new(),
            rounds_opened: 0,
            facts_sent: 0,
            facts_confirmed: 0,
            bytes_sent: 0,
            facts_received: 0,
            is_live: false,
        }
    }

    /// How many facts the peer has confirmed as durable, and how many of its are durable here.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.facts_confirmed, self.facts_received)
    }

    /// Opens a round, at once or when the one that is open has ended: that one may leave out what came since.
    pub(crate) fn start_round(
        &mut self,
        engine: &mut Engine,
        request: RequestId,
    ) -> Result<(), SyncError> {
        if self.mine.is_some() {
            self.waiting.push(request);
            return Ok(());
        }
        self.open_round(engine, vec![request])
    }

    fn open_round(
        &mut self,
        engine: &mut Engine,
        requests: Vec<RequestId>,
    ) -> Result<(), SyncError> {
        let number = self.rounds_opened;
        self.rounds_opened = self.rounds_opened.wrapping_add(1);
        self.mine = Some(MyRound {
            number,
            requests,
            answered: None,
            named: Vec::new(),
            owed: Owed::default(),
            peer_is_done: false,
            received_before: self.facts_received,
        });
        let mut logs = self.offers(engine);
        if self.receives {
            // The peer named these before, so they tell it nothing, and save a further step.
            logs.extend(self.incoming.keys().copied());
        }
        let states = self.states(engine, logs)?;
        self.send_frontier(engine, number, FrontierPart::Open, states)
    }

    pub(crate) fn receive(
        &mut self,
        engine: &mut Engine,
        now_ms: u64,
        stream: StreamNumber,
        message: SyncMessage,
    ) -> Result<(), SyncError> {
        let is_feed = matches!(message, SyncMessage::Announce(_) | SyncMessage::FactSync(_));
        if is_feed == (stream == StreamNumber::CONTROL) {
            return Err(SyncError::Violation(
                "a message on a stream of another kind",
            ));
        }
        match message {
            SyncMessage::Frontier(frontier) => self.frontier(engine, frontier),
            SyncMessage::Announce(announce) => self.announce(engine, announce),
            SyncMessage::FactSync(chunk) => self.chunk(engine, now_ms, chunk),
            SyncMessage::Receipt(receipt) => self.receipt(engine, receipt),
            SyncMessage::CaughtUp(caught_up) => self.caught_up(engine, caught_up),
            SyncMessage::Goodbye(goodbye) => Err(SyncError::Goodbye(goodbye.reason)),
            SyncMessage::SetsRequest(_) | SyncMessage::Sets(_) => {
                Err(SyncError::Violation("sets of a log that is held whole"))
            }
        }
    }

    pub(crate) fn flushed(&mut self, engine: &mut Engine, bytes: usize) -> Result<(), SyncError> {
        self.unflushed = self.unflushed.saturating_sub(bytes);
        self.pump(engine);
        Ok(())
    }

    /// A log has more durable facts.
    pub(crate) fn log_grown(&mut self, engine: &mut Engine, log: LogId) -> Result<(), SyncError> {
        if self.outgoing.contains_key(&log) {
            self.pump(engine);
        } else if self.is_live && self.mine.is_none() && self.offers(engine).contains(&log) {
            // The peer does not know of it yet, or did not want it: ask again.
            if !self.names.numbers.contains_key(&log) {
                return self.open_round(engine, Vec::new());
            }
        }
        self.settle(engine)
    }

    fn frontier(&mut self, engine: &mut Engine, frontier: Frontier) -> Result<(), SyncError> {
        let Frontier {
            round,
            part,
            receives,
            last,
            logs,
        } = frontier;
        let states = logs.into_vec();
        for state in &states {
            self.names.learn(state)?;
        }
        self.peer_receives = receives == Receives::Everything;
        match part {
            FrontierPart::Open => {
                let theirs = self.theirs.get_or_insert_with(|| TheirRound::new(round));
                if theirs.has_replied {
                    *theirs = TheirRound::new(round);
                }
                theirs.opened.extend(states);
                check_count(theirs.opened.len())?;
                if theirs.number != round {
                    return Err(SyncError::Violation("two rounds at once"));
                }
                if last == Page::Last {
                    self.reply(engine)
                } else {
                    Ok(())
                }
            }
            FrontierPart::Reply => {
                let Some(mine) = self.mine.as_mut().filter(|mine| mine.number == round) else {
                    return Err(SyncError::Violation("a reply to no round"));
                };
                mine.named.extend(states);
                check_count(mine.named.len())?;
                if last == Page::Last {
                    self.answer(engine)
                } else {
                    Ok(())
                }
            }
            FrontierPart::Answer => {
                let known = self
                    .theirs
                    .as_ref()
                    .is_some_and(|theirs| theirs.number == round);
                if !known {
                    return Err(SyncError::Violation("an answer in no round"));
                }
                self.take_states(engine, &states);
                if last == Page::Last {
                    self.begin_sending(engine, FrontierPart::Answer);
                }
                self.settle(engine)
            }
        }
    }

    /// The peer opened a round: it gets the state of what it named, and the names of what else is offered.
    fn reply(&mut self, engine: &mut Engine) -> Result<(), SyncError> {
        let Some(theirs) = &mut self.theirs else {
            return Ok(());
        };
        let (round, opened) = (theirs.number, std::mem::take(&mut theirs.opened));
        theirs.has_replied = true;
        self.take_states(engine, &opened);
        let named: BTreeSet<_> = opened
            .iter()
            .filter_map(|state| self.log_of(state))
            .collect();
        let offers = self.offers(engine);
        let mut wanted = named.clone();
        wanted.retain(|log| offers.contains(log) || self.incoming.contains_key(log));
        let awaited: BTreeSet<_> = offers.difference(&named).copied().collect();
        let states = self.states(engine, wanted.union(&awaited).copied().collect())?;
        self.send_frontier(engine, round, FrontierPart::Reply, states)?;
        let nothing_to_wait_for = awaited.is_empty() || !self.peer_receives;
        if let Some(theirs) = &mut self.theirs {
            theirs.awaited = awaited;
        }
        if nothing_to_wait_for {
            self.begin_sending(engine, FrontierPart::Answer);
        }
        self.settle(engine)
    }

    /// The reply has come: the peer gets the state of the logs that it named first.
    fn answer(&mut self, engine: &mut Engine) -> Result<(), SyncError> {
        let Some(mine) = &mut self.mine else {
            return Ok(());
        };
        let (round, named) = (mine.number, std::mem::take(&mut mine.named));
        self.take_states(engine, &named);
        let is_new = |state: &&StateMessage| {
            matches!(state.log, LogName::New { .. }) && state.share == Share::Offered
        };
        let first_named: BTreeSet<_> = named
            .iter()
            .filter(is_new)
            .filter_map(|state| self.log_of(state))
            .collect();
        let taken: BTreeSet<_> = first_named
            .iter()
            .filter(|log| self.incoming.contains_key(*log))
            .copied()
            .collect();
        if let Some(mine) = &mut self.mine {
            mine.answered = Some(taken.len());
        }
        if !first_named.is_empty() && self.receives {
            let states = self.states(engine, taken)?;
            self.send_frontier(engine, round, FrontierPart::Answer, states)?;
        }
        self.begin_sending(engine, FrontierPart::Reply);
        self.settle(engine)
    }

    /// Notes what the peer holds of the logs that it may have, and which logs will come from it.
    fn take_states(&mut self, engine: &mut Engine, states: &[StateMessage]) {
        for state in states {
            let Some(log) = self.log_of(state) else {
                continue;
            };
            if !self.fits(engine, log, state) {
                continue;
            }
            if self.sends && engine.may_send(self.peer, &log) {
                let outgoing = self.outgoing.entry(log).or_default();
                outgoing.sent = outgoing.sent.max(state.size);
                outgoing.confirmed = outgoing.confirmed.max(state.size);
                outgoing.keys = outgoing.keys.max(state.keys as usize);
            }
            let told = self.names.told.get(&log).map(String::as_str);
            if self.receives
                && state.share == Share::Offered
                && engine.may_receive(self.peer, &log, told)
            {
                self.incoming.entry(log).or_default();
            }
        }
    }

    /// Whether the peer's tree is the same as far as that can be seen; tells whoever watches if it is not.
    fn fits(&mut self, engine: &mut Engine, log: LogId, state: &StateMessage) -> bool {
        let (size, root) = match engine.logs.get(&log) {
            Some(known) => (known.tree.size(), known.tree.root()),
            None => return true,
        };
        let own_lane =
            log.origin == engine.domain() && engine.lanes.get(&log.compartment) == Some(&log.lane);
        if own_lane && state.size > size {
            engine.lanes.remove(&log.compartment);
            engine.event(Event::LaneAhead {
                log,
                peer: self.peer,
            });
            return true;
        }
        let head = TreeHead { size, root };
        if state.size == size && !self.keys.is_head_tag(&state.tag, &log, &head) {
            engine.event(Event::Forked {
                log,
                peer: self.peer,
            });
            return false;
        }
        true
    }

    fn send_frontier(
        &mut self,
        engine: &mut Engine,
        round: u32,
        part: FrontierPart,
        mut states: Vec<StateMessage>,
    ) -> Result<(), SyncError> {
        let receives = if self.receives {
            Receives::Everything
        } else {
            Receives::Nothing
        };
        loop {
            let rest = states.split_off(states.len().min(LOGS_PER_FRONTIER_MAX));
            let last = if rest.is_empty() {
                Page::Last
            } else {
                Page::More
            };
            let page = std::mem::replace(&mut states, rest);
            let logs = BoundedVec::new(page).map_err(|_| SyncError::Violation("too many logs"))?;
            let frontier = Frontier {
                round,
                part,
                receives,
                last,
                logs,
            };
            engine.send(
                self.id,
                StreamNumber::CONTROL,
                SyncMessage::Frontier(frontier),
            );
            if last == Page::Last {
                return Ok(());
            }
        }
    }

    /// What this side holds of logs, as messages.
    fn states(
        &mut self,
        engine: &Engine,
        logs: BTreeSet<LogId>,
    ) -> Result<Vec<StateMessage>, SyncError> {
        check_count(logs.len())?;
        let offers = self.offers(engine);
        let state = |log: LogId| {
            let known = engine.logs.get(&log).cloned().unwrap_or_default();
            let head = TreeHead {
                size: known.tree.size(),
                root: known.tree.root(),
            };
            let keys = engine
                .key_logs
                .get(&log.origin)
                .map_or(0, causality_fact::KeyLog::len);
            let share = if offers.contains(&log) {
                Share::Offered
            } else {
                Share::Asked
            };
            StateMessage {
                log: self.names.name(engine, log),
                size: head.size,
                tag: self.keys.head_tag(&log, &head),
                held: held(&known, head.size),
                keys: u32::try_from(keys).unwrap_or(u32::MAX),
                share,
            }
        };
        Ok(logs.into_iter().map(state).collect())
    }

    fn offers(&self, engine: &Engine) -> BTreeSet<LogId> {
        if self.sends && self.peer_receives {
            engine.offered(self.peer)
        } else {
            BTreeSet::new()
        }
    }

    fn log_of(&self, state: &StateMessage) -> Option<LogId> {
        self.names.by_number.get(&state.log.number()).copied()
    }

    /// Both sides know what the other holds: what is owed from here on is what the logs have now.
    fn begin_sending(&mut self, engine: &mut Engine, known_by: FrontierPart) {
        let target = |log: &LogId| engine.logs.get(log).map_or(0, |state| state.provable());
        let targets = self
            .outgoing
            .keys()
            .map(|log| (*log, target(log)))
            .collect();
        let owed = Owed {
            targets: if self.peer_receives {
                targets
            } else {
                BTreeMap::new()
            },
            is_done: false,
            facts_before: self.facts_sent,
            bytes_before: self.bytes_sent,
        };
        match known_by {
            FrontierPart::Reply => self
                .mine
                .iter_mut()
                .for_each(|mine| mine.owed = owed.clone()),
            _ => {
                if let Some(theirs) = &mut self.theirs {
                    theirs.awaited.clear();
                    theirs.owed = owed;
                }
            }
        }
        self.is_live = true;
        self.pump(engine);
    }

    /// Reads what is to be sent, as far as credit and the network let it.
    fn pump(&mut self, engine: &mut Engine) {
        if !self.is_live || !self.sends || !self.peer_receives {
            return;
        }
        let due: Vec<_> = self
            .outgoing
            .iter()
            .filter(|(_, out)| !out.is_loading && !out.is_refused)
            .map(|(log, _)| *log)
            .collect();
        for log in due {
            if self.credit <= 0 || self.unflushed >= UNFLUSHED_BYTES_MAX || self.loads >= LOADS_MAX
            {
                return;
            }
            let Some(outgoing) = self.outgoing.get_mut(&log) else {
                continue;
            };
            let Some(state) = engine.logs.get(&log) else {
                continue;
            };
            let Some(signed) = state
                .signed
                .clone()
                .filter(|_| outgoing.sent < state.provable())
            else {
                continue;
            };
            outgoing.is_loading = true;
            self.loads += 1;
            engine.load_chunk(
                self.id,
                ChunkLoad {
                    log,
                    from: outgoing.sent,
                    signed,
                },
            );
        }
    }

    /// Sends a chunk that was read, behind the checkpoint that proves it.
    pub(crate) fn send_chunk(
        &mut self,
        engine: &mut Engine,
        load: ChunkLoad,
        entries: Vec<StoredEntry>,
        behind: Vec<(Subtree, TreeHash)>,
    ) -> Result<(), SyncError> {
        self.loads = self.loads.saturating_sub(1);
        let (Some(outgoing), Some(number)) = (
            self.outgoing.get_mut(&load.log),
            self.names.numbers.get(&load.log).copied(),
        ) else {
            return Ok(());
        };
        outgoing.is_loading = false;
        let Some(last) = entries.last() else {
            return Ok(());
        };
        let end = last.range().end;
        // Several chunks may have been read on the same credit; those behind its end are read again.
        if load.from == outgoing.sent && self.credit > 0 {
            let until = load.until();
            let chunk = Chunk {
                from: load.from,
                entries: encode(&entries),
                right: right(end, until, &behind).ok_or(SyncError::Closed)?,
            };
            let stream = StreamNumber(1 + (number.0 % u32::from(FEEDS)) as u8);
            if outgoing.announced != until {
                outgoing.announced = until;
                let keys = engine.key_logs.get(&load.log.origin);
                let records = keys
                    .map(|keys| keys.records_from(outgoing.keys))
                    .unwrap_or_default();
                outgoing.keys += records.len();
                let first_block = outgoing.sent / BLOCK_LEAVES;
                let announce = announce(engine, number, &load, records, first_block)?;
                engine.send(self.id, stream, SyncMessage::Announce(announce));
            }
            let bytes = chunk.entries.len();
            outgoing.sent = end;
            self.facts_sent += entries.len() as u64;
            self.bytes_sent += bytes as u64;
            self.credit -= bytes as i64;
            self.unflushed += bytes;
            let message = FactSync::new(number, chunk).map_err(|_| SyncError::Closed)?;
            engine.send(self.id, stream, SyncMessage::FactSync(message));
        }
        self.pump(engine);
        Ok(())
    }

    fn receipt(&mut self, engine: &mut Engine, receipt: Receipt) -> Result<(), SyncError> {
        let log = self.names.log(receipt.log)?;
        let Some(outgoing) = self.outgoing.get_mut(&log) else {
            return Err(SyncError::Violation(
                "a receipt for a log that was not sent",
            ));
        };
        if !receipt.refused.is_empty() && !outgoing.is_refused {
            outgoing.is_refused = true;
            engine.event(Event::Refused {
                log,
                peer: self.peer,
            });
        }
        if receipt.size > outgoing.sent {
            return Err(SyncError::Violation("a receipt for what was not sent"));
        }
        self.facts_confirmed += receipt.size.saturating_sub(outgoing.confirmed);
        outgoing.confirmed = outgoing.confirmed.max(receipt.size);
        let granted = i64::try_from(receipt.credit).unwrap_or(i64::MAX);
        self.credit = self.credit.saturating_add(granted).min(CREDIT_BYTES);
        self.pump(engine);
        self.settle(engine)
    }

    fn caught_up(&mut self, engine: &mut Engine, caught_up: CaughtUp) -> Result<(), SyncError> {
        if let Some(mine) = self
            .mine
            .as_mut()
            .filter(|mine| mine.number == caught_up.round)
        {
            mine.peer_is_done = true;
        }
        self.settle(engine)
    }

    /// Says so when everything that is owed in a round was confirmed, and ends the own round when both sides have.
    fn settle(&mut self, engine: &mut Engine) -> Result<(), SyncError> {
        let Self {
            outgoing,
            mine,
            theirs,
            facts_sent,
            bytes_sent,
            ..
        } = self;
        let is_confirmed = |(log, size): (&LogId, &u64)| {
            outgoing
                .get(log)
                .is_none_or(|outgoing| outgoing.is_refused || outgoing.confirmed >= *size)
        };
        let mine_open = mine.as_mut().filter(|mine| mine.answered.is_some());
        let mine_owed = mine_open.map(|mine| (mine.number, &mut mine.owed));
        let theirs_open = theirs
            .as_mut()
            .filter(|t| t.has_replied && t.awaited.is_empty());
        let theirs_owed = theirs_open.map(|theirs| (theirs.number, &mut theirs.owed));
        for (round, owed) in mine_owed.into_iter().chain(theirs_owed) {
            if !owed.is_done && owed.targets.iter().all(is_confirmed) {
                owed.is_done = true;
                let facts = *facts_sent - owed.facts_before;
                let bytes = *bytes_sent - owed.bytes_before;
                let message = SyncMessage::CaughtUp(CaughtUp {
                    round,
                    facts,
                    bytes,
                });
                engine.send(self.id, StreamNumber::CONTROL, message);
            }
        }
        if mine
            .as_ref()
            .is_some_and(|mine| mine.owed.is_done && mine.peer_is_done)
        {
            let Some(mine) = mine.take() else {
                return Ok(());
            };
            return self.finish_round(engine, mine);
        }
        Ok(())
    }

    fn finish_round(&mut self, engine: &mut Engine, round: MyRound) -> Result<(), SyncError> {
        let facts_sent = self.facts_sent - round.owed.facts_before;
        let answered = round.answered.unwrap_or(0) > 0;
        let report = RoundReport {
            facts_sent,
            facts_received: self.facts_received - round.received_before,
            round_trips: 1 + u32::from(answered || facts_sent > 0),
        };
        for request in round.requests {
            engine.event(Event::CaughtUp { request, report });
        }
        let requests = std::mem::take(&mut self.waiting);
        let unnamed = |log: &LogId| !self.names.numbers.contains_key(log);
        if !requests.is_empty() || self.offers(engine).iter().any(unnamed) {
            return self.open_round(engine, requests);
        }
        Ok(())
    }
}
