//! Strategies as a policy file has them: one of this crate's, under a key for the router.

use crate::context::SyncContextKey;
use crate::context::SyncMode;
use crate::model::SyncStrategy;
use crate::strategies::BidirectionalSyncStrategy;
use crate::strategies::EventDrivenSyncStrategy;
use crate::strategies::EventTrigger;
use crate::strategies::Manner;
use crate::strategies::PullSyncStrategy;
use crate::strategies::PushSyncStrategy;

/// A `[[strategy]]` of a policy file.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfiguredStrategy {
    pub(crate) line: usize,
    pub(crate) key: SyncContextKey,
    pub(crate) strategy: Configured,
}

/// Which of this crate's strategies it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Configured {
    Bidirectional(BidirectionalSyncStrategy),
    EventDriven(EventDrivenSyncStrategy),
    Pull(PullSyncStrategy),
    Push(PushSyncStrategy),
}

impl ConfiguredStrategy {
    /// What it is called.
    pub fn name(&self) -> &str {
        &self.manner().id
    }

    /// The line of the file in which it begins.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The contexts that it is for.
    pub fn key(&self) -> &SyncContextKey {
        &self.key
    }

    /// How facts travel by it.
    pub fn mode(&self) -> SyncMode {
        match self.strategy {
            Configured::Bidirectional(_) => SyncMode::Bidirectional,
            Configured::EventDriven(_) => SyncMode::EventDriven,
            Configured::Pull(_) => SyncMode::Pull,
            Configured::Push(_) => SyncMode::Push,
        }
    }

    /// What it waits for, if it is event-driven.
    pub fn triggers(&self) -> &[EventTrigger] {
        match &self.strategy {
            Configured::EventDriven(strategy) => &strategy.triggers,
            _ => &[],
        }
    }

    /// What it moves and how it goes about failures.
    pub fn manner(&self) -> &Manner {
        match &self.strategy {
            Configured::Bidirectional(strategy) => &strategy.manner,
            Configured::EventDriven(strategy) => &strategy.manner,
            Configured::Pull(strategy) => &strategy.manner,
            Configured::Push(strategy) => &strategy.manner,
        }
    }

    /// The strategy itself.
    pub fn strategy(&self) -> &dyn SyncStrategy {
        match &self.strategy {
            Configured::Bidirectional(strategy) => strategy,
            Configured::EventDriven(strategy) => strategy,
            Configured::Pull(strategy) => strategy,
            Configured::Push(strategy) => strategy,
        }
    }

    /// The strategy, for a router.
    pub(crate) fn to_box(&self) -> Box<dyn SyncStrategy> {
        match self.strategy.clone() {
            Configured::Bidirectional(strategy) => Box::new(strategy),
            Configured::EventDriven(strategy) => Box::new(strategy),
            Configured::Pull(strategy) => Box::new(strategy),
            Configured::Push(strategy) => Box::new(strategy),
        }
    }
}
