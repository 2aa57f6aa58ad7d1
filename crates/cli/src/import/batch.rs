//! Lines that become durable together, and what the names in them mean.

use std::collections::BTreeMap;

use causality_fact::{
    ContentHash, DomainId, FACT_BYTES_MAX, FactCore, FactId, FactTooLarge, Hlc, References,
    SUPERSEDES_MAX, Seed, TaggedHash, TemporalFact, ValidTime, WholeContent,
};
use causality_node::{Appended, Draft, Reference, Supersedes};
use causality_store::Mark;

use super::Refusal;
use crate::exit::ExitCode;
use crate::line::{Line, Name};

/// The most lines of a batch.
pub(super) const BATCH_LINES_MAX: usize = 4096;
/// A batch is full once its lines have so many bytes.
pub(super) const BATCH_TEXT_BYTES: usize = 2 << 20;
/// A line of so many bytes is a fact within the limit: no value takes more than 2.5 bytes for each of its text, and
/// references have less than the rest.
const SURELY_SMALL: usize = 16 << 10;

/// What the `ref`s of a stream stand for. Takes some 100 bytes a `ref`, however long it is.
#[derive(Debug, Default)]
pub(super) struct Labels(BTreeMap<LabelKey, Known>);

/// A digest of a `ref`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LabelKey([u8; 16]);

/// The line that has a `ref`.
#[derive(Clone, Copy, Debug)]
struct Known {
    mark: Mark,
    progress: Progress,
}

/// How far a line has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Admitted,
    /// With this index in the batch that is sent.
    Sent(usize),
    Durable(FactId),
}

/// What a name in a line means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Fact(FactId),
    Label(LabelKey),
}

/// A line whose names have a meaning.
#[derive(Debug)]
pub(super) struct Admitted {
    draft: Draft,
    requires: Vec<Target>,
    supersedes: Option<Vec<Target>>,
    label: Option<LabelKey>,
    compartment: String,
    line: u64,
    bytes: usize,
    /// Only the append can tell whether it fits, with the heads that it supersedes.
    may_be_too_large: bool,
}

impl LabelKey {
    fn of(label: &str) -> Self {
        Self(half(
            TaggedHash::new("causality/0/import-ref")
                .chain(label)
                .finish(),
        ))
    }
}

impl Labels {
    /// Finds out what a line's names mean, and takes up its own.
    pub(super) fn admit(
        &mut self,
        line: Line,
        number: u64,
        bytes: usize,
    ) -> Result<Admitted, Refusal> {
        let Line {
            mut draft,
            reference,
            compartment,
            requires,
            supersedes,
            canonical,
        } = line;
        let refusal = |column, code, message| Refusal {
            line: number,
            column,
            code,
            message,
        };
        let unknown = |(column, message)| refusal(Some(column), ExitCode::Usage, message);
        let requires = self.targets(&requires).map_err(unknown)?;
        let supersedes = supersedes
            .map(|names| self.targets(&names))
            .transpose()
            .map_err(unknown)?;
        let mark = self.mark(
            &canonical,
            requires.iter().chain(supersedes.iter().flatten()),
        );
        draft.mark = Some(mark);
        let may_be_too_large = bytes > SURELY_SMALL
            && may_be_too_large(&draft, requires.len(), supersedes.as_ref().map(Vec::len))
                .map_err(|error| refusal(None, ExitCode::Usage, error.to_string()))?;
        let label = reference.as_deref().map(LabelKey::of);
        if let Some(key) = label {
            let known = Known {
                mark,
                progress: Progress::Admitted,
            };
            if self.0.entry(key).or_insert(known).mark != mark {
                let reference = reference.unwrap_or_default();
                let message =
                    format!("an earlier line with the ref {reference:?} says something else");
                return Err(refusal(None, ExitCode::Contradiction, message));
            }
        }
        let line = number;
        Ok(Admitted {
            draft,
            requires,
            supersedes,
            label,
            compartment,
            line,
            bytes,
            may_be_too_large,
        })
    }

    fn targets(&self, names: &[Name]) -> Result<Vec<Target>, (usize, String)> {
        let target = |name: &Name| {
            let key = LabelKey::of(&name.text);
            if self.0.contains_key(&key) {
                return Ok(Target::Label(key));
            }
            name.text.parse().map(Target::Fact).map_err(|_| {
                let text = &name.text;
                (
                    name.column,
                    format!("{text:?} is neither the ref of an earlier line nor the id of a fact"),
                )
            })
        };
        names.iter().map(target).collect()
    }

    /// The digest by which the line is known again. What its labels stand for is part of it: two lines are the same
    /// only if what they refer to is.
    fn mark<'a>(&self, canonical: &[u8], targets: impl Iterator<Item = &'a Target>) -> Mark {
        let mut hash = TaggedHash::new("causality/0/import-line").chain(canonical);
        let mut labels: Vec<_> = targets
            .filter_map(|target| match target {
                Target::Label(key) => Some((key, self.0.get(key)?.mark)),
                Target::Fact(_) => None,
            })
            .collect();
        labels.sort_unstable();
        labels.dedup();
        for (key, mark) in labels {
            hash = hash.chain(key.0).chain(mark.as_bytes());
        }
        Mark::new(half(hash.finish()))
    }

    /// Every line that a target can be was admitted before, so it is in the batch that is sent, or durable.
    fn references(&self, targets: &[Target]) -> Vec<Reference> {
        let reference = |target: &Target| match target {
            Target::Fact(id) => Some(Reference::Fact(*id)),
            Target::Label(key) => match self.0.get(key)?.progress {
                Progress::Durable(id) => Some(Reference::Fact(id)),
                Progress::Sent(index) => Some(Reference::Earlier(index)),
                Progress::Admitted => None,
            },
        };
        targets.iter().filter_map(reference).collect()
    }

    fn progress(&mut self, label: Option<LabelKey>, progress: Progress) {
        let known = label.and_then(|key| self.0.get_mut(&key));
        if let Some(known) = known.filter(|known| !matches!(known.progress, Progress::Durable(_))) {
            known.progress = progress;
        }
    }
}

/// Lines of one compartment that are appended together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    admitted: Vec<Admitted>,
    bytes: usize,
}

/// What has to be known of a batch when it is durable.
#[derive(Debug)]
pub(super) struct Sent {
    lines: Vec<(u64, Option<LabelKey>)>,
    /// Whether it is one line that may be refused.
    pub(super) is_alone: bool,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.admitted.is_empty()
    }

    /// Whether it takes no further line.
    pub(super) fn is_full(&self) -> bool {
        self.admitted.len() >= BATCH_LINES_MAX || self.bytes >= BATCH_TEXT_BYTES || self.is_alone()
    }

    /// Whether it can be sent before the batches before it are durable: it names no earlier line, and none of it may be
    /// refused.
    pub(super) fn is_free(&self) -> bool {
        let names_a_line = |admitted: &Admitted| {
            let supersedes = admitted.supersedes.iter().flatten();
            let mut targets = admitted.requires.iter().chain(supersedes);
            targets.any(|target| matches!(target, Target::Label(_)))
        };
        !self.is_alone() && !self.admitted.iter().any(names_a_line)
    }

    fn is_alone(&self) -> bool {
        self.admitted
            .first()
            .is_some_and(|admitted| admitted.may_be_too_large)
    }

    /// Takes a line, or gives it back if it belongs into the next batch.
    pub(super) fn add(&mut self, admitted: Admitted) -> Result<(), Box<Admitted>> {
        let fits = |first: &Admitted| {
            first.compartment == admitted.compartment && !admitted.may_be_too_large
        };
        if self.is_full() || !self.admitted.first().is_none_or(fits) {
            return Err(Box::new(admitted));
        }
        self.bytes += admitted.bytes;
        self.admitted.push(admitted);
        Ok(())
    }

    /// The compartment and the drafts, once the batch before is durable.
    pub(super) fn send(self, labels: &mut Labels) -> (String, Vec<Draft>, Sent) {
        let is_alone = self.is_alone();
        let compartment = self.admitted.first().map(|first| first.compartment.clone());
        let mut drafts = Vec::with_capacity(self.admitted.len());
        let mut lines = Vec::with_capacity(self.admitted.len());
        for (index, admitted) in self.admitted.into_iter().enumerate() {
            let Admitted {
                mut draft,
                requires,
                supersedes,
                label,
                line,
                ..
            } = admitted;
            draft.requires = labels.references(&requires);
            if let Some(targets) = supersedes {
                draft.supersedes = Supersedes::Exactly(labels.references(&targets));
            }
            labels.progress(label, Progress::Sent(index));
            drafts.push(draft);
            lines.push((line, label));
        }
        (
            compartment.unwrap_or_default(),
            drafts,
            Sent { lines, is_alone },
        )
    }
}

impl Sent {
    /// The batch is durable: its labels have ids. Each fact comes with the number of its line.
    pub(super) fn acknowledge<'a>(
        &'a self,
        labels: &mut Labels,
        appended: &'a [Appended],
    ) -> impl Iterator<Item = (u64, &'a Appended)> + use<'a> {
        for ((_, label), appended) in self.lines.iter().zip(appended) {
            labels.progress(*label, Progress::Durable(appended.id));
        }
        self.lines.iter().map(|(line, _)| *line).zip(appended)
    }

    /// The batch was refused for one of its drafts, whose line has this number. Its labels mean nothing any more.
    pub(super) fn refuse(&self, labels: &mut Labels, index: usize) -> u64 {
        for (_, label) in &self.lines {
            if let Some(key) = label {
                labels.0.remove(key);
            }
        }
        self.lines.get(index).map_or(0, |(line, _)| *line)
    }
}

/// Whether a fact may be too large with the heads that it supersedes; an error when it is without any.
fn may_be_too_large(
    draft: &Draft,
    requires: usize,
    supersedes: Option<usize>,
) -> Result<bool, FactTooLarge> {
    // Which facts does not matter, only how many.
    let id = |number: usize| {
        let mut id = [0; FactId::LENGTH];
        id[..8].copy_from_slice(&(number as u64).to_le_bytes());
        FactId::new(id)
    };
    let requires = References::new((0..requires).map(id));
    let replaced = References::new((0..supersedes.unwrap_or_default()).map(id));
    let content = WholeContent::new(Seed::new([0; 16]), draft.content.clone());
    let (Ok(requires), Ok(replaced), Ok(content)) = (requires, replaced, content) else {
        return Ok(true);
    };
    let core = FactCore {
        onward: draft.onward,
        label: draft.label.clone(),
        origin: DomainId::new([0; 32]),
        fact_type: draft.fact_type.clone(),
        resource: draft.resource.clone(),
        aspect: draft.aspect.clone(),
        hlc: Hlc::from_bits(u64::MAX),
        valid: draft.valid.unwrap_or(ValidTime::since(0)),
        requires,
        supersedes: replaced,
        content_root: ContentHash::new([0; 32]),
    };
    let size = TemporalFact::new(core, content)?.to_row().len();
    let heads = if supersedes.is_none() {
        HEADS_BYTES_MAX
    } else {
        0
    };
    // The time of appending may take some bytes more than the one that stands for it here.
    let time = if draft.valid.is_none() { 10 } else { 0 };
    Ok(size + heads + time > FACT_BYTES_MAX)
}

/// What the longest list of superseded facts adds to a fact.
const HEADS_BYTES_MAX: usize = SUPERSEDES_MAX * FactId::LENGTH + 1;

fn half(digest: [u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    half
}

#[cfg(test)]
mod tests {
    use causality_node::AppendOutcome;

    use super::*;

    fn admit(labels: &mut Labels, number: u64, line: &str) -> Result<Admitted, Refusal> {
        labels.admit(Line::read(line, 0).unwrap(), number, line.len())
    }

    fn line(more: &str) -> String {
        format!(r#"{{"type":"operation","resource":"a/b","content":{{}}{more}}}"#)
    }

    fn mark(labels: &mut Labels, line: &str) -> Mark {
        admit(labels, 1, line).unwrap().draft.mark.unwrap()
    }

    fn ids(count: u8) -> Vec<Appended> {
        let outcome = AppendOutcome::Added;
        (0..count)
            .map(|number| Appended {
                id: FactId::new([number; 32]),
                outcome,
            })
            .collect()
    }

    #[test]
    fn names_mean_earlier_lines_of_this_batch_and_of_others_and_facts() {
        let mut labels = Labels::default();
        let mut batch = Batch::default();
        batch
            .add(admit(&mut labels, 1, &line(r#","ref":"x""#)).unwrap())
            .unwrap();
        let (_, _, sent) = batch.send(&mut labels);
        // While the first batch is written, the second is gathered.
        let mut batch = Batch::default();
        batch
            .add(admit(&mut labels, 2, &line(r#","ref":"y""#)).unwrap())
            .unwrap();
        let id = "09".repeat(32);
        let more = format!(r#","requires":["x","y","{id}"],"supersedes":["y"]"#);
        batch
            .add(admit(&mut labels, 3, &line(&more)).unwrap())
            .unwrap();
        let appended = ids(1);
        let lines: Vec<_> = sent
            .acknowledge(&mut labels, &appended)
            .map(|(line, _)| line)
            .collect();
        assert_eq!(lines, [1]);
        let (compartment, drafts, sent) = batch.send(&mut labels);
        let (x, fact) = (FactId::new([0; 32]), FactId::new([9; 32]));
        let requires = [
            Reference::Fact(x),
            Reference::Earlier(0),
            Reference::Fact(fact),
        ];
        assert_eq!(drafts[1].requires, requires);
        assert_eq!(
            drafts[1].supersedes,
            Supersedes::Exactly(vec![Reference::Earlier(0)])
        );
        assert_eq!(drafts[0].supersedes, Supersedes::OwnHeads);
        assert_eq!((compartment.as_str(), sent.is_alone), ("public", false));
    }

    #[test]
    fn a_label_wins_over_the_id_that_it_looks_like() {
        let (mut labels, id) = (Labels::default(), "09".repeat(32));
        admit(&mut labels, 1, &line(&format!(r#","ref":"{id}""#))).unwrap();
        let admitted = admit(&mut labels, 2, &line(&format!(r#","requires":["{id}"]"#))).unwrap();
        assert!(matches!(admitted.requires[..], [Target::Label(_)]));
    }

    #[test]
    fn unknown_names_are_refused_with_their_column() {
        let labels = &mut Labels::default();
        for key in ["requires", "supersedes"] {
            let refusal = admit(labels, 7, &line(&format!(r#","{key}":["nothing"]"#))).unwrap_err();
            assert_eq!((refusal.line, refusal.code), (7, ExitCode::Usage));
            assert_eq!(refusal.column, Some(line("").len() + key.len() + 5));
            assert!(refusal.message.contains("\"nothing\""));
        }
        // A line has no name before it is through.
        assert!(admit(labels, 8, &line(r#","ref":"x","requires":["x"]"#)).is_err());
    }

    #[test]
    fn one_ref_for_two_lines_is_a_contradiction_and_the_same_line_again_is_none() {
        let mut labels = Labels::default();
        admit(&mut labels, 1, &line(r#","ref":"x""#)).unwrap();
        assert!(admit(&mut labels, 2, &line(r#", "ref":"x""#)).is_ok());
        let refusal = admit(&mut labels, 3, &line(r#","ref":"x","label":"other""#)).unwrap_err();
        assert_eq!((refusal.line, refusal.code), (3, ExitCode::Contradiction));
    }

    #[test]
    fn a_line_is_another_when_what_it_refers_to_is() {
        let second = line(r#","requires":["x"]"#);
        let stream = |first: &str| {
            let mut labels = Labels::default();
            admit(&mut labels, 1, first).unwrap();
            mark(&mut labels, &second)
        };
        let (one, other) = (line(r#","ref":"x""#), line(r#","ref":"x","label":"other""#));
        assert_eq!(stream(&one), stream(&one));
        assert_ne!(stream(&one), stream(&other));
        let labels = &mut Labels::default();
        assert_ne!(
            mark(labels, &line("")),
            mark(labels, &line(r#","ref":"x""#))
        );
    }

    #[test]
    fn a_batch_has_one_compartment_and_a_limit() {
        let labels = &mut Labels::default();
        let mut batch = Batch::default();
        batch.add(admit(labels, 1, &line("")).unwrap()).unwrap();
        let other = admit(labels, 2, &line(r#","compartment":"partners""#)).unwrap();
        let other = batch.add(other).unwrap_err();
        assert_eq!(other.compartment, "partners");
        for number in 2..=BATCH_LINES_MAX as u64 {
            assert!(!batch.is_full());
            batch
                .add(admit(labels, number, &line("")).unwrap())
                .unwrap();
        }
        assert!(batch.is_full());
        assert!(batch.add(admit(labels, 0, &line("")).unwrap()).is_err());
    }

    #[test]
    fn a_fact_near_the_limit_goes_alone_and_one_above_it_is_refused() {
        let of = |bytes: usize, more: &str| {
            let text = "x".repeat(bytes);
            format!(r#"{{"type":"operation","resource":"a/b","content":{{"t":"{text}"}}{more}}}"#)
        };
        let labels = &mut Labels::default();
        let mut alone =
            |line: &str| admit(labels, 1, line).map(|admitted| admitted.may_be_too_large);
        assert!(!alone(&of(SURELY_SMALL, "")).unwrap());
        assert!(!alone(&of(50_000, "")).unwrap());
        assert!(alone(&of(59_000, "")).unwrap());
        assert!(!alone(&of(59_000, r#","supersedes":[],"valid_from":0"#)).unwrap());
        let refusal = alone(&of(60_000, "")).unwrap_err();
        assert!(refusal.message.contains("60000"), "{}", refusal.message);
        let mut batch = Batch::default();
        batch.add(admit(labels, 1, &line("")).unwrap()).unwrap();
        let large = batch
            .add(admit(labels, 2, &of(59_000, r#","ref":"x""#)).unwrap())
            .unwrap_err();
        let mut batch = Batch::default();
        batch.add(*large).unwrap();
        assert!(batch.is_full());
        let (_, _, sent) = batch.send(labels);
        assert!(sent.is_alone);
        assert_eq!(sent.refuse(labels, 0), 2);
        assert!(admit(labels, 3, &line(r#","requires":["x"]"#)).is_err());
    }
}
