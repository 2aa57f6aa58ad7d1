//! The week of reports, as lines for `fact import`, and what the catalogue makes of them.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};

use crate::program::text;
use crate::workspace;

const DATA: &str = "xtask/data/earthquakes.ndjson";
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// How many days the data spans.
pub(super) const DAYS: u64 = 7;

/// The domain of a seismic network.
pub(super) fn domain(net: &str) -> String {
    format!("seismo.us.{net}")
}

/// One report of one network.
#[derive(Debug)]
pub(super) struct Report {
    /// The network's id of the event.
    pub(super) id: String,
    /// The domain of the network.
    pub(super) domain: String,
    pub(super) reviewed: bool,
    /// The line for `fact import`.
    pub(super) line: String,
    /// Its resource, as in the line.
    pub(super) resource: String,
    /// Its content, as in the line.
    pub(super) content: Value,
    updated_ms: i64,
}

impl Report {
    fn read(line: &str) -> Result<Self> {
        let mut row: Map<String, Value> = serde_json::from_str(line)?;
        let id = text(&Value::Object(row.clone()), "id")?;
        let domain = domain(row["net"].as_str().context("no net")?);
        let updated_ms = row["updated_ms"].as_i64().context("no updated_ms")?;
        let happened = row["time_ms"].take();
        row.remove("id");
        row.remove("time_ms");
        let (resource, content) = (format!("event/{id}"), Value::Object(row));
        let reviewed = content["status"] == "reviewed";
        let line = json!({
            "ref": id, "type": "observation", "resource": resource, "aspect": "report", "valid_from": happened,
            "content": content,
        });
        Ok(Self {
            id,
            domain,
            reviewed,
            line: line.to_string(),
            resource,
            content,
            updated_ms,
        })
    }
}

/// All reports, in the order in which the networks made them.
#[derive(Debug)]
pub(super) struct Week {
    reports: Vec<Report>,
    networks: Vec<String>,
}

/// The reports of 24 hours.
#[derive(Debug)]
pub(super) struct Day<'a> {
    pub(super) number: i64,
    pub(super) reports: Vec<&'a Report>,
}

impl Week {
    /// Reads the first `days` days; the networks are those of the whole week.
    pub(super) fn read(days: u64) -> Result<Self> {
        let data =
            workspace::text(Path::new(DATA))?.with_context(|| format!("{DATA} is no text"))?;
        let reports = data
            .lines()
            .map(Report::read)
            .collect::<Result<Vec<_>>>()
            .context(DATA)?;
        ensure!(
            reports.is_sorted_by_key(|report| report.updated_ms),
            "{DATA} is not in order of updated_ms"
        );
        let nets = reports
            .iter()
            .filter_map(|report| report.content["net"].as_str());
        let networks = nets
            .map(str::to_owned)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let mut week = Self { reports, networks };
        let first = week.first_ms();
        let days = i64::try_from(days)?;
        week.reports
            .retain(|report| report.updated_ms < first + days * DAY_MS);
        Ok(week)
    }

    /// Their codes, sorted.
    pub(super) fn networks(&self) -> &[String] {
        &self.networks
    }

    pub(super) fn reports(&self) -> &[Report] {
        &self.reports
    }

    pub(super) fn days(&self) -> Vec<Day<'_>> {
        let mut days: Vec<Day<'_>> = Vec::new();
        for report in &self.reports {
            let number = (report.updated_ms - self.first_ms()) / DAY_MS + 1;
            match days.last_mut().filter(|day| day.number == number) {
                Some(day) => day.reports.push(report),
                None => days.push(Day {
                    number,
                    reports: vec![report],
                }),
            }
        }
        days
    }

    fn first_ms(&self) -> i64 {
        self.reports.first().map_or(0, |report| report.updated_ms)
    }
}

/// Whether an exported line is a network's report.
pub(super) fn is_report(line: &Value) -> bool {
    line["type"] == "observation"
}

/// Whether an exported line is a validation by the catalogue.
pub(super) fn is_validation(line: &Value) -> bool {
    line["type"] == "validation"
}

pub(super) fn is_reviewed(line: &Value) -> bool {
    line["content"]["status"] == "reviewed"
}

/// Fields that the newspaper is not shown.
pub(super) const WITHHELD: [&str; 2] = ["sig", "felt"];

/// Whether the newspaper may have a report, and its validation.
pub(super) fn is_for_the_newspaper(report: &Report) -> bool {
    report.reviewed && report.content["mag"].as_f64().is_some_and(|mag| mag >= 2.5)
}

/// What the newspaper may see of a report.
pub(super) fn shown_to_the_newspaper(report: &Report) -> Value {
    let mut content = report.content.clone();
    if let Some(fields) = content.as_object_mut() {
        fields.retain(|name, _| !WITHHELD.contains(&name.as_str()));
    }
    content
}

/// The id of the exported fact.
pub(super) fn id(line: &Value) -> &str {
    line["ref"].as_str().unwrap_or_default()
}

/// The fact that an exported validation validates.
pub(super) fn cause(line: &Value) -> Option<&str> {
    line["requires"].as_array()?.first()?.as_str()
}

/// The line with which the catalogue validates an exported report.
pub(super) fn validation(report: &Value) -> String {
    let line = json!({
        "type": "validation", "resource": report["resource"], "aspect": "validation",
        "valid_from": report["valid_from"], "requires": [id(report)],
        "content": { "catalogue": "ANSS", "mag": report["content"]["mag"], "net": report["content"]["net"] },
    });
    line.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_week_has_every_row_of_twelve_networks() {
        let week = Week::read(DAYS).unwrap();
        assert_eq!((week.reports().len(), week.networks().len()), (1707, 12));
        assert_eq!(
            week.reports()
                .iter()
                .filter(|report| report.reviewed)
                .count(),
            1214
        );
        assert_eq!(
            week.days()
                .iter()
                .map(|day| day.reports.len())
                .sum::<usize>(),
            1707
        );
        assert_eq!(
            week.days().iter().map(|day| day.number).collect::<Vec<_>>(),
            [1, 2, 3, 4, 5, 6, 7]
        );
    }

    #[test]
    fn fewer_days_have_fewer_reports_of_the_same_networks() {
        let day = Week::read(1).unwrap();
        assert_eq!(day.days().len(), 1);
        assert_eq!(day.networks().len(), 12);
        assert!(day.reports().len() < 300);
    }

    #[test]
    fn a_row_becomes_an_observation_of_its_event() {
        let week = Week::read(1).unwrap();
        let line: Value = serde_json::from_str(&week.reports()[0].line).unwrap();
        assert_eq!(line["resource"], "event/ak18247005");
        assert_eq!(line["valid_from"], 1_517_365_101_235_i64);
        assert_eq!(line["content"]["felt"], Value::Null);
        assert!(is_report(&line) && !is_reviewed(&line) && line["content"].get("id").is_none());
    }

    #[test]
    fn a_validation_requires_what_it_validates() {
        let report = json!({ "ref": "abc", "resource": "event/x", "valid_from": 1, "content": { "mag": 2, "net": "ak" } });
        let line: Value = serde_json::from_str(&validation(&report)).unwrap();
        assert!(is_validation(&line));
        assert_eq!(cause(&line), Some("abc"));
    }
}
