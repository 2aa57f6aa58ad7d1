//! Volumes: which rule a fact counts against, and for how long.

use super::*;

fn limited(name: &str, facts: u64) -> String {
    rule(
        "out",
        name,
        &format!("volume = {{ facts = {facts}, bytes = 1000, seconds = 1 }}"),
    )
}

/// Counts a fact of ten bytes.
fn count(meters: &mut Meters, policy: &PeerPolicy, now_ms: u64) -> Result<(), u64> {
    match decide(policy, &fact(|_| ()), now_ms) {
        Decision::Share(share) => meters.count(&share, now_ms, 10),
        Decision::Refuse { reason, .. } => panic!("{reason}"),
    }
}

fn named<'a>(policies: &'a PeerPolicy, name: &str) -> &'a SyncPolicy {
    let mut limited = policies.limited();
    limited.find(|policy| policy.name() == name).unwrap()
}

#[test]
fn a_fact_counts_against_the_first_rule_that_has_room() {
    let policy = policy(&(limited("a", 1) + &limited("b", 2)));
    let mut meters = Meters::default();
    assert_eq!(count(&mut meters, &policy, 5), Ok(()));
    assert_eq!(meters.used_up_until(named(&policy, "a"), 5), Some(1_005));
    assert_eq!(count(&mut meters, &policy, 6), Ok(()));
    assert_eq!(meters.used_up_until(named(&policy, "b"), 6), None);
    assert_eq!(count(&mut meters, &policy, 7), Ok(()));
    assert_eq!(meters.used_up_until(named(&policy, "b"), 7), Some(1_006));
    // The first of the two that has room again says when.
    assert_eq!(count(&mut meters, &policy, 8), Err(1_005));
    assert_eq!(count(&mut meters, &policy, 1_005), Ok(()));
}

#[test]
fn what_a_rule_without_a_volume_grants_is_not_counted() {
    let policy = policy(&(limited("a", 1) + &rule("out", "all", "")));
    let mut meters = Meters::default();
    for now in 0..5 {
        assert_eq!(count(&mut meters, &policy, now), Ok(()));
    }
    assert_eq!(meters, Meters::default());
}

#[test]
fn meters_outlive_a_policy_and_forget_the_rules_that_are_gone() {
    let old = policy(&(limited("a", 1) + &limited("b", 1)));
    let mut meters = Meters::default();
    assert_eq!(count(&mut meters, &old, 0), Ok(()));
    assert_eq!(count(&mut meters, &old, 0), Ok(()));
    let new = policy(&(limited("c", 1) + &limited("b", 1)));
    meters.retain(&new);
    assert_eq!(meters.used_up_until(named(&old, "a"), 0), None);
    assert_eq!(meters.used_up_until(named(&new, "b"), 0), Some(1_000));
    assert_eq!(count(&mut meters, &new, 0), Ok(()));
    assert_eq!(count(&mut meters, &new, 0), Err(1_000));
    meters.retain(&policy(&rule("out", "b", "")));
    assert_eq!(meters, Meters::default());
}
