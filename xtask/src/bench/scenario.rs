//! One run: two homes, two daemons on loopback; import at one, synchronise to the empty other, then nothing new.

use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::floor;
use super::input::{self, Random};
use super::median;
use crate::clock::Stopwatch;
use crate::dress::grouped;
use crate::program::{Daemon, Home, Program, Synced, lines, peak_memory_kib};

/// How the facts get into the first home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writing {
    /// By one import of a file.
    Bulk,
    /// Each durable, under a checkpoint of its own, before the next is handed in.
    OneByOne,
}

/// What one run measured.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) facts: u64,
    pub(super) input_bytes: u64,
    /// What [`floor::measure`] takes just before.
    pub(super) floor_s: f64,
    pub(super) import_s: f64,
    pub(super) sync_s: f64,
    pub(super) sync_bytes: u64,
    pub(super) import_mib: f64,
    pub(super) sender_mib: f64,
    pub(super) receiver_mib: f64,
    pub(super) nothing_new_bytes: f64,
    pub(super) nothing_new_ms: f64,
    pub(super) nothing_new_open_bytes: f64,
    pub(super) nothing_new_open_ms: f64,
}

/// How often "nothing new" is asked; the middle counts. One answer takes a third of a millisecond, give or take a third of
/// that: the middle of so many is within a twentieth.
pub(super) const REPEATS: usize = 201;

/// Two homes that hold the same facts.
#[derive(Debug)]
struct World {
    sender: Home,
    receiver: Home,
    receiving: Daemon,
    run: Run,
    /// Dropped last: the homes are in it.
    _folder: TempDir,
}

pub(super) fn measure(program: &Program, facts: u64, writing: Writing) -> Result<Run> {
    let [run] = measure_together(program, [facts], writing)?;
    Ok(run)
}

/// One run for each number of facts. Whether anything is new is asked in turn, so that the machine is the same for all.
pub(super) fn measure_together<const N: usize>(
    program: &Program,
    facts: [u64; N],
    writing: Writing,
) -> Result<[Run; N]> {
    let mut worlds = Vec::new();
    for facts in facts {
        worlds.push(World::filled(program, facts, writing)?);
    }

    // Without a daemon at this side each command opens a connection of its own.
    for (world, new) in asked(&mut worlds)? {
        let bytes = new
            .iter()
            .map(|synced| synced.bytes_without_probes() as f64);
        world.run.nothing_new_bytes = median(bytes.collect())?;
        world.run.nothing_new_ms = median(new.iter().map(|synced| synced.duration_ms).collect())?;
    }
    let mut sending = Vec::new();
    for world in &worlds {
        sending.push(world.sender.serve()?);
        world.sender.sync(&world.receiver, "--push")?;
    }
    for (world, open) in asked(&mut worlds)? {
        let bytes = open.iter().map(|synced| synced.bytes as f64);
        world.run.nothing_new_open_bytes = median(bytes.collect())?;
        world.run.nothing_new_open_ms =
            median(open.iter().map(|synced| synced.duration_ms).collect())?;
    }
    sending.into_iter().try_for_each(Daemon::stop)?;
    let runs = worlds.into_iter().map(World::ended);
    let runs = runs.collect::<Result<Vec<_>>>()?;
    Ok(runs.try_into().expect("one run for each number of facts"))
}

fn asked(worlds: &mut [World]) -> Result<Vec<(&mut World, Vec<Synced>)>> {
    let pairs: Vec<_> = worlds
        .iter()
        .map(|world| (&world.sender, &world.receiver))
        .collect();
    let answers = asked_in_turn(&pairs)?;
    Ok(worlds.iter_mut().zip(answers).collect())
}

/// Asks each pair of sender and receiver in turn whether anything is new, until each has been asked often enough.
pub(super) fn asked_in_turn(pairs: &[(&Home, &Home)]) -> Result<Vec<Vec<Synced>>> {
    let mut asked = vec![Vec::new(); pairs.len()];
    for _ in 0..REPEATS {
        for ((sender, receiver), answers) in pairs.iter().zip(&mut asked) {
            let synced = sender.sync(receiver, "--push")?;
            ensure!(
                synced.facts == 0,
                "facts travelled although nothing was new"
            );
            answers.push(synced);
        }
    }
    Ok(asked)
}

impl World {
    /// Imports facts at one home and synchronises them to the other.
    fn filled(program: &Program, facts: u64, writing: Writing) -> Result<Self> {
        eprintln!("-- {} facts, {writing:?}", grouped(facts));
        let folder = tempfile::Builder::new()
            .prefix("causality-bench-")
            .tempdir()
            .context("cannot make a directory")?;
        let sender = program.init(folder.path(), "sender")?;
        let receiver = program.init(folder.path(), "receiver")?;
        let file = folder.path().join("facts.ndjson");
        let mut writer = BufWriter::new(File::create(&file).context("cannot write the input")?);
        let input_bytes = input::write(facts, &mut writer)?;
        writer.flush()?;
        let floor_s = floor::measure(folder.path(), facts)?;
        let watch = Stopwatch::start();
        let import_kib = match writing {
            Writing::Bulk => import(&sender, &file)?,
            Writing::OneByOne => import_one_by_one(&sender, facts)?,
        };
        let import_s = watch.elapsed().as_secs_f64();

        // Only now do they know each other: daemons that did before would have delivered each fact at once.
        let receiving = receiver.serve()?;
        sender.add_peer(&receiver, &["--send", "public"])?;
        receiver.add_peer(&sender, &["--receive", "public"])?;
        let watch = Stopwatch::start();
        let (synced, sender_kib) = sync_watched(&sender, &receiver)?;
        let sync_s = watch.elapsed().as_secs_f64();
        ensure!(
            synced.facts == facts,
            "{} facts sent of {facts}",
            synced.facts
        );
        let run = Run {
            facts,
            input_bytes,
            floor_s,
            import_s,
            sync_s,
            sync_bytes: synced.bytes,
            import_mib: import_kib as f64 / 1024.0,
            sender_mib: sender_kib as f64 / 1024.0,
            receiver_mib: f64::NAN,
            nothing_new_bytes: f64::NAN,
            nothing_new_ms: f64::NAN,
            nothing_new_open_bytes: f64::NAN,
            nothing_new_open_ms: f64::NAN,
        };
        Ok(Self {
            sender,
            receiver,
            receiving,
            run,
            _folder: folder,
        })
    }

    /// Stops the receiver, and compares what the two hold.
    fn ended(mut self) -> Result<Run> {
        let kib = self.receiving.peak_memory_kib();
        let kib = kib.context("the receiver's memory is unknown here")?;
        self.run.receiver_mib = kib as f64 / 1024.0;
        self.receiving.stop()?;
        ensure!(
            self.sender.logs()? == self.receiver.logs()?,
            "the digests of sender and receiver differ"
        );
        Ok(self.run)
    }
}

/// Imports a file; the peak memory of the importing process in KiB.
fn import(home: &Home, file: &Path) -> Result<u64> {
    let file = file.to_str().context("the path of the input is no text")?;
    let child = home
        .command(&["fact", "import", file])
        .stdout(Stdio::null())
        .spawn()
        .context("cannot start the import")?;
    watched(child)
}

/// Synchronises in a process of its own; what it did, and its peak memory in KiB.
fn sync_watched(sender: &Home, receiver: &Home) -> Result<(Synced, u64)> {
    let mut child = sender
        .command(&["-o", "json", "sync", receiver.name(), "--push"])
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the sync")?;
    let mut stdout = child.stdout.take().context("the sync has no output")?;
    let said = std::thread::spawn(move || {
        let mut said = Vec::new();
        stdout.read_to_end(&mut said).map(|_| said)
    });
    let memory = watched(child)?;
    let said = said.join().ok().context("the reader panicked")??;
    let value = serde_json::from_slice(&said).context("the sync wrote no JSON")?;
    Ok((Synced::read(&value)?, memory))
}

/// Waits for a process and watches its memory; nothing of it is left to see once it has ended.
fn watched(mut child: Child) -> Result<u64> {
    let process = child.id();
    let (ended, end) = channel::<()>();
    let watcher = std::thread::spawn(move || {
        let mut peak = 0;
        while end.recv_timeout(Duration::from_millis(10)) == Err(RecvTimeoutError::Timeout) {
            peak = peak.max(peak_memory_kib(process).unwrap_or_default());
        }
        peak
    });
    let status = child.wait().context("cannot wait for the import")?;
    drop(ended);
    ensure!(status.success(), "the import ended with {status}");
    watcher.join().ok().context("the watcher panicked")
}

/// Hands in a line, waits until it is acknowledged as durable, hands in the next.
fn import_one_by_one(home: &Home, facts: u64) -> Result<u64> {
    let mut command = home.command(&["-o", "jsonl", "fact", "import", "-"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the import")?;
    let mut stdin = child
        .stdin
        .take()
        .context("the import has no standard input")?;
    let acknowledged = lines(
        child
            .stdout
            .take()
            .context("the import has no standard output")?,
    );
    let mut random = Random { state: 2 };
    for number in 0..facts {
        stdin
            .write_all(input::line(number, &mut random).as_bytes())
            .context("the import stopped reading")?;
        acknowledged
            .recv_timeout(ACKNOWLEDGED_MAX)
            .with_context(|| format!("fact {number} was not acknowledged"))?;
    }
    drop(stdin);
    watched(child)
}

/// How long one fact may take to become durable.
const ACKNOWLEDGED_MAX: Duration = Duration::from_secs(10);
