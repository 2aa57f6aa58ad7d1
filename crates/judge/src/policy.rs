//! The rules of nodes about domains: when which of them were in force, and what they let through.

use std::collections::BTreeMap;

use crate::disclosed::{Content, Disclosed, Mask};
use crate::history::{Kept, Rule, Window};
use crate::id::{CompartmentId, DomainId};

/// The rules of a node, and the clock that says which of them are in force.
#[derive(Debug, Default)]
pub(crate) struct Stance {
    clock: Vec<Run>,
    about: BTreeMap<DomainId, Vec<Version>>,
}

/// From a moment of the world on, the clock of a node runs so.
#[derive(Debug, Clone, Copy)]
struct Run {
    since: u64,
    shows: u64,
    rate: u64,
}

/// Rules that a node was told.
#[derive(Debug)]
struct Version {
    policy: Policy,
    since: u64,
    /// When the node said that it goes by later ones.
    until: u64,
}

/// The rules of a node about one domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) out: Vec<Rule>,
    pub(crate) kept: Vec<Kept>,
    pub(crate) taken: Vec<Rule>,
}

/// Rules that may have been in force from one moment to another, both included.
#[derive(Debug)]
pub(crate) struct InForce<'p> {
    pub(crate) from: u64,
    pub(crate) until: u64,
    reading: Reading,
    out: Vec<&'p Rule>,
    kept: Vec<&'p Kept>,
    taken: Vec<&'p Rule>,
}

/// How rules are read whose windows begin or end at about the time, or that look at a field that nobody has any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// What may have been let through was.
    Lenient,
    /// Only what certainly was let through was.
    Strict,
}

/// A fact that one domain gives to another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gift<'a> {
    pub(crate) compartment: CompartmentId,
    pub(crate) fact: &'a Disclosed,
    /// Whether its origin neither gives nor gets it here.
    pub(crate) is_passed_on: bool,
}

impl Stance {
    pub(crate) fn tell(&mut self, peer: DomainId, policy: Policy, now: u64) {
        let versions = self.about.entry(peer).or_default();
        if versions.last().is_none_or(|last| last.policy != policy) {
            versions.push(Version {
                policy,
                since: now,
                until: u64::MAX,
            });
        }
    }

    pub(crate) fn obeys(&mut self, now: u64) {
        for versions in self.about.values_mut() {
            let earlier = versions
                .split_last_mut()
                .map_or(&mut [][..], |(_, all)| all);
            for version in earlier {
                version.until = version.until.min(now);
            }
        }
    }

    pub(crate) fn set_clock(&mut self, shows: u64, rate: u64, now: u64) {
        let run = Run {
            since: now,
            shows,
            rate,
        };
        self.clock.push(run);
    }

    /// The rules about a domain from `from` on, stretch by stretch.
    pub(crate) fn in_force(&self, peer: DomainId, from: u64, reading: Reading) -> Vec<InForce<'_>> {
        self.stretches(peer, reading, from, |version| version.until >= from)
    }

    /// The rules about a domain that a node may have gone by at a moment: those that ended with the one before count too,
    /// since whatever changes at a moment may do so behind what is told of it.
    pub(crate) fn at(&self, peer: DomainId, at: u64, reading: Reading) -> Vec<InForce<'_>> {
        let is_then = |since: u64, until: u64| since <= at && at <= until.saturating_add(1);
        let was_told = |version: &Version| is_then(version.since, version.until);
        let mut stretches = self.stretches(peer, reading, 0, was_told);
        stretches.retain(|stretch| is_then(stretch.from, stretch.until));
        stretches
    }

    /// The rules about a domain from `from` on, of those versions that are meant.
    fn stretches(
        &self,
        peer: DomainId,
        reading: Reading,
        from: u64,
        is_meant: impl Fn(&Version) -> bool,
    ) -> Vec<InForce<'_>> {
        let mut stretches = Vec::new();
        let versions = self.about.get(&peer).into_iter().flatten();
        for version in versions.filter(|version| is_meant(version)) {
            let windows = version.policy.windows(reading);
            let mut starts = vec![version.since.max(from)];
            for run in self.runs() {
                starts.push(run.since);
                let edges = windows
                    .iter()
                    .flat_map(|window| [window.from, window.until]);
                starts.extend(edges.flatten().filter_map(|edge| run.reaches(edge)));
            }
            starts.retain(|start| (version.since.max(from)..=version.until).contains(start));
            starts.sort_unstable();
            starts.dedup();
            let ends = starts.iter().skip(1).map(|next| next - 1);
            let ends = ends.chain([version.until]);
            for (start, end) in starts.iter().zip(ends) {
                let clock = self.clock_at(*start);
                stretches.push(version.policy.at(clock, (*start, end), reading));
            }
        }
        stretches
    }

    fn runs(&self) -> impl Iterator<Item = Run> {
        let right = Run {
            since: 0,
            shows: 0,
            rate: MILLION,
        };
        std::iter::once(right).chain(self.clock.iter().copied())
    }

    fn clock_at(&self, now: u64) -> u64 {
        let run = self.runs().filter(|run| run.since <= now).last();
        run.map_or(now, |run| run.at(now))
    }
}

impl Run {
    fn at(&self, now: u64) -> u64 {
        let gone = u128::from(now.saturating_sub(self.since)) * u128::from(self.rate);
        let gone = u64::try_from(gone / u128::from(MILLION)).unwrap_or(u64::MAX);
        self.shows.saturating_add(gone)
    }

    /// The moment of the world at which the clock shows `edge` first, if it runs so long.
    fn reaches(&self, edge: u64) -> Option<u64> {
        let ahead = edge.checked_sub(self.shows)?;
        if self.rate == 0 {
            return None;
        }
        let gone = (u128::from(ahead) * u128::from(MILLION)).div_ceil(u128::from(self.rate));
        self.since.checked_add(u64::try_from(gone).ok()?)
    }
}

impl Policy {
    /// All windows, as a reading has them.
    fn windows(&self, reading: Reading) -> Vec<Window> {
        let grants = self.out.iter().chain(&self.taken);
        let grants = grants.filter_map(|rule| Some(reading.of_grant(rule.in_force?)));
        let kept = self.kept.iter();
        let kept = kept.filter_map(|kept| Some(reading.of_kept(kept.of.in_force?)));
        grants.chain(kept).collect()
    }

    fn at(&self, clock: u64, (from, until): (u64, u64), reading: Reading) -> InForce<'_> {
        let granted = |rule: &&Rule| {
            let window = rule.in_force.map(|window| reading.of_grant(window));
            window.is_none_or(|window| window.contains(clock))
        };
        let is_kept = |kept: &&Kept| {
            let window = kept.of.in_force.map(|window| reading.of_kept(window));
            window.is_none_or(|window| window.contains(clock))
        };
        InForce {
            from,
            until,
            reading,
            out: self.out.iter().filter(granted).collect(),
            kept: self.kept.iter().filter(is_kept).collect(),
            taken: self.taken.iter().filter(granted).collect(),
        }
    }
}

impl Reading {
    fn of_grant(self, window: Window) -> Window {
        match self {
            Self::Lenient => window.wider(),
            Self::Strict => window.narrower(),
        }
    }

    fn of_kept(self, window: Window) -> Window {
        match self {
            Self::Lenient => window.narrower(),
            Self::Strict => window.wider(),
        }
    }
}

impl Window {
    fn contains(&self, clock: u64) -> bool {
        self.from.is_none_or(|from| from <= clock) && self.until.is_none_or(|until| clock < until)
    }

    fn wider(self) -> Self {
        Self {
            from: self.from.map(|from| from.saturating_sub(CLOCK_SLACK)),
            until: self.until.map(|until| until.saturating_add(CLOCK_SLACK)),
        }
    }

    fn narrower(self) -> Self {
        Self {
            from: self.from.map(|from| from.saturating_add(CLOCK_SLACK)),
            until: self.until.map(|until| until.saturating_sub(CLOCK_SLACK)),
        }
    }
}

/// Whether a rule applies: unknown where that depends on what the decider does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    False,
    True,
    Unknown,
}

impl InForce<'_> {
    /// The fields that somebody who has those of `mask` may show; none if he may not even show that there is such a fact.
    pub(crate) fn shows(&self, gift: &Gift<'_>, mask: Mask) -> Option<Mask> {
        if (gift.fact.stays && gift.is_passed_on) || !self.grants(&self.out, gift, mask) {
            return None;
        }
        let mut shown = mask;
        let applies = |kept: &&&Kept| match gift.meets(&kept.of, mask) {
            Truth::False => false,
            Truth::True => true,
            Truth::Unknown => !self.may_differ(&kept.of, gift),
        };
        for kept in self.kept.iter().filter(applies) {
            let fields = kept.fields.as_deref()?;
            if gift.fact.content == Content::Unknown && !fields.is_empty() {
                return None;
            }
            shown &= !gift.fact.named(fields);
        }
        Some(shown)
    }

    /// Whether a fact is taken, of which these fields can be seen.
    pub(crate) fn takes(&self, gift: &Gift<'_>, mask: Mask) -> bool {
        self.grants(&self.taken, gift, mask)
    }

    /// Whether a fact, shown whole, is certainly not taken, although facts of its log are.
    pub(crate) fn declines(&self, gift: &Gift<'_>) -> bool {
        let mut taken = self.taken.iter();
        self.takes_logs(gift.compartment)
            && taken.all(|rule| match gift.meets(rule, gift.fact.all()) {
                Truth::False => true,
                Truth::True => false,
                Truth::Unknown => gift.may_show(rule),
            })
    }

    /// Whether the other side may know that a compartment has logs, and how long they are.
    pub(crate) fn shows_logs(&self, compartment: CompartmentId) -> bool {
        let whole = |kept: &&Kept| {
            let window = kept.of.in_force;
            let rule = Rule::all_of(compartment);
            kept.fields.is_none()
                && kept.of
                    == Rule {
                        in_force: window,
                        ..rule
                    }
        };
        let granted = |rule: &&Rule| rule.compartment == compartment;
        self.out.iter().any(granted) && !self.kept.iter().any(whole)
    }

    fn grants(&self, rules: &[&Rule], gift: &Gift<'_>, mask: Mask) -> bool {
        let mut rules = rules.iter();
        rules.any(|rule| match gift.meets(rule, mask) {
            Truth::False => false,
            Truth::True => true,
            Truth::Unknown => self.may_differ(rule, gift),
        })
    }

    /// Whether a rule may have been met, or not, by what no row shows.
    fn may_differ(&self, rule: &Rule, gift: &Gift<'_>) -> bool {
        self.reading == Reading::Lenient && gift.may_show(rule)
    }

    /// Whether logs of a compartment are taken.
    pub(crate) fn takes_logs(&self, compartment: CompartmentId) -> bool {
        let mut taken = self.taken.iter();
        taken.any(|rule| rule.compartment == compartment)
    }
}

impl Gift<'_> {
    /// Whether somebody may have known what a rule asks, though no row shows it: rows of the fact were lost.
    fn may_show(&self, rule: &Rule) -> bool {
        let field = rule.at_least.as_ref().map(|at_least| &at_least.field);
        field.is_some_and(|field| self.fact.may_hide(field))
    }

    fn meets(&self, rule: &Rule, mask: Mask) -> Truth {
        let labels = rule.labels.as_ref();
        let is_meant = rule.compartment == self.compartment
            && labels.is_none_or(|labels| labels.contains(&self.fact.label));
        match &rule.at_least {
            _ if !is_meant => Truth::False,
            None => Truth::True,
            Some(at_least) => match self.fact.integer(&at_least.field, mask) {
                None => Truth::Unknown,
                Some(integer) if integer >= at_least.least => Truth::True,
                Some(_) => Truth::False,
            },
        }
    }
}

/// A rate that is right.
const MILLION: u64 = 1_000_000;

/// Clocks of a history are told in whole milliseconds, so that what is close to an edge is on either side of it.
const CLOCK_SLACK: u64 = 10;
