//! The main job on real data: 14 domains, each a process of its own, exchange a week of earthquake reports over QUIC.
//!
//! Twelve seismic networks append what they measured, and call the national catalogue when there is a report; the catalogue
//! validates what was reviewed; a newspaper that never talks to a network receives from the catalogue what its rules permit,
//! as signed by its origins: reviewed reports of some strength, without two of their fields. Day by day, live; then the
//! daemons stop and the homes are judged from outside.

mod board;
mod judge;
mod rows;
mod tamper;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::args::{Args, Usage};
use crate::clock::{Stopwatch, seconds};
use crate::program::{Daemon, Home, Printing, Profile, Program};
use crate::workspace::{self, out};
use board::Board;
use rows::{Report, Week};

const CATALOGUE: &str = "us.anss";
const NEWSPAPER: &str = "press.herald";

/// When the networks call the catalogue.
const NETWORK_POLICY: &str = r#"
[[strategy]]
name = "reports"
mode = "event-driven"
target = ["us.anss"]

[[strategy.trigger]]
id = "a report"
fact_type = "observation"
debounce = "20ms"
"#;

/// What the catalogue lets the newspaper have: see [`rows::is_for_the_newspaper`] and [`rows::WITHHELD`].
const CATALOGUE_POLICY: &str = r#"
[[out]]
name = "reports for the newspaper"
peers = ["press.herald"]
compartments = ["public"]
fact_types = ["observation"]
where = 'status = "reviewed" and mag >= 2.5'

[[out]]
name = "their validations"
peers = ["press.herald"]
compartments = ["public"]
fact_types = ["validation"]
where = 'mag >= 2.5'

[[security]]
name = "internals"
peers = ["press.herald"]
withhold = ["sig", "felt"]
"#;

/// How long the catalogue may take to receive what a network has called it for.
const CALL_MAX: Duration = Duration::from_secs(30);

pub(crate) fn run(mut args: Args) -> Result<()> {
    let keep = args.flag("--keep");
    let tamper = args.flag("--tamper");
    let printing = if args.flag("--verbose") {
        Printing::Everything
    } else {
        Printing::Builds
    };
    let given = args.value("--program")?;
    let days = args.number("--days")?.unwrap_or(rows::DAYS);
    args.finish()?;
    if !(1..=rows::DAYS).contains(&days) {
        return Err(Usage::new(format!("--days wants 1 to {}, not {days}", rows::DAYS)).into());
    }
    let week = Week::read(days)?;
    let program = match given {
        Some(path) => Program::at(Path::new(&path), printing)?,
        None => Program::build(Profile::Dev, printing)?,
    };
    let folder = tempfile::Builder::new()
        .prefix("causality-demo-")
        .tempdir()
        .context("cannot make a directory")?;
    let verdict = play(&program, folder.path(), &week, tamper);
    if keep {
        let folder = folder.keep();
        out(&exploring(&program, &folder));
    }
    verdict
}

/// Sets everything up, exchanges the week, judges.
fn play(program: &Program, folder: &Path, week: &Week, tamper: bool) -> Result<()> {
    let watch = Stopwatch::start();
    out(&format!(
        "{} domains on this machine, each with its own keys, store and process",
        week.networks().len() + 2
    ));
    let cast = Cast::found(program, folder, week)?;
    let daemons = cast.serve()?;
    cast.introduce()?;
    let founded = watch.elapsed();

    let watch = Stopwatch::start();
    let board = Board::new(cast.all().map(Home::name));
    let mut catalogued = 0;
    for day in &week.days() {
        catalogued = exchange(&cast, &board, day, catalogued)?;
    }
    let exchanged = watch.elapsed();
    for home in cast.all() {
        let status = home.json(&["status"])?;
        let count = |key: &str| status[key].as_u64().context("the status has no such count");
        board.wire(home.name(), count("bytes_sent")?, count("bytes_received")?);
    }
    board.finish();

    let watch = Stopwatch::start();
    for daemon in daemons {
        daemon.stop()?;
    }
    if tamper {
        tamper::flip_one_byte(
            &cast.catalogue,
            &week.reports().last().context("no reports")?.id,
        )?;
    }
    out("the daemons have stopped; judging their homes from outside");
    let findings = judge::judge(&cast, week)?;
    let durations = [
        ("founding", founded),
        ("exchange", exchanged),
        ("judgement", watch.elapsed()),
    ];
    verdict(&board, &findings, &durations)
}

fn verdict(board: &Board, findings: &[String], durations: &[(&str, Duration)]) -> Result<()> {
    out(&board.summary());
    let durations: Vec<String> = durations
        .iter()
        .map(|(name, time)| format!("{name} {}", seconds(*time)))
        .collect();
    out(&format!("durations: {}", durations.join(", ")));
    for finding in findings {
        eprintln!("WRONG {finding}");
    }
    if !findings.is_empty() {
        bail!(
            "the homes are not as they must be: {} findings",
            findings.len()
        );
    }
    out("every home holds exactly what it should, and every fact verifies");
    Ok(())
}

/// The domains of the demo.
#[derive(Debug)]
struct Cast {
    networks: Vec<Home>,
    catalogue: Home,
    newspaper: Home,
}

impl Cast {
    fn found(program: &Program, folder: &Path, week: &Week) -> Result<Self> {
        let mut homes = week
            .networks()
            .iter()
            .map(|net| rows::domain(net))
            .collect::<Vec<_>>();
        homes.extend([CATALOGUE.to_owned(), NEWSPAPER.to_owned()]);
        let mut networks = homes
            .iter()
            .map(|name| program.init(folder, name))
            .collect::<Result<Vec<_>>>()?;
        let newspaper = networks.pop().context("no newspaper")?;
        let catalogue = networks.pop().context("no catalogue")?;
        catalogue.write_policy(CATALOGUE_POLICY)?;
        for network in &networks {
            network.write_policy(NETWORK_POLICY)?;
        }
        Ok(Self {
            networks,
            catalogue,
            newspaper,
        })
    }

    fn all(&self) -> impl Iterator<Item = &Home> {
        self.networks
            .iter()
            .chain([&self.catalogue, &self.newspaper])
    }

    fn serve(&self) -> Result<Vec<Daemon>> {
        self.all().map(Home::serve).collect()
    }

    /// Both sides add each other: nothing flows unless one sends and the other receives it. What the newspaper gets stands in
    /// the catalogue's policy alone.
    fn introduce(&self) -> Result<()> {
        for network in &self.networks {
            network.add_peer(&self.catalogue, &["--send", "public"])?;
            self.catalogue.add_peer(network, &["--receive", "public"])?;
        }
        self.catalogue.add_peer(&self.newspaper, &[])?;
        self.newspaper
            .add_peer(&self.catalogue, &["--receive", "public"])
    }
}

/// One day: the networks append and call, all at once; the catalogue validates; the newspaper pulls. Says how many
/// reports the catalogue has looked at so far.
fn exchange(cast: &Cast, board: &Board, day: &rows::Day<'_>, catalogued: usize) -> Result<usize> {
    std::thread::scope(|scope| {
        let work = |home| move || report(home, &cast.catalogue, board, day);
        let threads: Vec<_> = cast
            .networks
            .iter()
            .map(|home| scope.spawn(work(home)))
            .collect();
        let results = threads.into_iter().map(|thread| match thread.join() {
            Ok(result) => result,
            Err(_) => bail!("a thread of the demo panicked"),
        });
        results.collect::<Result<()>>()
    })?;
    let (seen, validated) = validate(&cast.catalogue, catalogued)?;
    board.change(CATALOGUE, |row| row.own += validated);
    cast.newspaper.sync(&cast.catalogue, "--pull")?;
    for home in [&cast.catalogue, &cast.newspaper] {
        let held = home.facts()?;
        board.change(home.name(), |row| row.held = held);
    }
    board.note(&format!(
        "day {}: {} reports, {validated} validations",
        day.number,
        day.reports.len()
    ));
    Ok(seen)
}

/// A network appends the day's reports, and calls the catalogue by itself.
fn report(home: &Home, catalogue: &Home, board: &Board, day: &rows::Day<'_>) -> Result<()> {
    let own: Vec<&Report> = day
        .reports
        .iter()
        .copied()
        .filter(|report| report.domain == home.name())
        .collect();
    if own.is_empty() {
        return Ok(());
    }
    let lines = own
        .iter()
        .fold(String::new(), |text, report| text + &report.line + "\n");
    home.call_with(&["fact", "import", "-"], lines.into_bytes())?;
    let count = u64::try_from(own.len())?;
    board.change(home.name(), |row| {
        row.own += count;
        row.held += count;
    });
    let own: u64 = home.logs()?.iter().map(|log| log.size).sum();
    let watch = Stopwatch::start();
    while held_of(home, catalogue)? < own {
        if watch.elapsed() > CALL_MAX {
            bail!("{}: the catalogue was not called", home.name());
        }
    }
    Ok(())
}

/// How many facts of one home another one holds.
fn held_of(origin: &Home, at: &Home) -> Result<u64> {
    let logs = at.logs()?;
    let of_origin = logs.iter().filter(|log| log.origin == origin.id());
    Ok(of_origin.map(|log| log.size).sum())
}

/// The catalogue appends a validation of each reviewed report that it has not validated yet.
fn validate(catalogue: &Home, looked_at: usize) -> Result<(usize, u64)> {
    let exported = catalogue.json_lines(&["fact", "export", "--resource", "event/*"])?;
    let validated: Vec<&str> = exported
        .iter()
        .filter(|line| rows::is_validation(line))
        .filter_map(rows::cause)
        .collect();
    let reports: Vec<_> = exported
        .iter()
        .filter(|line| rows::is_report(line))
        .collect();
    if reports.len() < looked_at {
        bail!(
            "{CATALOGUE}: {} reports, but {looked_at} were there before",
            reports.len()
        );
    }
    let due = reports
        .iter()
        .filter(|line| rows::is_reviewed(line) && !validated.contains(&rows::id(line)));
    let lines: Vec<String> = due.map(|line| rows::validation(line)).collect();
    if !lines.is_empty() {
        catalogue.call_with(
            &["fact", "import", "-"],
            (lines.join("\n") + "\n").into_bytes(),
        )?;
    }
    Ok((reports.len(), u64::try_from(lines.len())?))
}

fn exploring(program: &Program, folder: &Path) -> String {
    let program = program
        .path()
        .strip_prefix(workspace::root())
        .unwrap_or(program.path())
        .display();
    let home = |name: &str| folder.join(name).display().to_string();
    format!(
        "\nThe homes are in {folder}. To explore them, from the root of the workspace:\n
  {program} --home {press} fact list
  {program} --home {press} digest
  {program} --home {anss} peer list
  {program} --home {anss} fact export | head -1
  {program} --home {press} fact verify --all\n",
        folder = folder.display(),
        press = home(NEWSPAPER),
        anss = home(CATALOGUE),
    )
}
