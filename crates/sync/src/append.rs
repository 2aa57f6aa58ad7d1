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

use crate::compartment::is_name;
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
use crate::logbook::LANES;
use crate::logbook::LogState;
use crate::logbook::Signed;

/// An append that waits for what it has to know.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) request: RequestId,
    compartment: String,
    drafts: Vec<Draft>,
    /// The marks and conflict keys asked for, in the order of the answers.
    marks: Vec<Mark>,
    keys: Vec<ConflictKey>,
}

/// An append whose facts are made; they are durable once its batch is.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) log: LogId,
    request: RequestId,
    appended: Vec<Appended>,
    signed: Option<(Signed, u64)>,
}

impl Append {
    /// Checks what can be checked at once, and says what else it has to know.
    pub(crate) fn new(
        engine: &Engine,
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
        let marks: Vec<_> = drafts.iter().filter_map(|draft| draft.mark).collect();
        let needs_heads = drafts
            .iter()
            .filter(|draft| draft.supersedes == Supersedes::OwnHeads);
        let mut keys: Vec<_> = needs_heads.map(key_of).collect();
        keys.retain(|key| engine.heads.get(key).is_none());
        keys.sort_unstable();
        keys.dedup();
        let load = Load::Append {
            marks: marks.clone(),
            keys: keys.clone(),
        };
        Ok((
            Self {
                request,
                compartment,
                drafts,
                marks,
                keys,
            },
            load,
        ))
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
        let mut lane = Lane::open(engine, &self.compartment);
        let request = self.request;
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
        let Facts {
            appended,
            new,
            heads,
            ..
        } = facts;
        let log = lane.log;
        let built = |signed| Built {
            log,
            request,
            appended,
            signed,
        };
        if new.is_empty() {
            return Ok((built(None), Batch::default()));
        }
        let closed = lane.state.tree.closed().len() as u64;
        let start = lane.state.tree.size();
        let mut entries = Vec::with_capacity(new.len());
        let mut marked = Vec::with_capacity(new.len());
        for (position, (fact, mark)) in (start..).zip(new) {
            lane.state.tree.push(leaf_hash(&fact.id()));
            if let Some(mark) = mark {
                marked.push((mark, fact.id()));
            }
            let entry = Entry::Row(Row::from(fact));
            entries.push(NewEntry {
                log: lane.log,
                position,
                entry,
                mark,
            });
        }
        lane.state.last_hlc = hlc;
        let head = TreeHead {
            size: lane.state.tree.size(),
            root: lane.state.tree.root(),
        };
        let checkpoint = engine.keys.sign_checkpoint(lane.log, head, hlc);
        let checkpoint = checkpoint.map_err(|_| AppendError::LaneFull)?;
        let signed = Signed::at_tree(checkpoint, &lane.state.tree);
        let mut side = lane.state.writes(&lane.log, &signed, closed);
        side.extend(lane.keep(engine));
        marked
            .into_iter()
            .for_each(|(mark, id)| engine.marks.insert(mark, id));
        heads
            .into_iter()
            .for_each(|(key, heads)| engine.heads.insert(key, heads));
        let time = i64::try_from(now_ms).unwrap_or(i64::MAX);
        Ok((
            built(Some((signed, head.size))),
            Batch {
                entries,
                side,
                time,
            },
        ))
    }
}

impl Built {
    /// Its facts are durable: publishes the checkpoint and gives the answer.
    pub(crate) fn finish(self, engine: &mut Engine) -> Event {
        if let Some((signed, size)) = self.signed {
            let state = engine.logs.entry(self.log).or_default();
            state.signed = Some(signed);
            state.durable = size;
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
    /// The name of the compartment, when it is new.
    new_name: Option<String>,
}

impl Lane {
    fn open(engine: &mut Engine, name: &str) -> Self {
        let known = engine.compartments.by_name(name);
        let compartment = known.unwrap_or_else(|| CompartmentId::new(random(engine)));
        let lane = engine
            .lanes
            .get(&compartment)
            .filter(|_| !engine.restored)
            .copied();
        let lane = lane.unwrap_or_else(|| LaneId::new(random(engine)));
        let log = LogId {
            origin: engine.domain(),
            compartment,
            lane,
        };
        let state = engine.logs.get(&log).cloned().unwrap_or_default();
        Self {
            log,
            state,
            new_name: known.is_none().then(|| name.to_owned()),
        }
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

fn lane_write(compartment: CompartmentId, lane: Option<LaneId>) -> SideWrite {
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
                let heads = self.heads_of(engine, key);
                let own: Vec<_> = heads.overlapping(valid).take(SUPERSEDES_MAX).collect();
                own.into_iter()
                    .chain(draft.context.of_key(key, Same::Key))
                    .collect()
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
        self.heads_of(engine, key).add(fact.id(), fact.core());
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

    fn heads_of(&mut self, engine: &Engine, key: ConflictKey) -> &mut OwnHeads {
        let own = &mut self.own;
        self.heads.entry(key).or_insert_with(|| {
            let rebuild = || OwnHeads::rebuild(own.remove(&key).unwrap_or_default());
            engine.heads.get(&key).cloned().unwrap_or_else(rebuild)
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
