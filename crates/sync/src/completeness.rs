//! Whether all of a log is held, and who says so (`docs/src/spec/sync.md`, section "Holes").

use causality_fact::DomainId;
use causality_fact::KeptBack;
use causality_fact::LogId;
use causality_fact::PositionSet;
use causality_fact::WithheldStatement;
use causality_wire::Holes;

use crate::engine::Engine;
use crate::holes::decode_set;
use crate::peers::Source;

/// How much is known of whether a log is held as this domain may have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "closed by the specification")]
pub enum Completeness {
    /// Something is missing, or still on its way, and its origin has not said that it withholds it.
    Incomplete,
    /// What is missing is what the origin, in a signed statement, says that it withholds from this domain.
    Attested,
    /// Every fact that the rules here let in is held in full; the newest root that the origin signed proves that there are
    /// no others.
    Proven,
}

impl Engine {
    /// Whether all of a log is held.
    pub fn completeness(&self, log: &LogId) -> Completeness {
        let state = self.logs.get(log).filter(|state| state.durable.is_whole());
        let Some(state) = state else {
            return Completeness::Incomplete;
        };
        let hidden = state.holes.hidden().difference(&self.unwanted(log));
        let partial = state.holes.partial();
        if hidden.is_empty() && partial.is_empty() {
            return Completeness::Proven;
        }
        let origin = self.sources.get(&(*log, log.origin));
        let Some(source) = origin.filter(|source| !source.statement.is_empty()) else {
            return Completeness::Incomplete;
        };
        let KeptBack {
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

    /// The positions of a log whose facts the rules of now do not let in: from the origin, where that is a peer who may give
    /// it, otherwise from some peer. What one relay may not give, the origin may.
    pub(crate) fn unwanted(&self, log: &LogId) -> PositionSet {
        let is_direct = self.may_receive(log.origin, log, None);
        let peers = self.policies.keys();
        let peers = peers.filter(|peer| !is_direct || **peer == log.origin);
        let unwanted = peers.filter_map(|peer| Some(self.not_taken(*peer, log)?.refused()));
        unwanted.fold(PositionSet::new(), |all, one| all.union(&one))
    }

    /// What a peer said that it keeps back of a log, and up to which position that is.
    pub fn kept_by(&self, peer: DomainId, log: &LogId) -> Option<(u64, &KeptBack)> {
        let source = self.sources.get(&(*log, peer))?;
        Some((source.size, &source.kept))
    }

    /// What was kept back of a log from a peer when it last had everything that it may have, and up to which position that
    /// is.
    pub fn kept_from(&self, peer: DomainId, log: &LogId) -> Option<(u64, &KeptBack)> {
        let settlement = self.settlements.get(&(peer, *log))?;
        Some((settlement.size, &settlement.kept))
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
        let set = |bytes: &[u8]| decode_set(bytes).map_err(|_| "sets that are not canonical");
        let kept = KeptBack {
            withheld: set(&holes.withheld)?,
            deferred: set(&holes.deferred)?,
            partial: set(&holes.partial)?,
        };
        let known = self.logs.get(&log).map_or(0, |state| state.tree.size());
        if !kept.fits(holes.size) || holes.size > known {
            return Err("sets that overlap, or go beyond the log");
        }
        if !holes.statement.is_empty() {
            self.check_statement(peer, log, holes, &kept)?;
        }
        Ok(Source {
            size: holes.size,
            kept,
            statement: holes.statement.to_vec(),
        })
    }

    /// Checks the origin's own statement of what it keeps back from this domain.
    fn check_statement(
        &self,
        peer: DomainId,
        log: LogId,
        holes: &Holes,
        kept: &KeptBack,
    ) -> Result<(), &'static str> {
        if peer != log.origin {
            return Err("a statement that is not the peer's");
        }
        let said = WithheldStatement::from_bytes(&holes.statement);
        let said = said.map_err(|_| "a statement that is not canonical")?;
        let is_meant = said.log == log && said.audience == self.domain() && said.size == holes.size;
        if !is_meant || !said.is_about(kept) {
            return Err("a statement about something else");
        }
        let keys = self.key_logs.get(&peer).ok_or("a statement without keys")?;
        if keys.is_revoked(said.key) {
            return Err("a statement by a key that was revoked");
        }
        let verified = keys.verify_withheld_statement(said);
        verified.map_err(|_| "a statement that does not verify")?;
        Ok(())
    }

    /// The signed statement of what this domain keeps back of a log of its own from a peer; empty for logs of others.
    pub(crate) fn states_withheld(
        &mut self,
        peer: DomainId,
        log: LogId,
        size: u64,
        kept: &KeptBack,
    ) -> Vec<u8> {
        if log.origin != self.domain() {
            return Vec::new();
        }
        // Two statements of one time would contradict each other.
        let Some(now) = self.last_statement.next(self.now_ms) else {
            return Vec::new();
        };
        self.last_statement = now;
        let said = self
            .keys
            .sign_withheld_statement(log, size, peer, kept, now);
        said.map_or_else(|_| Vec::new(), |said| said.to_bytes())
    }
}
