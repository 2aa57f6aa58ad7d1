//! What a policy that grants more costs, and what it costs to ask again when it has not changed: two homes, the receiver may
//! have half of the facts, then 1000 more of them.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::input;
use super::scenario::{REPEATS, asked_in_turn};
use super::{Bound, FACTS_SMALL, FLATNESS_MAX, Figure, median};
use crate::dress::grouped;
use crate::program::{Daemon, Home, Program, Synced};

/// So many facts more are permitted.
const MORE: u64 = 1_000;
/// What these facts cost on the way against the same in a log of their own: each names its position beside.
const WIDENED_BYTES_MAX: f64 = 1.3;
/// More would mean that CPU grows with the facts.
const CPU_MAX: f64 = FLATNESS_MAX;

pub(super) fn measure(program: &Program, facts: u64) -> Result<Vec<Figure>> {
    let fresh = Pair::synced(program, MORE, MORE)?;
    let mut pairs = [
        Pair::synced(program, FACTS_SMALL, FACTS_SMALL / 2)?,
        Pair::synced(program, facts, facts / 2)?,
    ];
    let mut widened = Synced::default();
    for pair in &mut pairs {
        widened = pair.widened_by(MORE)?;
    }
    let [small, large] = settled(&pairs)?;
    pairs.into_iter().try_for_each(Pair::ended)?;

    let first = fresh.first;
    fresh.ended()?;
    let more = widened.facts as f64;
    let of = grouped(facts);
    Ok(vec![
        Figure::new(
            &format!("{} of {of} more permitted: these travel", grouped(MORE)),
            more,
            "facts",
            Bound::AtMost(MORE as f64),
        ),
        Figure::new(
            "  both ways",
            widened.bytes_without_probes() as f64 / more,
            "bytes/fact",
            Bound::Open,
        ),
        Figure::new(
            "  against the same in a log of their own",
            widened.bytes_without_probes() as f64 / first.bytes_without_probes() as f64,
            "x",
            Bound::AtMost(WIDENED_BYTES_MAX),
        ),
        Figure::new("  time", widened.duration_ms, "ms", Bound::Open),
        Figure::new(
            "  against the same in a log of their own",
            widened.duration_ms / first.duration_ms,
            "x",
            Bound::Open,
        ),
        Figure::new(
            &format!("the same policy again, {of}"),
            large.bytes,
            "bytes",
            Bound::Open,
        ),
        Figure::new("  time", large.duration_ms, "ms", Bound::Open),
        Figure::new(
            &format!("  against {}", grouped(FACTS_SMALL)),
            large.duration_ms / small.duration_ms,
            "x",
            Bound::AtMost(FLATNESS_MAX),
        ),
        Figure::new("  CPU of both daemons", large.cpu_us, "us", Bound::Open),
        Figure::new(
            &format!("  against {}", grouped(FACTS_SMALL)),
            large.cpu_us / small.cpu_us,
            "x",
            Bound::AtMost(CPU_MAX),
        ),
    ])
}

/// What it costs on an open connection to hear that nothing is new: the middle, but of the CPU the mean.
struct Settled {
    bytes: f64,
    duration_ms: f64,
    cpu_us: f64,
}

/// Asks each pair in turn, the sender with a daemon that keeps the connection, until all have been asked often enough.
fn settled(pairs: &[Pair; 2]) -> Result<[Settled; 2]> {
    let mut sending = Vec::new();
    for pair in pairs {
        sending.push(pair.sender.serve()?);
        // Opens the connection.
        pair.sender.sync(&pair.receiver, "--push")?;
    }
    let cpu = || -> Result<Vec<f64>> {
        let both = sending.iter().zip(pairs);
        both.map(|(sending, pair)| Ok(sending.cpu_us()? + pair.receiving.cpu_us()?))
            .collect()
    };
    let before = cpu()?;
    let homes = pairs.each_ref().map(|pair| (&pair.sender, &pair.receiver));
    let answers = asked_in_turn(&homes)?;
    let after = cpu()?;
    let mut settled = Vec::new();
    for (answers, (before, after)) in answers.iter().zip(before.iter().zip(after)) {
        let bytes = answers.iter().map(|synced| synced.bytes as f64);
        let times = answers.iter().map(|synced| synced.duration_ms);
        settled.push(Settled {
            bytes: median(bytes.collect())?,
            duration_ms: median(times.collect())?,
            cpu_us: (after - before) / REPEATS as f64,
        });
    }
    sending.into_iter().try_for_each(Daemon::stop)?;
    settled.try_into().ok().context("one of each pair")
}

/// Two homes, of which one may have some of the other's facts.
struct Pair {
    sender: Home,
    receiver: Home,
    receiving: Daemon,
    permitted: u64,
    /// The first synchronisation.
    first: Synced,
    /// Dropped last: the homes are in it.
    _folder: TempDir,
}

impl Pair {
    /// Imports facts at one home, and synchronises those that are permitted to the other.
    fn synced(program: &Program, facts: u64, permitted: u64) -> Result<Self> {
        let (all, some) = (grouped(facts), grouped(permitted));
        eprintln!("-- {all} facts, {some} of them permitted");
        let folder = tempfile::Builder::new()
            .prefix("causality-bench-")
            .tempdir()
            .context("cannot make a directory")?;
        let sender = program.init(folder.path(), "sender")?;
        let receiver = program.init(folder.path(), "receiver")?;
        let file = folder.path().join("facts.ndjson");
        let mut writer = BufWriter::new(File::create(&file).context("cannot write the input")?);
        input::write_numbered(facts, &mut writer)?;
        writer.flush()?;
        let file = file.to_str().context("the path of the input is no text")?;
        let mut import = sender.command(&["fact", "import", file]);
        let status = import.stdout(Stdio::null()).status();
        let status = status.context("cannot start the import")?;
        ensure!(status.success(), "the import ended with {status}");

        sender.write_policy(&granting(permitted))?;
        let receiving = receiver.serve()?;
        sender.add_peer(&receiver, &[])?;
        receiver.add_peer(&sender, &["--receive", "public"])?;
        let first = sender.sync(&receiver, "--push")?;
        exactly(&first, permitted)?;
        Ok(Self {
            sender,
            receiver,
            receiving,
            permitted,
            first,
            _folder: folder,
        })
    }

    /// Permits so many more of the facts; what their synchronisation took.
    fn widened_by(&mut self, more: u64) -> Result<Synced> {
        self.permitted += more;
        self.sender.write_policy(&granting(self.permitted))?;
        let synced = self.sender.sync(&self.receiver, "--push")?;
        exactly(&synced, more)?;
        Ok(synced)
    }

    /// Stops the receiver, and counts what it holds.
    fn ended(self) -> Result<()> {
        self.receiving.stop()?;
        let held = self.receiver.facts()?;
        let permitted = self.permitted;
        ensure!(
            held == permitted,
            "the receiver holds {held} facts, and may have {permitted}"
        );
        Ok(())
    }
}

/// The policy that grants the facts with the lowest numbers.
fn granting(facts: u64) -> String {
    format!(
        "[[out]]\nname = \"some\"\npeers = [\"receiver\"]\ncompartments = [\"public\"]\n\
         where = 'number < {facts}'\n"
    )
}

fn exactly(synced: &Synced, facts: u64) -> Result<()> {
    let sent = synced.facts;
    ensure!(sent == facts, "{sent} facts sent, {facts} were due");
    Ok(())
}
