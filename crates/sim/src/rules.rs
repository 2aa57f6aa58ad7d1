//! Rules of one domain about another, drawn at random, and the policy file that says them.

use std::fmt::Write as _;

use causality_fact::DomainId;
use causality_judge::history::{AtLeast, Kept, Rule, Window};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng as _;

use crate::book::Circle;
use crate::clock::EPOCH_MS;

/// The rules of a domain about another: what it gives, what of that it keeps, and what it takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "any rules are some")]
pub struct Terms {
    /// What the other may have.
    pub out: Vec<Rule>,
    /// What of that it does not get all the same.
    pub kept: Vec<Kept>,
    /// What is taken from it.
    pub taken: Vec<Rule>,
}

impl Terms {
    /// All of some circles.
    pub fn whole<'c>(circles: impl Iterator<Item = &'c Circle>) -> Self {
        let rules: Vec<_> = circles.map(|circle| Rule::all_of(circle.id)).collect();
        Self {
            out: rules.clone(),
            kept: Vec::new(),
            taken: rules,
        }
    }

    /// What of each circle goes which way is drawn.
    pub(crate) fn random(circles: &[Circle], random: &mut ChaCha8Rng) -> Self {
        let mut terms = Self::default();
        circles.iter().for_each(|of| terms.draw(of, random));
        terms
    }

    /// The same with something added, something less, or all about one circle drawn again.
    pub(crate) fn changed(mut self, circles: &[Circle], random: &mut ChaCha8Rng) -> Self {
        let circle = &circles[below(random, circles.len())];
        let drop_one = |rules: &mut Vec<Rule>, at: usize| {
            if !rules.is_empty() {
                rules.remove(at % rules.len());
            }
        };
        let at = below(random, 16);
        match below(random, 7) {
            0 => self.out.push(rule(circle, random)),
            1 => self.taken.push(rule(circle, random)),
            2 => self.kept.push(kept(circle, random)),
            3 => drop_one(&mut self.out, at),
            4 => drop_one(&mut self.taken, at),
            5 if !self.kept.is_empty() => drop(self.kept.remove(at % self.kept.len())),
            _ => {
                self.out.retain(|rule| rule.compartment != circle.id);
                self.taken.retain(|rule| rule.compartment != circle.id);
                self.kept.retain(|kept| kept.of.compartment != circle.id);
                self.draw(circle, random);
            }
        }
        self
    }

    fn draw(&mut self, circle: &Circle, random: &mut ChaCha8Rng) {
        let grants = |rules: &mut Vec<Rule>, random: &mut ChaCha8Rng, whole: usize| {
            if below(random, 8) < whole {
                rules.push(Rule::all_of(circle.id));
            } else {
                rules.extend((0..below(random, 3)).map(|_| rule(circle, random)));
            }
        };
        grants(&mut self.out, random, 3);
        grants(&mut self.taken, random, 6);
        for _ in 0..below(random, 3).min(below(random, 3)) {
            self.kept.push(kept(circle, random));
        }
    }

    /// Adds these rules to a policy file, as those about `peer`. Names are theirs alone if `number` is.
    pub(crate) fn write(
        &self,
        file: &mut String,
        (number, peer): (usize, DomainId),
        all: &[Circle],
    ) {
        let mut section = |kind: &str, count: usize, rule: &Rule, more: &str| {
            let name = all.iter().find(|circle| circle.id == rule.compartment);
            let name = name.map_or("nowhere", |circle| &circle.name);
            let _ = write!(
                file,
                "[[{kind}]]\nname = \"{kind} {number}/{count}\"\npeers = [\"{peer}\"]\ncompartments = [\"{name}\"]\n{more}{}\n",
                conditions(rule)
            );
        };
        for (count, rule) in self.out.iter().enumerate() {
            section("out", count, rule, "");
        }
        for (count, rule) in self.taken.iter().enumerate() {
            section("in", count, rule, "");
        }
        for (count, kept) in self.kept.iter().enumerate() {
            let more = match &kept.fields {
                Some(fields) => format!("withhold = {fields:?}\n"),
                None => "refuse = true\n".to_owned(),
            };
            section("security", count, &kept.of, &more);
        }
    }
}

/// Some of the facts of a circle.
fn rule(circle: &Circle, random: &mut ChaCha8Rng) -> Rule {
    let mut rule = Rule::all_of(circle.id);
    if below(random, 3) == 0 {
        let labels = LABELS.iter().filter(|_| below(random, 2) == 0);
        let labels: Vec<_> = labels.map(|label| (*label).to_owned()).collect();
        rule.labels = (!labels.is_empty()).then_some(labels);
    }
    if below(random, 3) == 0 {
        rule.at_least = Some(AtLeast {
            field: NUMBER.to_owned(),
            least: below(random, NUMBERS) as i64,
        });
    }
    if below(random, 4) == 0 {
        // While a world lasts, or from some moment of it on, or until then.
        let mut edge = || EPOCH_MS + below(random, EDGES_MS) as u64;
        let (one, other) = (edge(), edge());
        rule.in_force = Some(match below(random, 3) {
            0 => window(Some(one), None),
            1 => window(None, Some(one)),
            _ => window(Some(one.min(other)), Some(one.max(other) + 1)),
        });
    }
    rule
}

fn kept(circle: &Circle, random: &mut ChaCha8Rng) -> Kept {
    let fields = FIELDS.iter().filter(|_| below(random, 2) == 0);
    let fields: Vec<_> = fields.map(|field| (*field).to_owned()).collect();
    Kept {
        of: rule(circle, random),
        fields: (!fields.is_empty()).then_some(fields),
    }
}

fn window(from: Option<u64>, until: Option<u64>) -> Window {
    Window { from, until }
}

fn conditions(rule: &Rule) -> String {
    let mut text = String::new();
    if let Some(labels) = &rule.labels {
        let _ = writeln!(text, "labels = {labels:?}");
    }
    if let Some(AtLeast { field, least }) = &rule.at_least {
        let _ = writeln!(text, "where = '{field} >= {least}'");
    }
    if let Some(Window { from, until }) = rule.in_force {
        let edges = [("from", from), ("until", until)];
        let edges = edges.into_iter().filter_map(|(name, edge)| {
            let moment = moment(edge?);
            Some(format!("{name} = {moment}"))
        });
        let edges: Vec<_> = edges.collect();
        let _ = writeln!(text, "in_force = {{ {} }}", edges.join(", "));
    }
    text
}

/// A moment of the day on which all worlds begin.
fn moment(ms: u64) -> String {
    let of_day = ms % DAY_MS;
    let (seconds, ms) = (of_day / 1000, of_day % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{DAY}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

pub(crate) fn below(random: &mut ChaCha8Rng, limit: usize) -> usize {
    random.next_u32() as usize % limit.max(1)
}

/// The labels that facts have.
pub(crate) const LABELS: [&str; 3] = ["", "blue", "red"];
/// The fields that rules keep back.
const FIELDS: [&str; 3] = [NUMBER, "secret", "text"];
/// The field that rules look at, and how many values it has.
pub(crate) const NUMBER: &str = "number";
pub(crate) const NUMBERS: usize = 100;

/// Windows begin and end in the time in which faults happen.
const EDGES_MS: usize = 60_000;

/// The day of [`EPOCH_MS`].
const DAY: &str = "2018-01-31";
const DAY_MS: u64 = 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use causality_strategy::{Flow, Party, SyncPolicies};
    use rand_chacha::rand_core::SeedableRng as _;

    use crate::history::PUBLIC;

    fn everybody() -> Circle {
        Circle {
            name: "public".to_owned(),
            id: PUBLIC,
            members: BTreeSet::new(),
        }
    }

    fn parse(terms: &Terms) -> SyncPolicies {
        let mut file = String::new();
        terms.write(&mut file, (1, DomainId::new([2; 32])), &[everybody()]);
        SyncPolicies::parse(&file).unwrap_or_else(|error| panic!("{error}\n{file}"))
    }

    #[test]
    fn random_rules_are_a_policy_file() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let circles = [everybody()];
        let mut terms = Terms::random(&circles, &mut random);
        for _ in 0..200 {
            let policies = parse(&terms);
            assert_eq!(policies.sync_policies(Flow::Out).len(), terms.out.len());
            assert_eq!(policies.sync_policies(Flow::In).len(), terms.taken.len());
            assert_eq!(policies.security_policies().len(), terms.kept.len());
            terms = terms.changed(&circles, &mut random);
        }
    }

    #[test]
    fn a_window_begins_at_the_moment_that_was_drawn() {
        let opens = EPOCH_MS + 1_234;
        let rule = Rule {
            in_force: Some(window(Some(opens), None)),
            ..Rule::all_of(PUBLIC)
        };
        let terms = Terms {
            out: vec![rule],
            ..Terms::default()
        };
        let peer = DomainId::new([2; 32]);
        let party = Party {
            domain: peer,
            name: None,
        };
        let policies = parse(&terms);
        let policy = policies.get_policy_for_domain(Flow::Out, DomainId::new([1; 32]), &party);
        assert_eq!(policy.next_edge(EPOCH_MS), Some(opens));
    }
}
