//! A peer that says whatever a story wants: messages made by hand, over logs made by hand.

use causality_envelope::DomainKeys;
use causality_fact::{
    Aspect, CompartmentId, ContentHash, Encoder, Entry, FactCore, Hlc, Label, LaneId, LogId,
    Onward, References, Row, Seed, TemporalFact, TreeHash, TreeHead, ValidTime, Value,
    WholeContent, encode_reveal, leaf_hash, right_hashes, root_of,
};
use causality_sync::{Event, LogError, SessionId, StreamNumber, SyncError};
use causality_wire::{
    Announce, BoundedBytes, BoundedString, BoundedVec, FactSync, Frontier, FrontierPart, Hashes,
    Held, LogName, LogNumber, LogState, Page, Receives, Reveal, SyncMessage,
};
use std::sync::Arc;

use crate::world::{World, draft};

/// The peer with the lies, and the one that is lied to.
pub(crate) const LIAR: usize = 0;
pub(crate) const VICTIM: usize = 1;

/// A session of a liar with its victim, and a log of the liar's.
pub(crate) struct Forge {
    pub(crate) world: World,
    pub(crate) session: SessionId,
    pub(crate) keys: Arc<DomainKeys>,
    pub(crate) log: LogId,
    pub(crate) number: LogNumber,
}

impl Forge {
    /// Connected, nothing said yet. A third domain is honest.
    pub(crate) fn new() -> Self {
        let mut world = World::new(3, 1);
        let keys = Arc::clone(&world.domains[LIAR].keys);
        let session = world.connect_liar(LIAR, VICTIM);
        let log = LogId {
            origin: keys.domain(),
            compartment: CompartmentId::PUBLIC,
            lane: LaneId::new([1; 16]),
        };
        Self {
            world,
            session,
            keys,
            log,
            number: LogNumber(0),
        }
    }

    /// Connected, and the log is offered and asked for.
    pub(crate) fn offered() -> Self {
        let mut forge = Self::new();
        let open = forge.open(0, vec![forge.state(9)]);
        forge.say(open);
        forge
    }

    /// Connected, and the victim holds the first rows of the log.
    pub(crate) fn followed(rows: &[Row]) -> Self {
        let mut forge = Self::offered();
        forge.send_log(rows);
        assert_eq!(forge.held(), rows.len() as u64);
        forge
    }

    pub(crate) fn send_log(&mut self, rows: &[Row]) {
        let announce = self.announce(rows);
        self.say(SyncMessage::Announce(announce));
        let chunk = self.chunk(0, rows, rows);
        self.say(SyncMessage::FactSync(chunk));
    }

    /// Says something on the stream where it belongs, and lets the victim react.
    pub(crate) fn say(&mut self, message: SyncMessage) {
        let number = match &message {
            SyncMessage::Announce(announce) => Some(announce.log),
            SyncMessage::FactSync(chunk) => Some(chunk.log),
            SyncMessage::Reveal(reveal) => Some(reveal.log),
            SyncMessage::Holes(holes) => Some(holes.log),
            _ => None,
        };
        let stream = number.map_or(StreamNumber::CONTROL, |n| StreamNumber(1 + (n.0 % 8) as u8));
        self.say_on(stream, message);
    }

    pub(crate) fn say_on(&mut self, stream: StreamNumber, message: SyncMessage) {
        if self.world.is_open(self.session) {
            self.world.inject(self.session, VICTIM, stream, message);
        }
        self.world.run();
    }

    pub(crate) fn held(&self) -> u64 {
        let view = self.world.engine(VICTIM).log(&self.log);
        view.map_or(0, |view| view.durable)
    }

    /// The session has ended for this reason; nothing else has happened, and the victim goes on.
    #[track_caller]
    pub(crate) fn ends(mut self, expected: &str) {
        let held = self.held();
        let error = self.world.end_of(VICTIM, self.session);
        let error = error.expect("the session has ended");
        assert!(
            matches!(
                error,
                SyncError::Violation(_) | SyncError::Keys { .. } | SyncError::Log { .. }
            ),
            "{error:?}"
        );
        let found = error.to_string();
        assert!(found.ends_with(expected), "{found}");
        self.goes_on(held);
    }

    /// The log was refused for this reason, the session is open; nothing else has happened, and the victim goes on.
    #[track_caller]
    pub(crate) fn refuses(mut self, expected: &LogError) {
        let held = self.held();
        let log = self.log;
        let refused = |e: &Event| matches!(e, Event::Refused { log: of, error, .. } if *of == log && error == expected);
        let events = &self.world.domains[VICTIM].events;
        assert!(events.iter().any(refused), "{events:?}");
        assert!(self.world.is_open(self.session));
        self.goes_on(held);
    }

    #[track_caller]
    fn goes_on(&mut self, held: u64) {
        self.world.append(2, vec![draft(1), draft(2)]);
        assert_eq!(self.world.sync(VICTIM, 2).facts_received, 2);
        self.world.append(VICTIM, vec![draft(3)]);
        assert_eq!(self.held(), held);
        self.world.restart(VICTIM);
        assert_eq!(self.world.count(VICTIM), held + 3);
    }

    // Messages.

    pub(crate) fn open(&self, round: u32, logs: Vec<LogState>) -> SyncMessage {
        frontier(round, FrontierPart::Open, Page::Last, logs)
    }

    /// Offers the log under its number, for the first time.
    pub(crate) fn state(&self, size: u64) -> LogState {
        LogState {
            log: LogName::New {
                number: self.number,
                log: self.log,
                compartment: BoundedString::new("public").unwrap(),
            },
            size,
            tag: [0; 8],
            held: Held::Complete,
            keys: 1,
            offered: true,
            wanted: false,
        }
    }

    pub(crate) fn announce(&self, rows: &[Row]) -> Announce {
        self.announce_by(&self.keys, rows, Hlc::from_millis(1 << 40))
    }

    /// The announcement of a log of less than a block.
    pub(crate) fn announce_by(&self, keys: &DomainKeys, rows: &[Row], hlc: Hlc) -> Announce {
        let root = root_of(&leaves(rows));
        let head = TreeHead {
            size: rows.len() as u64,
            root,
        };
        let checkpoint = keys.sign_checkpoint(self.log, head, hlc).unwrap();
        self.announce_with(keys, &checkpoint.to_bytes(), vec![root])
    }

    pub(crate) fn announce_with(
        &self,
        keys: &DomainKeys,
        checkpoint: &[u8],
        roots: Vec<TreeHash>,
    ) -> Announce {
        let records = keys.key_log().records_from(0);
        let records = records.into_iter().map(|r| BoundedBytes::new(r).unwrap());
        Announce {
            log: self.number,
            key_records: BoundedVec::new(records.collect()).unwrap(),
            checkpoint: BoundedBytes::new(checkpoint).unwrap(),
            first_block: 0,
            block_roots: Hashes::new(&roots).unwrap(),
        }
    }

    /// Rows that are said to stand from `from` on in a log of `all`.
    pub(crate) fn chunk(&self, from: u64, rows: &[Row], all: &[Row]) -> FactSync {
        let entries: Vec<_> = rows.iter().cloned().map(Entry::Row).collect();
        self.chunk_of(from, &entries, all)
    }

    /// Entries that are said to stand from `from` on in a log of `all`.
    pub(crate) fn chunk_of(&self, from: u64, entries: &[Entry], all: &[Row]) -> FactSync {
        let end = from + entries.len() as u64;
        let behind = leaves(all.get(end as usize..).unwrap_or_default());
        let mut to = Encoder::new();
        entries.iter().for_each(|entry| entry.encode(&mut to));
        FactSync {
            log: self.number,
            from,
            entries: BoundedBytes::new(to.finish()).unwrap(),
            right: Hashes::new(&right_hashes(end, all.len() as u64, &behind).unwrap()).unwrap(),
        }
    }

    /// Rows that are said to stand at known positions.
    pub(crate) fn reveal<'a>(&self, rows: impl IntoIterator<Item = (u64, &'a Row)>) -> SyncMessage {
        let rows = rows.into_iter();
        let rows = encode_reveal(rows.map(|(position, row)| (position, row.bytes())));
        self.reveal_of(rows)
    }

    pub(crate) fn reveal_of(&self, rows: Vec<u8>) -> SyncMessage {
        SyncMessage::Reveal(Reveal {
            log: self.number,
            rows: BoundedBytes::new(rows).unwrap(),
        })
    }

    /// Facts of the liar at these times.
    pub(crate) fn rows(&self, times: impl IntoIterator<Item = u64>) -> Vec<Row> {
        times.into_iter().map(|time| self.row(time)).collect()
    }

    fn row(&self, time: u64) -> Row {
        Row::from(self.fact(time))
    }

    pub(crate) fn fact(&self, time: u64) -> TemporalFact {
        let fields = [
            ("number".to_owned(), Value::Int(time as i64)),
            ("other".to_owned(), Value::Null),
        ];
        let content = WholeContent::new(Seed::new([1; 16]), fields.into()).unwrap();
        let core = FactCore {
            onward: Onward::Any,
            label: Label::default(),
            origin: self.log.origin,
            fact_type: "observation".parse().unwrap(),
            resource: "thing/1".parse().unwrap(),
            aspect: Aspect::default(),
            hlc: Hlc::from_millis(time),
            valid: ValidTime::since(0),
            requires: References::default(),
            supersedes: References::default(),
            content_root: ContentHash::new([0; 32]),
        };
        TemporalFact::new(core, content).unwrap()
    }
}

pub(crate) fn frontier(
    round: u32,
    part: FrontierPart,
    last: Page,
    logs: Vec<LogState>,
) -> SyncMessage {
    SyncMessage::Frontier(Frontier {
        round,
        part,
        trigger: BoundedString::default(),
        receives: Receives::Everything,
        last,
        logs: BoundedVec::new(logs).unwrap(),
    })
}

pub(crate) fn leaves(rows: &[Row]) -> Vec<TreeHash> {
    rows.iter().map(|row| leaf_hash(&row.id())).collect()
}
