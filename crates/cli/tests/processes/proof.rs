//! A proof convinces a stranger: no store, no keys, no network.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{
    Home, Outcome, Random, causality, exit, observation, observations, run_with, string,
};

/// `fact verify --proof` where nothing has ever been set up.
fn verify(file: &Path) -> Outcome {
    verify_as("table", file)
}

fn verify_as(format: &str, file: &Path) -> Outcome {
    let nowhere = tempfile::tempdir().unwrap();
    let mut command = causality();
    command
        .arg("--home")
        .arg(nowhere.path().join("none"))
        .args(["-o", format, "fact", "verify", "--proof"])
        .arg(file);
    let outcome = run_with(command, b"");
    assert!(
        !nowhere.path().join("none").exists(),
        "a check of a proof makes no home"
    );
    outcome
}

/// A proof of one fact among many.
fn proof() -> (Home, Vec<u8>) {
    let home = Home::new("a");
    let wanted = observation(
        "event/ak18247005",
        json!({ "mag": 2.3, "place": "81km WNW of Skagway, Alaska" }),
    );
    home.import(&(observations("sensor", 20) + &wanted + &observations("pump", 20)));
    let line = home
        .export()
        .into_iter()
        .find(|line| line["resource"] == "event/ak18247005")
        .unwrap();
    let outcome = home.run(&["fact", "prove", &string(&line, "ref")]);
    assert_eq!(outcome.code, exit::OK, "{}", outcome.err);
    assert!(outcome.out.len() > 100, "too short for a proof");
    (home, outcome.out)
}

#[test]
fn a_proof_passes_where_there_is_no_store() {
    let (home, proof) = proof();
    let file = home.beside("proof");
    std::fs::write(&file, &proof).unwrap();
    let outcome = verify(&file);
    assert_eq!(outcome.code, exit::OK, "{}", outcome.err);
    let shown = outcome.text();
    for part in [
        "event/ak18247005",
        "mag: 2.3",
        "Skagway",
        "valid from",
        "signed",
        "root",
    ] {
        assert!(shown.contains(part), "no {part:?} in: {shown}");
    }
}

#[test]
fn a_proof_shows_what_it_has_proven_as_the_home_shows_it() {
    let (home, proof) = proof();
    let file = home.beside("proof");
    std::fs::write(&file, &proof).unwrap();
    let verified: Value = serde_json::from_str(&verify_as("json", &file).text()).unwrap();
    let mut proven = verified["proven"].clone();
    for key in ["id", "type", "resource", "valid_from", "compartment"] {
        assert_eq!(verified["fact"][key], proven[key], "{key}");
    }
    let digest = home.json(&["digest"]);
    assert_eq!(proven["checkpoint"]["size"], digest["logs"][0]["size"]);
    assert_eq!(proven["checkpoint"]["root"], digest["logs"][0]["root"]);
    proven.as_object_mut().unwrap().remove("checkpoint");
    let mut shown = home.json(&["fact", "show", &string(&proven, "id")]);
    // What a domain is called is a matter of each home.
    shown.as_object_mut().unwrap().remove("origin_name");
    assert_eq!(proven, shown);
}

#[test]
fn any_flipped_bit_of_a_proof_is_noticed() {
    let (home, proof) = proof();
    let file = home.beside("proof");
    let mut random = Random(1);
    // One bit of each byte; which, is drawn.
    for at in 0..proof.len() {
        let mut flipped = proof.clone();
        flipped[at] ^= 1 << random.below(8);
        std::fs::write(&file, &flipped).unwrap();
        let outcome = verify(&file);
        assert_eq!(outcome.code, exit::INTEGRITY, "byte {at}: {}", outcome.err);
    }
}

#[test]
fn a_truncated_a_lengthened_and_an_empty_proof_are_refused() {
    let (home, proof) = proof();
    let file = home.beside("proof");
    let longer = [proof.as_slice(), b"x"].concat();
    for bytes in [
        &proof[..proof.len() / 2],
        &proof[..proof.len() - 1],
        &longer,
        b"",
        b"not a proof at all",
    ] {
        std::fs::write(&file, bytes).unwrap();
        verify(&file).failed(exit::INTEGRITY);
    }
}

#[test]
fn a_proof_file_that_is_not_there_is_said_so() {
    assert!(
        verify(Path::new("no/such/proof"))
            .failed(exit::NOT_FOUND)
            .contains("no/such/proof")
    );
}
