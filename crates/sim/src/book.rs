//! Who shares what with whom: the compartments of a world, and the rules of each domain about each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use causality_fact::DomainId;
use causality_judge::CompartmentId;
use causality_judge::history::{Event, Rule};
use causality_strategy::SyncPolicies;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use crate::history::{PUBLIC, domain_id};
use crate::rules::Terms;
use crate::world::{Plan, Sharing};

/// Facts for some domains of a world.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Circle {
    /// What all of its members call it.
    pub name: String,
    /// The compartment.
    pub id: CompartmentId,
    /// Who is in it, by the numbers of their machines.
    pub members: BTreeSet<usize>,
}

/// What everybody shares. A handle: clones are the same book.
#[derive(Clone, Debug)]
pub struct Book(Arc<Mutex<Pages>>);

#[derive(Debug)]
struct Pages {
    domains: Vec<DomainId>,
    circles: Vec<Circle>,
    terms: BTreeMap<(usize, usize), Terms>,
    /// Whether rules say what is shared, and not the address books.
    has_rules: bool,
    changes: u64,
}

impl Book {
    /// For the domains of a world, in the order of its machines. Members of a circle give each other everything in it, or
    /// what random rules say.
    pub fn new(plan: &Plan, domains: Vec<DomainId>) -> Self {
        let everybody = Circle {
            name: "public".to_owned(),
            id: PUBLIC,
            members: (0..plan.domains).collect(),
        };
        let mut random = ChaCha8Rng::seed_from_u64(plan.seed ^ BOOK_SEEDS);
        let mut circles = vec![everybody];
        if plan.sharing != Sharing::Public {
            circles.extend((1..=CIRCLES).map(|number| Circle::random(number, plan, &mut random)));
        }
        let pairs = plan.shape.pairs(plan.domains).into_iter();
        let pairs = pairs.flat_map(|(a, b)| [(a, b), (b, a)]);
        let has_rules = plan.sharing == Sharing::Rules;
        let mut terms = BTreeMap::new();
        for pair in pairs {
            let both = both(&circles, pair);
            let drawn = match has_rules {
                true => Terms::random(&both, &mut random),
                false => Terms::whole(both.iter()),
            };
            terms.insert(pair, drawn);
        }
        Self(Arc::new(Mutex::new(Pages {
            domains,
            circles,
            terms,
            has_rules,
            changes: 0,
        })))
    }

    /// The circles that a machine is in.
    pub fn circles_of(&self, machine: usize) -> Vec<Circle> {
        let pages = self.pages();
        let mut circles = pages.circles.clone();
        circles.retain(|circle| circle.members.contains(&machine));
        circles
    }

    /// All circles.
    pub fn circles(&self) -> Vec<Circle> {
        self.pages().circles.clone()
    }

    /// Whether rules say what is shared: then nobody needs to hold all of anything.
    pub(crate) fn has_rules(&self) -> bool {
        self.pages().has_rules
    }

    /// What the address book of a machine says that it gives another, and takes from it.
    pub(crate) fn granted(&self, from: usize, to: usize) -> (Vec<String>, Vec<String>) {
        let pages = self.pages();
        if pages.has_rules {
            return Default::default();
        }
        let names = |rules: &[Rule]| {
            let whole = |circle: &&Circle| rules.contains(&Rule::all_of(circle.id));
            let circles = pages.circles.iter().filter(whole);
            circles.map(|circle| circle.name.clone()).collect()
        };
        let terms = pages.terms.get(&(from, to)).cloned().unwrap_or_default();
        (names(&terms.out), names(&terms.taken))
    }

    /// What the policy file of a machine says.
    pub(crate) fn policies(&self, machine: usize) -> Result<SyncPolicies> {
        let pages = self.pages();
        let mut file = String::new();
        if pages.has_rules {
            for ((_, to), terms) in pages.of(machine) {
                terms.write(&mut file, (*to, pages.domains[*to]), &pages.circles);
            }
        }
        SyncPolicies::parse(&file).with_context(|| format!("no policy file: {file}"))
    }

    /// Changes the rules of a machine about another.
    pub(crate) fn change(
        &self,
        from: usize,
        to: usize,
        change: impl FnOnce(Terms, &[Circle]) -> Terms,
    ) {
        let pages = &mut *self.pages();
        let circles = both(&pages.circles, (from, to));
        if let Some(terms) = pages.terms.get_mut(&(from, to)) {
            *terms = change(std::mem::take(terms), &circles);
            pages.changes += 1;
        }
    }

    /// How often rules have changed.
    pub(crate) fn changes(&self) -> u64 {
        self.pages().changes
    }

    /// The compartments whose logs both of two domains tell each other, whatever the time.
    pub(crate) fn shared(&self, a: DomainId, b: DomainId) -> Vec<CompartmentId> {
        let pages = self.pages();
        let number = |domain| pages.domains.iter().position(|known| *known == domain);
        let (Some(a), Some(b)) = (number(a), number(b)) else {
            return Vec::new();
        };
        let terms = [(a, b), (b, a)].map(|pair| pages.terms.get(&pair));
        let has = |circle: &&Circle| {
            let is_sure = |rule: &Rule| rule.compartment == circle.id && rule.in_force.is_none();
            let tells = |terms: &Terms| {
                let mut kept = terms.kept.iter();
                terms.out.iter().any(is_sure)
                    && terms.taken.iter().any(is_sure)
                    && kept.all(|kept| kept.fields.is_some() || kept.of.compartment != circle.id)
            };
            terms.iter().all(|terms| terms.is_some_and(tells))
        };
        pages
            .circles
            .iter()
            .filter(has)
            .map(|circle| circle.id)
            .collect()
    }

    /// The rules of a machine, as a history tells them.
    pub(crate) fn told(&self, machine: usize) -> Vec<Event> {
        let pages = self.pages();
        let told = pages.of(machine).map(|((_, to), terms)| {
            let Terms { out, kept, taken } = terms.clone();
            Event::Policy {
                peer: domain_id(pages.domains[*to]),
                out,
                kept,
                taken,
            }
        });
        told.collect()
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    /// The rules of a machine.
    fn of(&self, machine: usize) -> impl Iterator<Item = (&(usize, usize), &Terms)> {
        self.terms.range((machine, 0)..=(machine, usize::MAX))
    }
}

/// The circles that both of two are in.
fn both(circles: &[Circle], (a, b): (usize, usize)) -> Vec<Circle> {
    let mut circles = circles.to_vec();
    circles.retain(|circle| circle.members.contains(&a) && circle.members.contains(&b));
    circles
}

impl Circle {
    /// Some machines that reach each other by themselves.
    fn random(number: usize, plan: &Plan, random: &mut ChaCha8Rng) -> Self {
        let mut below = |limit: usize| random.next_u32() as usize % limit.max(1);
        let size = 2 + below(plan.domains.saturating_sub(2));
        let mut members = BTreeSet::from([below(plan.domains)]);
        let pairs = plan.shape.pairs(plan.domains);
        while members.len() < size {
            let beside = |(a, b): &&(usize, usize)| members.contains(a) != members.contains(b);
            let beside: Vec<_> = pairs.iter().filter(beside).collect();
            let Some((a, b)) = beside.get(below(beside.len())) else {
                break;
            };
            members.extend([a, b]);
        }
        let mut id = [0; 16];
        random.fill_bytes(&mut id);
        Self {
            name: format!("circle-{number}"),
            id: CompartmentId(id),
            members,
        }
    }
}

/// How many circles a world has beside the one of everybody.
const CIRCLES: usize = 2;

/// Books draw from other seeds than the worlds that they are for.
const BOOK_SEEDS: u64 = 0xb00c_0000_0000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Mode;
    use crate::world::Shape;

    fn book(seed: u64, shape: Shape) -> (Plan, Book) {
        let plan = Plan {
            seed,
            domains: 5,
            shape,
            mode: Mode::Safety,
            sharing: Sharing::Circles,
            has_clients: false,
        };
        let domains = (0..5).map(|n| DomainId::new([n; 32])).collect();
        (plan, Book::new(&plan, domains))
    }

    #[test]
    fn members_of_a_circle_reach_each_other_through_members() {
        for seed in 0..50 {
            for shape in [Shape::Full, Shape::Line, Shape::Ring, Shape::Star] {
                let (plan, book) = book(seed, shape);
                for circle in book.circles() {
                    let mut reached: BTreeSet<_> = circle.members.iter().take(1).copied().collect();
                    for _ in 0..plan.domains {
                        for (a, b) in shape.pairs(plan.domains) {
                            let inside = [a, b].iter().all(|of| circle.members.contains(of));
                            if inside && (reached.contains(&a) || reached.contains(&b)) {
                                reached.extend([a, b]);
                            }
                        }
                    }
                    assert_eq!(reached, circle.members, "seed {seed}, {shape:?}");
                    assert!(circle.members.len() >= 2);
                }
            }
        }
    }

    #[test]
    fn only_members_share_a_circle() {
        let (_, book) = book(1, Shape::Full);
        let outside = |circle: &Circle| (0..5).find(|of| !circle.members.contains(of));
        let circles = book.circles();
        let (circle, stranger) = circles
            .iter()
            .find_map(|of| Some((of, outside(of)?)))
            .unwrap();
        let member = *circle.members.first().unwrap();
        let (gives, takes) = book.granted(member, stranger);
        assert!(gives.contains(&"public".to_owned()) && takes.contains(&"public".to_owned()));
        assert!(!gives.contains(&circle.name) && !takes.contains(&circle.name));
        let [a, b] = [member, stranger].map(|of| DomainId::new([of as u8; 32]));
        assert!(!book.shared(a, b).contains(&circle.id));
        assert!(book.shared(a, b).contains(&PUBLIC));
        assert!(!book.circles_of(stranger).contains(circle));
    }
}
