//! Stories with names: faults that are worth telling one by one, each with what has to come of it.

mod backups;
mod disks;
mod rules;
mod sessions;
mod words;

use anyhow::Result;

use words::tell;

/// A story.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Scenario {
    /// What it is called.
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    run: fn(&Options) -> Result<String>,
}

/// How a story is told.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a caller states all of it")]
pub struct Options {
    /// Everything random follows from it.
    pub seed: u64,
    /// How often the power is cut in the story that is about that.
    pub power_cuts: u32,
    /// Gets each line of what happens.
    pub print: fn(&str),
}

impl Scenario {
    /// Tells the story; what it came to, in a sentence.
    ///
    /// # Errors
    ///
    /// When it does not end as it has to.
    pub fn run(&self, options: &Options) -> Result<String> {
        (self.run)(options)
    }

    /// The story of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }
}

/// All stories.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "backup-slipped-in",
        about: "a store set back behind the node's back is noticed at first contact, and no log forks",
        run: |options| tell(options, options.seed, backups::backup_slipped_in),
    },
    Scenario {
        name: "stopped-without-a-note",
        about: "a node that was set back and cannot write that down remembers it, and says so once it can",
        run: |options| tell(options, options.seed, backups::stopped_without_a_note),
    },
    Scenario {
        name: "fork-after-rollback",
        about: "a node that was set back and writes before anybody can tell it forks its lane, and that is noticed",
        run: backups::fork_after_rollback,
    },
    Scenario {
        name: "backup-restored",
        about: "a node restored from an old backup writes to another lane, and gets back what others hold",
        run: |options| tell(options, options.seed, backups::backup_restored),
    },
    Scenario {
        name: "partition-in-catch-up",
        about: "a transfer that a partition interrupts goes on where it was",
        run: |options| tell(options, options.seed, sessions::partition_in_catch_up),
    },
    Scenario {
        name: "frames-repeated",
        about: "frames that come a second time end the session, change nothing, and the next session goes on",
        run: |options| tell(options, options.seed, sessions::frames_repeated),
    },
    Scenario {
        name: "disk-fails",
        about: "while a disk does not answer nothing is acknowledged, and afterwards nothing is missing",
        run: |options| tell(options, options.seed, disks::disk_fails),
    },
    Scenario {
        name: "disk-full",
        about: "a full disk refuses appends, and takes them again once there is room",
        run: |options| tell(options, options.seed, disks::disk_full),
    },
    Scenario {
        name: "power-cuts",
        about: "power cuts in the middle of appending, receiving, merging and backing up lose nothing acknowledged",
        run: disks::power_cuts,
    },
    Scenario {
        name: "lying-fsync",
        about: "the control: a disk that acknowledges syncs and forgets them is found out",
        run: disks::lying_fsync,
    },
    Scenario {
        name: "embargo-ends",
        about: "what a rule keeps back until a moment comes when the moment does, without any new rule, and not before",
        run: |options| tell(options, options.seed, rules::embargo_ends),
    },
    Scenario {
        name: "embargo-ends-apart",
        about: "the same, when the two cannot reach each other at that moment",
        run: |options| tell(options, options.seed, rules::embargo_ends_apart),
    },
    Scenario {
        name: "relay-permitted",
        about: "what its origin keeps back from somebody comes once a relay may pass it on, over a bad line and power cuts",
        run: |options| tell(options, options.seed, rules::relay_permitted),
    },
    Scenario {
        name: "relay-filled",
        about: "what a relay did not have comes once it has it, over a bad line and power cuts",
        run: |options| tell(options, options.seed, rules::relay_filled),
    },
];
