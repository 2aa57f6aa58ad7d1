//! Stores that are not where or what they were: gone, another domain's, or set back.

use crate::support::{Home, exit, observations, pair};

const COMMANDS: [&[&str]; 5] = [
    &["status"],
    &["fact", "list"],
    &["fact", "import", "-"],
    &["sync", "b"],
    &["serve"],
];

/// A store file that had gone became a new empty one, and nobody was told.
#[test]
fn a_store_that_has_gone_is_missed_and_replaced_only_on_request() {
    let (a, _b) = pair();
    a.import(&observations("sensor", 3));
    let (store, backup) = (a.store(), a.beside("backup"));
    a.ok(&["store", "backup", backup.to_str().unwrap()]);
    std::fs::remove_file(&store).unwrap();
    for args in COMMANDS {
        let said = a.run(args).err_of(exit::NOT_FOUND, &format!("{args:?}"));
        for advice in ["causality store restore", "causality store create"] {
            assert!(said.contains(advice), "{args:?}: {said}");
        }
        assert!(!store.exists(), "{args:?} made a store");
    }
    let said = a.ok(&["store", "create"]);
    assert!(said.contains(store.to_str().unwrap()), "{said}");
    a.run(&["store", "create"]).failed(exit::CONTRADICTION);
    assert_eq!(a.held(), 0);
    std::fs::remove_file(&store).unwrap();
    a.ok(&["store", "restore", backup.to_str().unwrap()]);
    assert_eq!(a.held(), 3);
}

#[test]
fn what_a_lost_store_said_comes_back_from_a_peer_and_new_facts_contradict_nothing() {
    let (a, b) = pair();
    a.import(&observations("sensor", 3));
    let _daemon = b.serve();
    a.ok(&["sync", "b"]);
    std::fs::remove_file(a.store()).unwrap();
    a.ok(&["store", "create"]);
    a.import(&observations("pump", 1));
    a.ok(&["sync", "b"]);
    assert_eq!((a.held(), a.logs().len()), (4, 2));
    assert_eq!(a.logs(), b.logs());
}

/// The store file of one home, copied into another, was taken for that home's own.
#[test]
fn the_store_of_another_domain_is_refused_and_left_as_it_is() {
    let (a, b) = pair();
    a.import(&observations("sensor", 3));
    b.import(&observations("pump", 1));
    let own = std::fs::read(a.store()).unwrap();
    let foreign = std::fs::read(b.store()).unwrap();
    std::fs::write(a.store(), &foreign).unwrap();
    for args in COMMANDS {
        let said = a.run(args).err_of(exit::INTEGRITY, &format!("{args:?}"));
        let id = b.json(&["status"])["id"].as_str().unwrap().to_owned();
        assert!(said.contains(&id), "{args:?}: whose store it is: {said}");
        assert!(said.contains("causality store restore"), "{said}");
    }
    std::fs::write(a.store(), own).unwrap();
    assert_eq!(a.held(), 3);
}

#[test]
fn the_backup_of_another_domain_is_not_restored() {
    let (a, b) = pair();
    a.import(&observations("sensor", 3));
    b.import(&observations("pump", 1));
    let backup = b.beside("backup");
    b.ok(&["store", "backup", backup.to_str().unwrap()]);
    let files = |home: &Home| -> Vec<_> { home.files().into_iter().map(|file| file.0).collect() };
    let (before, held) = (files(&a), a.logs());
    a.run(&["store", "restore", backup.to_str().unwrap()])
        .failed(exit::INTEGRITY);
    assert_eq!((files(&a), a.logs()), (before, held));
}

#[test]
fn a_store_that_was_set_back_is_told_and_writes_to_a_new_log() {
    let (a, b) = pair();
    a.import(&observations("sensor", 1));
    let (store, older) = (a.store(), std::fs::read(a.store()).unwrap());
    a.import(&observations("pump", 2));
    let _daemon = b.serve();
    a.ok(&["sync", "b"]);
    std::fs::write(&store, older).unwrap();
    let said = a.run(&["sync", "b"]).failed(exit::INTEGRITY);
    assert!(
        said.contains("set back") && said.contains("new log"),
        "{said}"
    );
    assert_eq!(a.held(), 3, "what was missing came back");
    a.import(&observations("valve", 1));
    a.ok(&["sync", "b"]);
    assert_eq!((a.logs().len(), a.held()), (2, 4));
    assert_eq!(a.logs(), b.logs());
}
