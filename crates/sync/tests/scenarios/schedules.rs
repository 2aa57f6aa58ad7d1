//! Random worlds: whatever the order of what happens, everybody ends with the same, and nothing is sent twice.

use causality_fact::BLOCK_LEAVES;
use causality_sync::{Event, LogError, SyncError};
use causality_wire::RefusalReason;
use proptest::prelude::*;

use crate::world::{PUBLIC, World, draft, large_draft};

/// Sizes around the borders of blocks, and small ones.
fn size() -> impl Strategy<Value = u64> {
    let border = BLOCK_LEAVES;
    prop_oneof![
        Just(0),
        Just(1),
        2_u64..200,
        Just(border - 1),
        Just(border),
        Just(border + 1),
        Just(2 * border),
        Just(2 * border + 1),
    ]
}

/// One thing that happens in a world of three.
#[derive(Clone, Copy, Debug)]
enum Act {
    Append(usize, u64),
    AppendLarge(usize),
    Connect(usize, usize),
    /// What the first gives to and takes from the second.
    Grant(usize, usize, [bool; 2]),
    HangUp,
    Restart(usize),
    FailCommit(usize),
    Round(usize),
    Steps(u16),
}

fn act() -> impl Strategy<Value = Act> {
    let domain = 0_usize..3;
    prop_oneof![
        4 => (domain.clone(), 1_u64..300).prop_map(|(d, count)| Act::Append(d, count)),
        1 => domain.clone().prop_map(Act::AppendLarge),
        3 => (domain.clone(), 1_usize..3).prop_map(|(d, by)| Act::Connect(d, (d + by) % 3)),
        1 => (domain.clone(), 1_usize..3, any::<[bool; 2]>())
            .prop_map(|(d, by, grants)| Act::Grant(d, (d + by) % 3, grants)),
        1 => Just(Act::HangUp),
        1 => domain.clone().prop_map(Act::Restart),
        1 => domain.clone().prop_map(Act::FailCommit),
        3 => domain.prop_map(Act::Round),
        6 => (0_u16..400).prop_map(Act::Steps),
    ]
}

fn perform(world: &mut World, acts: &[Act]) {
    let mut sessions = Vec::new();
    for act in acts {
        match *act {
            Act::Append(domain, count) => {
                let drafts = (0..count).map(draft).collect();
                world.begin_append(domain, PUBLIC, drafts);
            }
            Act::AppendLarge(domain) => {
                let drafts = (0..20).map(|n| large_draft(n, 59_000)).collect();
                world.begin_append(domain, PUBLIC, drafts);
            }
            Act::Connect(dialer, acceptor) => {
                let session = world.connect(dialer, acceptor);
                world.start_round(dialer, session);
                sessions.push((session, [dialer, acceptor]));
            }
            Act::Grant(domain, peer, ways) => {
                let [send, receive] = ways.map(|is_open| if is_open { &[PUBLIC][..] } else { &[] });
                world.grant(domain, peer, send, receive);
            }
            Act::HangUp => {
                if let Some((session, _)) = sessions.pop() {
                    world.hang_up(session);
                }
            }
            Act::Restart(domain) => world.restart(domain),
            Act::FailCommit(domain) => world.domains[domain].commits_left = Some(2),
            Act::Round(domain) => {
                for (session, ends) in &sessions {
                    if ends.contains(&domain) && world.is_open(*session) {
                        world.start_round(domain, *session);
                    }
                }
            }
            Act::Steps(count) => world.take_steps(count.into()),
        }
    }
}

/// What a domain met that honest domains never give each other cause for. Lost connections are none, nor are facts that
/// were on their way when a grant was withdrawn.
fn faults(world: &World, domain: usize) -> impl Iterator<Item = (usize, &Event)> {
    let is_fault = |event: &&Event| match event {
        Event::Ended { error, .. } => !matches!(error, None | Some(SyncError::Closed)),
        Event::Declined { reason, .. } => *reason != RefusalReason::Policy,
        Event::Refused { error, .. } => *error != LogError::NotGranted,
        Event::Forked { .. } | Event::LaneAhead { .. } => true,
        _ => false,
    };
    let events = world.domains[domain].events.iter();
    events.filter(is_fault).map(move |event| (domain, event))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn two_domains_end_equal_and_nothing_is_sent_twice(
        sizes in [size(), size()],
        more in [size(), size()],
        one_by_one in 0_u64..20,
        seed in any::<u64>(),
    ) {
        let mut world = World::new(2, seed);
        for domain in [0, 1] {
            world.append_many(domain, sizes[domain]);
        }
        let session = world.connect(0, 1);
        let requests = [world.start_round(0, session), world.start_round(1, session)];
        for domain in [0, 1] {
            for number in 0..one_by_one {
                world.begin_append(domain, PUBLIC, vec![draft(number)]);
                world.step();
            }
            if more[domain] > 0 {
                let drafts = (0..more[domain]).map(draft).collect::<Vec<_>>();
                for drafts in drafts.chunks(8192) {
                    world.begin_append(domain, PUBLIC, drafts.to_vec());
                }
            }
        }
        world.run();
        prop_assert!(world.is_open(session));
        prop_assert!(world.report(0, requests[0]).is_some());
        prop_assert!(world.report(1, requests[1]).is_some());
        world.assert_equal();
        for domain in [0, 1] {
            let total = sizes[domain] + more[domain] + one_by_one;
            prop_assert_eq!(world.rows(domain, 1 - domain), total);
        }
    }

    #[test]
    fn three_domains_end_equal_whatever_happens_in_between(
        acts in prop::collection::vec(act(), 1..40),
        seed in any::<u64>(),
    ) {
        let mut world = World::new(3, seed);
        perform(&mut world, &acts);
        world.run();
        for domain in 0..3 {
            world.domains[domain].commits_left = None;
            for peer in (0..3).filter(|peer| *peer != domain) {
                world.grant(domain, peer, &[PUBLIC], &[PUBLIC]);
            }
        }
        world.run();
        for (one, other) in [(0, 1), (1, 2), (2, 0), (0, 1), (1, 2)] {
            world.sync(one, other);
        }
        world.assert_equal();
        let before = world.rows.clone();
        world.sync(0, 1);
        prop_assert_eq!(before, world.rows.clone());
        let faults: Vec<_> = (0..3).flat_map(|domain| faults(&world, domain)).collect();
        prop_assert!(faults.is_empty(), "{faults:#?}");
        for domain in 0..3 {
            world.restart(domain);
        }
        world.assert_equal();
    }
}
