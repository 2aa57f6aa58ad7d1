//! What a peer may lack of a log below what it was sent, and how that is found out (`docs/src/spec/sync.md`, sections "Sets",
//! "Reveals" and "Holes").
//!
//! Either a settlement says that nothing is lacking but what has changed since, or the peer is asked for the sets of what it
//! holds, once all that was sent has been confirmed. Then the difference is exact.

use causality_fact::DomainId;
use causality_fact::KeptBack;
use causality_fact::LogId;
use causality_fact::PositionSet;
use causality_strategy::PeerPolicy;
use causality_wire::BoundedBytes;
use causality_wire::Held;
use causality_wire::Holes;
use causality_wire::LogNumber;
use causality_wire::LogState as StateMessage;
use causality_wire::Page;
use causality_wire::SET_BYTES_MAX;
use causality_wire::Sets as SetsMessage;
use causality_wire::SetsRequest;
use causality_wire::SyncMessage;
use std::mem;

use super::Session;
use super::cost;
use super::feed_of;
use crate::decide::Shown;
use crate::effect::SyncError;
use crate::engine::Engine;
use crate::holes::Decided;
use crate::holes::Extent;
use crate::holes::Holdings;
use crate::holes::Holes as HeldHoles;
use crate::holes::insert;
use crate::holes::is_small;
use crate::holes::note;
use crate::holes::prefix;
use crate::peers::Remembered;
use crate::peers::Rules;
use crate::peers::Settlement;
use crate::peers::digests;

/// How many rows are read at once for a reveal, at most.
pub(super) const REVEAL_POSITIONS_MAX: usize = 1024;

/// What a peer may lack of a log below what it was sent.
#[derive(Debug)]
pub(super) struct Gaps {
    /// Positions that are still to be read and decided.
    open: PositionSet,
    sets: Sets,
    /// How many messages beside chunks were sent, and confirmed.
    sent: u64,
    confirmed: u64,
    /// What the peer said last that it holds.
    held: Held,
    /// The rules by which everything below what was sent was decided, if these were the same.
    rules: Option<Rules>,
    kept: KeptBack,
    /// Whether the peer was told what is kept back.
    is_kept_told: bool,
}

/// What is known of the sets that the peer holds.
#[derive(Debug)]
enum Sets {
    /// Nothing, and nothing has to be.
    Unknown,
    /// The peer will be asked.
    Wanted,
    /// The peer was asked.
    Asked(Asked),
    /// What it said, and what it got since.
    Known(Holdings),
}

/// A question about sets that is open.
#[derive(Debug, Default)]
struct Asked {
    /// Whether the peer has to be asked once more.
    again: bool,
    /// From where on it was asked.
    from: u64,
    /// What it said of the positions before.
    theirs: Holdings,
}

impl Default for Gaps {
    fn default() -> Self {
        Self {
            open: PositionSet::new(),
            sets: Sets::Unknown,
            sent: 0,
            confirmed: 0,
            held: Held::Complete,
            rules: None,
            kept: KeptBack::default(),
            is_kept_told: true,
        }
    }
}

impl Gaps {
    /// The peer shows less than a whole fact, of which it may hold no more: it is to be asked, also if it was asked before.
    pub(super) fn ask_again(&mut self) {
        self.held = Held::Incomplete;
        match &mut self.sets {
            Sets::Asked(asked) => asked.again = true,
            Sets::Unknown | Sets::Wanted | Sets::Known(_) => self.sets = Sets::Wanted,
        }
    }

    /// The peer is to be asked what it holds. An answer that is on its way is compared with what is held here when it comes.
    pub(super) fn ask(&mut self) {
        if !matches!(self.sets, Sets::Asked(_)) {
            self.sets = Sets::Wanted;
        }
    }

    /// Whether it is not known yet what the peer holds, though it has to be.
    pub(super) fn is_asking(&self) -> bool {
        matches!(self.sets, Sets::Wanted | Sets::Asked(_))
    }

    /// Whether nothing is owed, and all that was sent is confirmed.
    pub(super) fn is_quiet(&self) -> bool {
        self.open.is_empty() && !self.is_asking() && self.sent == self.confirmed
    }

    /// The positions that are still to be read and decided.
    pub(super) fn owed(&self) -> &PositionSet {
        &self.open
    }

    /// What the peer says that it does not take.
    pub(super) fn declined(&self) -> PositionSet {
        match &self.sets {
            Sets::Known(held) => held.declined().clone(),
            Sets::Unknown | Sets::Wanted | Sets::Asked(_) => PositionSet::new(),
        }
    }

    /// What was decided not to be shown, or not in full.
    pub(super) fn kept(&self) -> &KeptBack {
        &self.kept
    }

    /// The positions to be read next.
    pub(super) fn next(&self) -> Vec<u64> {
        let positions = self.open.runs().flatten();
        positions.take(REVEAL_POSITIONS_MAX).collect()
    }

    /// Something is about to be decided by a policy: what other rules decided before may not be what this one would have.
    pub(super) fn decide_by(&mut self, policy: &PeerPolicy, now_ms: u64) {
        self.rules = self.rules.filter(|rules| rules.hold(policy, now_ms));
    }

    /// A position was read, or there is nothing to read there.
    pub(super) fn done(&mut self, position: u64) {
        self.open.remove(position..position + 1);
    }

    /// Notes what was decided about a position; says whether it tells the peer something.
    pub(super) fn decided(&mut self, position: u64, shown: &Shown<'_>) -> bool {
        let (decided, extent) = match shown {
            Shown::Row(_, extent @ Extent::Partial(_)) => (Decided::ShownInPart, *extent),
            Shown::Row(_, extent) => (Decided::Shown, *extent),
            Shown::Hash {
                decided, until_ms, ..
            } => {
                self.rules = self.rules.map(|rules| rules.until(*until_ms));
                (decided.unwrap_or(Decided::Shown), Extent::Hidden)
            }
        };
        if note(&mut self.kept, position, decided) {
            self.is_kept_told = false;
        }
        if extent != Extent::Full {
            // Should more of it become known here, the peer may lack it.
            if self.held == Held::Complete {
                self.held = Held::Incomplete;
            }
        }
        match &mut self.sets {
            _ if extent == Extent::Hidden => false,
            Sets::Known(held) if held.covers(position, extent) => false,
            Sets::Known(held) => {
                held.add(position, extent);
                true
            }
            Sets::Unknown | Sets::Wanted | Sets::Asked(_) => true,
        }
    }

    /// A message beside chunks was sent.
    pub(super) fn sent(&mut self) {
        self.sent += 1;
    }

    /// The peer told how many of these it has.
    pub(super) fn confirmed(&mut self, messages: u64) -> Result<(), SyncError> {
        if messages > self.sent {
            return Err(SyncError::Violation("a receipt for what was not sent"));
        }
        self.confirmed = self.confirmed.max(messages);
        Ok(())
    }

    /// The peer told what it holds. While more is on its way to it, that does not say that it lacks nothing.
    pub(super) fn told(&mut self, held: Held, is_last: bool) {
        self.held = match held {
            Held::Complete if !is_last || self.sent > self.confirmed => self.held,
            held => held,
        };
    }

    /// More of a position became known here.
    fn upgraded(&mut self, position: u64, extent: Extent) {
        if self.held == Held::Complete {
            return;
        }
        match &self.sets {
            Sets::Known(held) if held.covers(position, extent) => {}
            Sets::Known(_) => insert(&mut self.open, position..position + 1),
            Sets::Unknown | Sets::Wanted | Sets::Asked(_) => self.ask(),
        }
    }

    /// The peer showed so much of a fact, so it holds it.
    pub(super) fn peer_showed(&mut self, position: u64, extent: Extent) {
        if let Sets::Known(held) = &mut self.sets {
            held.add(position, extent);
        }
    }

    /// Positions that the peer knows came to be held here.
    fn grown(&mut self, rows: &PositionSet, holes: &HeldHoles) {
        if self.held == Held::Complete || rows.is_empty() {
            return;
        }
        match &self.sets {
            Sets::Known(held) => self.open = self.open.union(&held.lacks(rows, holes)),
            Sets::Unknown | Sets::Wanted | Sets::Asked(_) => self.ask(),
        }
    }

    /// The peer holds everything below a size. Whether that is the last that it was sent says whether it has to be asked still.
    fn peer_has_all(&mut self, size: u64, rules: Rules, is_last: bool) {
        self.forget_below(size);
        match self.sets {
            Sets::Asked(_) => {}
            Sets::Wanted if !is_last => {}
            Sets::Unknown | Sets::Wanted | Sets::Known(_) => self.sets = Sets::Unknown,
        }
        self.rules = Some(rules);
    }

    fn forget_below(&mut self, size: u64) {
        self.open.remove(0..size);
        let below = prefix(size);
        let KeptBack {
            withheld,
            deferred,
            partial,
        } = &mut self.kept;
        for kept in [withheld, deferred, partial] {
            if !kept.intersection(&below).is_empty() {
                kept.remove(0..size);
                self.is_kept_told = false;
            }
        }
    }
}

/// Which questions about the sets of a log the peer may ask.
#[derive(Debug, Default)]
pub(super) struct SetsDue {
    /// How many from the first position on: one for each time that it heard of what is held here.
    questions: u64,
    /// Where the last answer ended, if it was not all.
    rest: Option<u64>,
}

impl SetsDue {
    /// The peer hears of what is held of the log.
    pub(super) fn told(&mut self) {
        self.questions += 1;
    }

    /// Counts a question, if it may be asked.
    fn asked(&mut self, from: u64) -> Option<()> {
        let rest = self.rest.take();
        if from == 0 {
            self.questions = self.questions.checked_sub(1)?;
        } else if rest != Some(from) {
            return None;
        }
        Some(())
    }
}

impl Session {
    /// The peer told what it holds of a log that it wants: finds out what it may lack below that.
    pub(super) fn weigh(&mut self, engine: &mut Engine, log: LogId, state: &StateMessage) {
        let Some(policies) = engine.policies(self.peer) else {
            return;
        };
        let policy = &policies.outward;
        let now_ms = engine.now_ms;
        let rules = Rules::of(policy, now_ms);
        let outgoing = self.sending.logs.get_mut(&log);
        let Some(outgoing) = outgoing.filter(|outgoing| outgoing.is_wanted()) else {
            return;
        };
        let is_last =
            outgoing.sent() <= state.size && outgoing.gaps.sent == outgoing.gaps.confirmed;
        let gaps = &mut outgoing.gaps;
        gaps.told(state.held, is_last);
        gaps.decide_by(policy, now_ms);
        if !is_last && gaps.rules.is_none() {
            // What is on its way was decided by other rules: what came of that is known when it has arrived.
            gaps.ask();
            self.ask_for_sets(engine, log);
            return;
        }
        let rules = match gaps.rules {
            Some(before) if !is_last => before,
            _ => rules,
        };
        let held = digests(&state.held);
        let Some((held, own)) = held.zip(engine.logs.get(&log)) else {
            gaps.peer_has_all(state.size, rules, is_last);
            return;
        };
        let size = own.durable.size().min(state.size);
        // A peer that was ahead may have had, or declined, what this domain got to know since: that is in its digests, but
        // not said.
        let is_settled = |settlement: &&Settlement| {
            settlement.rules.hold(policy, now_ms)
                && settlement.changes == own.durable.changes
                && settlement.held == held
                && own.holes.rows(settlement.size..size).is_empty()
        };
        let settlement = engine.settlements.get(&(self.peer, log));
        if let Some(settlement) = settlement.filter(is_settled) {
            if gaps.rules.is_none() {
                gaps.kept = settlement.kept.clone();
                outgoing.refused = settlement.refused.clone();
            }
            gaps.rules = Some(settlement.rules.and(rules));
        } else if own.holes.rows(0..size).is_empty() {
            gaps.rules = Some(rules);
        } else {
            gaps.ask();
        }
        // What the peer told may be all that an earlier question waited for.
        self.ask_for_sets(engine, log);
    }

    /// Asks for the sets of a log, if they are wanted, once all that was sent has been confirmed.
    pub(super) fn ask_for_sets(&mut self, engine: &mut Engine, log: LogId) {
        let Some(outgoing) = self.sending.logs.get_mut(&log) else {
            return;
        };
        let is_idle = outgoing.is_wanted() && outgoing.is_confirmed();
        let gaps = &mut outgoing.gaps;
        let is_due = is_idle && matches!(gaps.sets, Sets::Wanted) && gaps.sent == gaps.confirmed;
        if is_due && gaps.held == Held::Complete {
            // All that was on its way has arrived, and left nothing to ask about.
            if let Some(policies) = engine.policies(self.peer) {
                let rules = Rules::of(&policies.outward, engine.now_ms);
                let size = outgoing.sent();
                outgoing.gaps.peer_has_all(size, rules, true);
            }
            return;
        }
        let Some(log) = outgoing.number().filter(|_| is_due) else {
            return;
        };
        outgoing.gaps.sets = Sets::Asked(Asked::default());
        self.ask_for_sets_from(engine, log, 0);
    }

    fn ask_for_sets_from(&mut self, engine: &mut Engine, log: LogNumber, from: u64) {
        engine.metrics.of(self.peer).sets_asked += 1;
        let request = SetsRequest { log, from };
        self.send_control(engine, SyncMessage::SetsRequest(request));
    }

    /// The peer asks for the sets of a log.
    pub(super) fn sets_request(
        &mut self,
        engine: &mut Engine,
        request: SetsRequest,
    ) -> Result<(), SyncError> {
        let log = self.names.log(request.log)?;
        let due = self.sets_due.entry(log).or_default();
        due.asked(request.from)
            .ok_or(SyncError::Violation("a question about sets without reason"))?;
        engine.metrics.of(self.peer).sets_told += 1;
        let none = PositionSet::new();
        let declined = engine.declined(self.peer, &log).unwrap_or(&none);
        // Who is not in the audience any more hears nothing, also if it was told once that it may ask.
        let state = engine.logs.get(&log);
        let state = state.filter(|_| self.is_shared(engine, &log));
        let holdings = state.map(|state| {
            let size = state.durable.size();
            (size, state.holes.holdings(size, declined))
        });
        let (size, holdings) = holdings.unwrap_or_default();
        let sets = holdings.message(request.log, request.from, size);
        let rest = (sets.last == Page::More).then_some(sets.until);
        self.sets_due.entry(log).or_default().rest = rest;
        self.send_control(engine, SyncMessage::Sets(sets));
        Ok(())
    }

    /// The peer tells the sets that it was asked for.
    pub(super) fn sets(
        &mut self,
        engine: &mut Engine,
        sets: &SetsMessage,
    ) -> Result<(), SyncError> {
        let log = self.names.log(sets.log)?;
        let unasked = || SyncError::Violation("sets that nobody asked for");
        let outgoing = self.sending.logs.get_mut(&log).ok_or_else(unasked)?;
        if outgoing.number().is_some_and(|number| number != sets.log) {
            // They were on their way when the log was wanted anew.
            return Ok(());
        }
        let sent = outgoing.sent();
        let Sets::Asked(asked) = &mut outgoing.gaps.sets else {
            return Err(unasked());
        };
        let least = asked.from + u64::from(sets.last == Page::More);
        if sets.from != asked.from || sets.until < least {
            return Err(SyncError::Violation("an answer to another question"));
        }
        let part = Holdings::from_message(sets)
            .ok_or(SyncError::Violation("sets that are not canonical"))?;
        let policies = engine.policies(self.peer);
        let Some((own, policies)) = engine.logs.get(&log).zip(policies) else {
            return Ok(());
        };
        asked.theirs.append(part);
        let all = own.durable.size().min(sent);
        if sets.last == Page::More && sets.until < all {
            asked.from = sets.until;
            self.ask_for_sets_from(engine, sets.log, sets.until);
            return Ok(());
        }
        let Asked { again, theirs, .. } = mem::take(asked);
        let below = all.min(sets.until);
        let lacks = theirs.lacks(&own.holes.rows(0..below), &own.holes);
        let gaps = &mut outgoing.gaps;
        gaps.forget_below(below);
        gaps.open = gaps.open.union(&lacks);
        // Of what the answer is not about nothing is settled.
        gaps.rules = (below == all).then(|| Rules::of(&policies.outward, engine.now_ms));
        gaps.sets = Sets::Known(theirs.below(below));
        if again {
            gaps.ask();
        }
        self.ask_for_sets(engine, log);
        self.conclude(engine, log);
        self.send_more_of(engine, log);
        self.settle_log(engine, log)
    }

    /// A log has more durable facts, of which the peer was ahead.
    pub(super) fn log_caught_up(&mut self, engine: &mut Engine, log: LogId, before: u64) {
        let outgoing = self.sending.logs.get_mut(&log);
        let Some((outgoing, own)) = outgoing.zip(engine.logs.get(&log)) else {
            return;
        };
        let size = own.durable.size().min(outgoing.sent());
        let rows = own.holes.rows(before..size);
        outgoing.gaps.grown(&rows, &own.holes);
        self.ask_for_sets(engine, log);
    }

    /// More of positions of a log became known here.
    pub(crate) fn log_upgraded(
        &mut self,
        engine: &mut Engine,
        log: LogId,
        changed: &[(u64, Extent)],
    ) -> Result<(), SyncError> {
        let Some(outgoing) = self.sending.logs.get_mut(&log) else {
            return Ok(());
        };
        outgoing.outdate();
        let sent = outgoing.sent();
        for (position, extent) in changed.iter().filter(|(position, _)| *position < sent) {
            outgoing.gaps.upgraded(*position, *extent);
        }
        self.ask_for_sets(engine, log);
        self.send_more_of(engine, log);
        Ok(())
    }

    /// When nothing of a log is owed to the peer any more: tells it what is kept back, then notes that it has everything that
    /// it may have.
    pub(super) fn conclude(&mut self, engine: &mut Engine, log: LogId) {
        let has_credit = self.sending.has_credit();
        let may_go = self.offers(engine, &log);
        let Some(outgoing) = self.sending.logs.get_mut(&log).filter(|_| may_go) else {
            return;
        };
        let number = outgoing.number().filter(|_| outgoing.is_wanted());
        let Some(number) = number.filter(|_| outgoing.is_quiet() && self.rounds.is_open()) else {
            return;
        };
        let Some(state) = engine.logs.get(&log) else {
            return;
        };
        let (changes, size) = (
            state.durable.changes,
            outgoing.sent().min(state.durable.size()),
        );
        if !outgoing.gaps.is_kept_told {
            if !has_credit {
                return;
            }
            outgoing.gaps.is_kept_told = true;
            let kept = &outgoing.gaps.kept;
            if let Some(holes) = holes(engine, (self.peer, log), number, size, kept) {
                let message = SyncMessage::Holes(holes);
                outgoing.gaps.sent += 1;
                self.sending.spend(cost(&message));
                return engine.send(self.id, feed_of(number), message);
            }
        }
        let gaps = &outgoing.gaps;
        let policies = engine.policies(self.peer);
        let now_ms = engine.now_ms;
        let (Some(held), Some(rules), Some(policies)) = (digests(&gaps.held), gaps.rules, policies)
        else {
            return;
        };
        let settlement = Settlement {
            rules,
            changes,
            size,
            held,
            kept: gaps.kept.clone(),
            refused: outgoing.refused(),
        };
        let key = (self.peer, log);
        let is_known = engine.settlements.get(&key) == Some(&settlement);
        if is_known || !rules.hold(&policies.outward, now_ms) {
            return;
        }
        if is_small(&settlement.kept) {
            engine.settlements.insert(key, settlement);
            engine.remember(Remembered::Settlement(self.peer, log));
        }
    }
}

/// The message about what is kept back; `None` when it has no room.
fn holes(
    engine: &mut Engine,
    (peer, log): (DomainId, LogId),
    number: LogNumber,
    size: u64,
    kept: &KeptBack,
) -> Option<Holes> {
    let sets = [&kept.withheld, &kept.deferred, &kept.partial];
    let [withheld, deferred, partial] = sets.map(PositionSet::encode);
    if withheld.len() + deferred.len() + partial.len() > SET_BYTES_MAX || !is_small(kept) {
        return None;
    }
    let statement = engine.states_withheld(peer, log, size, kept);
    Some(Holes {
        log: number,
        size,
        withheld: BoundedBytes::new(withheld).ok()?,
        deferred: BoundedBytes::new(deferred).ok()?,
        partial: BoundedBytes::new(partial).ok()?,
        statement: BoundedBytes::new(statement).ok()?,
    })
}
