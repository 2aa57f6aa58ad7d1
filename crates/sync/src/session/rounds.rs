//! Rounds of catch-up: each side says what it holds, then sends what it owes, until both have said that all of it arrived.

use causality_fact::KeyLog;
use causality_fact::LOG_SIZE_MAX;
use causality_fact::LogId;
use causality_wire::BoundedString;
use causality_wire::BoundedVec;
use causality_wire::CaughtUp;
use causality_wire::Frontier;
use causality_wire::FrontierPart;
use causality_wire::Held;
use causality_wire::LOGS_PER_FRONTIER_MAX;
use causality_wire::LogState as StateMessage;
use causality_wire::Page;
use causality_wire::Receives;
use causality_wire::SyncMessage;
use causality_wire::TRIGGER_BYTES_MAX;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::Session;
use crate::effect::Event;
use crate::effect::GivenUp;
use crate::effect::LogError;
use crate::effect::RequestId;
use crate::effect::RoundReport;
use crate::effect::Side;
use crate::effect::StreamNumber;
use crate::effect::SyncError;
use crate::engine::Engine;

/// The rounds of a session: at most one of each side is open.
#[derive(Debug)]
pub(super) struct Rounds {
    mine: Option<MyRound>,
    theirs: Option<TheirRound>,
    /// Requests for a round after the one that is open.
    waiting: Vec<Request>,
    /// Whether the next round is to be opened although nobody asked.
    pub(super) is_wanted: bool,
    /// The number of the next round of this side; its parity is that of the side.
    next: u32,
}

/// A request for a round.
#[derive(Debug)]
struct Request {
    id: RequestId,
    /// The trigger for whose sake it is; empty for none.
    trigger: BoundedString<TRIGGER_BYTES_MAX>,
}

/// A round that this side opened.
#[derive(Debug)]
struct MyRound {
    number: u32,
    requests: Vec<Request>,
    /// The logs that this side wanted when it opened the round.
    wanted: BTreeSet<LogId>,
    /// The logs that the peer offered on top of these.
    first: BTreeSet<LogId>,
    /// `None` until the reply has come.
    owed: Option<Owed>,
    peer_is_done: bool,
    /// Whether the peer owes an answer to a convergence receipt, with which the round ends.
    awaits_answer: bool,
    received_before: u64,
}

/// A round that the peer opened.
#[derive(Debug)]
struct TheirRound {
    number: u32,
    stage: Stage,
    peer_is_done: bool,
    /// Whether the peer has given its convergence receipt.
    is_signed: bool,
}

#[derive(Debug)]
enum Stage {
    /// The peer names its logs; whether it wants them.
    Opening(BTreeMap<LogId, bool>),
    /// It has to say what it holds of logs that this side offered on top of those that it wanted.
    Awaiting,
    Sending(Owed),
}

/// What this side has to send in a round: the size up to which the peer has to confirm each log.
#[derive(Debug)]
struct Owed {
    targets: BTreeMap<LogId, u64>,
    is_done: bool,
    facts_before: u64,
    bytes_before: u64,
}

impl Rounds {
    pub(super) fn new(side: Side) -> Self {
        Self {
            mine: None,
            theirs: None,
            waiting: Vec::new(),
            is_wanted: false,
            next: match side {
                Side::Dialer => 0,
                Side::Acceptor => 1,
            },
        }
    }

    /// Whether either side still owes something in a round.
    pub(super) fn is_open(&self) -> bool {
        let is_open = |theirs: &TheirRound| match &theirs.stage {
            Stage::Opening(_) | Stage::Awaiting => true,
            Stage::Sending(owed) => !owed.is_done || !theirs.peer_is_done,
        };
        self.mine.is_some() || self.theirs.as_ref().is_some_and(is_open)
    }

    /// Whether the peer owes an answer in the own round of this number.
    pub(super) fn awaits_answer(&self, round: u32) -> bool {
        let mine = self.mine.as_ref();
        mine.is_some_and(|mine| mine.number == round && mine.awaits_answer)
    }

    /// Whether the peer may give its receipt in its round of this number: once, when the round is over.
    pub(super) fn take_question(&mut self, round: u32) -> bool {
        let theirs = self.theirs.as_mut();
        let theirs = theirs.filter(|theirs| {
            let is_done = matches!(&theirs.stage, Stage::Sending(owed) if owed.is_done);
            theirs.number == round && is_done && theirs.peer_is_done
        });
        theirs.is_some_and(|theirs| !std::mem::replace(&mut theirs.is_signed, true))
    }

    fn owed(&mut self) -> impl Iterator<Item = (u32, &mut Owed)> {
        let mine = self.mine.as_mut();
        let mine = mine.and_then(|mine| Some((mine.number, mine.owed.as_mut()?)));
        let theirs = self.theirs.as_mut();
        let theirs = theirs.and_then(|theirs| match &mut theirs.stage {
            Stage::Sending(owed) => Some((theirs.number, owed)),
            Stage::Opening(_) | Stage::Awaiting => None,
        });
        mine.into_iter().chain(theirs)
    }
}

impl Session {
    /// Whether a round of this side is open.
    pub(crate) fn is_in_round(&self) -> bool {
        self.rounds.mine.is_some()
    }

    /// Opens a round, at once or when the one that is open has ended: that one may leave out what came since.
    pub(crate) fn start_round(
        &mut self,
        engine: &mut Engine,
        id: RequestId,
        trigger: BoundedString<TRIGGER_BYTES_MAX>,
    ) -> Result<(), SyncError> {
        let request = Request { id, trigger };
        if self.rounds.mine.is_some() {
            self.rounds.waiting.push(request);
            return Ok(());
        }
        self.open_round(engine, vec![request])
    }

    /// Opens a round for what the peer does not know of yet.
    pub(super) fn open_wanted_round(&mut self, engine: &mut Engine) -> Result<(), SyncError> {
        if self.rounds.is_wanted && self.is_live && self.rounds.mine.is_none() {
            self.open_round(engine, Vec::new())?;
        }
        Ok(())
    }

    fn open_round(&mut self, engine: &mut Engine, requests: Vec<Request>) -> Result<(), SyncError> {
        engine.metrics.record_sync_attempt(self.peer);
        let number = self.rounds.next;
        self.rounds.next = number.wrapping_add(2);
        self.rounds.is_wanted = false;
        let mut logs = self.offered(engine);
        // The peer named these before, so they tell it nothing, and save a further step.
        logs.extend(self.desired(engine));
        let states = self.states(engine, &logs)?;
        let pairs = logs.into_iter().zip(&states);
        let wanted = pairs.filter(|(_, state)| state.wanted).map(|(log, _)| log);
        let mut triggers = requests.iter().map(|request| &request.trigger);
        let trigger = triggers.find(|trigger| !trigger.is_empty()).cloned();
        self.rounds.mine = Some(MyRound {
            number,
            requests,
            wanted: wanted.collect(),
            first: BTreeSet::new(),
            owed: None,
            peer_is_done: false,
            awaits_answer: false,
            received_before: self.receiving.facts,
        });
        let trigger = trigger.unwrap_or_default();
        self.send_frontier(engine, number, FrontierPart::Open, trigger, states);
        Ok(())
    }

    pub(super) fn frontier(
        &mut self,
        engine: &mut Engine,
        frontier: Frontier,
    ) -> Result<(), SyncError> {
        let Frontier {
            round,
            part,
            trigger,
            receives,
            last,
            logs,
        } = frontier;
        if *self.peer_receives.get_or_insert(receives) != receives {
            return Err(SyncError::Violation("another wish within a session"));
        }
        if part != FrontierPart::Open && !trigger.is_empty() {
            return Err(SyncError::Violation("a trigger of a round that is open"));
        }
        let states = self.learn(&logs)?;
        match part {
            FrontierPart::Open => self.opened(engine, (round, trigger), &states, last),
            FrontierPart::Reply => self.replied(engine, round, &states, last),
            FrontierPart::Answer => self.answered(engine, round, &states, last),
        }
    }

    /// Checks states by themselves, and finds the logs that they name.
    fn learn<'a>(
        &mut self,
        states: &'a [StateMessage],
    ) -> Result<Vec<(LogId, &'a StateMessage)>, SyncError> {
        let learn = |state: &'a StateMessage| {
            if state.size > LOG_SIZE_MAX {
                return Err(SyncError::Violation("a log above the largest size"));
            }
            if state.held == Held::Incomplete {
                return Err(SyncError::Violation("a state without its digests"));
            }
            Ok((self.names.learn(&state.log)?, state))
        };
        states.iter().map(learn).collect()
    }

    /// The peer opens a round: it gets the state of what it named, and the names of what else is offered.
    fn opened(
        &mut self,
        engine: &mut Engine,
        (round, trigger): (u32, BoundedString<TRIGGER_BYTES_MAX>),
        states: &[(LogId, &StateMessage)],
        last: Page,
    ) -> Result<(), SyncError> {
        if round % 2 == self.rounds.next % 2 {
            return Err(SyncError::Violation("a round number of the other side"));
        }
        let named = match self.rounds.theirs.take() {
            None => None,
            Some(TheirRound { number, stage, .. }) => match stage {
                Stage::Opening(named) if number == round => Some(named),
                Stage::Sending(owed) if owed.is_done && number != round => None,
                _ => return Err(SyncError::Violation("two rounds at once")),
            },
        };
        if named.is_none() {
            // This round serves for what was wanted so far. What changes behind its first page may come too late for it.
            self.rounds.is_wanted = false;
            if !trigger.is_empty() {
                let (peer, trigger) = (self.peer, trigger.into_string());
                engine.event(Event::Triggered { peer, trigger });
            }
        }
        let mut named = named.unwrap_or_default();
        self.take_states(engine, states)?;
        named.extend(states.iter().map(|(log, state)| (*log, state.wanted)));
        if last == Page::Last {
            return self.reply(engine, round, &named);
        }
        let stage = Stage::Opening(named);
        self.rounds.theirs = Some(TheirRound {
            number: round,
            stage,
            peer_is_done: false,
            is_signed: false,
        });
        Ok(())
    }

    fn reply(
        &mut self,
        engine: &mut Engine,
        round: u32,
        named: &BTreeMap<LogId, bool>,
    ) -> Result<(), SyncError> {
        let mut logs = self.offered(engine);
        let desired = self.desired(engine);
        // The peer gets to know of a fork as well.
        let is_due = |log: &&LogId| desired.contains(*log) || self.is_known_fork(engine, log);
        logs.extend(named.keys().filter(is_due));
        let states = self.states(engine, &logs)?;
        let is_first = |(log, state): (&LogId, &StateMessage)| {
            state.offered && !named.get(log).is_some_and(|wanted| *wanted)
        };
        let awaits = logs.iter().zip(&states).any(is_first);
        self.rounds.theirs = Some(TheirRound {
            number: round,
            stage: Stage::Awaiting,
            peer_is_done: false,
            is_signed: false,
        });
        let none = BoundedString::default();
        self.send_frontier(engine, round, FrontierPart::Reply, none, states);
        if awaits {
            return Ok(());
        }
        self.send_for_theirs(engine)
    }

    /// The reply has come: the peer gets the state of the logs that it offered on top of those that this side wanted.
    fn replied(
        &mut self,
        engine: &mut Engine,
        round: u32,
        states: &[(LogId, &StateMessage)],
        last: Page,
    ) -> Result<(), SyncError> {
        self.take_states(engine, states)?;
        let mine = self.rounds.mine.as_mut();
        let Some(mine) = mine.filter(|mine| mine.number == round && mine.owed.is_none()) else {
            return Err(SyncError::Violation("a reply to no round"));
        };
        let is_first =
            |(log, state): &&(LogId, &StateMessage)| state.offered && !mine.wanted.contains(log);
        let first = states.iter().filter(is_first).map(|(log, _)| *log);
        mine.first.extend(first);
        if last == Page::More {
            return Ok(());
        }
        let first = mine.first.clone();
        if !first.is_empty() {
            let states = self.states(engine, &(&self.desired(engine) & &first))?;
            let none = BoundedString::default();
            self.send_frontier(engine, round, FrontierPart::Answer, none, states);
        }
        let owed = self.owe(engine);
        if let Some(mine) = &mut self.rounds.mine {
            mine.owed = Some(owed);
        }
        self.begin_sending(engine);
        self.settle(engine)
    }

    fn answered(
        &mut self,
        engine: &mut Engine,
        round: u32,
        states: &[(LogId, &StateMessage)],
        last: Page,
    ) -> Result<(), SyncError> {
        let awaits =
            |theirs: &TheirRound| theirs.number == round && matches!(theirs.stage, Stage::Awaiting);
        if !self.rounds.theirs.as_ref().is_some_and(awaits) {
            return Err(SyncError::Violation("an answer in no round"));
        }
        self.take_states(engine, states)?;
        match last {
            Page::More => Ok(()),
            Page::Last => self.send_for_theirs(engine),
        }
    }

    fn is_known_fork(&self, engine: &Engine, log: &LogId) -> bool {
        self.forked.contains(log) && self.is_shared(engine, log)
    }

    /// Whether the peer may have or give a log; of others it is told nothing, and its word counts for nothing.
    pub(super) fn is_shared(&self, engine: &Engine, log: &LogId) -> bool {
        let told = self.names.told(log);
        self.is_called_alike(engine, log)
            && (engine.may_send(self.peer, log) || engine.may_receive(self.peer, log, told))
    }

    fn send_for_theirs(&mut self, engine: &mut Engine) -> Result<(), SyncError> {
        let owed = self.owe(engine);
        if let Some(theirs) = &mut self.rounds.theirs {
            theirs.stage = Stage::Sending(owed);
        }
        self.begin_sending(engine);
        self.settle(engine)?;
        self.open_wanted_round(engine)
    }

    /// Both sides know what the other holds: what is owed from here on is what the logs have now.
    fn owe(&self, engine: &Engine) -> Owed {
        let logs = self.sending.logs.keys();
        let target = |log: &LogId| Some((*log, engine.logs.get(log)?.durable.provable()));
        let targets = logs.filter_map(target);
        Owed {
            targets: targets
                .filter(|(log, size)| !self.is_settled(engine, log, *size))
                .collect(),
            is_done: false,
            facts_before: self.sending.facts,
            bytes_before: self.sending.bytes,
        }
    }

    /// Notes what the peer holds and wants of the logs that it may have, and what it offers.
    fn take_states(
        &mut self,
        engine: &mut Engine,
        states: &[(LogId, &StateMessage)],
    ) -> Result<(), SyncError> {
        for (log, state) in states {
            self.compare(engine, *log, state)?;
            if self.offers(engine, log) {
                self.peer_holds(*log, state);
                self.weigh(engine, *log, state);
                self.settle_log(engine, *log)?;
            } else {
                self.sending.heard(log, state.size);
            }
            if state.offered && self.takes(engine, log) {
                self.peer_offers(*log, state.size);
            }
            let told = self.names.told(log);
            if state.offered
                && !self.is_called_alike(engine, log)
                && engine.may_receive(self.peer, log, told)
            {
                engine.event(Event::Refused {
                    log: *log,
                    peer: self.peer,
                    error: LogError::CalledOtherwise,
                });
            }
        }
        Ok(())
    }

    /// Compares the peer's tree with the one held, as far as that can be seen.
    fn compare(
        &mut self,
        engine: &mut Engine,
        log: LogId,
        state: &StateMessage,
    ) -> Result<(), SyncError> {
        let head = engine.held(&log);
        if head.size == 0 || !self.is_shared(engine, &log) {
            return Ok(());
        }
        if engine.writes(&log) && state.size > head.size {
            self.give_up(engine, GivenUp::Ahead(log, self.peer))?;
        }
        let is_other = state.size == head.size && !self.keys.is_head_tag(&state.tag, &log, &head);
        if is_other && self.forked.insert(log) {
            let forked = GivenUp::Forked(log, self.peer);
            if engine.writes(&log) {
                self.give_up(engine, forked)?;
            } else {
                engine.event(forked.into());
            }
            self.close_forked(&log);
            self.settle_log(engine, log)?;
        }
        Ok(())
    }

    /// Writes no more to an own lane, for what the peer says without proof: in each compartment once, in whichever session, or
    /// every append would open another lane for a liar.
    pub(super) fn give_up(&mut self, engine: &mut Engine, lane: GivenUp) -> Result<(), SyncError> {
        if !engine.doubted.insert((self.peer, lane.log().compartment)) {
            return Err(SyncError::Violation("a second lane that is not the own"));
        }
        engine.give_up(lane);
        Ok(())
    }

    fn send_frontier(
        &self,
        engine: &mut Engine,
        round: u32,
        part: FrontierPart,
        trigger: BoundedString<TRIGGER_BYTES_MAX>,
        mut states: Vec<StateMessage>,
    ) {
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
            let logs = BoundedVec::new(page).expect("a page has at most LOGS_PER_FRONTIER_MAX");
            let frontier = Frontier {
                round,
                part,
                trigger: trigger.clone(),
                receives,
                last,
                logs,
            };
            self.send_control(engine, SyncMessage::Frontier(frontier));
            if last == Page::Last {
                return;
            }
        }
    }

    /// What this side holds of logs, as messages.
    fn states(
        &mut self,
        engine: &Engine,
        logs: &BTreeSet<LogId>,
    ) -> Result<Vec<StateMessage>, SyncError> {
        let mut states = Vec::with_capacity(logs.len());
        for log in logs {
            let head = engine.held(log);
            // Of the origin of a log that is not held it is not even told whether it is known here.
            let keys = engine.key_logs.get(&log.origin);
            let keys = keys.filter(|_| head.size > 0).map_or(0, KeyLog::len);
            let offered = head.size > 0 && self.offers(engine, log);
            if offered {
                self.sending.offer(*log);
            }
            let wanted = self.want(engine, *log, head.size)?;
            let is_wanted = wanted.is_some();
            let name = match wanted {
                Some(name) => name,
                None => self.names.name(engine, *log)?,
            };
            let held = engine.says_held(self.peer, log);
            self.owe_sets(*log);
            states.push(StateMessage {
                log: name,
                size: head.size,
                tag: self.keys.head_tag(log, &head),
                held,
                keys: u32::try_from(keys).unwrap_or(u32::MAX),
                offered,
                wanted: is_wanted,
            });
        }
        Ok(states)
    }

    /// The logs that the peer may have.
    fn offered(&self, engine: &Engine) -> BTreeSet<LogId> {
        let mut logs = engine.offered(self.peer);
        logs.retain(|log| self.offers(engine, log));
        logs
    }

    pub(super) fn send_control(&self, engine: &mut Engine, message: SyncMessage) {
        engine.send(self.id, StreamNumber::CONTROL, message);
    }

    // The end of a round.

    pub(super) fn caught_up(
        &mut self,
        engine: &mut Engine,
        caught_up: CaughtUp,
    ) -> Result<(), SyncError> {
        let number = caught_up.round;
        let mine = self.rounds.mine.as_mut();
        let mine = mine.filter(|mine| mine.number == number && mine.owed.is_some());
        let theirs = self.rounds.theirs.as_mut();
        match (mine, theirs) {
            (Some(mine), _) => mine.peer_is_done = true,
            (None, Some(theirs)) if theirs.number == number => theirs.peer_is_done = true,
            _ => return Err(SyncError::Violation("caught up in no round")),
        }
        self.settle(engine)
    }

    /// It is sure that a lane was given up.
    pub(crate) fn noted(&mut self, engine: &mut Engine) -> Result<(), SyncError> {
        self.settle(engine)
    }

    /// A log was confirmed, or will not be.
    pub(super) fn settle_log(&mut self, engine: &mut Engine, log: LogId) -> Result<(), SyncError> {
        let mut rounds = std::mem::replace(&mut self.rounds, Rounds::new(Side::Dialer));
        for (_, owed) in rounds.owed() {
            let target = owed.targets.get(&log);
            if target.is_some_and(|size| self.is_settled(engine, &log, *size)) {
                owed.targets.remove(&log);
            }
        }
        self.rounds = rounds;
        self.settle(engine)
    }

    /// Several logs may have been confirmed, or will not be.
    pub(super) fn settle_all(&mut self, engine: &mut Engine) -> Result<(), SyncError> {
        let mut rounds = std::mem::replace(&mut self.rounds, Rounds::new(Side::Dialer));
        for (_, owed) in rounds.owed() {
            owed.targets
                .retain(|log, size| !self.is_settled(engine, log, *size));
        }
        self.rounds = rounds;
        self.settle(engine)
    }

    /// Says so when everything that is owed in a round was confirmed, and ends the own round when both sides have.
    fn settle(&mut self, engine: &mut Engine) -> Result<(), SyncError> {
        if engine.is_noting() {
            // No round is over, on either side, before it is sure what it brought to light.
            return Ok(());
        }
        let (facts, bytes) = (self.sending.facts, self.sending.bytes);
        for (round, owed) in self.rounds.owed() {
            if !owed.is_done && owed.targets.is_empty() {
                owed.is_done = true;
                let message = SyncMessage::CaughtUp(CaughtUp {
                    round,
                    facts: facts - owed.facts_before,
                    bytes: bytes - owed.bytes_before,
                });
                engine.send(self.id, StreamNumber::CONTROL, message);
            }
        }
        let is_over = |mine: &&MyRound| {
            let is_done = mine.owed.as_ref().is_some_and(|owed| owed.is_done);
            is_done && mine.peer_is_done && !mine.awaits_answer
        };
        let Some(round) = self.rounds.mine.as_ref().filter(is_over) else {
            return Ok(());
        };
        let awaits_answer = self.state_convergence(engine, round.number)?;
        match &mut self.rounds.mine {
            Some(mine) if awaits_answer => mine.awaits_answer = true,
            _ => self.end_round(engine)?,
        }
        Ok(())
    }

    /// Ends the own round.
    pub(super) fn end_round(&mut self, engine: &mut Engine) -> Result<(), SyncError> {
        match self.rounds.mine.take() {
            Some(round) => self.finish_round(engine, round),
            None => Ok(()),
        }
    }

    fn finish_round(&mut self, engine: &mut Engine, round: MyRound) -> Result<(), SyncError> {
        let before = round.owed.map_or(0, |owed| owed.facts_before);
        let facts_sent = self.sending.facts - before;
        let taken = round.first.iter().any(|log| self.receiving.wants(log));
        let report = RoundReport {
            facts_sent,
            facts_received: self.receiving.facts - round.received_before,
            round_trips: 1 + u32::from(taken || facts_sent > 0),
        };
        engine.metrics.of(self.peer).caught_up(&report);
        for Request { id: request, .. } in round.requests {
            engine.event(Event::CaughtUp { request, report });
        }
        let requests = std::mem::take(&mut self.rounds.waiting);
        if requests.is_empty() {
            return self.open_wanted_round(engine);
        }
        self.open_round(engine, requests)
    }
}
