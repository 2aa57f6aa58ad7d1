//! The program that runs simulated worlds, and tells the stories of those that fail.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use causality_sim::Happening;
use causality_sim::run::{self, Outcome};
use causality_sim::scenario::{Options, SCENARIOS, Scenario};
use clap::Parser;

/// Runs worlds of real nodes in which networks, disks and clocks fail on purpose.
///
/// A world is made of a seed: five domains that append, read and synchronise for a minute of their own time, while all kinds
/// of things go wrong. About half of the worlds are healed at the end and then have to agree; in the others things go wrong
/// until the end. Each history is judged. The same seed makes the same world, on any machine.
#[derive(Debug, Parser)]
#[command(name = "causality-sim", after_help = AFTER_HELP)]
struct Cli {
    /// Run the worlds of these seeds, A..B without B.
    #[arg(long, value_name = "A..B", value_parser = seeds)]
    seeds: Option<Range<u64>>,
    /// Run the world of one seed.
    #[arg(long, value_name = "S", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// With --seed or --scenario: print everything that happens.
    #[arg(long)]
    trace: bool,
    /// With --seed: write the history to a file, for `causality-judge`.
    #[arg(long, value_name = "FILE", requires = "seed")]
    history: Option<PathBuf>,
    /// Tell a story with a name; `all` for all of them.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["seeds", "seed"])]
    scenario: Option<String>,
    /// With the scenario `power-cuts`: how many there are.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    power_cuts: u32,
    /// Run worlds for so many minutes.
    #[arg(long, value_name = "M", conflicts_with_all = ["seeds", "seed", "scenario"])]
    minutes: Option<u64>,
    /// With --minutes: the first seed.
    #[arg(long, value_name = "S", default_value_t = 0)]
    from: u64,
    /// Go on after a failure, and list the seeds that failed at the end.
    #[arg(long)]
    keep_going: bool,
    /// How many worlds at once.
    #[arg(long, value_name = "N", default_value_t = 2)]
    jobs: usize,
    /// Print the fingerprint of each world: equal seeds have equal ones.
    #[arg(long)]
    fingerprints: bool,
    /// With --seeds: run each world in two processes, and compare the fingerprints.
    #[arg(long, requires = "seeds", conflicts_with_all = ["fingerprints", "keep_going"])]
    twice: bool,
}

const AFTER_HELP: &str = "\
Examples:
  causality-sim --seeds 0..100          a hundred worlds; fails if one does, or if something never happened in any
  causality-sim --seed 42 --trace       one of them, line by line
  causality-sim --seeds 0..50 --twice   whether the same seed makes the same world in another process
  causality-sim --minutes 10 --from 500 as many as fit; the last line says with which seed to go on
  causality-sim --scenario all          the stories

Scenarios:
  backup-slipped-in      stopped-without-a-note  fork-after-rollback    backup-restored
  partition-in-catch-up  frames-repeated         disk-fails             disk-full
  power-cuts             lying-fsync             embargo-ends           embargo-ends-apart
  relay-permitted        relay-filled

Progress goes to standard error, results to standard output. RUST_LOG=info shows what the nodes log. Exit codes: 0 all is
well, 1 something is wrong, 2 wrong usage.";

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off"));
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(filter)
        .init();
    run::note_panics();
    match perform(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(cli: &Cli) -> Result<()> {
    let print = if cli.trace { out } else { |_: &str| {} };
    if let Some(name) = &cli.scenario {
        return tell(cli, name, print);
    }
    if let Some(seed) = cli.seed {
        let outcome = run::seed(seed, print)?;
        if let Some(file) = &cli.history {
            std::fs::write(file, &outcome.history)?;
        }
        out(&format!("seed {seed}: {}", outcome.fingerprint));
        return report(&outcome);
    }
    if let (true, Some(seeds)) = (cli.twice, &cli.seeds) {
        return compare(seeds, cli.jobs);
    }
    let batch = Batch {
        print_fingerprints: cli.fingerprints,
        keeps_going: cli.keep_going,
        ..Batch::default()
    };
    match (&cli.seeds, cli.minutes) {
        (Some(seeds), _) => batch.run(seeds.clone(), None, cli.jobs),
        (None, Some(minutes)) => {
            let until = Duration::from_secs(60 * minutes);
            batch.run(cli.from..u64::MAX, Some(until), cli.jobs)
        }
        (None, None) => bail!("say --seeds, --seed, --scenario or --minutes; --help explains them"),
    }
}

fn tell(cli: &Cli, name: &str, print: fn(&str)) -> Result<()> {
    let told: Vec<_> = match name {
        "all" => SCENARIOS.iter().collect(),
        name => vec![Scenario::named(name).with_context(|| format!("no scenario {name:?}"))?],
    };
    for scenario in told {
        let options = Options {
            seed: 1,
            power_cuts: cli.power_cuts,
            print,
        };
        let clock = Stopwatch::start();
        let came_to = scenario.run(&options);
        let came_to = came_to.with_context(|| format!("scenario {}", scenario.name))?;
        let took = clock.elapsed().as_secs_f64();
        out(&format!(
            "{}: {}\n  {came_to} ({took:.1} s)",
            scenario.name, scenario.about
        ));
    }
    Ok(())
}

/// Runs the same worlds in two processes, of which the first has one world at a time: no world may be another because of
/// what else its process does.
fn compare(seeds: &Range<u64>, jobs: usize) -> Result<()> {
    let first = fingerprints(seeds, 1)?;
    let second = fingerprints(seeds, jobs)?;
    let mut both = first.iter().zip(&second);
    if let Some((one, other)) = both.find(|(one, other)| one != other) {
        bail!("a world ran in two ways: {one}, and {other}");
    }
    let count = usize::try_from(seeds.end.saturating_sub(seeds.start))?;
    ensure!(
        first.len() == count && second.len() == count,
        "of {count} worlds {} and {} came to their end",
        first.len(),
        second.len()
    );
    out(&format!("{count} worlds ran alike in two processes"));
    Ok(())
}

/// What a process of its own says of these worlds, in order.
fn fingerprints(seeds: &Range<u64>, jobs: usize) -> Result<BTreeSet<String>> {
    let program = std::env::current_exe().context("cannot find the program")?;
    let words = format!("--seeds {}..{} --jobs {jobs}", seeds.start, seeds.end);
    let output = Command::new(program)
        .args(words.split(' '))
        .args(["--fingerprints", "--keep-going"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run the worlds")?;
    let said = String::from_utf8(output.stdout).context("no text came out")?;
    let lines = said.lines().filter(|line| line.starts_with("seed "));
    Ok(lines.map(str::to_owned).collect())
}

/// Worlds one after the other, or several at once.
#[derive(Debug, Default)]
struct Batch {
    print_fingerprints: bool,
    keeps_going: bool,
    next: AtomicU64,
    ends: AtomicBool,
    sums: Mutex<Sums>,
}

#[derive(Debug, Default)]
struct Sums {
    worlds: u64,
    failed: Vec<u64>,
    simulated: Duration,
    happened: BTreeMap<Happening, u64>,
    slowest: Option<(Duration, u64)>,
}

impl Sums {
    /// A fault, or anything else, that never happened in many worlds has not been tested.
    fn check_happened(&self) -> Result<()> {
        let mut missing = Happening::ALL
            .iter()
            .filter(|kind| !self.happened.contains_key(kind));
        match missing.next() {
            Some(kind) if self.worlds >= ALL_HAPPENS_FROM => {
                bail!("in {} worlds this never happened: {kind}", self.worlds)
            }
            _ => Ok(()),
        }
    }
}

impl Batch {
    fn run(self, seeds: Range<u64>, most: Option<Duration>, jobs: usize) -> Result<()> {
        self.next.store(seeds.start, Ordering::Relaxed);
        let clock = Stopwatch::start();
        std::thread::scope(|scope| {
            for _ in 0..jobs.max(1) {
                scope.spawn(|| self.work(&seeds, most, &clock));
            }
        });
        let next = self.next.load(Ordering::Relaxed).min(seeds.end);
        let sums = self.sums.into_inner().unwrap_or_default();
        let (simulated, real) = (sums.simulated.as_secs_f64(), clock.elapsed().as_secs_f64());
        for kind in Happening::ALL {
            let count = sums.happened.get(kind).copied().unwrap_or_default();
            out(&format!("{kind:<22}{count:>10}"));
        }
        out(&format!(
            "{} worlds, {simulated:.0} s simulated in {real:.0} s: {:.0} times as fast as time",
            sums.worlds,
            simulated / real.max(f64::EPSILON)
        ));
        if let Some((agreed, seed)) = sums.slowest {
            out(&format!(
                "the slowest agreement took {:.2} s, at seed {seed}",
                agreed.as_secs_f64()
            ));
        }
        if next < seeds.end {
            out(&format!(
                "go on with --from {next}, or --seeds {next}..{}",
                seeds.end
            ));
        }
        ensure!(
            sums.failed.is_empty(),
            "the stories of these seeds are above: {:?}",
            sums.failed
        );
        sums.check_happened()
    }

    fn work(&self, seeds: &Range<u64>, most: Option<Duration>, clock: &Stopwatch) {
        while most.is_none_or(|most| clock.elapsed() < most) && !self.ends.load(Ordering::Relaxed) {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let failure = match run::seed(seed, |_| {}) {
                Ok(outcome) => {
                    if self.print_fingerprints {
                        out(&format!("seed {seed}: {}", outcome.fingerprint));
                    }
                    self.add(&outcome, clock);
                    report(&outcome).err()
                }
                Err(error) => Some(error),
            };
            if let Some(error) = failure {
                eprintln!("error: {error:#}");
                if let Ok(mut sums) = self.sums.lock() {
                    sums.failed.push(seed);
                }
                self.ends.fetch_or(!self.keeps_going, Ordering::Relaxed);
            }
        }
    }

    fn add(&self, outcome: &Outcome, clock: &Stopwatch) {
        let Ok(mut sums) = self.sums.lock() else {
            return;
        };
        sums.worlds += 1;
        sums.simulated += outcome.simulated;
        for (kind, count) in &outcome.happened {
            *sums.happened.entry(*kind).or_default() += count;
        }
        let agreed = outcome.agreed_after.map(|took| (took, outcome.seed));
        sums.slowest = sums.slowest.max(agreed);
        if sums.worlds.is_multiple_of(PROGRESS_EVERY) {
            let (worlds, took) = (sums.worlds, clock.elapsed().as_secs());
            eprintln!("{worlds} worlds in {took} s, now at seed {}", outcome.seed);
        }
    }
}

/// Tells what went wrong in a world, and how to see it again.
fn report(outcome: &Outcome) -> Result<()> {
    let Some(failure) = &outcome.failure else {
        return Ok(());
    };
    for line in &outcome.story {
        eprintln!("{line}");
    }
    let seed = outcome.seed;
    bail!(
        "seed {seed} ({:?}): {failure}\nto see it again: cargo xtask sim --seed {seed} --trace",
        outcome.mode
    )
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let parse = |part: &str| part.parse().map_err(|_| format!("{part:?} is no number"));
    let (from, to) = text
        .split_once("..")
        .ok_or("expected A..B, such as 0..100")?;
    Ok(parse(from)?..parse(to)?)
}

fn out(line: &str) {
    // Whoever closed our output does not want to know.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Real time, to say how long something took.
#[derive(Debug)]
struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(
        clippy::disallowed_methods,
        reason = "it measures the program, not a world"
    )]
    fn start() -> Self {
        Self(Instant::now())
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Everything has to have happened in so many worlds.
const ALL_HAPPENS_FROM: u64 = 100;

const PROGRESS_EVERY: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_happened_fails_a_batch_of_a_hundred_worlds() {
        let happened = Happening::ALL.iter().map(|kind| (*kind, 1)).collect();
        let mut sums = Sums {
            worlds: ALL_HAPPENS_FROM,
            happened,
            ..Sums::default()
        };
        sums.check_happened().unwrap();
        sums.happened.remove(&Happening::WriteTorn);
        let error = sums.check_happened().unwrap_err();
        assert!(error.to_string().ends_with("write torn"), "{error}");
        sums.worlds -= 1;
        sums.check_happened().unwrap();
    }

    #[test]
    fn a_failure_names_the_command_that_shows_it_again() {
        let mut outcome = run::seed(0, |_| {}).unwrap();
        report(&outcome).unwrap();
        outcome.failure = Some("the world spins".to_owned());
        let told = report(&outcome).unwrap_err().to_string();
        assert!(told.contains("the world spins"), "{told}");
        assert!(told.ends_with("cargo xtask sim --seed 0 --trace"), "{told}");
    }

    #[test]
    fn ranges_of_seeds_are_read_and_anything_else_is_refused() {
        assert_eq!(seeds("3..7"), Ok(3..7));
        for wrong in ["", "3", "3..", "..7", "a..b", "3...7"] {
            assert!(seeds(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn help_names_every_scenario() {
        for scenario in SCENARIOS {
            assert!(AFTER_HELP.contains(scenario.name), "{}", scenario.name);
        }
    }
}
