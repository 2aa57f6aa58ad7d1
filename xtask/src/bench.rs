//! Measurements, each against its bound: `sync` over real processes, `policies` where they change, `reconcile` of one part
//! alone.

mod floor;
mod input;
mod policies;
mod reconcile;
mod scenario;

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, json};

use crate::args::{Args, Usage};
use crate::dress::{self, grouped};
use crate::program::{Printing, Profile, Program};
use crate::workspace::out;
use scenario::{Writing, measure, measure_together};

pub(crate) fn run(mut args: Args) -> Result<()> {
    let facts = args.number("--facts")?.unwrap_or(100_000);
    let large = args.number("--facts-large")?.unwrap_or(1_000_000);
    let format = args.value("-o")?.unwrap_or_else(|| "table".to_owned());
    let given = args.value("--program")?;
    let what = args.word().unwrap_or_default();
    args.finish()?;
    if !["sync", "policies", "reconcile"].contains(&what.as_str())
        || !["table", "json"].contains(&format.as_str())
    {
        let message = "cargo xtask bench sync [--facts N] [--facts-large N] [-o table|json]\n\
                       cargo xtask bench policies [--facts N] [-o table|json]\n\
                       cargo xtask bench reconcile [-o table|json]";
        return Err(Usage::new(message.to_owned()).into());
    }
    let figures = if what == "reconcile" {
        reconcile::measure()?
    } else {
        let program = match given {
            Some(path) => Program::at(Path::new(&path), Printing::Builds)?,
            None => Program::build(Profile::Release, Printing::Builds)?,
        };
        if what == "policies" {
            policies::measure(&program, facts)?
        } else {
            sync(&program, facts, large)?
        }
    };
    out(&if format == "json" {
        as_json(&figures)
    } else {
        as_table(&figures)
    });
    let over = figures.iter().filter(|figure| !figure.holds()).count();
    if over > 0 {
        bail!("{over} figures are out of their bounds");
    }
    Ok(())
}

/// One figure and what it must be.
#[derive(Debug)]
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    bound: Bound,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
    Open,
}

impl Figure {
    fn new(name: &str, value: f64, unit: &'static str, bound: Bound) -> Self {
        Self {
            name: name.to_owned(),
            value,
            unit,
            bound,
        }
    }

    fn holds(&self) -> bool {
        match self.bound {
            Bound::AtLeast(bound) => self.value >= bound,
            Bound::AtMost(bound) => self.value <= bound,
            Bound::Open => true,
        }
    }
}

/// The bounds of a synchronisation of facts with 256 bytes of content each.
const RATE_MIN: f64 = 60_000.0;
const MEMORY_MIB_MAX: f64 = 200.0;
const WIRE_BYTES_A_FACT_MAX: f64 = 380.0;
const NOTHING_NEW_BYTES_MAX: f64 = 6_000.0;
const NOTHING_NEW_OPEN_BYTES_MAX: f64 = 500.0;
const FLATNESS_MAX: f64 = 1.2;
const ONE_BY_ONE_MAX: f64 = 1.3;
/// The smaller of the two sizes between which "nothing new" must stay flat.
const FACTS_SMALL: u64 = 10_000;

fn sync(program: &Program, facts: u64, large: u64) -> Result<Vec<Figure>> {
    let bulk = measure(program, facts, Writing::Bulk)?;
    let single = measure(program, facts, Writing::OneByOne)?;
    let mut figures = of_bulk(&bulk);
    figures.push(Figure::new(
        "sync of facts written one by one",
        single.sync_s,
        "s",
        Bound::Open,
    ));
    let ratio = single.sync_s / bulk.sync_s;
    figures.push(Figure::new(
        "  against those written in bulk",
        ratio,
        "x",
        Bound::AtMost(ONE_BY_ONE_MAX),
    ));
    figures.push(Figure::new(
        "  peak memory, sender",
        single.sender_mib,
        "MiB",
        Bound::AtMost(MEMORY_MIB_MAX),
    ));
    figures.push(Figure::new(
        "  peak memory, receiver",
        single.receiver_mib,
        "MiB",
        Bound::AtMost(MEMORY_MIB_MAX),
    ));
    if large > 0 {
        let [small, large] = measure_together(program, [FACTS_SMALL, large], Writing::Bulk)?;
        figures.extend(of_bulk(&large));
        for (name, small, large) in [
            ("new connection", small.nothing_new_ms, large.nothing_new_ms),
            (
                "open connection",
                small.nothing_new_open_ms,
                large.nothing_new_open_ms,
            ),
        ] {
            let name = format!(
                "nothing new, {name}: large against {}",
                grouped(FACTS_SMALL)
            );
            figures.push(Figure::new(
                &name,
                large / small,
                "x",
                Bound::AtMost(FLATNESS_MAX),
            ));
        }
    }
    Ok(figures)
}

fn of_bulk(run: &scenario::Run) -> Vec<Figure> {
    let facts = run.facts as f64;
    let at_most = Bound::AtMost;
    vec![
        Figure::new(
            &format!("facts {}", grouped(run.facts)),
            run.input_bytes as f64 / 1e6,
            "MB of input",
            Bound::Open,
        ),
        Figure::new(
            "import",
            facts / run.import_s,
            "facts/s",
            Bound::AtLeast(RATE_MIN),
        ),
        Figure::new(
            "sync",
            facts / run.sync_s,
            "facts/s",
            Bound::AtLeast(RATE_MIN),
        ),
        Figure::new(
            "hashing and durable writes alone",
            facts / run.floor_s,
            "facts/s",
            Bound::Open,
        ),
        Figure::new(
            "  import against them",
            run.import_s / run.floor_s,
            "x",
            Bound::Open,
        ),
        Figure::new(
            "  sync against them",
            run.sync_s / run.floor_s,
            "x",
            Bound::Open,
        ),
        Figure::new(
            "peak memory, import",
            run.import_mib,
            "MiB",
            at_most(MEMORY_MIB_MAX),
        ),
        Figure::new(
            "peak memory, sender",
            run.sender_mib,
            "MiB",
            at_most(MEMORY_MIB_MAX),
        ),
        Figure::new(
            "peak memory, receiver",
            run.receiver_mib,
            "MiB",
            at_most(MEMORY_MIB_MAX),
        ),
        Figure::new(
            "wire, both ways",
            run.sync_bytes as f64 / facts,
            "bytes/fact",
            at_most(WIRE_BYTES_A_FACT_MAX),
        ),
        Figure::new(
            "nothing new, new connection",
            run.nothing_new_bytes,
            "bytes",
            at_most(NOTHING_NEW_BYTES_MAX),
        ),
        Figure::new(
            "nothing new, new connection",
            run.nothing_new_ms,
            "ms",
            Bound::Open,
        ),
        Figure::new(
            "nothing new, open connection",
            run.nothing_new_open_bytes,
            "bytes",
            at_most(NOTHING_NEW_OPEN_BYTES_MAX),
        ),
        Figure::new(
            "nothing new, open connection",
            run.nothing_new_open_ms,
            "ms",
            Bound::Open,
        ),
    ]
}

fn as_table(figures: &[Figure]) -> String {
    let bound = |figure: &Figure| match figure.bound {
        Bound::AtLeast(bound) => format!("at least {bound}"),
        Bound::AtMost(bound) => format!("at most {bound}"),
        Bound::Open => String::new(),
    };
    let verdict = |figure: &Figure| match (figure.bound, figure.holds()) {
        (Bound::Open, _) => "",
        (_, true) => "ok",
        (Bound::AtLeast(_), false) => "UNDER",
        (Bound::AtMost(_), false) => "OVER",
    };
    let row = |figure: &Figure| {
        let value = shown(figure.value);
        vec![
            figure.name.clone(),
            value,
            figure.unit.to_owned(),
            bound(figure),
            verdict(figure).to_owned(),
        ]
    };
    dress::table(
        &["figure", "value", "unit", "bound", "verdict"],
        &figures.iter().map(row).collect::<Vec<_>>(),
    )
}

/// Three digits that matter.
fn shown(value: f64) -> String {
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$}")
}

fn as_json(figures: &[Figure]) -> String {
    let bound = |bound| match bound {
        Bound::AtLeast(bound) => json!({ "at_least": bound }),
        Bound::AtMost(bound) => json!({ "at_most": bound }),
        Bound::Open => json!(null),
    };
    let row = |figure: &Figure| {
        let mut row = Map::new();
        row.insert("name".to_owned(), json!(figure.name.trim()));
        row.insert("value".to_owned(), json!(figure.value));
        row.insert("unit".to_owned(), json!(figure.unit));
        row.insert("bound".to_owned(), bound(figure.bound));
        row.insert("ok".to_owned(), json!(figure.holds()));
        row
    };
    json!({ "figures": figures.iter().map(row).collect::<Vec<_>>() }).to_string()
}

/// The middle of a few measurements.
fn median(mut values: Vec<f64>) -> Result<f64> {
    values.sort_by(f64::total_cmp);
    values
        .get(values.len() / 2)
        .copied()
        .context("nothing was measured")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_holds_up_to_itself() {
        let figure = |value, bound| Figure::new("a", value, "b", bound);
        assert!(figure(380.0, Bound::AtMost(380.0)).holds());
        assert!(!figure(380.1, Bound::AtMost(380.0)).holds());
        assert!(figure(60_000.0, Bound::AtLeast(60_000.0)).holds());
        assert!(!figure(59_999.0, Bound::AtLeast(60_000.0)).holds());
        assert!(!figure(f64::NAN, Bound::AtMost(1.0)).holds());
    }

    #[test]
    fn figures_are_shown_with_their_verdicts() {
        let figures = [
            Figure::new("wire", 381.04, "bytes", Bound::AtMost(380.0)),
            Figure::new("x", 1.0, "s", Bound::Open),
        ];
        assert!(as_table(&figures).contains("381  bytes  at most 380  OVER"));
        assert!(as_json(&figures).contains("\"ok\":false"));
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]).unwrap(), 2.0);
        assert!(median(Vec::new()).is_err());
    }
}
