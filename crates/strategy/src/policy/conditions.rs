//! What a rule is about: the conditions that a fact meets, fails, or cannot be seen to meet.

use causality_fact::Encoder;
use causality_fact::FactCore;
use causality_fact::FactFilter;
use causality_fact::FactType;
use causality_fact::FactTypePattern;
use causality_fact::Onward;
use causality_fact::Pattern;
use causality_fact::RowCore;
use causality_fact::Truth;
use causality_fact::ValidTime;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::domains::covers;
use crate::domains::covers_given;
use crate::policy::decision::Seen;

/// A stretch of time in milliseconds since 1970: from a moment, until before another; without one, for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "any two moments are legal")]
pub struct Window {
    /// The first moment.
    pub from: Option<i64>,
    /// The first moment that is no longer in it.
    pub until: Option<i64>,
}

impl Window {
    /// Whether a moment lies within.
    pub fn contains(&self, moment: i64) -> bool {
        self.from.is_none_or(|from| from <= moment) && self.until.is_none_or(|until| moment < until)
    }

    /// Whether some moment of a valid time lies within.
    pub fn overlaps(&self, valid: &ValidTime) -> bool {
        let starts = self.until.is_none_or(|until| valid.from() < until);
        let from = |from| valid.until().is_none_or(|until| from < until);
        !self.is_empty() && starts && self.from.is_none_or(from)
    }

    /// Whether no moment lies within.
    pub fn is_empty(&self) -> bool {
        matches!((self.from, self.until), (Some(from), Some(until)) if from >= until)
    }

    fn covers(&self, other: &Self) -> bool {
        let from = self
            .from
            .is_none_or(|mine| other.from.is_some_and(|other| mine <= other));
        let until = |mine| other.until.is_some_and(|other| other <= mine);
        from && self.until.is_none_or(until)
    }

    fn encode(&self, to: &mut Encoder) {
        for bound in [self.from, self.until] {
            match bound {
                Some(bound) => drop(to.u8(1).int(bound)),
                None => drop(to.u8(0)),
            }
        }
    }
}

/// Facts of which times a rule means, and when it is in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "any windows are legal")]
pub struct SyncWindow {
    /// Facts that are true at some moment of this.
    pub valid: Window,
    /// Facts that their origin said at a moment of this.
    pub known: Window,
    /// The rule is in force while the present lies in this.
    pub in_force: Window,
}

impl SyncWindow {
    /// Whether the times of a fact are among those meant.
    pub fn contains(&self, core: &FactCore) -> bool {
        self.valid.overlaps(&core.valid) && self.known.contains(as_moment(core.hlc.millis()))
    }

    /// The times since 1970 at which the rule comes into force or goes out of it.
    pub(super) fn edges(&self) -> impl Iterator<Item = u64> {
        let Window { from, until } = self.in_force;
        let is_empty = self.in_force.is_empty();
        let edges = [from, until].into_iter().flatten();
        let edges = edges.filter(move |_| !is_empty);
        edges.filter_map(|edge| u64::try_from(edge).ok())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.valid.is_empty() || self.known.is_empty() || self.in_force.is_empty()
    }
}

/// A time of a clock as a moment of a window.
pub(super) fn as_moment(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// Facts that meet every condition that is given.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Conditions {
    pub(super) compartments: Option<BTreeSet<Pattern>>,
    /// By the text that says them, so that equal sets are equal.
    pub(super) fact_types: Option<BTreeMap<String, FactTypePattern>>,
    pub(super) resource_types: Option<BTreeSet<Pattern>>,
    pub(super) labels: Option<BTreeSet<Pattern>>,
    pub(super) onward: Option<BTreeSet<Onward>>,
    pub(super) window: SyncWindow,
    pub(super) filter: Option<FactFilter>,
}

impl Conditions {
    pub(super) fn allows_compartment(&self, compartment: &str) -> bool {
        among(self.compartments.as_ref(), compartment)
    }

    pub(super) fn allows_fact_type(&self, fact_type: &FactType) -> bool {
        let types = self.fact_types.as_ref();
        types.is_none_or(|types| types.values().any(|pattern| pattern.matches(fact_type)))
    }

    pub(super) fn allows_resource_type(&self, resource_type: &str) -> bool {
        among(self.resource_types.as_ref(), resource_type)
    }

    /// Whether some fact of a compartment may be meant now.
    pub(super) fn concerns(&self, compartment: &str, now_ms: u64) -> bool {
        self.allows_compartment(compartment)
            && !self.window.is_empty()
            && self.window.in_force.contains(as_moment(now_ms))
    }

    /// Whether a fact is meant now: as [`means`](Self::means) says, while the rule is in force.
    pub(super) fn matches(&self, seen: &Seen<'_>, now_ms: u64) -> Truth {
        if self.window.in_force.contains(as_moment(now_ms)) {
            self.means(seen)
        } else {
            Truth::False
        }
    }

    /// Whether a fact is meant while the rule is in force, by Kleene's logic: unknown where that depends on what is
    /// withheld, or on a core that this program cannot read.
    pub(super) fn means(&self, seen: &Seen<'_>) -> Truth {
        let (onward, label) = seen.header();
        let is_meant = self.allows_compartment(seen.compartment())
            && among(self.labels.as_ref(), label.as_str())
            && self
                .onward
                .as_ref()
                .is_none_or(|meant| meant.contains(&onward));
        if !is_meant {
            return Truth::False;
        }
        let core = match seen.core() {
            RowCore::Known(core) => self.allows_core(core),
            RowCore::Unsupported(_) if self.asks_core() => return Truth::Unknown,
            RowCore::Unsupported(_) => true,
        };
        match &self.filter {
            _ if !core => Truth::False,
            None => Truth::True,
            Some(filter) => seen
                .fact()
                .map_or(Truth::Unknown, |fact| filter.evaluate(fact)),
        }
    }

    fn allows_core(&self, core: &FactCore) -> bool {
        self.allows_fact_type(&core.fact_type)
            && self.allows_resource_type(core.resource.kind())
            && self.window.contains(core)
    }

    fn asks_core(&self) -> bool {
        self.fact_types.is_some()
            || self.resource_types.is_some()
            || self.window.valid != Window::default()
            || self.window.known != Window::default()
    }

    /// Whether every fact of some compartment is meant, so that nothing of it remains.
    pub(super) fn takes_whole_compartments(&self) -> bool {
        let SyncWindow { in_force, .. } = self.window;
        let (compartments, window) = (
            self.compartments.clone(),
            SyncWindow {
                in_force,
                ..SyncWindow::default()
            },
        );
        *self
            == Self {
                compartments,
                window,
                ..Self::default()
            }
    }

    /// Whether every fact that the other conditions mean is certainly meant by these, judged by their text alone.
    pub(super) fn cover(&self, other: &Self) -> bool {
        let patterns = |mine: &Option<BTreeSet<Pattern>>, other: &Option<BTreeSet<Pattern>>| {
            covers_given(mine.as_ref(), other.as_ref(), |mine, other| {
                other
                    .iter()
                    .all(|other| mine.iter().any(|mine| covers(mine, other)))
            })
        };
        let types = covers_given(
            self.fact_types.as_ref(),
            other.fact_types.as_ref(),
            |mine, other| {
                let mine = || mine.keys().map(Pattern::new);
                other
                    .keys()
                    .map(Pattern::new)
                    .all(|other| mine().any(|mine| covers(&mine, &other)))
            },
        );
        let onward = covers_given(
            self.onward.as_ref(),
            other.onward.as_ref(),
            |mine, other| other.is_subset(mine),
        );
        patterns(&self.compartments, &other.compartments)
            && patterns(&self.resource_types, &other.resource_types)
            && patterns(&self.labels, &other.labels)
            && types
            && onward
            && self.window.valid.covers(&other.window.valid)
            && self.window.known.covers(&other.window.known)
            && self.window.in_force.covers(&other.window.in_force)
            && (self.filter.is_none() || self.filter == other.filter)
    }

    /// Canonical bytes: equal for equal conditions, in whatever order they were written.
    pub(super) fn encode(&self, to: &mut Encoder) {
        for patterns in [&self.compartments, &self.resource_types, &self.labels] {
            encode_texts(
                patterns.as_ref().map(|set| set.iter().map(Pattern::as_str)),
                to,
            );
        }
        encode_texts(
            self.fact_types
                .as_ref()
                .map(|types| types.keys().map(String::as_str)),
            to,
        );
        let onward = self.onward.as_ref();
        encode_texts(
            onward.map(|set| set.iter().map(|onward| onward_name(*onward))),
            to,
        );
        for window in [self.window.valid, self.window.known, self.window.in_force] {
            window.encode(to);
        }
        to.bytes(
            &self
                .filter
                .as_ref()
                .map(FactFilter::to_bytes)
                .unwrap_or_default(),
        );
    }
}

/// The word of a policy file for an onward sharing.
pub(super) fn onward_name(onward: Onward) -> &'static str {
    match onward {
        Onward::None => "none",
        Onward::Audience => "audience",
        Onward::Any => "any",
    }
}

pub(super) fn encode_texts<'a>(
    texts: Option<impl ExactSizeIterator<Item = &'a str>>,
    to: &mut Encoder,
) {
    // No list is empty, so 0 stands for none.
    to.length(texts.as_ref().map_or(0, ExactSizeIterator::len));
    for text in texts.into_iter().flatten() {
        to.string(text);
    }
}

fn among(patterns: Option<&BTreeSet<Pattern>>, text: &str) -> bool {
    patterns.is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(text)))
}
