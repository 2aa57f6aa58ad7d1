//! `fact list`, `show`, `verify` and `prove`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use causality_fact::{
    Checkpoint, CompartmentId, Content, DomainId, Exhibit, FactCore, FactId, FactQuery, Hlc,
    Onward, Pattern, RowCore, TemporalFact,
};
use causality_node::{FactRecord, FactView, NodeError, Waits};
use causality_store::Place;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use crate::exit::{ExitCode, Failure};
use crate::handler::{Context, done, send};
use crate::line::{Json, PUBLIC};
use crate::plain::plain;
use crate::protocol::{
    CheckpointItem, ExportOptions, FactItem, FactSummary, Item, ProvenSummary, Reply, Sight,
    Summary, VerifySummary,
};
use crate::{name, text, time};

/// How many facts are read from the store at once.
pub(crate) const PAGE_FACTS: usize = 1000;

/// Lists the facts that the options select, in order of log and position.
pub(crate) async fn list(
    context: &Context,
    options: ExportOptions,
    received: bool,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let query = query(context, &options).await?;
    let registry = context.node.registry();
    let view = match received {
        true => registry.received(),
        false => registry.view().await?,
    };
    let superseded = superseded(&view, query.origin).await?;
    let mut after = None;
    loop {
        let page = view.query_facts(&query, after, PAGE_FACTS).await?;
        for record in &page.facts {
            if let RowCore::Known(core) = record.row.core() {
                let id = record.row.id();
                let mut item = item(context, id, core, &record.compartment).await;
                let newer = superseded.get(&core.origin);
                item.superseded = newer.is_some_and(|superseded| superseded.contains(&id));
                item.sight = sight(record);
                send(replies, Reply::Item(Item::Fact(item))).await?;
            }
        }
        after = page.next;
        if after.is_none() {
            return done(replies, Summary::List).await;
        }
    }
}

/// Why a fact is not to be seen yet, or is without all of its causes.
fn sight(record: &FactRecord) -> Sight {
    let mut sight = Sight {
        causes_missing: record.causes_missing,
        ..Sight::default()
    };
    match &record.waits {
        None => {}
        Some(Waits::Behind(position)) => sight.waits_behind = Some(*position),
        Some(Waits::ForCauses(causes)) => {
            sight.waits_for = causes.iter().map(ToString::to_string).collect();
        }
    }
    sight
}

/// The facts that newer ones of the same origin replace, by origin. What another origin says of them replaces nothing.
async fn superseded(
    view: &FactView,
    origin: Option<DomainId>,
) -> Result<BTreeMap<DomainId, BTreeSet<FactId>>, Failure> {
    let query = FactQuery {
        origin,
        ..FactQuery::default()
    };
    let mut superseded: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    let mut after = None;
    loop {
        let page = view.query_facts(&query, after, PAGE_FACTS).await?;
        for record in &page.facts {
            if let RowCore::Known(core) = record.row.core() {
                let ids = core.supersedes.as_slice();
                superseded.entry(core.origin).or_default().extend(ids);
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(superseded);
        }
    }
}

/// Shows one fact with all that is known of it.
pub(crate) async fn show(
    context: &Context,
    id: &str,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let id = fact_id(context, id).await?;
    let record = context.node.registry().received().get_fact(id).await?;
    let record = record.ok_or(NodeError::FactNotFound(id))?;
    let sight = sight(&record);
    let Some(fact) = record.row.fact() else {
        let message = match record.row.core() {
            RowCore::Unsupported(header) => format!(
                "fact {id} is of version {}, which this program does not know; it is kept and passed on as it is",
                header.version
            ),
            RowCore::Known(_) => format!("the content of fact {id} cannot be read"),
        };
        return Err(Failure::new(ExitCode::Other, message).advise("a newer program may show it"));
    };
    let name = context.name_of(fact.core().origin).await;
    let mut summary = summary(&fact, record.place, record.compartment, name)?;
    summary.sight = sight;
    done(replies, Summary::Fact(Box::new(summary))).await
}

/// Checks one fact: content, place in its log, signature.
pub(crate) async fn verify(
    context: &Context,
    id: &str,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let id = fact_id(context, id).await?;
    let record = context.node.registry().verify(id).await?;
    let fact = match record.row.core() {
        RowCore::Known(core) => {
            Some(item(context, record.row.id(), core, &record.compartment).await)
        }
        RowCore::Unsupported(_) => None,
    };
    let summary = VerifySummary {
        logs: 1,
        facts: 1,
        fact,
        proven: None,
        findings: Vec::new(),
    };
    done(replies, Summary::Verified(summary)).await
}

/// Checks all facts and logs.
pub(crate) async fn verify_all(
    context: &Context,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let progress = |facts| {
        // News that nobody had time for may be left out.
        let _ = replies.try_send(Reply::Progress {
            done: facts,
            total: None,
        });
    };
    let report = context.node.registry().verify_all(progress).await?;
    let count = report.findings.len();
    let summary = VerifySummary {
        logs: report.logs,
        facts: report.facts,
        fact: None,
        proven: None,
        findings: report.findings,
    };
    done(replies, Summary::Verified(summary)).await?;
    if count > 0 {
        let message = format!(
            "what this home holds was damaged or tampered with: {}",
            text::count(count as u64, "finding")
        );
        return Err(Failure::new(ExitCode::Integrity, message).advise(
            "restore a backup with `causality store restore FILE`, or sync into a new home",
        ));
    }
    Ok(())
}

/// Writes a proof of a fact.
pub(crate) async fn prove(
    context: &Context,
    id: &str,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let id = fact_id(context, id).await?;
    let exhibit = context.node.registry().prove(id).await?;
    send(replies, Reply::Bytes(exhibit.to_bytes())).await?;
    done(replies, Summary::Nothing).await
}

/// Checks a proof. Needs no home: keys, signature and path are in it.
pub(crate) fn verify_proof(bytes: &[u8]) -> Result<Summary, Failure> {
    let exhibit = Exhibit::verify(bytes).map_err(|error| {
        Failure::new(
            ExitCode::Integrity,
            format_args!("the proof does not hold: {error}"),
        )
        .advise("ask for it again: `causality fact prove ID` makes it")
    })?;
    let row = &exhibit.row;
    let fact = match row.core() {
        RowCore::Known(core) => {
            let compartment = compartment_of(&exhibit);
            let origin = core.origin.to_string();
            Some(item_of(row.id(), core, origin, &compartment))
        }
        RowCore::Unsupported(_) => None,
    };
    let proven = row.fact().map(|fact| proven(&exhibit, &fact)).transpose()?;
    Ok(Summary::Verified(VerifySummary {
        logs: 1,
        facts: 1,
        fact,
        proven: proven.map(Box::new),
        findings: Vec::new(),
    }))
}

/// What an exhibit that holds has proven. What a domain is called is a matter of each home, so it has no name.
fn proven(exhibit: &Exhibit, fact: &TemporalFact) -> Result<ProvenSummary, Failure> {
    let Checkpoint {
        log,
        size,
        root,
        hlc,
        epoch,
        ..
    } = exhibit.checkpoint;
    let place = Place {
        log,
        position: exhibit.position,
    };
    Ok(ProvenSummary {
        fact: summary(fact, place, compartment_of(exhibit), None)?,
        checkpoint: CheckpointItem {
            size,
            root: root.to_string(),
            signed: moment(hlc),
            epoch,
        },
    })
}

/// What the compartment of a proof is called: only one has the same name everywhere.
fn compartment_of(exhibit: &Exhibit) -> String {
    match exhibit.checkpoint.log.compartment {
        CompartmentId::PUBLIC => PUBLIC.to_owned(),
        other => other.to_string(),
    }
}

/// A time of a domain's clock.
fn moment(hlc: Hlc) -> String {
    time::format(i64::try_from(hlc.millis()).unwrap_or(i64::MAX))
}

/// What the options of `export` and `list` select.
pub(crate) async fn query(
    context: &Context,
    options: &ExportOptions,
) -> Result<FactQuery, Failure> {
    let origin = match &options.origin {
        Some(said) => Some(context.origin(said).await?),
        None => None,
    };
    let resource = options.resource.as_deref().map(Pattern::new);
    Ok(FactQuery {
        origin,
        resource,
        ..FactQuery::default()
    })
}

/// The fact that an id means, or its first digits.
pub(crate) async fn fact_id(context: &Context, said: &str) -> Result<FactId, Failure> {
    if let Ok(id) = said.parse() {
        return Ok(id);
    }
    let show = "`causality fact list` shows ids";
    let Some(ids) = name::ids_from(said) else {
        let what = format_args!("{said:?} is no id of a fact, nor its first digits (at least 8)");
        return Err(Failure::usage(what).advise(show));
    };
    match context.store.ids(ids, 2).await?.as_slice() {
        [] => {
            let what = format_args!("no fact that is held here has an id that begins with {said}");
            Err(Failure::not_found(what).advise(show))
        }
        [id] => Ok(*id),
        [one, other, ..] => Err(name::ambiguous(said, [one, other])),
    }
}

async fn item(context: &Context, id: FactId, core: &FactCore, compartment: &str) -> FactItem {
    let origin: DomainId = core.origin;
    let name = context
        .name_of(origin)
        .await
        .unwrap_or_else(|| origin.to_string());
    item_of(id, core, name, compartment)
}

fn item_of(id: FactId, core: &FactCore, origin: String, compartment: &str) -> FactItem {
    FactItem {
        id: id.to_string(),
        origin,
        fact_type: core.fact_type.to_string(),
        resource: core.resource.to_string(),
        aspect: core.aspect.as_str().to_owned(),
        valid_from: time::format(core.valid.from()),
        valid_until: core.valid.until().map(time::format),
        compartment: compartment.to_owned(),
        superseded: false,
        sight: Sight::default(),
    }
}

fn summary(
    fact: &TemporalFact,
    place: Place,
    compartment: String,
    origin_name: Option<String>,
) -> Result<FactSummary, Failure> {
    let core = fact.core();
    let texts = |ids: &[FactId]| ids.iter().map(ToString::to_string).collect();
    let withheld = match fact.content() {
        Content::Whole(_) => 0,
        Content::Partial(partial) => partial.withheld(),
    };
    let value = |(name, value): (&str, &causality_fact::Value)| {
        let value = serde_json::to_value(Json(value))
            .map_err(|error| Failure::new(ExitCode::Other, error))?;
        Ok((name.to_owned(), value))
    };
    let content: Result<Map<String, Value>, Failure> =
        fact.content().disclosed().map(value).collect();
    Ok(FactSummary {
        id: fact.id().to_string(),
        origin: core.origin.to_string(),
        origin_name,
        fact_type: core.fact_type.to_string(),
        resource: core.resource.to_string(),
        aspect: core.aspect.as_str().to_owned(),
        valid_from: time::format(core.valid.from()),
        valid_until: core.valid.until().map(time::format),
        said: moment(core.hlc),
        requires: texts(core.requires.as_slice()),
        supersedes: texts(core.supersedes.as_slice()),
        label: core.label.as_str().to_owned(),
        onward: match core.onward {
            Onward::None => "none",
            Onward::Audience => "audience",
            Onward::Any => "any",
        }
        .to_owned(),
        compartment,
        lane: place.log.lane.to_string(),
        position: place.position,
        withheld: withheld as u64,
        sight: Sight::default(),
        content: content?,
    })
}

impl FactSummary {
    /// The fact for people: a line for each thing that there is to say.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            if !value.is_empty() {
                let _ = writeln!(text, "{name:<12} {}", plain(value));
            }
        };
        line("id", &self.id);
        line("type", &self.fact_type);
        line("resource", &self.resource);
        line("aspect", &self.aspect);
        line("valid from", &self.valid_from);
        line(
            "valid until",
            self.valid_until.as_deref().unwrap_or_default(),
        );
        let origin = match &self.origin_name {
            Some(name) => format!("{name} ({})", self.origin),
            None => self.origin.clone(),
        };
        line("origin", &origin);
        line("said", &self.said);
        line("label", &self.label);
        line("onward", &self.onward);
        self.requires.iter().for_each(|id| line("requires", id));
        self.supersedes.iter().for_each(|id| line("supersedes", id));
        let place = format!(
            "{}, lane {}, position {}",
            self.compartment, self.lane, self.position
        );
        line("log", &place);
        for (name, value) in &self.content {
            line("content", &format!("{name}: {value}"));
        }
        if let Some(sight) = self.sight.text() {
            line("waits", &sight);
        }
        if self.withheld > 0 {
            line("withheld", &text::count(self.withheld, "field"));
        }
        text
    }
}

impl ProvenSummary {
    /// The fact for people, and under which signature it stands.
    pub(crate) fn text(&self) -> String {
        let CheckpointItem {
            size,
            root,
            signed,
            epoch,
        } = &self.checkpoint;
        let (signed, root) = (plain(signed), plain(root));
        format!(
            "the proof holds: this is as its origin signed it\n{}{:<12} {signed}, over {}, with the key of epoch \
             {epoch}\n{:<12} {root}\n",
            self.fact.text(),
            "signed",
            text::count(*size, "fact"),
            "root"
        )
    }
}

#[cfg(test)]
mod tests {
    use causality_fact::{LaneId, LogId};
    use serde_json::json;

    use super::*;
    use crate::tests::fact;

    fn place() -> Place {
        let (compartment, lane) = (CompartmentId::PUBLIC, LaneId::new([4; 16]));
        let log = LogId {
            origin: DomainId::new([1; 32]),
            compartment,
            lane,
        };
        Place { log, position: 5 }
    }

    fn shown(fact: &TemporalFact) -> FactSummary {
        summary(fact, place(), "public".into(), Some("seismo.us.ak".into())).unwrap()
    }

    #[test]
    fn a_fact_is_shown_with_documented_keys() {
        insta::assert_json_snapshot!(shown(&fact()), @r#"
        {
          "id": "d14a54caff2de509f117e9d310fb1d4fb7d4c13ae818cbe36e9a38d2a38538c1",
          "origin": "0101010101010101010101010101010101010101010101010101010101010101",
          "origin_name": "seismo.us.ak",
          "type": "custom:report",
          "resource": "event/ak18247005",
          "aspect": "magnitude",
          "valid_from": "2018-01-31T02:18:21.235Z",
          "valid_until": "9223372036854775807",
          "said": "2018-01-31T02:23:11.235Z",
          "requires": [
            "0202020202020202020202020202020202020202020202020202020202020202"
          ],
          "supersedes": [],
          "label": "reviewed",
          "onward": "audience",
          "compartment": "public",
          "lane": "04040404040404040404040404040404",
          "position": 5,
          "content": {
            "count": 9223372036854775807,
            "list": [
              null,
              true,
              {
                "k": {
                  "$bytes": "AP8="
                }
              }
            ],
            "mag": -0.1,
            "place": "\"ä\"\n🌋"
          }
        }
        "#);
    }

    #[test]
    fn a_fact_in_part_says_how_many_fields_are_withheld() {
        let shown = shown(&fact().redact(|field| field == "mag"));
        assert_eq!((shown.withheld, shown.content.len()), (3, 1));
        assert_eq!(json!(shown)["withheld"], 3);
        assert!(shown.text().contains("withheld     3 fields"));
    }

    #[test]
    fn a_fact_survives_the_control_socket() {
        let shown = shown(&fact());
        let text = serde_json::to_string(&shown).unwrap();
        assert_eq!(serde_json::from_str::<FactSummary>(&text).unwrap(), shown);
    }

    #[test]
    fn a_fact_for_people_is_a_line_for_each_thing() {
        insta::assert_snapshot!(shown(&fact()).text(), @r#"
        id           d14a54caff2de509f117e9d310fb1d4fb7d4c13ae818cbe36e9a38d2a38538c1
        type         custom:report
        resource     event/ak18247005
        aspect       magnitude
        valid from   2018-01-31T02:18:21.235Z
        valid until  9223372036854775807
        origin       seismo.us.ak (0101010101010101010101010101010101010101010101010101010101010101)
        said         2018-01-31T02:23:11.235Z
        label        reviewed
        onward       audience
        requires     0202020202020202020202020202020202020202020202020202020202020202
        log          public, lane 04040404040404040404040404040404, position 5
        content      count: 9223372036854775807
        content      list: [null,true,{"k":{"$bytes":"AP8="}}]
        content      mag: -0.1
        content      place: "\"ä\"\n🌋"
        "#);
    }

    #[test]
    fn a_listed_and_a_verified_fact_have_documented_keys() {
        let fact = fact();
        let item = item_of(fact.id(), fact.core(), "seismo.us.ak".into(), "public");
        let summary = VerifySummary {
            logs: 1,
            facts: 1,
            fact: Some(item),
            proven: None,
            findings: Vec::new(),
        };
        insta::assert_json_snapshot!(summary, @r#"
        {
          "logs": 1,
          "facts": 1,
          "fact": {
            "id": "d14a54caff2de509f117e9d310fb1d4fb7d4c13ae818cbe36e9a38d2a38538c1",
            "origin": "seismo.us.ak",
            "type": "custom:report",
            "resource": "event/ak18247005",
            "aspect": "magnitude",
            "valid_from": "2018-01-31T02:18:21.235Z",
            "valid_until": "9223372036854775807",
            "compartment": "public"
          },
          "findings": []
        }
        "#);
    }

    /// What a proof of a fact would show if this were its signature.
    fn proof_of(fact: &TemporalFact) -> ProvenSummary {
        let checkpoint = Checkpoint {
            log: place().log,
            size: 7,
            root: causality_fact::TreeHash::new([5; 32]),
            hlc: Hlc::from_millis(1_517_365_391_235),
            epoch: 2,
            key: causality_fact::KeyId::new([6; 16]),
            closing: false,
            signature: [7; 64],
        };
        let exhibit = Exhibit {
            keys: Vec::new(),
            checkpoint,
            position: 5,
            path: Vec::new(),
            row: causality_fact::Row::from(fact),
        };
        proven(&exhibit, fact).unwrap()
    }

    #[test]
    fn what_a_proof_has_proven_is_shown_in_full() {
        let fact = fact().redact(|field| field == "mag");
        let (proven, mut shown) = (proof_of(&fact), shown(&fact));
        // What a domain is called is a matter of each home.
        shown.origin_name = None;
        let text = proven.text().replace(&shown.text(), "(the fact)\n");
        insta::assert_snapshot!(text, @r"
        the proof holds: this is as its origin signed it
        (the fact)
        signed       2018-01-31T02:23:11.235Z, over 7 facts, with the key of epoch 2
        root         0505050505050505050505050505050505050505050505050505050505050505
        ");
        let mut proven = json!(proven);
        let checkpoint = proven.as_object_mut().unwrap().remove("checkpoint");
        assert_eq!(proven, json!(shown));
        insta::assert_json_snapshot!(checkpoint, @r#"
        {
          "epoch": 2,
          "root": "0505050505050505050505050505050505050505050505050505050505050505",
          "signed": "2018-01-31T02:23:11.235Z",
          "size": 7
        }
        "#);
    }

    #[test]
    fn what_is_no_proof_is_an_integrity_error() {
        for bytes in [&b""[..], b"garbage", causality_fact::EXHIBIT_MAGIC] {
            assert_eq!(verify_proof(bytes).unwrap_err().code, ExitCode::Integrity);
        }
    }
}
