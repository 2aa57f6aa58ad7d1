//! Positions without a gap, times that increase, epochs that do not decrease.

use std::collections::BTreeMap;

use super::Rule;
use crate::dump::{HeldLog, HeldRow};
use crate::findings::Findings;
use crate::id::LogId;
use crate::keys::Checkpoint;
use crate::world::{Moment, NodeId, Observation, World};

#[derive(Debug, Default)]
pub(super) struct LaneInOrder {
    /// What was signed of each size of a log, each once.
    signed: BTreeMap<LogId, BTreeMap<(u64, u64, u64), Held>>,
}

/// Who held a checkpoint first.
#[derive(Debug, Clone, Copy)]
struct Held {
    node: NodeId,
    when: Moment,
}

impl Rule for LaneInOrder {
    fn observe(&mut self, world: &World, seen: &Observation<'_>, found: &mut Findings) {
        match seen {
            Observation::Row(row) => check_time(world, row, found),
            Observation::Log(held) => self.check_log(world, held, found),
            Observation::End => self.check_checkpoints(world, found),
            _ => {}
        }
    }
}

fn check_time(world: &World, row: &HeldRow, found: &mut Findings) {
    let time = row.read.and_then(|read| read.ok()?.time);
    if let Some(time) = time.filter(|time| *time <= row.after) {
        let sentence = format!(
            "{}, {}: the time at {} is {time}, not after {}",
            world.name(row.node),
            world.now,
            row.place,
            row.after
        );
        found.add(world, &[row.node], sentence);
    }
}

impl LaneInOrder {
    fn check_log(&mut self, world: &World, held: &HeldLog, found: &mut Findings) {
        let (name, log) = (world.name(held.node), held.log.short());
        if let Some((from, to)) = held.gap {
            let sentence = format!(
                "{name}, {}: positions {from} to {} of {log} are missing below others",
                world.now,
                to - 1
            );
            found.add(world, &[held.node], sentence);
        }
        let Some(Ok(checkpoint)) = &held.proof.checkpoint else {
            return;
        };
        let Checkpoint {
            size, epoch, time, ..
        } = *checkpoint;
        if time < held.last_time {
            let sentence = format!(
                "{name}, {}: {log} has a fact of time {}, and was signed at {time}",
                world.now, held.last_time
            );
            found.add(world, &[held.node], sentence);
        }
        let signed = self.signed.entry(checkpoint.log).or_default();
        signed.entry((size, epoch, time)).or_insert(Held {
            node: held.node,
            when: world.now,
        });
    }

    /// At the end, as a log that was set back and written again has two orders, which only later lines tell.
    fn check_checkpoints(&self, world: &World, found: &mut Findings) {
        let has_one_order = |log: &LogId| !world.is_split(log) && !world.writer_was_restored(log);
        for (log, signed) in self.signed.iter().filter(|(log, _)| has_one_order(log)) {
            let mut smaller = Latest::default();
            let mut same = Latest::default();
            for ((size, epoch, time), held) in signed {
                if *size > same.size {
                    smaller.take(same);
                }
                if *epoch < smaller.epoch || *time < smaller.time {
                    let sentence = format!(
                        "{} held {}, at size {size}, a checkpoint of {} of epoch {epoch} and time {time}, after one of a smaller size, epoch {} and time {}",
                        world.name(held.node),
                        held.when,
                        log.short(),
                        smaller.epoch,
                        smaller.time
                    );
                    found.add(world, &[held.node], sentence);
                }
                same.take(Latest {
                    size: *size,
                    epoch: *epoch,
                    time: *time,
                });
            }
        }
    }
}

/// The highest of each.
#[derive(Debug, Default, Clone, Copy)]
struct Latest {
    size: u64,
    epoch: u64,
    time: u64,
}

impl Latest {
    fn take(&mut self, other: Self) {
        self.size = self.size.max(other.size);
        self.epoch = self.epoch.max(other.epoch);
        self.time = self.time.max(other.time);
    }
}
