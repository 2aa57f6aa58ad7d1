//! Worlds of a few seeds, every scenario, and whether equal seeds run alike.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::{Command, Output};

use causality_sim::run::{self, Outcome, plan};
use causality_sim::scenario::{Options, SCENARIOS, Scenario};
use causality_sim::{Happening, Mode};

fn check(seed: u64) -> Outcome {
    let outcome = run::seed(seed, |_| {}).unwrap();
    let story = outcome.story.join("\n");
    assert_eq!(outcome.failure, None, "seed {seed}\n{story}");
    outcome
}

/// The first so many seeds of a mode.
fn seeds_of(mode: Mode, count: usize) -> impl Iterator<Item = u64> {
    let of_mode = move |seed: &u64| plan(*seed).mode == mode;
    (0..).filter(of_mode).take(count)
}

#[test]
fn worlds_in_which_everything_goes_wrong_keep_their_promises() {
    for seed in seeds_of(Mode::Safety, 3) {
        let outcome = check(seed);
        assert!(outcome.happened.values().sum::<u64>() > 100, "seed {seed}");
        assert!(outcome.fingerprint.datagrams > 1_000, "seed {seed}");
    }
}

#[test]
fn worlds_that_are_healed_agree() {
    for seed in seeds_of(Mode::Liveness, 3) {
        let outcome = check(seed);
        assert!(outcome.agreed_after.is_some(), "seed {seed}");
        assert_eq!(outcome.happened.get(&Happening::BackupSlippedIn), None);
    }
}

fn tell(name: &str) {
    let options = Options {
        seed: 1,
        power_cuts: 40,
        print: |_| {},
    };
    Scenario::named(name).unwrap().run(&options).unwrap();
}

macro_rules! stories {
    ($($test:ident: $name:literal;)+) => {
        $(
            #[test]
            fn $test() {
                tell($name);
            }
        )+

        #[test]
        fn every_story_is_told_here() {
            let told = [$($name),+];
            for scenario in SCENARIOS {
                assert!(told.contains(&scenario.name), "{}", scenario.name);
            }
        }
    };
}

stories! {
    a_store_that_was_set_back_is_noticed_at_first_contact: "backup-slipped-in";
    a_lane_is_given_up_although_the_disk_fails: "stopped-without-a-note";
    a_fork_after_a_rollback_is_noticed: "fork-after-rollback";
    a_restored_node_writes_to_another_lane: "backup-restored";
    a_transfer_goes_on_behind_a_partition: "partition-in-catch-up";
    frames_that_come_a_second_time_are_not_taken: "frames-repeated";
    a_failing_disk_acknowledges_nothing_and_loses_nothing: "disk-fails";
    a_full_disk_refuses_until_there_is_room: "disk-full";
    power_cuts_lose_nothing_acknowledged: "power-cuts";
    a_disk_that_lies_about_syncing_is_found_out: "lying-fsync";
    an_embargo_ends_at_its_moment_without_a_new_rule: "embargo-ends";
    an_embargo_that_ended_in_a_partition_is_over_behind_it: "embargo-ends-apart";
    what_an_origin_keeps_back_a_relay_may_give_later: "relay-permitted";
    what_a_relay_gets_later_it_passes_on: "relay-filled";
}

fn program(words: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_causality-sim"))
        .args(words.split_whitespace())
        .env_remove("RUST_LOG")
        .output()
        .unwrap()
}

#[test]
fn equal_seeds_run_alike_in_two_processes_and_others_do_not() {
    let said = String::from_utf8(program("--seeds 0..4 --twice").stdout).unwrap();
    assert_eq!(said, "4 worlds ran alike in two processes\n");
    let hash = |seed| {
        let said = String::from_utf8(program(seed).stdout).unwrap();
        said.split(' ').nth(2).map(str::to_owned).unwrap()
    };
    assert_ne!(hash("--seed 0"), hash("--seed 1"));
}

#[test]
fn wrong_usage_is_told_apart_from_failure() {
    for (words, code) in [
        ("--seeds 1", 2),
        ("--seed 1 --seeds 0..1", 2),
        ("--twice", 2),
        ("--history x", 2),
        ("--scenario no-such-story", 1),
        ("", 1),
    ] {
        assert_eq!(program(words).status.code(), Some(code), "{words}");
    }
}
