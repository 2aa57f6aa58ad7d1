//! What it takes until one side knows which of a million positions the other lacks: the bench of that name, held against
//! its bounds, and beside what is known of others.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};

use super::{Bound, Figure};
use crate::dress::grouped;
use crate::workspace;

/// The positions of the log in the bench.
const SIZE: u64 = 1_000_000;
const CPU_MS_MAX: f64 = 5.0;
/// Of so many positions lacking at random, the most bytes both ways.
const RANDOM_BYTES_MAX: [(u64, f64); 2] = [(1_000, 2_500.0), (100_000, 70_000.0)];
/// What others take for the same: negentropy (range-based reconciliation), and a rateless sketch of the ids.
const OTHERS_BYTES: [(u64, f64, f64); 2] = [(1_000, 1.4e6, 34e3), (100_000, 53e6, 3.4e6)];

pub(super) fn measure() -> Result<Vec<Figure>> {
    let mut command = workspace::cargo(&[
        "bench",
        "--locked",
        "--package",
        "causality-benches",
        "--bench",
        "reconcile",
        "--",
        "--figures",
    ]);
    workspace::announce(&command);
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start {}", workspace::typed(&command)))?;
    ensure!(
        output.status.success(),
        "the bench ended with {}",
        output.status
    );
    let lines = String::from_utf8(output.stdout)?;
    let cases = lines.lines().map(Case::read).collect::<Result<Vec<_>>>()?;
    ensure!(!cases.is_empty(), "the bench printed nothing");
    Ok(cases.iter().flat_map(Case::figures).collect())
}

/// A line of the bench.
#[derive(Debug, Clone, PartialEq)]
struct Case {
    lacking: u64,
    place: String,
    bytes: u64,
    round_trips: u64,
    cpu_ms: f64,
}

impl Case {
    fn read(line: &str) -> Result<Self> {
        let cells: Vec<_> = line.split('\t').collect();
        let [lacking, place, told, asked, round_trips, micros] = cells[..] else {
            anyhow::bail!("the bench printed {line:?}");
        };
        Ok(Self {
            lacking: lacking.parse()?,
            place: place.to_owned(),
            bytes: told.parse::<u64>()? + asked.parse::<u64>()?,
            round_trips: round_trips.parse()?,
            cpu_ms: micros.parse::<f64>()? / 1e3,
        })
    }

    fn figures(&self) -> Vec<Figure> {
        let random = self.place == "random";
        let bytes_max = RANDOM_BYTES_MAX
            .iter()
            .find(|(lacking, _)| random && *lacking == self.lacking)
            .map_or(Bound::Open, |(_, most)| Bound::AtMost(*most));
        let (lacking, size, place) = (grouped(self.lacking), grouped(SIZE), &self.place);
        let name = format!("{lacking} of {size} lacking, {place}");
        let bytes = |name: &str, value, bound| Figure::new(name, value, "bytes", bound);
        let mut figures = vec![bytes(&name, self.bytes as f64, bytes_max)];
        if random && self.lacking > 0 {
            figures.push(bytes("  entropy", entropy_bytes(self.lacking), Bound::Open));
        }
        let others = OTHERS_BYTES.iter();
        for (_, negentropy, sketch) in others.filter(|(d, ..)| random && *d == self.lacking) {
            figures.push(bytes("  elsewhere: negentropy", *negentropy, Bound::Open));
            figures.push(bytes(
                "  elsewhere: a rateless sketch",
                *sketch,
                Bound::Open,
            ));
        }
        for (name, value, unit, most) in [
            (
                "  after the frontier",
                self.round_trips as f64,
                "round trips",
                1.0,
            ),
            ("  CPU", self.cpu_ms, "ms", CPU_MS_MAX),
        ] {
            figures.push(Figure::new(name, value, unit, Bound::AtMost(most)));
        }
        figures
    }
}

/// The logarithm of how many sets of so many positions there are.
fn entropy_bytes(lacking: u64) -> f64 {
    let bits = |i: u64| ((SIZE - lacking + i) as f64 / i as f64).log2();
    (1..=lacking).map(bits).sum::<f64>() / 8.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_bench_becomes_figures() {
        let figures = |line: &str| Case::read(line).unwrap().figures();
        let random = figures("1000\trandom\t2496\t4\t1\t5000");
        assert!(random.iter().all(Figure::holds), "{random:?}");
        assert_eq!(random[0].bound, Bound::AtMost(2_500.0));
        assert_eq!(random.len(), 6);
        let over = figures("100000\trandom\t69997\t4\t2\t5001");
        let failing: Vec<_> = over.iter().filter(|figure| !figure.holds()).collect();
        assert_eq!(failing.len(), 3, "{failing:?}");
        assert!(figures("1000\tnewest\t9000\t4\t1\t1")[0].holds());
        assert!(Case::read("1000\trandom").is_err());
        assert!(Case::read("many\trandom\t1\t1\t1\t1").is_err());
    }

    #[test]
    fn the_entropy_of_a_set_is_that_of_choosing_it() {
        assert!((entropy_bytes(1) * 8.0 - (SIZE as f64).log2()).abs() < 1e-6);
        assert!((1_400.0..1_500.0).contains(&entropy_bytes(1_000)));
        assert!((58_000.0..59_000.0).contains(&entropy_bytes(100_000)));
        assert_eq!(entropy_bytes(0), 0.0);
    }
}
