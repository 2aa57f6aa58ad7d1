//! Appending: drafts become facts of the own lane under one checkpoint.

use causality_fact::CompartmentId;
use causality_fact::ConflictKey;
use causality_fact::ContentHash;
use causality_fact::Entry;
use causality_fact::FactCore;
use causality_fact::FactId;
use causality_fact::Hlc;
use causality_fact::LaneId;
use causality_fact::LogId;
use causality_fact::References;
use causality_fact::Row;
use causality_fact::SUPERSEDES_MAX;
use causality_fact::Seed;
use causality_fact::TemporalFact;
use causality_fact::TreeHead;
use causality_fact::ValidTime;
use causality_fact::WholeContent;
use causality_fact::conflict_key;
use causality_fact::leaf_hash;
use causality_store::Batch;
use causality_store::Mark;
use causality_store::NewEntry;
use causality_store::RESTORED_KEY;
use causality_store::SideTable;
use causality_store::SideWrite;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::compartment::is_name;
use crate::draft::APPEND_BYTES_MAX;
use crate::draft::AppendError;
use crate::draft::AppendOutcome;
use crate::draft::Appended;
use crate::draft::DRAFTS_MAX;
use crate::draft::Draft;
use crate::draft::DraftError;
use crate::draft::Reference;
use crate::draft::Same;
use crate::draft::Supersedes;
use crate::effect::Event;
use crate::effect::Load;
use crate::effect::RequestId;
use crate::engine::Engine;
use crate::heads::OwnHeads;
use crate::logbook::Durable;
use crate::logbook::LANES;
use crate::logbook::LogState;
use crate::logbook::Signed;

/// The most positions of a lane in which this store writes: then it opens another, so that a newcomer can always be told of
/// all its blocks at once.
const LANE_POSITIONS_MAX: u64 = 1 << 26;

/// An append that waits for what it has to know.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) request: RequestId,
    /// Its number among the open appends.
    number: u64,
    compartment: String,
    drafts: Vec<Draft>,
    /// The marks and conflict keys asked for, in the order of the answers.
    marks: Vec<Mark>,
    keys: Vec<ConflictKey>,
}

/// An append whose facts are made; they are durable once its batch is.
#[derive(Debug)]
pub(crate) struct Built {
    log: LogId,
    request: RequestId,
    number: u64,
    appended: Vec<Appended>,
    /// The log once it is durable, if it has new facts.
    durable: Option<Durable>,
}

impl Append {
    /// Checks what can be checked at once, and says what else it has to know.
    pub(crate) fn new(
        engine: &mut Engine,
        now_ms: u64,
        request: RequestId,
        compartment: String,
        mut drafts: Vec<Draft>,
    ) -> Result<(Self, Load), AppendError> {
        if drafts.len() > DRAFTS_MAX {
            return Err(AppendError::TooMany(drafts.len()));
        }
        if !is_name(&compartment) {
            return Err(AppendError::CompartmentName(compartment));
        }
        let since_now = ValidTime::since(i64::try_from(now_ms).unwrap_or(i64::MAX));
        for draft in &mut drafts {
            draft.valid.get_or_insert(since_now);
        }
        let number = engine.open_appends.begin();
        let mut marks: Vec<_> = drafts.iter().filter_map(|draft| draft.mark).collect();
        // In the order in which the store has them.
        marks.sort_unstable();
        marks.dedup();
        for mark in &marks {
            engine.marks.keep(*mark);
        }
        let known = engine.compartments.by_name(&compartment);
        let keys = known.map_or(Vec::new(), |known| unknown_keys(engine, known, &drafts));
        let load = Load::Append {
            compartment: known,
            marks: marks.clone(),
            keys: keys.clone(),
        };
        let append = Self {
            request,
            number,
            compartment,
            drafts,
            marks,
            keys,
        };
        Ok((append, load))
    }

    /// Makes the facts, extends the tree, signs. When there is nothing new the batch is empty, and still to be waited
    /// for: what was found may be on its way to the store. After an error nothing has changed.
    pub(crate) fn build(
        self,
        engine: &mut Engine,
        now_ms: u64,
        marked: Vec<Option<FactId>>,
        own: Vec<Vec<(FactId, FactCore)>>,
    ) -> Result<(Built, Batch), AppendError> {
        let number = self.number;
        let built = self.build_open(engine, now_ms, marked, own);
        if built.is_err() {
            engine.open_appends.end(number);
        }
        built
    }

    fn build_open(
        self,
        engine: &mut Engine,
        now_ms: u64,
        marked: Vec<Option<FactId>>,
        own: Vec<Vec<(FactId, FactCore)>>,
    ) -> Result<(Built, Batch), AppendError> {
        let mut lane = Lane::open(engine, &self.compartment, self.drafts.len());
        let mut facts = Facts::new(self.drafts.len(), (self.marks, marked), (self.keys, own));
        let mut hlc = lane.state.last_hlc;
        for (index, draft) in self.drafts.into_iter().enumerate() {
            if facts.known(engine, &draft) {
                continue;
            }
            hlc = hlc.next(now_ms).ok_or(AppendError::EndOfTime)?;
            let (mark, wrong) = (draft.mark, |error| AppendError::Draft { index, error });
            let fact = facts.make(engine, draft, lane.log, hlc).map_err(wrong)?;
            facts.push(fact, mark);
        }
        let mut built = Built {
            log: lane.log,
            request: self.request,
            number: self.number,
            appended: facts.appended,
            durable: None,
        };
        if facts.new.is_empty() {
            return Ok((built, Batch::default()));
        }
        let entries = lane.push(facts.new)?;
        lane.state.last_hlc = hlc;
        let side = lane.sign(engine, hlc);
        let log = lane.log;
        built.durable = Some(lane.state.snapshot());
        let mut batch = Batch {
            entries,
            side,
            time: i64::try_from(now_ms).unwrap_or(i64::MAX),
        };
        batch.side.extend(lane.keep(engine));
        for new in &batch.entries {
            if let (Some(mark), Entry::Row(row)) = (new.mark, &new.entry) {
                engine.marks.insert(&engine.open_appends, mark, row.id());
            }
        }
        for (key, heads) in facts.heads {
            let key = (log.compartment, key);
            engine.heads.insert(&engine.open_appends, key, heads);
        }
        Ok((built, batch))
    }
}

/// The conflict keys whose own heads have to be read.
fn unknown_keys(
    engine: &mut Engine,
    compartment: CompartmentId,
    drafts: &[Draft],
) -> Vec<ConflictKey> {
    let needs_heads = drafts
        .iter()
        .filter(|draft| draft.supersedes == Supersedes::OwnHeads);
    let mut keys: Vec<_> = needs_heads.map(key_of).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.retain(|key| !engine.heads.keep((compartment, *key)));
    keys
}

impl Built {
    /// The log that has new facts, if any.
    pub(crate) fn grown(&self) -> Option<LogId> {
        self.durable.as_ref().map(|_| self.log)
    }

    /// Its facts are durable: publishes the checkpoint and gives the answer.
    /// The facts that it appended, or found.
    pub(crate) fn ids(&self) -> Vec<FactId> {
        self.appended.iter().map(|appended| appended.id).collect()
    }

    pub(crate) fn finish(self, engine: &mut Engine) -> Event {
        engine.open_appends.end(self.number);
        if let Some(durable) = self.durable {
            engine.logs.entry(self.log).or_default().durable = durable;
        }
        Event::Appended {
            request: self.request,
            result: Ok(self.appended),
        }
    }
}

/// The lane to write to: a copy, until the append is sure to succeed.
struct Lane {
    log: LogId,
    state: LogState,
    /// How many full blocks the store has, or is about to have.
    closed: usize,
    /// The name of the compartment, when it is new.
    new_name: Option<String>,
}

impl Lane {
    fn open(engine: &mut Engine, name: &str, drafts: usize) -> Self {
        let known = engine.compartments.by_name(name);
        let compartment = known.unwrap_or_else(|| CompartmentId::new(random(engine)));
        let origin = engine.domain();
        let log = |lane| LogId {
            origin,
            compartment,
            lane,
        };
        let lane = engine.lanes.get(&compartment).copied();
        let lane = lane.filter(|_| !engine.restored).filter(|lane| {
            let size = engine.logs.get(&log(*lane)).map_or(0, |s| s.tree.size());
            size + drafts as u64 <= LANE_POSITIONS_MAX
        });
        let log = log(lane.unwrap_or_else(|| LaneId::new(random(engine))));
        let state = engine.logs.get(&log).cloned().unwrap_or_default();
        Self {
            log,
            closed: state.tree.closed().len(),
            state,
            new_name: known.is_none().then(|| name.to_owned()),
        }
    }

    /// Puts facts behind the others.
    fn push(
        &mut self,
        new: Vec<(TemporalFact, Option<Mark>)>,
    ) -> Result<Vec<NewEntry>, AppendError> {
        let (mut entries, mut bytes) = (Vec::with_capacity(new.len()), 0);
        for (position, (fact, mark)) in (self.state.tree.size()..).zip(new) {
            self.state.tree.push(leaf_hash(&fact.id()));
            let row = Row::from(fact);
            bytes += row.bytes().len();
            entries.push(NewEntry {
                log: self.log,
                position,
                entry: Entry::Row(row),
                mark,
            });
        }
        if bytes > APPEND_BYTES_MAX {
            return Err(AppendError::TooLarge(bytes));
        }
        Ok(entries)
    }

    /// Signs the lane as it is now; returns the writes that keep it.
    fn sign(&mut self, engine: &Engine, hlc: Hlc) -> Vec<SideWrite> {
        let head = TreeHead {
            size: self.state.tree.size(),
            root: self.state.tree.root(),
        };
        let checkpoint = engine
            .keys
            .sign_checkpoint(self.log, head, hlc)
            .expect("the lane is this domain's and has at most LANE_POSITIONS_MAX positions");
        let signed = Signed::at_tree(checkpoint, &self.state.tree);
        self.state.advance(&Arc::new(signed), self.closed)
    }

    /// Puts the lane back as it is now; returns what has to be written because it, or its compartment, is new. After a
    /// restore no old lane is written again.
    fn keep(self, engine: &mut Engine) -> Vec<SideWrite> {
        let LogId {
            compartment, lane, ..
        } = self.log;
        let mut side = Vec::new();
        if std::mem::take(&mut engine.restored) {
            let lanes = std::mem::take(&mut engine.lanes);
            side.extend(lanes.into_keys().map(|old| lane_write(old, None)));
            let key = RESTORED_KEY.to_vec();
            side.push(SideWrite {
                table: SideTable::STORE,
                key,
                value: None,
            });
        }
        if let Some(name) = self.new_name {
            side.push(engine.compartments.add(compartment, &name));
        }
        if engine.lanes.insert(compartment, lane) != Some(lane) {
            side.push(lane_write(compartment, Some(lane)));
        }
        engine.logs.insert(self.log, self.state);
        side
    }
}

/// The write that keeps in which lane of a compartment this store writes.
pub(crate) fn lane_write(compartment: CompartmentId, lane: Option<LaneId>) -> SideWrite {
    let value = lane.map(|lane| lane.as_bytes().to_vec());
    SideWrite {
        table: LANES,
        key: compartment.as_bytes().to_vec(),
        value,
    }
}

/// The facts of one append while they are made.
struct Facts {
    marked: BTreeMap<Mark, FactId>,
    own: BTreeMap<ConflictKey, Vec<(FactId, FactCore)>>,
    /// The heads of the keys that this append writes, as they become.
    heads: BTreeMap<ConflictKey, OwnHeads>,
    appended: Vec<Appended>,
    new: Vec<(TemporalFact, Option<Mark>)>,
}

impl Facts {
    /// From what was found of the marks and keys that were asked for.
    fn new(
        count: usize,
        (marks, found): (Vec<Mark>, Vec<Option<FactId>>),
        (keys, own): (Vec<ConflictKey>, Vec<Vec<(FactId, FactCore)>>),
    ) -> Self {
        let marked = marks.into_iter().zip(found);
        let own = keys.into_iter().zip(own).filter(|(_, own)| !own.is_empty());
        Self {
            marked: marked.filter_map(|(mark, id)| Some((mark, id?))).collect(),
            own: own.collect(),
            heads: BTreeMap::new(),
            appended: Vec::with_capacity(count),
            new: Vec::with_capacity(count),
        }
    }

    /// Notes a draft whose mark is known already; says whether it is.
    fn known(&mut self, engine: &Engine, draft: &Draft) -> bool {
        let Some(mark) = draft.mark else { return false };
        let on_its_way = || engine.marks.get(&mark);
        let Some(id) = self.marked.get(&mark).or_else(on_its_way).copied() else {
            return false;
        };
        self.appended.push(Appended {
            id,
            outcome: AppendOutcome::AlreadyThere,
        });
        true
    }

    fn make(
        &mut self,
        engine: &mut Engine,
        draft: Draft,
        log: LogId,
        hlc: Hlc,
    ) -> Result<TemporalFact, DraftError> {
        let key = key_of(&draft);
        let valid = draft
            .valid
            .expect("every draft has a time since the append was taken up");
        let supersedes = match &draft.supersedes {
            Supersedes::Exactly(list) => self.resolve(list)?,
            Supersedes::OwnHeads => {
                let mut read: Vec<_> = draft.context.of_key(key, Same::Key).collect();
                let room = SUPERSEDES_MAX.saturating_sub(read.len());
                let heads = self.heads_of(engine, log.compartment, key);
                let unread: Vec<_> = heads
                    .overlapping(valid)
                    .filter(|head| !read.contains(head))
                    .take(room)
                    .collect();
                read.extend(unread);
                read
            }
        };
        let causes = self.resolve(&draft.requires)?.into_iter();
        let core = FactCore {
            onward: draft.onward,
            label: draft.label,
            origin: log.origin,
            fact_type: draft.fact_type,
            resource: draft.resource,
            aspect: draft.aspect,
            hlc,
            valid,
            requires: References::new(causes.chain(draft.context.of_key(key, Same::No)))?,
            supersedes: References::new(supersedes)?,
            content_root: ContentHash::new([0; 32]),
        };
        let content = WholeContent::new(Seed::new(random(engine)), draft.content)?;
        let fact = TemporalFact::new(core, content)?;
        self.heads_of(engine, log.compartment, key)
            .add(fact.id(), fact.core());
        Ok(fact)
    }

    fn push(&mut self, fact: TemporalFact, mark: Option<Mark>) {
        self.appended.push(Appended {
            id: fact.id(),
            outcome: AppendOutcome::Added,
        });
        if let Some(mark) = mark {
            self.marked.insert(mark, fact.id());
        }
        self.new.push((fact, mark));
    }

    fn heads_of(
        &mut self,
        engine: &Engine,
        compartment: CompartmentId,
        key: ConflictKey,
    ) -> &mut OwnHeads {
        let own = &mut self.own;
        self.heads.entry(key).or_insert_with(|| {
            let rebuild = || OwnHeads::rebuild(own.remove(&key).unwrap_or_default());
            let here = engine.heads.get(&(compartment, key)).cloned();
            here.unwrap_or_else(rebuild)
        })
    }

    fn resolve(&self, references: &[Reference]) -> Result<Vec<FactId>, DraftError> {
        let id = |reference: &Reference| match reference {
            Reference::Fact(id) => Ok(*id),
            Reference::Earlier(index) => {
                let earlier = self.appended.get(*index).map(|appended| appended.id);
                earlier.ok_or(DraftError::NotEarlier(*index))
            }
        };
        references.iter().map(id).collect()
    }
}

fn key_of(draft: &Draft) -> ConflictKey {
    conflict_key(&draft.resource, &draft.aspect)
}

fn random<const N: usize>(engine: &mut Engine) -> [u8; N] {
    let mut bytes = [0; N];
    engine.random.fill_bytes(&mut bytes);
    bytes
}
