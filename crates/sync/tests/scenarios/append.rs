//! Appending: drafts become facts, once, in their order, with what they replace.

use causality_fact::{
    ContentError, FACT_BYTES_MAX, FIELDS_MAX, FactId, REQUIRES_MAX, SUPERSEDES_MAX,
    TooManyReferences, ValidTime, Value,
};
use causality_store::{FactReader as _, Mark};
use causality_sync::AppendOutcome::{Added, AlreadyThere};
use causality_sync::{
    APPEND_BYTES_MAX, AppendError, Appended, DRAFTS_MAX, Draft, DraftError, NAME_BYTES_MAX,
    ReadContext, Reference, Supersedes,
};

use crate::domain::now;
use crate::world::{PUBLIC, World, draft, large_draft};

fn refused(world: &mut World, compartment: &str, drafts: Vec<Draft>) -> AppendError {
    let request = world.begin_append(0, compartment, drafts);
    world.run();
    let error = world.appended(0, request).unwrap_err();
    assert_eq!(world.engine(0).logs().count(), 0);
    assert!(now(world.domains[0].store.logs()).unwrap().is_empty());
    error
}

fn refused_draft(drafts: Vec<Draft>) -> (usize, DraftError) {
    match refused(&mut World::new(1, 1), PUBLIC, drafts) {
        AppendError::Draft { index, error } => (index, error),
        other => panic!("{other:?}"),
    }
}

fn ids(appended: &[Appended]) -> Vec<FactId> {
    appended.iter().map(|one| one.id).collect()
}

/// A statement about one thing.
fn about(resource: &str) -> Draft {
    Draft::new("state_change".parse().unwrap(), resource.parse().unwrap())
}

#[test]
fn an_append_has_at_most_so_many_drafts() {
    let mut world = World::new(1, 1);
    let drafts = (0..DRAFTS_MAX as u64).map(draft).collect();
    assert_eq!(world.append(0, drafts).len(), DRAFTS_MAX);
    let mut world = World::new(1, 1);
    let drafts = (0..=DRAFTS_MAX as u64).map(draft).collect();
    let error = refused(&mut world, PUBLIC, drafts);
    assert_eq!(error, AppendError::TooMany(DRAFTS_MAX + 1));
    assert!(world.append(0, Vec::new()).is_empty());
}

#[test]
fn an_append_has_at_most_so_many_bytes() {
    let fit = APPEND_BYTES_MAX / 59_100;
    let drafts = |count: usize| (0..count as u64).map(|n| large_draft(n, 59_000)).collect();
    assert_eq!(World::new(1, 1).append(0, drafts(fit)).len(), fit);
    let mut world = World::new(1, 1);
    let AppendError::TooLarge(bytes) = refused(&mut world, PUBLIC, drafts(fit + 5)) else {
        panic!()
    };
    assert!(bytes > APPEND_BYTES_MAX);
    // It has taken no place in the lane, and no mark or head was kept.
    world.append(0, vec![large_draft(0, 10)]);
    assert_eq!(world.count(0), 1);
}

#[test]
fn a_compartment_has_a_printable_name_of_bounded_length() {
    let longest = "x".repeat(NAME_BYTES_MAX);
    World::new(1, 1).append_to(0, &longest, vec![draft(1)]);
    for name in ["", "a\nb", &"x".repeat(NAME_BYTES_MAX + 1)] {
        let error = refused(&mut World::new(1, 1), name, vec![draft(1)]);
        assert_eq!(error, AppendError::CompartmentName(name.to_owned()));
    }
}

#[test]
fn a_draft_that_cannot_be_a_fact_is_named_and_nothing_is_written() {
    let mut many = draft(1);
    many.content = (0..=FIELDS_MAX)
        .map(|n| (format!("f{n}"), Value::Null))
        .collect();
    let (index, error) = refused_draft(vec![draft(0), many]);
    assert_eq!(index, 1);
    assert!(
        matches!(error, DraftError::Content(ContentError::TooManyFields(_))),
        "{error:?}"
    );

    let (index, error) = refused_draft(vec![large_draft(1, FACT_BYTES_MAX)]);
    assert_eq!(index, 0);
    assert!(matches!(error, DraftError::TooLarge(_)), "{error:?}");

    let mut unknown = draft(2);
    unknown.requires = vec![Reference::Earlier(2)];
    assert_eq!(
        refused_draft(vec![draft(0), draft(1), unknown.clone()]),
        (2, DraftError::NotEarlier(2))
    );
    unknown.supersedes = Supersedes::Exactly(vec![Reference::Earlier(7)]);
    assert_eq!(refused_draft(vec![unknown]), (0, DraftError::NotEarlier(7)));
}

#[test]
fn references_have_limits() {
    let fact = |n: usize| {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&(n as u64).to_le_bytes());
        Reference::Fact(FactId::new(id))
    };
    let mut causes = draft(1);
    causes.requires = (0..REQUIRES_MAX).map(fact).collect();
    World::new(1, 1).append(0, vec![causes.clone()]);
    causes.requires = (0..=REQUIRES_MAX).map(fact).collect();
    let too_many = |actual, limit| DraftError::References(TooManyReferences { actual, limit });
    let (_, error) = refused_draft(vec![causes]);
    assert_eq!(error, too_many(REQUIRES_MAX + 1, REQUIRES_MAX));

    let mut replaces = draft(1);
    replaces.supersedes = Supersedes::Exactly((0..SUPERSEDES_MAX).map(fact).collect());
    World::new(1, 1).append(0, vec![replaces.clone()]);
    replaces.supersedes = Supersedes::Exactly((0..=SUPERSEDES_MAX).map(fact).collect());
    let (_, error) = refused_draft(vec![replaces]);
    assert_eq!(error, too_many(SUPERSEDES_MAX + 1, SUPERSEDES_MAX));
}

#[test]
fn time_goes_on_when_the_clock_does_not_and_ends_once() {
    let mut world = World::new(1, 1);
    world.now_ms = 5_000;
    let first = world.append(0, vec![draft(1)]).remove(0).id;
    world.now_ms = 10;
    let later = ids(&world.append(0, vec![draft(2), draft(3)]));
    let hlc = |world: &World, id| world.core(0, id).hlc;
    assert!(hlc(&world, first) < hlc(&world, later[0]));
    assert!(hlc(&world, later[0]) < hlc(&world, later[1]));
    assert_eq!(hlc(&world, later[1]).millis(), 5_001);
    world.restart(0);
    let next = world.append(0, vec![draft(4)]).remove(0).id;
    assert!(hlc(&world, later[1]) < hlc(&world, next));

    // The last millisecond has 65,536 times, and no more.
    world.now_ms = u64::MAX - 100;
    for start in 0..8 {
        world.append(0, (0..8192).map(|n| draft(start * 8192 + n)).collect());
    }
    let request = world.begin_append(0, PUBLIC, vec![draft(5)]);
    world.run();
    assert_eq!(world.appended(0, request), Err(AppendError::EndOfTime));
    assert_eq!(world.count(0), 4 + 65_536);
}

// Marks.

fn marked(number: u64, mark: u8) -> Draft {
    Draft {
        mark: Some(Mark::new([mark; 16])),
        ..draft(number)
    }
}

#[test]
fn a_draft_with_a_mark_is_appended_once() {
    let mut world = World::new(1, 1);
    let first = world.append(0, vec![marked(1, 1), marked(2, 2)]);
    assert!(first.iter().all(|one| one.outcome == Added));
    let again = world.append(
        0,
        vec![marked(2, 2), marked(3, 3), marked(3, 3), marked(1, 1)],
    );
    let outcomes: Vec<_> = again.iter().map(|one| one.outcome).collect();
    assert_eq!(outcomes, [AlreadyThere, Added, AlreadyThere, AlreadyThere]);
    assert_eq!((again[0].id, again[3].id), (first[1].id, first[0].id));
    assert_eq!(again[1].id, again[2].id);
    world.restart(0);
    let after = world.append(0, vec![marked(1, 1), marked(2, 2), marked(3, 3)]);
    assert!(after.iter().all(|one| one.outcome == AlreadyThere));
    assert_eq!(world.count(0), 3);
}

#[test]
fn a_mark_counts_while_its_fact_is_on_its_way_and_is_answered_when_that_has_arrived() {
    for seed in 0..50 {
        let mut world = World::new(1, seed);
        let requests: Vec<_> = (0..4)
            .map(|number| {
                world.take_steps((seed % 4) as usize);
                world.begin_append(0, PUBLIC, vec![marked(number, 1), marked(number, 2)])
            })
            .collect();
        world.run();
        let answers: Vec<_> = requests
            .iter()
            .map(|request| world.appended(0, *request).unwrap())
            .collect();
        assert!(answers.iter().all(|answer| ids(answer) == ids(&answers[0])));
        assert_eq!(world.count(0), 2);
    }
    // "Already there" is said when it is durable, not before.
    let mut world = World::new(1, 60);
    world.begin_append(0, PUBLIC, vec![marked(1, 1)]);
    world.begin_append(0, PUBLIC, vec![marked(1, 1)]);
    world.run_without_commits(0);
    assert!(world.domains[0].events.is_empty());
    world.run();
}

#[test]
fn an_earlier_draft_that_was_there_already_can_be_referred_to() {
    let mut world = World::new(1, 1);
    let there = world.append(0, vec![marked(1, 1)]).remove(0).id;
    let mut later = draft(2);
    later.requires = vec![Reference::Earlier(0)];
    let appended = world.append(0, vec![marked(1, 1), later]);
    let core = world.core(0, appended[1].id);
    assert_eq!(core.requires.as_slice(), [there]);
}

// What a draft replaces, and what it requires.

#[test]
fn a_draft_replaces_the_own_heads_of_its_key() {
    let mut world = World::new(1, 1);
    let first = world.append(0, vec![about("door/1")]).remove(0).id;
    let both = ids(&world.append(0, vec![about("door/1"), about("door/1")]));
    world.restart(0);
    let last = world.append(0, vec![about("door/1"), about("door/2")]);
    let supersedes = |id| world.core(0, id).supersedes.as_slice().to_vec();
    assert!(supersedes(first).is_empty());
    assert_eq!(supersedes(both[0]), [first]);
    assert_eq!(supersedes(both[1]), [both[0]]);
    assert_eq!(supersedes(last[0].id), [both[1]]);
    assert!(supersedes(last[1].id).is_empty());
}

#[test]
fn heads_of_another_time_are_left_alone() {
    let mut world = World::new(1, 1);
    let during = |from, until| Draft {
        valid: ValidTime::between(from, until),
        ..about("door/1")
    };
    let early = world.append(0, vec![during(0, 10)]).remove(0).id;
    let late = world.append(0, vec![during(10, 20)]).remove(0).id;
    let across = world.append(0, vec![during(5, 15)]).remove(0).id;
    let again = world.append(0, vec![during(0, 5)]).remove(0).id;
    let supersedes = |id| world.core(0, id).supersedes.as_slice().to_vec();
    assert!(supersedes(late).is_empty());
    let mut both = [early, late];
    both.sort();
    assert_eq!(supersedes(across), both);
    assert_eq!(supersedes(again), [early]);
}

#[test]
fn appends_that_overtake_each_other_in_the_store_replace_what_came_before() {
    for seed in 0..30 {
        let mut world = World::new(1, seed);
        let requests: Vec<_> = (0..6)
            .map(|_| {
                world.take_steps((seed % 3) as usize);
                world.begin_append(0, PUBLIC, vec![about("door/1"), about("door/2")])
            })
            .collect();
        world.run();
        let mut before: Option<Vec<FactId>> = None;
        for request in requests {
            let appended = ids(&world.appended(0, request).unwrap());
            for (index, id) in appended.iter().enumerate() {
                let expected = before.iter().map(|before| before[index]);
                let expected: Vec<_> = expected.collect();
                assert_eq!(world.core(0, *id).supersedes.as_slice(), expected);
            }
            before = Some(appended);
        }
    }
}

#[test]
fn a_list_is_taken_to_the_letter() {
    let mut world = World::new(1, 1);
    let first = world.append(0, vec![about("door/1")]).remove(0).id;
    let exactly = |list| Draft {
        supersedes: Supersedes::Exactly(list),
        ..about("door/1")
    };
    let none = world.append(0, vec![exactly(Vec::new())]).remove(0).id;
    assert!(world.core(0, none).supersedes.as_slice().is_empty());
    let drafts = vec![
        about("door/1"),
        exactly(vec![Reference::Earlier(0), Reference::Fact(first)]),
    ];
    let appended = ids(&world.append(0, drafts));
    let mut expected = [first, none];
    expected.sort();
    assert_eq!(world.core(0, appended[0]).supersedes.as_slice(), expected);
    let mut expected = [appended[0], first];
    expected.sort();
    assert_eq!(world.core(0, appended[1]).supersedes.as_slice(), expected);
}

#[test]
fn what_was_read_is_replaced_or_required() {
    let mut world = World::new(2, 1);
    let theirs = world.append(1, vec![about("door/1"), about("window/1")]);
    world.sync(0, 1);
    let mut context = ReadContext::new();
    for one in &theirs {
        let found = now(world.domains[0].store.get(&[one.id]))
            .unwrap()
            .remove(0);
        context.read(&found.unwrap().row.fact().unwrap());
    }
    let own = world.append(0, vec![about("door/1")]).remove(0).id;
    let read = Draft {
        context,
        ..about("door/1")
    };
    let id = world.append(0, vec![read]).remove(0).id;
    let core = world.core(0, id);
    let mut expected = [theirs[0].id, own];
    expected.sort();
    assert_eq!(core.supersedes.as_slice(), expected);
    assert_eq!(core.requires.as_slice(), [theirs[1].id]);
}

#[test]
fn with_more_heads_than_a_fact_can_replace_what_was_read_comes_first() {
    let mut world = World::new(1, 1);
    let sibling = || Draft {
        supersedes: Supersedes::Exactly(Vec::new()),
        ..about("door/1")
    };
    let siblings = world.append(0, (0..SUPERSEDES_MAX + 3).map(|_| sibling()).collect());
    let newest = siblings.last().unwrap().id;
    let found = now(world.domains[0].store.get(&[newest]))
        .unwrap()
        .remove(0);
    let mut context = ReadContext::new();
    context.read(&found.unwrap().row.fact().unwrap());
    let read = Draft {
        context,
        ..about("door/1")
    };
    let id = world.append(0, vec![read]).remove(0).id;
    let supersedes = world.core(0, id).supersedes.as_slice().to_vec();
    assert_eq!(supersedes.len(), SUPERSEDES_MAX);
    assert!(supersedes.contains(&newest));
}

#[test]
fn a_compartment_knows_nothing_of_the_facts_of_another() {
    // A reference would tell the audience of the one that there is something in the other.
    for restarted in [false, true] {
        let mut world = World::new(1, 1);
        world.append_to(0, "secret", vec![about("door/1")]);
        if restarted {
            world.restart(0);
        }
        let id = world.append(0, vec![about("door/1")]).remove(0).id;
        assert!(world.core(0, id).supersedes.as_slice().is_empty());
        let id = world
            .append_to(0, "secret", vec![about("door/1")])
            .remove(0)
            .id;
        assert_eq!(world.core(0, id).supersedes.as_slice().len(), 1);
    }
}

#[test]
fn a_draft_without_a_time_is_true_since_it_was_handed_in() {
    let mut world = World::new(1, 1);
    world.now_ms = 7_000;
    let request = world.begin_append(0, PUBLIC, vec![draft(1)]);
    world.now_ms = 9_000;
    world.run();
    let id = world.appended(0, request).unwrap().remove(0).id;
    assert_eq!(world.core(0, id).valid, ValidTime::since(7_001));
}
