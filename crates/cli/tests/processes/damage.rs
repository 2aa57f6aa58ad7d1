//! Files damaged behind the program's back: noticed, said, and never made worse.

use std::path::Path;

use serde_json::json;

use crate::support::{
    Home, Random, exit, free_port, observation, observations, run_with, with_full_disk,
};

const MARKER: &str = "81km WNW of Skagway, Alaska";

/// A home whose store holds a text that can be found in its file.
fn marked() -> Home {
    let home = Home::new("a");
    home.import(
        &(observations("sensor", 50) + &observation("event/1", json!({ "place": MARKER }))),
    );
    home
}

#[test]
fn a_flipped_byte_of_a_stored_fact_is_noticed() {
    let home = marked();
    let store = home.store();
    let bytes = std::fs::read(&store).unwrap();
    let windows = bytes.windows(MARKER.len()).enumerate();
    let places: Vec<usize> = windows
        .filter(|(_, text)| *text == MARKER.as_bytes())
        .map(|(at, _)| at)
        .collect();
    assert!(
        !places.is_empty(),
        "the content is not in {}",
        store.display()
    );
    let mut noticed = 0;
    for at in places {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        std::fs::write(&store, &flipped).unwrap();
        // An old copy of a page is no damage.
        let (verify, check) = (
            home.run(&["fact", "verify", "--all"]),
            home.run(&["store", "check"]),
        );
        assert_eq!(verify.code, check.code, "{}\n{}", verify.err, check.err);
        if verify.code != exit::OK {
            verify.failed(exit::INTEGRITY);
            noticed += 1;
        }
    }
    assert!(noticed > 0, "no flipped byte was noticed");
    std::fs::write(&store, &bytes).unwrap();
    home.ok(&["fact", "verify", "--all"]);
}

#[test]
fn a_byte_flipped_anywhere_in_the_store_is_harmless_or_noticed() {
    let home = marked();
    let store = home.store();
    let bytes = std::fs::read(&store).unwrap();
    let mut random = Random(7);
    for _ in 0..60 {
        let at = random.below(bytes.len());
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << random.below(8);
        std::fs::write(&store, &flipped).unwrap();
        let outcome = home.run(&["fact", "verify", "--all"]);
        assert!(
            [exit::OK, exit::INTEGRITY].contains(&outcome.code),
            "byte {at}: {}: {}",
            outcome.code,
            outcome.err
        );
    }
}

#[test]
fn a_store_that_is_garbage_or_cut_off_is_noticed() {
    let home = marked();
    let store = home.store();
    let bytes = std::fs::read(&store).unwrap();
    for damaged in [
        &b"not a store"[..],
        &[0x55; 100_000],
        &bytes[..bytes.len() / 2],
        &bytes[..100],
    ] {
        std::fs::write(&store, damaged).unwrap();
        for args in [
            &["fact", "list"][..],
            &["fact", "verify", "--all"],
            &["store", "check"],
            &["serve"],
        ] {
            home.run(args).err_of(
                exit::INTEGRITY,
                &format!("{args:?} on {} bytes", damaged.len()),
            );
        }
        assert_eq!(
            std::fs::read(&store).unwrap(),
            damaged,
            "a damaged store is left as it is"
        );
    }
}

#[test]
fn a_flipped_byte_of_a_key_file_is_noticed_and_no_secret_is_said() {
    let home = marked();
    let keys: Vec<_> = home
        .files()
        .into_iter()
        .filter(|(path, _)| {
            path.strip_prefix(home.dir())
                .unwrap()
                .to_string_lossy()
                .contains("key")
        })
        .collect();
    assert!(!keys.is_empty(), "no key files found");
    for (path, bytes) in keys {
        for at in [0, bytes.len() / 2, bytes.len() - 2] {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            std::fs::write(&path, &flipped).unwrap();
            let said = home
                .run(&["serve"])
                .err_of(exit::INTEGRITY, &format!("byte {at} of {}", path.display()));
            let secret = String::from_utf8_lossy(&bytes)
                .lines()
                .map(str::trim)
                .max_by_key(|l| l.len())
                .unwrap()
                .to_owned();
            assert!(
                secret.len() < 16 || !said.contains(&secret),
                "a secret was said"
            );
        }
        std::fs::write(&path, &bytes).unwrap();
    }
    home.ok(&["fact", "verify", "--all"]);
}

/// What was left of the first attempt kept the second one from the directory.
#[test]
fn nothing_is_left_of_a_home_that_could_not_be_set_up() {
    let home = Home::uninitialised("a", Path::new("home"), free_port());
    let init = ["init", "--name", "a"];
    // Not even the configuration fits; the configuration does, and the store does not.
    for blocks in [0, 8] {
        let said = run_with(with_full_disk(blocks, &home.command(&init)), b"")
            .err_of(exit::OTHER, &format!("init with {blocks} blocks"));
        assert!(!home.dir().exists(), "{blocks} blocks: {said}");
    }
    std::fs::create_dir(home.dir()).unwrap();
    run_with(with_full_disk(8, &home.command(&init)), b"").failed(exit::OTHER);
    assert_eq!(home.files(), []);
    home.ok(&init);
    assert_eq!(home.held(), 0);
}

#[test]
fn a_full_disk_keeps_what_was_acknowledged() {
    let home = marked();
    let before = home.held();
    let blocks = std::fs::metadata(home.store()).unwrap().len() / 512 + 2048;
    let file = home.beside("large.ndjson");
    let large = |number: u64| {
        observation(
            &format!("large/{number}"),
            json!({ "text": "x".repeat(50_000) }),
        )
    };
    std::fs::write(&file, (0..400).map(large).collect::<String>()).unwrap();
    let args = ["-o", "jsonl", "fact", "import", file.to_str().unwrap()];
    let command = with_full_disk(blocks, &home.command(&args));
    let outcome = run_with(command, b"");
    assert_eq!(outcome.code, exit::OTHER, "{}", outcome.err);
    let acknowledged = outcome
        .text()
        .lines()
        .filter(|line| line.contains("\"id\""))
        .count();
    assert!(home.held() >= before + u64::try_from(acknowledged).unwrap());
    home.ok(&["fact", "verify", "--all"]);
    home.ok(&["fact", "import", file.to_str().unwrap()]);
    assert_eq!(home.held(), before + 400);
}
