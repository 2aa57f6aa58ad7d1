//! What an origin signs about the positions that it keeps back from a domain, as `docs/src/spec/log.md` has it.

use crate::codec::Reader;
use crate::history::{Span, Stated};
use crate::id::{DomainId, LogId};
use crate::keys::{EPOCH_MAX, KeyError, KeyLog, LOG_SIZE_MAX};
use crate::positions;

/// What an origin signed about what it keeps back of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statement {
    /// Which log.
    pub log: LogId,
    /// Of the positions below this.
    pub size: u64,
    /// From which domain.
    pub audience: DomainId,
    /// The hashes of the sets of positions not shown, not shown yet, and shown in part.
    pub sets: [[u8; 32]; 3],
}

impl Statement {
    /// Reads a statement and verifies it under the keys of the origin.
    ///
    /// # Errors
    ///
    /// When the bytes are not a statement, or no signed one of this domain.
    pub fn verify(keys: &KeyLog, bytes: &[u8]) -> Result<Self, KeyError> {
        let mut reader = Reader::new(bytes);
        reader.code(0)?;
        let log = LogId::read(&mut reader)?;
        let size = reader.uint_at_most(LOG_SIZE_MAX)?;
        let audience = DomainId(reader.array()?);
        let sets = [reader.array()?, reader.array()?, reader.array()?];
        let _time = reader.u64()?;
        let epoch = reader.uint_at_most(EPOCH_MAX)?;
        let key = reader.array()?;
        let signed = reader.since(Reader::new(bytes));
        let signature = reader.array()?;
        reader.finish()?;
        keys.check(
            (log.origin, epoch, key),
            ("causality/0/withheld", signed),
            &signature,
        )?;
        Ok(Self {
            log,
            size,
            audience,
            sets,
        })
    }
}

/// Positions that an origin, by its signature, keeps back from a domain.
#[derive(Debug, Clone)]
pub(crate) struct KeptBack {
    pub(crate) log: LogId,
    pub(crate) audience: DomainId,
    /// Not shown, now or at all.
    hidden: Vec<Span>,
    /// Not shown in full.
    all: Vec<Span>,
}

impl KeptBack {
    /// What is stated, if it is signed and these are the sets that are meant.
    pub(crate) fn verify(keys: &KeyLog, stated: &Stated) -> Result<Self, &'static str> {
        let statement = Statement::verify(keys, &stated.statement.0);
        let Statement {
            log,
            size,
            audience,
            sets,
        } = statement.map_err(|_| "does not verify")?;
        let runs = [&stated.withheld, &stated.deferred, &stated.partial];
        if runs.map(|runs| positions::hash(runs)) != sets.map(Some) {
            return Err("is about other positions");
        }
        let union = |sets: &[&Vec<Span>]| {
            let mut all: Vec<_> = sets.iter().flat_map(|set| set.iter().copied()).collect();
            all.sort_unstable();
            all
        };
        let (hidden, all) = (union(&runs[..2]), union(&runs));
        let is_apart = all.windows(2).all(|pair| pair[0].1 <= pair[1].0);
        if !is_apart || all.last().is_some_and(|last| last.1 > size) {
            return Err("has sets that overlap, or go beyond its size");
        }
        Ok(Self {
            log,
            audience,
            hidden,
            all,
        })
    }

    /// The first positions of some runs, of which nothing is held, that it does not account for, run by run.
    pub(crate) fn uncovered(&self, runs: &[Span]) -> Vec<Span> {
        runs.iter()
            .flat_map(|run| less(*run, &self.hidden))
            .collect()
    }

    /// Whether all positions of a run, of which a part is held, are in it.
    pub(crate) fn covers_part(&self, run: &Span) -> bool {
        less(*run, &self.all).is_empty()
    }
}

/// What of a run is in none of others, which ascend and have nothing in common.
fn less(run: Span, others: &[Span]) -> Vec<Span> {
    let (mut at, mut left) = (run.0, Vec::new());
    for Span(from, until) in others {
        if *until <= at {
            continue;
        }
        if *from >= run.1 {
            break;
        }
        if at < *from {
            left.push(Span(at, *from));
        }
        at = *until;
    }
    if at < run.1 {
        left.push(Span(at, run.1));
    }
    left
}
