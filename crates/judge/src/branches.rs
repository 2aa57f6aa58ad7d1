//! The histories that nodes have shown of one log: one, unless somebody forked it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::id::FactId;
use crate::world::{Moment, NodeId, Witness};

/// A place where histories can differ: the id at a position, or the root of a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spot {
    Position(u64),
    Size(u64),
}

impl Spot {
    /// How many positions one needs to have something to say about it.
    pub(crate) fn size(self) -> u64 {
        match self {
            Self::Position(position) => position.saturating_add(1),
            Self::Size(size) => size,
        }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position(position) => write!(f, "position {position}"),
            Self::Size(size) => write!(f, "size {size}"),
        }
    }
}

/// What somebody showed at a spot: an id or a root.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown {
    pub(crate) value: [u8; 32],
    pub(crate) first: Witness,
}

/// What is known of a log.
#[derive(Debug, Default)]
pub(crate) struct Branches {
    /// The first one is the trunk.
    all: Vec<Branch>,
    /// The history of which each node has shown something.
    on: BTreeMap<NodeId, Stand>,
    /// Of each node, how many positions it has said or shown, and still has.
    sizes: BTreeMap<NodeId, u64>,
    /// Who acknowledged facts in it.
    pub(crate) writers: BTreeSet<NodeId>,
    /// When somebody said first that the log is forked, or that its lane is stopped.
    pub(crate) noticed: Option<Moment>,
}

/// A history, as far as it is not that of its parent.
#[derive(Debug, Default)]
struct Branch {
    parent: Option<Fork>,
    ids: BTreeMap<u64, Shown>,
    roots: BTreeMap<u64, Shown>,
}

/// Where a branch leaves another: the lowest spot at which both have shown different things.
#[derive(Debug, Clone, Copy)]
struct Fork {
    of: usize,
    at: Spot,
}

/// A node has shown so many positions of a branch, not by their number alone: an id or a root was that of the branch.
#[derive(Debug, Clone, Copy, Default)]
struct Stand {
    branch: usize,
    size: u64,
}

impl Branches {
    /// Takes in what a node shows. If it is the first of another history, what was shown at this spot instead.
    pub(crate) fn show(&mut self, spot: Spot, value: [u8; 32], by: Witness) -> Option<Shown> {
        self.has(by.node, spot.size());
        if self.all.is_empty() {
            self.all.push(Branch::default());
        }
        let before = self.on.get(&by.node).copied().unwrap_or_default();
        let new = Shown { value, first: by };
        let known = self.at(before.branch, spot);
        if known.is_none()
            && let Some(other) = self.seen_elsewhere(before, spot, value)
        {
            self.stands(by.node, other, spot);
            return None;
        }
        if known.is_none_or(|known| known.value == value) {
            self.insert(before.branch, spot, new);
            self.stands(by.node, before.branch, spot);
            return None;
        }
        // It holds more of this branch, so it is the branch that is another than its parent here already.
        let is_inherited = self.own(before.branch, spot).is_none() && spot.size() <= before.size;
        let has_it = |branch: &usize| {
            let shown = self.at(*branch, spot);
            shown.is_some_and(|shown| shown.value == value)
        };
        if let Some(other) = (0..self.all.len()).find(has_it) {
            if is_inherited {
                self.merge(before.branch, other);
            }
            self.stands(by.node, other, spot);
            return None;
        }
        if is_inherited {
            self.lower(before.branch, spot);
            self.insert(before.branch, spot, new);
            return None;
        }
        if self.all.len() == BRANCHES_MAX {
            return None;
        }
        let branch = self.all.len();
        self.all.push(Branch {
            parent: Some(Fork {
                of: before.branch,
                at: spot,
            }),
            ..Branch::default()
        });
        self.insert(branch, spot, new);
        self.stands(by.node, branch, spot);
        known
    }

    /// Another branch of which this is known, for a node that has shown nothing from where that left its own: it may have
    /// nothing but a hash there.
    fn seen_elsewhere(&self, stand: Stand, spot: Spot, value: [u8; 32]) -> Option<usize> {
        (0..self.all.len()).find(|branch| {
            let parent = self.all.get(*branch).and_then(|branch| branch.parent);
            let has_it = self
                .at(*branch, spot)
                .is_some_and(|shown| shown.value == value);
            let is_open = |fork: Fork| fork.of == stand.branch && stand.size < fork.at.size();
            *branch != stand.branch && has_it && parent.is_some_and(is_open)
        })
    }

    /// Notes that a node has so many positions, of whatever history.
    pub(crate) fn has(&mut self, node: NodeId, size: u64) {
        let known = self.sizes.entry(node).or_default();
        *known = size.max(*known);
    }

    /// Notes that a node was set back to so many positions.
    pub(crate) fn set_back(&mut self, node: NodeId, size: u64) {
        if let Some(known) = self.sizes.get_mut(&node) {
            *known = size;
        }
        if let Some(stand) = self.on.get_mut(&node) {
            stand.size = size.min(stand.size);
        }
    }

    /// How many positions a node has said or shown, and still has.
    pub(crate) fn size_at(&self, node: NodeId) -> u64 {
        self.sizes.get(&node).copied().unwrap_or(0)
    }

    /// Whether there are several histories.
    pub(crate) fn is_split(&self) -> bool {
        self.all.len() > 1
    }

    /// Whether somebody has shown a root of this size.
    pub(crate) fn is_root_said(&self, size: u64) -> bool {
        self.all
            .iter()
            .any(|branch| branch.roots.contains_key(&size))
    }

    /// Who showed an id at a position first.
    pub(crate) fn first_shown(&self, position: u64, id: &FactId) -> Option<Witness> {
        let shown = self.all.iter().filter_map(|of| of.ids.get(&position));
        let same = shown.filter(|shown| shown.value == id.0);
        same.map(|shown| shown.first).min_by_key(|first| first.when)
    }

    /// Where two nodes differ, if both have shown that they are past that.
    pub(crate) fn differ(&self, a: NodeId, b: NodeId) -> Option<Spot> {
        let (a, b) = (self.on.get(&a)?, self.on.get(&b)?);
        let (one, other) = (self.forks(a.branch), self.forks(b.branch));
        // Forks that both have passed are no difference between them.
        let shared = one
            .iter()
            .rev()
            .zip(other.iter().rev())
            .take_while(|((one, _), (other, _))| one == other)
            .count();
        let apart = |forks: &[(usize, Spot)]| forks[..forks.len() - shared].to_vec();
        let apart = apart(&one).into_iter().chain(apart(&other));
        let lowest = apart.map(|(_, spot)| spot).min_by_key(|spot| spot.size());
        lowest.filter(|spot| spot.size() <= a.size.min(b.size))
    }

    /// A branch and those that it goes back to, but the trunk, with where they leave their parents.
    fn forks(&self, branch: usize) -> Vec<(usize, Spot)> {
        let mut forks = Vec::new();
        let mut branch = branch;
        while let Some(fork) = self.all.get(branch).and_then(|known| known.parent) {
            forks.push((branch, fork.at));
            branch = fork.of;
        }
        forks
    }

    fn stands(&mut self, node: NodeId, branch: usize, spot: Spot) {
        let stand = self.on.entry(node).or_default();
        if stand.branch != branch {
            *stand = Stand { branch, size: 0 };
        }
        stand.size = stand.size.max(spot.size());
    }

    /// Two branches turn out to be one.
    fn merge(&mut self, from: usize, into: usize) {
        let goes_back = |branch: usize, to: usize| {
            to == 0 || self.forks(branch).iter().any(|(other, _)| *other == to)
        };
        if goes_back(from, into) || goes_back(into, from) {
            return;
        }
        let Some(branch) = self.all.get_mut(from) else {
            return;
        };
        let (ids, roots) = (
            std::mem::take(&mut branch.ids),
            std::mem::take(&mut branch.roots),
        );
        for (position, shown) in ids {
            self.insert(into, Spot::Position(position), shown);
        }
        for (size, shown) in roots {
            self.insert(into, Spot::Size(size), shown);
        }
        for fork in self
            .all
            .iter_mut()
            .filter_map(|other| other.parent.as_mut())
        {
            if fork.of == from {
                fork.of = into;
            }
        }
        for stand in self.on.values_mut().filter(|stand| stand.branch == from) {
            stand.branch = into;
        }
    }

    fn lower(&mut self, branch: usize, spot: Spot) {
        let fork = self.all.get_mut(branch).and_then(|of| of.parent.as_mut());
        if let Some(fork) = fork {
            fork.at = spot;
        }
    }

    /// What a branch has at a spot, by itself or by what is below the fork.
    fn at(&self, branch: usize, spot: Spot) -> Option<Shown> {
        let mut branch = branch;
        loop {
            if let Some(shown) = self.own(branch, spot) {
                return Some(shown);
            }
            let parent = self.all.get(branch)?.parent;
            branch = parent.filter(|fork| spot.size() < fork.at.size())?.of;
        }
    }

    fn own(&self, branch: usize, spot: Spot) -> Option<Shown> {
        let branch = self.all.get(branch)?;
        let shown = match spot {
            Spot::Position(position) => branch.ids.get(&position),
            Spot::Size(size) => branch.roots.get(&size),
        };
        shown.copied()
    }

    /// Unless the branch has something there.
    fn insert(&mut self, branch: usize, spot: Spot, shown: Shown) {
        if self
            .at(branch, spot)
            .is_some_and(|known| known.value == shown.value)
        {
            return;
        }
        let Some(branch) = self.all.get_mut(branch) else {
            return;
        };
        match spot {
            Spot::Position(position) => branch.ids.entry(position).or_insert(shown),
            Spot::Size(size) => branch.roots.entry(size).or_insert(shown),
        };
    }
}

/// How many histories of one log are told apart.
const BRANCHES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// What nodes show, in order: node, spot, value.
    fn shown(lines: &[(usize, Spot, u8)]) -> Branches {
        let mut branches = Branches::default();
        for (line, (node, spot, value)) in (1..).zip(lines) {
            let when = Moment { line, at: line };
            let node = NodeId(*node);
            branches.show(*spot, [*value; 32], Witness { node, when });
        }
        branches
    }

    fn differ(branches: &Branches, a: usize, b: usize) -> Option<Spot> {
        let spot = branches.differ(NodeId(a), NodeId(b));
        assert_eq!(branches.differ(NodeId(b), NodeId(a)), spot);
        spot
    }

    use Spot::{Position, Size};

    #[test]
    fn who_shows_the_same_does_not_differ() {
        let branches = shown(&[(0, Position(0), 1), (1, Position(0), 1), (1, Size(1), 9)]);
        assert_eq!(differ(&branches, 0, 1), None);
        assert!(!branches.is_split());
    }

    #[test]
    fn who_shows_something_else_differs_from_there_on() {
        let branches = shown(&[
            (0, Position(0), 1),
            (0, Position(1), 2),
            (1, Position(1), 3),
        ]);
        assert_eq!(differ(&branches, 0, 1), Some(Position(1)));
        assert_eq!(differ(&branches, 0, 2), None);
    }

    #[test]
    fn who_has_only_said_a_number_does_not_differ() {
        let mut branches = shown(&[(0, Position(0), 1), (1, Position(0), 2)]);
        branches.has(NodeId(2), 5);
        assert_eq!(differ(&branches, 1, 2), None);
        assert_eq!(branches.size_at(NodeId(2)), 5);
    }

    #[test]
    fn who_shows_a_root_has_what_is_below_it() {
        let branches = shown(&[
            (0, Position(0), 1),
            (0, Size(4), 10),
            (1, Position(0), 2),
            (1, Size(4), 20),
            (2, Size(4), 20),
            (3, Size(4), 10),
        ]);
        assert_eq!(differ(&branches, 2, 3), Some(Position(0)));
        assert_eq!(differ(&branches, 1, 2), None);
    }

    #[test]
    fn who_was_set_back_below_the_fork_does_not_differ() {
        let mut branches = shown(&[
            (0, Position(0), 1),
            (0, Position(1), 2),
            (1, Position(1), 3),
        ]);
        branches.set_back(NodeId(0), 1);
        assert_eq!(differ(&branches, 0, 1), None);
        assert_eq!(branches.size_at(NodeId(0)), 1);
    }

    #[test]
    fn a_fork_that_a_root_showed_is_found_lower_by_ids() {
        let branches = shown(&[
            (0, Position(1), 1),
            (0, Size(4), 10),
            (1, Size(4), 20),
            (2, Size(4), 20),
            (1, Position(1), 2),
        ]);
        assert_eq!(differ(&branches, 1, 2), None);
        assert_eq!(differ(&branches, 0, 2), Some(Position(1)));
    }

    #[test]
    fn two_branches_that_turn_out_to_be_one_do_not_differ() {
        let branches = shown(&[
            (0, Position(1), 1),
            (0, Size(4), 10),
            (1, Position(1), 2),
            (2, Size(4), 20),
            (3, Size(4), 20),
            (2, Position(1), 2),
        ]);
        assert_eq!(differ(&branches, 1, 3), None);
        assert_eq!(differ(&branches, 2, 3), None);
        assert_eq!(differ(&branches, 0, 3), Some(Position(1)));
    }

    #[test]
    fn a_fork_of_a_fork_differs_from_both() {
        let branches = shown(&[
            (0, Position(0), 1),
            (0, Position(1), 2),
            (1, Position(0), 3),
            (1, Position(1), 4),
            (2, Position(0), 3),
            (2, Position(1), 5),
        ]);
        assert_eq!(differ(&branches, 0, 2), Some(Position(0)));
        assert_eq!(differ(&branches, 1, 2), Some(Position(1)));
    }

    #[test]
    fn so_many_histories_are_told_apart() {
        let values = (0..80).map(|value| (usize::from(value), Position(0), value));
        let branches = shown(&values.collect::<Vec<_>>());
        assert_eq!(branches.all.len(), BRANCHES_MAX);
        assert_eq!(differ(&branches, 0, BRANCHES_MAX - 1), Some(Position(0)));
        assert_eq!(differ(&branches, 0, BRANCHES_MAX), None);
    }
}
