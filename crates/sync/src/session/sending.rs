//! Sending: what the peer lacks of the logs that it may have, as credit and the network let it.

use causality_fact::BLOCK_LEAVES;
use causality_fact::Chunk;
use causality_fact::Encoder;
use causality_fact::LOG_SIZE_MAX;
use causality_fact::LogId;
use causality_fact::PositionSet;
use causality_fact::Subtree;
use causality_fact::TreeHash;
use causality_fact::encode_reveal;
use causality_fact::right_hashes_of_parts;
use causality_store::StoreError;
use causality_store::StoredEntry;
use causality_wire::Announce;
use causality_wire::BoundedBytes;
use causality_wire::BoundedVec;
use causality_wire::ENTRIES_BYTES_MAX;
use causality_wire::FactSync;
use causality_wire::Hashes;
use causality_wire::Held;
use causality_wire::LogNumber;
use causality_wire::LogState;
use causality_wire::MESSAGE_BYTES_MAX;
use causality_wire::Receipt;
use causality_wire::RefusalReason;
use causality_wire::Reveal;
use causality_wire::SyncMessage;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;

use super::CREDIT_BYTES;
use super::LOADS_MAX;
use super::Session;
use super::UNFLUSHED_BYTES_MAX;
use super::cost;
use super::cost_of_announce;
use super::feed_of;
use super::gaps::Gaps;
use crate::decide::Shown;
use crate::effect::Event;
use crate::effect::GivenUp;
use crate::effect::SyncError;
use crate::engine::Engine;
use crate::holes::Extent;
use crate::logbook::ANNOUNCED_BLOCKS_MAX;
use crate::logbook::Signed;
use crate::progress::Progress;
use crate::progress::note_refused;

/// What goes to the peer.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) logs: BTreeMap<LogId, Outgoing>,
    /// Logs of which there may be something to send, each once: who was served last goes to the end.
    due: VecDeque<LogId>,
    /// How many bytes may be sent; below 0 by what the last ones took more.
    credit: i64,
    unflushed: usize,
    loads: usize,
    /// Facts and bytes of entries that were sent since the session began, and facts that were confirmed.
    pub(super) facts: u64,
    pub(super) bytes: u64,
    pub(super) facts_confirmed: u64,
}

/// A log that the peer may have from here.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// Whether the peer wants it; nothing is sent unless it does.
    is_wanted: bool,
    /// The number under which the peer wants it, or did.
    number: Option<LogNumber>,
    /// Whether the peer knows that it may have it.
    is_offered: bool,
    /// How many positions the peer holds, or was sent.
    sent: u64,
    /// How many of them it confirmed as durable.
    confirmed: u64,
    /// How many key records of the origin it holds.
    keys: usize,
    /// The size of the last checkpoint that was announced to it, and of the largest one.
    announced: u64,
    reach: u64,
    is_loading: bool,
    /// Whether more became known of the log while it was read: what comes of that is older than what is known.
    is_stale: bool,
    is_due: bool,
    /// What the peer holds below `sent` and may lack.
    pub(super) gaps: Gaps,
    /// What it said that it did not take, beside the sets.
    pub(super) refused: PositionSet,
}

impl Outgoing {
    /// Whether nothing is under way.
    pub(super) fn is_confirmed(&self) -> bool {
        !self.is_loading && self.confirmed >= self.sent
    }

    /// Whether nothing is under way, and nothing below what was sent is owed.
    pub(super) fn is_quiet(&self) -> bool {
        self.is_confirmed() && self.gaps.is_quiet()
    }

    /// More of facts became known: what is being read may not tell it yet.
    pub(super) fn outdate(&mut self) {
        self.is_stale = self.is_loading;
    }

    /// A read has ended; whether what it yields is as it is now.
    fn has_read(&mut self) -> bool {
        self.is_loading = false;
        !std::mem::take(&mut self.is_stale)
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    pub(super) fn number(&self) -> Option<LogNumber> {
        self.number
    }

    /// Whether the peer was told that it may have the log, and wants it.
    pub(super) fn is_shared(&self) -> bool {
        self.is_offered && self.is_wanted
    }

    /// What it did not take, as far as it said so.
    pub(super) fn refused(&self) -> PositionSet {
        self.refused.union(&self.gaps.declined())
    }

    pub(super) fn confirmed(&self) -> u64 {
        self.confirmed
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent
    }
}

/// A read of rows at known positions.
#[derive(Debug)]
pub(crate) struct RevealLoad {
    pub(crate) log: LogId,
    pub(crate) positions: Vec<u64>,
    /// Under which number the peer wanted it: of one that it refused since, it may know less.
    number: Option<LogNumber>,
}

/// A read of a chunk, and under which checkpoint it will be sent.
#[derive(Debug)]
pub(crate) struct ChunkLoad {
    pub(crate) log: LogId,
    pub(crate) from: u64,
    signed: Arc<Signed>,
}

impl ChunkLoad {
    /// The size of the checkpoint.
    pub(crate) fn until(&self) -> u64 {
        self.signed.checkpoint.size
    }
}

impl Default for Sending {
    fn default() -> Self {
        Self {
            logs: BTreeMap::new(),
            due: VecDeque::new(),
            credit: CREDIT_BYTES as i64,
            unflushed: 0,
            loads: 0,
            facts: 0,
            bytes: 0,
            facts_confirmed: 0,
        }
    }
}

impl Sending {
    /// The peer is about to be told that it may have a log.
    pub(super) fn offer(&mut self, log: LogId) {
        self.logs.entry(log).or_default().is_offered = true;
    }

    /// Whether the peer knows that it may have a log, or wants it already.
    pub(super) fn is_known(&self, log: &LogId) -> bool {
        let outgoing = self.logs.get(log);
        outgoing.is_some_and(|outgoing| outgoing.is_offered || outgoing.is_wanted)
    }

    pub(super) fn logs(&self) -> impl Iterator<Item = LogId> {
        self.logs.keys().copied()
    }

    /// How far the peer has a log.
    pub(super) fn progress(&self, log: &LogId) -> Option<Progress> {
        let outgoing = self.logs.get(log)?;
        Some(Progress {
            is_wanted: outgoing.is_wanted,
            sent: outgoing.sent,
            confirmed: outgoing.confirmed,
            owed: outgoing.gaps.owed().clone(),
            kept: outgoing.gaps.kept().clone(),
            refused: outgoing.refused(),
            reach: 0,
        })
    }

    /// Whether another chunk may be read: each of those under way may take a whole one of the credit.
    fn has_room(&self) -> bool {
        self.credit > (self.loads * ENTRIES_BYTES_MAX) as i64
            && self.unflushed < UNFLUSHED_BYTES_MAX
            && self.loads < LOADS_MAX
    }

    /// The peer told how much it holds of a log that it may not have now; its receipts may say so too.
    pub(super) fn heard(&mut self, log: &LogId, size: u64) {
        if let Some(outgoing) = self.logs.get_mut(log) {
            outgoing.reach = outgoing.reach.max(size);
        }
    }

    pub(super) fn has_credit(&self) -> bool {
        self.credit > 0
    }

    /// Takes credit for a feed message.
    pub(super) fn spend(&mut self, cost: u64) {
        self.credit -= cost as i64;
    }

    fn make_due(&mut self, log: LogId) {
        if let Some(outgoing) = self.logs.get_mut(&log)
            && !outgoing.is_due
        {
            outgoing.is_due = true;
            self.due.push_back(log);
        }
    }

    fn next_due(&mut self) -> Option<(LogId, &mut Outgoing)> {
        let log = self.due.pop_front()?;
        let outgoing = self.logs.get_mut(&log)?;
        outgoing.is_due = false;
        Some((log, outgoing))
    }
}

impl Session {
    /// The peer told what it holds of a log that it may have, and whether it wants more of it.
    pub(super) fn peer_holds(&mut self, log: LogId, state: &LogState) {
        let outgoing = self.sending.logs.entry(log).or_default();
        let number = Some(state.log.number());
        if state.wanted && outgoing.number != number {
            // It wants the log, or wants it again after it had refused it: from what it holds.
            *outgoing = Outgoing {
                number,
                is_offered: outgoing.is_offered,
                is_loading: outgoing.is_loading,
                is_stale: outgoing.is_stale,
                is_due: outgoing.is_due,
                ..Outgoing::default()
            };
        }
        outgoing.is_wanted = state.wanted;
        outgoing.sent = outgoing.sent.max(state.size);
        outgoing.confirmed = outgoing.confirmed.max(state.size);
        outgoing.keys = outgoing.keys.max(state.keys as usize);
        self.sending.make_due(log);
    }

    /// Whoever sends a log holds it: it does not go back. What it sent as a hash only it may lack.
    pub(super) fn peer_sent(
        &mut self,
        engine: &mut Engine,
        log: &LogId,
        size: u64,
        is_whole: bool,
    ) {
        if let Some(outgoing) = self.sending.logs.get_mut(log) {
            if size > outgoing.sent && !is_whole {
                outgoing.gaps.ask_again();
            }
            outgoing.sent = outgoing.sent.max(size);
            outgoing.confirmed = outgoing.confirmed.max(size);
            self.ask_for_sets(engine, *log);
        }
    }

    /// Whether the peer has confirmed a log up to a size, or will not get it.
    pub(super) fn is_settled(&self, engine: &Engine, log: &LogId, size: u64) -> bool {
        let is_settled = |outgoing: &Outgoing| {
            !outgoing.is_wanted || (outgoing.confirmed >= size && outgoing.gaps.is_quiet())
        };
        !self.offers(engine, log) || self.sending.logs.get(log).is_none_or(is_settled)
    }

    pub(super) fn begin_sending(&mut self, engine: &mut Engine) {
        self.is_live = true;
        self.pump(engine);
    }

    pub(super) fn send_more_of(&mut self, engine: &mut Engine, log: LogId) {
        self.sending.make_due(log);
        self.pump(engine);
    }

    pub(crate) fn flushed(&mut self, engine: &mut Engine, bytes: usize) -> Result<(), SyncError> {
        self.sending.unflushed = self.sending.unflushed.saturating_sub(bytes);
        self.pump(engine);
        Ok(())
    }

    /// Reads what is to be sent, as far as credit and the network let it.
    fn pump(&mut self, engine: &mut Engine) {
        while self.is_live && self.sending.has_room() {
            let Some((log, outgoing)) = self.sending.next_due() else {
                return;
            };
            let from = outgoing.sent;
            if outgoing.is_loading || !outgoing.is_wanted || outgoing.gaps.is_asking() {
                continue;
            }
            let positions = outgoing.gaps.next();
            let number = outgoing.number;
            if !self.offers(engine, &log) {
                continue;
            }
            if !positions.is_empty() {
                if let Some(outgoing) = self.sending.logs.get_mut(&log) {
                    outgoing.is_loading = true;
                }
                self.sending.loads += 1;
                engine.load_reveal(
                    self.id,
                    RevealLoad {
                        log,
                        positions,
                        number,
                    },
                );
                continue;
            }
            let Some(state) = engine.logs.get(&log) else {
                continue;
            };
            let signed = state.durable.signed().cloned();
            let Some(signed) = signed.filter(|_| from < state.durable.provable()) else {
                continue;
            };
            if let Some(outgoing) = self.sending.logs.get_mut(&log) {
                outgoing.is_loading = true;
            }
            self.sending.loads += 1;
            engine.load_chunk(self.id, ChunkLoad { log, from, signed });
        }
    }

    /// Sends a chunk that was read, behind the checkpoint that proves it: of each entry what the peer may see.
    pub(crate) fn send_chunk(
        &mut self,
        engine: &mut Engine,
        load: ChunkLoad,
        entries: &[StoredEntry],
        behind: &[(Subtree, TreeHash)],
    ) -> Result<(), SyncError> {
        self.sending.loads = self.sending.loads.saturating_sub(1);
        let log = load.log;
        let has_credit = self.sending.credit > 0;
        let may_go = self.offers(engine, &log);
        let Some(outgoing) = self.sending.logs.get_mut(&log) else {
            return Ok(());
        };
        let is_fresh = outgoing.has_read();
        // Meanwhile the peer may have got it from elsewhere, or not want it any more.
        let is_next = is_fresh && load.from == outgoing.sent && outgoing.is_wanted;
        if may_go && has_credit && is_next && !outgoing.gaps.is_asking() {
            let shown = self.shown(engine, &log, entries)?;
            let chunk = chunk(&load, entries, &shown, behind)?;
            if self.announce_to_peer(engine, &load)? {
                self.send_facts(engine, log, chunk, &shown)?;
            }
        }
        // It may have been wanted while this was read.
        self.ask_for_sets(engine, log);
        self.sending.make_due(log);
        self.pump(engine);
        self.settle_log(engine, log)
    }

    /// What of entries the peer may see: of the first of them, as many as go into one chunk.
    fn shown<'a>(
        &mut self,
        engine: &mut Engine,
        log: &LogId,
        entries: &'a [StoredEntry],
    ) -> Result<Vec<Shown<'a>>, SyncError> {
        let name = engine.compartment_name(log.compartment).map(str::to_owned);
        let Some((policies, name)) = engine.policies(self.peer).zip(name) else {
            return Ok(Vec::new());
        };
        let policy = &policies.outward;
        if let Some(outgoing) = self.sending.logs.get_mut(log) {
            outgoing.gaps.decide_by(policy, engine.now_ms);
        }
        let is_whole = policy.shares_whole(&name, engine.now_ms);
        let (mut shown, mut bytes) = (Vec::with_capacity(entries.len()), 0);
        for entry in entries {
            let one = engine.show((self.peer, policy), (log, &name), is_whole, entry)?;
            bytes += one.bytes();
            if bytes > ENTRIES_BYTES_MAX && !shown.is_empty() {
                break;
            }
            shown.push(one);
        }
        let is_kept = |one: &&Shown<'_>| {
            matches!(
                one,
                Shown::Hash {
                    decided: Some(_),
                    ..
                }
            )
        };
        let kept = shown.iter().filter(is_kept).count() as u64;
        engine.metrics.of(self.peer).kept_back += kept;
        Ok(shown)
    }

    /// Sends of the rows that were read what the peer may see and does not have.
    pub(crate) fn send_reveal(
        &mut self,
        engine: &mut Engine,
        load: RevealLoad,
        entries: &[StoredEntry],
    ) -> Result<(), SyncError> {
        self.sending.loads = self.sending.loads.saturating_sub(1);
        let RevealLoad {
            log,
            positions,
            number: wanted,
        } = load;
        let may_go = self.offers(engine, &log) && self.sending.credit > 0;
        let Some(outgoing) = self.sending.logs.get_mut(&log) else {
            return Ok(());
        };
        let is_fresh = outgoing.has_read();
        let is_still =
            |number: &LogNumber| is_fresh && outgoing.is_wanted && Some(*number) == wanted;
        let number = outgoing.number.filter(is_still);
        if let Some(number) = number.filter(|_| may_go)
            && !self
                .sending
                .logs
                .get(&log)
                .is_some_and(|o| o.gaps.is_asking())
        {
            let shown = self.shown(engine, &log, entries)?;
            // What did not fit is read again.
            let is_cut = shown.len() < entries.len();
            let is_short = entries.last().map(|last| last.position) < positions.last().copied();
            let until = match entries.get(shown.len()) {
                Some(next) if is_cut => next.position,
                _ if is_short => entries.last().map_or(u64::MAX, |last| last.position + 1),
                _ => u64::MAX,
            };
            let Some(outgoing) = self.sending.logs.get_mut(&log) else {
                return Ok(());
            };
            let mut rows = Vec::new();
            for (entry, shown) in entries.iter().zip(&shown) {
                if outgoing.gaps.decided(entry.position, shown)
                    && let Shown::Row(bytes, _) = shown
                {
                    rows.push((entry.position, &bytes[..]));
                    outgoing.refused.remove(entry.position..entry.position + 1);
                }
            }
            let done = positions.iter().filter(|position| **position < until);
            done.for_each(|position| outgoing.gaps.done(*position));
            if !rows.is_empty() {
                outgoing.gaps.sent();
                let facts = rows.len() as u64;
                self.sending.facts += facts;
                let rows = BoundedBytes::new(encode_reveal(rows));
                let rows = rows.map_err(|_| SyncError::Failed("the store gave too much"))?;
                self.sending.bytes += rows.len() as u64;
                self.sending.unflushed += rows.len();
                let sent = &mut engine.metrics.of(self.peer).sent;
                sent.batch(facts);
                sent.revealed += facts;
                sent.bytes += rows.len() as u64;
                let message = SyncMessage::Reveal(Reveal { log: number, rows });
                self.sending.spend(cost(&message));
                engine.send(self.id, feed_of(number), message);
            }
        }
        self.conclude(engine, log);
        // It may have been wanted while this was read.
        self.ask_for_sets(engine, log);
        self.sending.make_due(log);
        self.pump(engine);
        self.settle_log(engine, log)
    }

    /// Tells the peer what the facts of a log are to be verified against, unless it knows; `false` when that is too much.
    fn announce_to_peer(
        &mut self,
        engine: &mut Engine,
        load: &ChunkLoad,
    ) -> Result<bool, SyncError> {
        let (log, until) = (load.log, load.until());
        let outgoing = self.sending.logs.get_mut(&log);
        let Some((number, outgoing)) = outgoing.and_then(|o| Some((o.number?, o))) else {
            return Ok(false);
        };
        if outgoing.announced == until {
            return Ok(true);
        }
        let keys = engine.key_logs.get(&log.origin);
        let records = keys.map(|keys| keys.records_from(outgoing.keys));
        let records = records.unwrap_or_default();
        let known = outgoing.keys + records.len();
        let Some(announce) = announce(engine, number, load, records) else {
            outgoing.is_wanted = false;
            let peer = self.peer;
            engine.event(Event::TooFarBehind { log, peer });
            return Ok(false);
        };
        (outgoing.announced, outgoing.keys) = (until, known);
        outgoing.reach = outgoing.reach.max(until);
        let message = SyncMessage::Announce(announce);
        self.sending.spend(cost(&message));
        engine.send(self.id, feed_of(number), message);
        Ok(true)
    }

    fn send_facts(
        &mut self,
        engine: &mut Engine,
        log: LogId,
        chunk: Chunk,
        shown: &[Shown<'_>],
    ) -> Result<(), SyncError> {
        let outgoing = self.sending.logs.get_mut(&log);
        let Some((number, outgoing)) = outgoing.and_then(|o| Some((o.number?, o))) else {
            return Ok(());
        };
        for (position, shown) in (chunk.from..).zip(shown) {
            outgoing.gaps.decided(position, shown);
        }
        outgoing.sent = chunk.from + shown.len() as u64;
        let bytes = chunk.entries.len();
        let rows = shown.iter().filter(|shown| matches!(shown, Shown::Row(..)));
        let rows = rows.count() as u64;
        let counted = &mut engine.metrics.of(self.peer).sent;
        counted.batch(rows);
        counted.bytes += bytes as u64;
        self.sending.facts += rows;
        self.sending.bytes += bytes as u64;
        self.sending.unflushed += bytes;
        let message = FactSync::new(number, chunk);
        let message = message.map_err(|_| SyncError::Failed("the store gave too much"))?;
        let message = SyncMessage::FactSync(message);
        self.sending.spend(cost(&message));
        let is_full = |shown: &Shown<'_>| matches!(shown, Shown::Row(_, Extent::Full));
        if !shown.iter().all(is_full) {
            // Whoever gets less than a whole fact may hold more of it, and wonder whether this domain does not.
            self.owe_sets(log);
        }
        engine.send(self.id, feed_of(number), message);
        Ok(())
    }

    pub(super) fn receipt(
        &mut self,
        engine: &mut Engine,
        receipt: &Receipt,
    ) -> Result<(), SyncError> {
        let log = self.names.log(receipt.log)?;
        let Some(outgoing) = self.sending.logs.get_mut(&log) else {
            return Err(SyncError::Violation(
                "a receipt for a log that was not sent",
            ));
        };
        if receipt.size > outgoing.sent.max(outgoing.reach) {
            return Err(SyncError::Violation("a receipt for what was not sent"));
        }
        let confirmed = receipt.size.min(outgoing.sent);
        self.sending.facts_confirmed += confirmed.saturating_sub(outgoing.confirmed);
        outgoing.confirmed = outgoing.confirmed.max(receipt.size);
        if receipt.size > outgoing.sent && receipt.held != Held::Complete {
            // It got the rest from elsewhere, but maybe not all that it may have from here.
            outgoing.gaps.ask();
        }
        outgoing.sent = outgoing.sent.max(receipt.size);
        for refusal in receipt.refused.iter() {
            let is_part = refusal.to <= outgoing.sent && refusal.from < refusal.to;
            if is_part {
                note_refused(&mut outgoing.refused, refusal.from..refusal.to);
            }
        }
        let is_current = outgoing.number == Some(receipt.log);
        if is_current {
            outgoing.gaps.confirmed(receipt.reveals)?;
            let is_last = outgoing.confirmed >= outgoing.sent;
            outgoing.gaps.told(receipt.held, is_last);
        }
        let refused = receipt
            .refused
            .iter()
            .find(|refusal| refusal.to == LOG_SIZE_MAX);
        if let Some(refusal) = refused
            && outgoing.is_wanted
            && is_current
        {
            outgoing.is_wanted = false;
            let (peer, reason) = (self.peer, refusal.reason);
            if reason == RefusalReason::Malformed && engine.writes(&log) {
                // The peer holds other facts there: this store was set back, and has written since.
                self.give_up(engine, GivenUp::Forked(log, peer))?;
            } else {
                engine.event(Event::Declined { log, peer, reason });
            }
        }
        let credit = i64::try_from(receipt.credit).unwrap_or(i64::MAX);
        let credit = self.sending.credit.saturating_add(credit);
        self.sending.credit = credit.min(CREDIT_BYTES as i64);
        self.ask_for_sets(engine, log);
        self.conclude(engine, log);
        self.send_more_of(engine, log);
        self.settle_log(engine, log)
    }
}

/// The announcement of a log; `None` when it does not fit a message.
fn announce(
    engine: &Engine,
    number: LogNumber,
    load: &ChunkLoad,
    records: Vec<Vec<u8>>,
) -> Option<Announce> {
    let state = engine.logs.get(&load.log)?;
    let first_block = load.from / BLOCK_LEAVES;
    let roots = state.roots_under(&load.signed, first_block);
    let records = records.into_iter().map(BoundedBytes::new);
    let announce = Announce {
        log: number,
        key_records: BoundedVec::new(records.collect::<Result<_, _>>().ok()?).ok()?,
        checkpoint: BoundedBytes::new(load.signed.checkpoint.to_bytes()).ok()?,
        first_block,
        block_roots: Hashes::new(&roots).ok()?,
    };
    let fits = roots.len() <= ANNOUNCED_BLOCKS_MAX
        && cost_of_announce(&announce) <= MESSAGE_BYTES_MAX as u64;
    fits.then_some(announce)
}

fn chunk(
    load: &ChunkLoad,
    entries: &[StoredEntry],
    shown: &[Shown<'_>],
    behind: &[(Subtree, TreeHash)],
) -> Result<Chunk, SyncError> {
    // The tree says that facts are there.
    let gap = || SyncError::Failed("the store has a gap");
    if entries
        .first()
        .is_none_or(|first| first.position != load.from)
    {
        return Err(gap());
    }
    let (sent, rest) = entries.split_at_checked(shown.len()).ok_or_else(gap)?;
    let end = sent.last().ok_or_else(gap)?.range().end;
    let parts = rest
        .iter()
        .map(|entry| Ok((entry.subtree()?, entry.hash())));
    let parts: Result<Vec<_>, StoreError> = parts.collect();
    let parts = [&parts.map_err(|_| gap())?, behind].concat();
    let right = right_hashes_of_parts(end, load.until(), &parts).map_err(|_| gap())?;
    let mut to = Encoder::new();
    for shown in shown {
        match shown {
            Shown::Row(bytes, _) => to.bytes(bytes),
            Shown::Hash { hash, .. } => to.uint(0).u8(0).raw(hash.as_bytes()),
        };
    }
    Ok(Chunk {
        from: load.from,
        entries: to.finish(),
        right,
    })
}
