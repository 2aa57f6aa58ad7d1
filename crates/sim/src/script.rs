//! What is done to a world, and when: drawn from a seed before it begins.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use crate::clock::Rate;
use crate::disk::DiskState;
use crate::link::{Conditions, PerMille};
use crate::world::{Plan, Sharing};

/// One of a world's machines, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "any number is one")]
pub struct Index(pub usize);

/// Something done to a world.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "what a script can do")]
pub enum Action {
    /// Copies the store, if the node runs.
    Backup(Index),
    /// Starts the node, unless it runs.
    Boot(Index),
    /// Changes the rules of one about another: to what, the number decides.
    ChangeRules(Index, Index, u64),
    /// Changes how fast the clock goes.
    ClockRate(Index, Rate),
    /// Sets the clock so many milliseconds forwards or back.
    ClockJump(Index, i64),
    /// Cuts the power: at once, or in the middle of the operation of the disk after so many.
    CutPower(Index, Option<u64>),
    /// Changes how the disk answers.
    Disk(Index, DiskState),
    /// Writes down what the node holds and what it says of that, if it runs.
    Dump(Index),
    /// Takes each from the other's list of peers.
    DropPeers(Index, Index),
    /// Puts each on the other's list of peers again.
    KnowPeers(Index, Index),
    /// Changes how the link from one machine to another behaves; the way back is another link.
    Link(Index, Index, Conditions),
    /// Lets the next frames that the node sends on a feed go out twice.
    RepeatFrames(Index),
    /// Puts the last backup in place of the store, as the program does.
    Restore(Index),
    /// Puts the file of the last backup in place of the store, which nobody tells the node.
    SlipIn(Index),
    /// Lets each operation of the store take so much longer.
    SlowDisk(Index, Duration),
    /// Stops the node in good order.
    Stop(Index),
}

/// Actions with their times, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script(Vec<(Duration, Action)>);

/// What a script may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are two modes")]
pub enum Mode {
    /// Everything that mends itself or can be mended; afterwards the world is healed, and has to agree.
    Liveness,
    /// Everything, up to the end.
    Safety,
}

impl Script {
    /// A random script for so many machines over so long.
    pub fn random(plan: &Plan, length: Duration) -> Self {
        let mut writer = Writer {
            random: ChaCha8Rng::seed_from_u64(plan.seed ^ SCRIPT_SEEDS),
            machines: plan.domains,
            script: Vec::new(),
        };
        let mut at = Duration::from_secs(1);
        while at < length {
            writer.fault(at, plan.mode);
            if plan.sharing == Sharing::Rules && writer.below(3) == 0 {
                let (from, to) = (writer.machine(), writer.machine());
                let seed = writer.random.next_u64();
                writer.add(at, Action::ChangeRules(from, to, seed));
            }
            if writer.below(DUMPED_AMONG) == 0 {
                let machine = writer.machine();
                writer.add(at, Action::Dump(machine));
            }
            at += writer.between(200, 1_800);
        }
        writer.script.sort_by_key(|(at, _)| *at);
        Self(writer.script)
    }

    /// The actions.
    pub fn into_actions(self) -> Vec<(Duration, Action)> {
        self.0
    }
}

struct Writer {
    random: ChaCha8Rng,
    machines: usize,
    script: Vec<(Duration, Action)>,
}

impl Writer {
    /// Writes one fault, and when it ends.
    fn fault(&mut self, at: Duration, mode: Mode) {
        let machine = self.machine();
        let until = at + self.between(500, 9_000);
        match self.below(25) {
            0..=5 => self.weather(at, until),
            6 | 7 => self.partition(at, until),
            8 => self.add(at, Action::CutPower(machine, None)),
            9..=11 => {
                let operations = self.below(400);
                self.add(at, Action::CutPower(machine, Some(operations)));
            }
            12 => {
                self.add(at, Action::Stop(machine));
                self.add(until, Action::Boot(machine));
            }
            13 | 14 => {
                let delay = self.between(20, 900);
                self.add(at, Action::SlowDisk(machine, delay));
                self.add(until, Action::SlowDisk(machine, Duration::ZERO));
            }
            15 => {
                self.add(at, Action::Disk(machine, DiskState::Full));
                self.add(until, Action::Disk(machine, DiskState::Good));
            }
            16 => {
                self.add(at, Action::Disk(machine, DiskState::Failing));
                self.add(until, Action::Disk(machine, DiskState::Good));
            }
            17 => {
                let rate = [Rate(900_000), Rate(1_200_000), Rate::STOPPED];
                let rate = rate[self.below(3) as usize];
                self.add(at, Action::ClockRate(machine, rate));
                self.add(until, Action::ClockRate(machine, Rate::RIGHT));
            }
            18 => {
                let by = self.below(7_200_000) as i64 - 3_600_000;
                self.add(at, Action::ClockJump(machine, by));
            }
            19 => {
                let other = self.machine();
                self.add(at, Action::DropPeers(machine, other));
                self.add(until, Action::KnowPeers(machine, other));
            }
            20..=22 => self.add(at, Action::Backup(machine)),
            23 => self.add(at, Action::RepeatFrames(machine)),
            _ if mode == Mode::Safety && self.below(2) == 0 => {
                self.add(at, Action::SlipIn(machine));
            }
            _ => self.add(at, Action::Restore(machine)),
        }
    }

    /// Bad weather on one link, or on all links of one machine.
    fn weather(&mut self, at: Duration, until: Duration) {
        let conditions = Conditions {
            latency: self.between(1, 300),
            jitter: self.between(0, 100),
            loss: self.chance(250),
            duplication: self.chance(150),
            reordering: self.chance(300),
            corruption: self.chance(100),
            bytes_per_second: (self.below(3) == 0).then(|| 2_000 + self.below(100_000)),
            is_cut: false,
        };
        let machine = self.machine();
        let others = self.others(machine);
        let only = self.below(2 * others.len() as u64) as usize;
        for (number, other) in others.iter().enumerate() {
            if only >= others.len() || only == number {
                self.link(at, until, (machine, *other), conditions);
                self.link(at, until, (*other, machine), conditions);
            }
        }
    }

    /// Cuts one machine off: both ways, or only what it sends, or only what it is sent.
    fn partition(&mut self, at: Duration, until: Duration) {
        let cut = Conditions {
            is_cut: true,
            ..Conditions::GOOD
        };
        let (machine, way) = (self.machine(), self.below(4));
        for other in self.others(machine) {
            if way != 1 {
                self.link(at, until, (machine, other), cut);
            }
            if way != 2 {
                self.link(at, until, (other, machine), cut);
            }
        }
    }

    fn link(
        &mut self,
        at: Duration,
        until: Duration,
        (from, to): (Index, Index),
        conditions: Conditions,
    ) {
        self.add(at, Action::Link(from, to, conditions));
        self.add(until, Action::Link(from, to, Conditions::GOOD));
    }

    fn add(&mut self, at: Duration, action: Action) {
        self.script.push((at, action));
    }

    fn machine(&mut self) -> Index {
        Index(self.below(self.machines as u64) as usize)
    }

    fn others(&self, machine: Index) -> Vec<Index> {
        let all = (0..self.machines).map(Index);
        all.filter(|other| *other != machine).collect()
    }

    /// Half of the time nothing, else up to so much.
    fn chance(&mut self, most: u64) -> PerMille {
        let chance = self.below(2) * self.below(most);
        PerMille(chance as u32)
    }

    fn between(&mut self, least_ms: u64, most_ms: u64) -> Duration {
        Duration::from_millis(least_ms + self.below(most_ms - least_ms))
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random.next_u64() % limit
    }
}

/// After one of so many faults it is looked what somebody holds.
const DUMPED_AMONG: u64 = 6;

/// Scripts draw from other seeds than the worlds that they are for.
const SCRIPT_SEEDS: u64 = 0x5c81_97a2_0000_0000;

#[cfg(test)]
mod tests {
    use super::*;

    use crate::run;

    fn script(seed: u64, mode: Mode, sharing: Sharing) -> Script {
        let plan = Plan {
            mode,
            sharing,
            ..run::plan(seed)
        };
        Script::random(&plan, Duration::from_secs(60))
    }

    #[test]
    fn scripts_are_in_order_and_follow_their_seeds() {
        let script = |seed| script(seed, Mode::Safety, Sharing::Circles);
        let actions = script(1).into_actions();
        assert!(actions.len() > 60, "{}", actions.len());
        assert!(actions.is_sorted_by_key(|(at, _)| *at));
        assert_eq!(script(1), script(1));
        assert_ne!(script(1), script(2));
    }

    #[test]
    fn only_safety_slips_backups_in() {
        let slips = |mode| {
            let scripts = (0..50).map(|seed| script(seed, mode, Sharing::Circles));
            let actions = scripts.flat_map(Script::into_actions);
            actions
                .filter(|(_, action)| matches!(action, Action::SlipIn(_)))
                .count()
        };
        assert_eq!(slips(Mode::Liveness), 0);
        assert!(slips(Mode::Safety) > 0);
    }
}
