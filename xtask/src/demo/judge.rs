//! Judges the homes from outside, by what the program says about each after its daemon has stopped.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde_json::Value;

use super::rows::{self, Report, Week};
use super::{CATALOGUE, Cast, NEWSPAPER};
use crate::program::{Home, Log};

/// What is wrong; nothing if every home is as it must be.
pub(super) fn judge(cast: &Cast, week: &Week) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    let mut views = BTreeMap::new();
    for home in cast.all() {
        match view(home) {
            Ok(logs) => drop(views.insert(home.name(), logs)),
            Err(error) => findings.push(format!("{error:#}")),
        }
    }
    if !findings.is_empty() {
        return Ok(findings);
    }
    for origin in cast.networks.iter().chain([&cast.catalogue]) {
        findings.extend(same_everywhere(cast, week, &views, origin));
    }
    for network in &cast.networks {
        let strange = views[network.name()]
            .iter()
            .filter(|log| log.origin != network.id());
        findings.extend(
            strange.map(|log| format!("{}: holds a log of {}", network.name(), log.origin)),
        );
    }
    match cast.catalogue.json_lines(&["fact", "export"]) {
        Ok(exported) => findings.extend(contents(week.reports(), &exported)),
        Err(error) => findings.push(format!("{error:#}")),
    }
    match newspaper(cast, week) {
        Ok(found) => findings.extend(found),
        Err(error) => findings.push(format!("{error:#}")),
    }
    Ok(findings)
}

/// Of the reports that the newspaper may have each so many is looked at with its content.
const LOOKED_AT: usize = 10;

/// The newspaper has what its rules permit and no more, does not see what is withheld, and knows what it can know of that.
fn newspaper(cast: &Cast, week: &Week) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    let due: BTreeMap<&str, &Report> = week
        .reports()
        .iter()
        .filter(|report| rows::is_for_the_newspaper(report))
        .map(|report| (report.resource.as_str(), report))
        .collect();
    let listed = cast.newspaper.json(&["fact", "list"])?;
    let listed = listed.as_array().map(Vec::as_slice).unwrap_or_default();
    for (kind, is_kind) in [
        ("reports", rows::is_report as fn(&Value) -> bool),
        ("validations", rows::is_validation),
    ] {
        let held = listed.iter().filter(|line| is_kind(line));
        let held: BTreeSet<_> = held.filter_map(|line| line["resource"].as_str()).collect();
        if !held.iter().eq(due.keys()) {
            let (held, due) = (held.len(), due.len());
            findings.push(format!(
                "{NEWSPAPER}: {held} {kind}, not the {due} that it may have"
            ));
        }
    }
    for line in listed
        .iter()
        .filter(|line| rows::is_report(line))
        .step_by(LOOKED_AT)
    {
        let id = line["id"].as_str().unwrap_or_default();
        let shown = cast.newspaper.json(&["fact", "show", id])?;
        let resource = line["resource"].as_str().unwrap_or_default();
        let expected = due
            .get(resource)
            .map(|report| rows::shown_to_the_newspaper(report));
        if !expected.is_some_and(|expected| same(&shown["content"], &expected)) {
            findings.push(format!(
                "{NEWSPAPER}: {resource} shows something else than it should"
            ));
        }
    }
    // The catalogue signs what it withholds of its own log. Of those of the networks it is not the origin.
    for log in cast.newspaper.json(&["status"])?["logs"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let (of_catalogue, said) = (log["origin"] == cast.catalogue.id(), &log["completeness"]);
        if of_catalogue && said != "attested" || !of_catalogue && said == "attested" {
            findings.push(format!("{NEWSPAPER}: the log {} is {said}", log["lane"]));
        }
    }
    Ok(findings)
}

/// Every fact of a home verified, and its logs.
fn view(home: &Home) -> Result<Vec<Log>> {
    home.call(&["fact", "verify", "--all"])?;
    home.logs()
}

/// The logs of one origin are the same at the origin and the catalogue, have the same tree at the newspaper, and are as long as
/// they must be.
fn same_everywhere(
    cast: &Cast,
    week: &Week,
    views: &BTreeMap<&str, Vec<Log>>,
    origin: &Home,
) -> Vec<String> {
    let of_origin = |home: &Home| -> Vec<Log> {
        views[home.name()]
            .iter()
            .filter(|log| log.origin == origin.id())
            .cloned()
            .collect()
    };
    let own = of_origin(origin);
    let mut findings = Vec::new();
    let (facts, expected) = (
        own.iter().map(|log| log.size).sum::<u64>(),
        expected(cast, week, origin),
    );
    if facts != expected {
        findings.push(format!(
            "{}: {facts} facts of its own, {expected} expected",
            origin.name()
        ));
    }
    let trees = |logs: Vec<Log>| logs.iter().map(Log::tree).collect::<Vec<_>>();
    let at_catalogue = of_origin(&cast.catalogue) == own;
    let at_newspaper = trees(of_origin(&cast.newspaper)) == trees(own);
    for (home, is_same) in [
        (&cast.catalogue, at_catalogue),
        (&cast.newspaper, at_newspaper),
    ] {
        if !is_same {
            findings.push(format!(
                "{}: the logs of {} are not those of their origin",
                home.name(),
                origin.name()
            ));
        }
    }
    findings
}

fn expected(cast: &Cast, week: &Week, origin: &Home) -> u64 {
    let own = |report: &&Report| report.domain == origin.name();
    let reviewed = |report: &&Report| report.reviewed;
    let count = if origin.name() == cast.catalogue.name() {
        week.reports().iter().filter(reviewed).count()
    } else {
        week.reports().iter().filter(own).count()
    };
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// What the catalogue reads is what the networks measured, and each validation stands on its report.
fn contents(reports: &[Report], exported: &[Value]) -> Vec<String> {
    let mut findings = Vec::new();
    let read: BTreeMap<&str, &Value> = exported
        .iter()
        .filter(|line| rows::is_report(line))
        .filter_map(|line| Some((line["resource"].as_str()?, line)))
        .collect();
    for report in reports {
        match read.get(report.resource.as_str()) {
            None => findings.push(format!("{CATALOGUE}: {} is missing", report.resource)),
            Some(line) if !same(&line["content"], &report.content) => {
                findings.push(format!(
                    "{CATALOGUE}: {} is not what {} measured",
                    report.resource, report.domain
                ));
            }
            Some(_) => {}
        }
    }
    let ids: BTreeSet<&str> = read
        .values()
        .filter(|line| rows::is_reviewed(line))
        .map(|line| rows::id(line))
        .collect();
    let validations: Vec<&Value> = exported
        .iter()
        .filter(|line| rows::is_validation(line))
        .collect();
    let causes: BTreeSet<&str> = validations
        .iter()
        .filter_map(|line| rows::cause(line))
        .collect();
    if causes != ids || validations.len() != ids.len() {
        findings.push(format!(
            "{CATALOGUE}: {} validations of {} reviewed reports",
            validations.len(),
            ids.len()
        ));
    }
    findings
}

/// Equal, where `10` and `10.0` are one number.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            let equal = |(key, value)| right.get(key).is_some_and(|other| same(value, other));
            left.len() == right.len() && left.iter().all(equal)
        }
        _ => left == right,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What a catalogue would export that received everything.
    fn complete(reports: &[Report]) -> Vec<Value> {
        let mut lines: Vec<Value> = reports
            .iter()
            .map(|report| serde_json::from_str(&report.line).unwrap())
            .collect();
        let reviewed: Vec<Value> = lines
            .iter()
            .filter(|line| rows::is_reviewed(line))
            .cloned()
            .collect();
        lines.extend(
            reviewed
                .iter()
                .map(|line| serde_json::from_str(&rows::validation(line)).unwrap()),
        );
        lines
    }

    #[test]
    fn a_complete_export_has_no_findings() {
        let week = Week::read(1).unwrap();
        assert_eq!(
            contents(week.reports(), &complete(week.reports())),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_changed_or_missing_report_and_a_stray_validation_are_found() {
        let week = Week::read(1).unwrap();
        let mut lines = complete(week.reports());
        lines[0]["content"]["mag"] = json!(9.9);
        lines.remove(1);
        lines.pop();
        let findings = contents(week.reports(), &lines).join("\n");
        assert!(findings.contains("is not what seismo.us.ak measured"));
        assert!(findings.contains("is missing"));
        assert!(findings.contains("validations of"));
    }

    #[test]
    fn numbers_are_equal_by_value() {
        assert!(same(&json!({"a": [10, null]}), &json!({"a": [10.0, null]})));
        assert!(!same(&json!({"a": 1}), &json!({"a": 1, "b": 2})));
        assert!(!same(&json!(1), &json!("1")));
    }
}
