//! Drives the program `causality` as a user does: homes, commands, daemons. All that the chores know of its output is here.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::workspace;

/// The program, built.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    path: PathBuf,
    verbose: bool,
}

/// How the program is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    Dev,
    Release,
}

/// Which commands are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Printing {
    Builds,
    Everything,
}

impl Program {
    /// Builds the program; tests and demo share one build.
    pub(crate) fn build(profile: Profile, printing: Printing) -> Result<Self> {
        let mut command = workspace::cargo(&[
            "build",
            "--locked",
            "--package",
            "causality-cli",
            "--bin",
            "causality",
        ]);
        let folder = match profile {
            Profile::Dev => "debug",
            Profile::Release => {
                command.arg("--release");
                "release"
            }
        };
        workspace::run(command)?;
        let name = format!("causality{}", std::env::consts::EXE_SUFFIX);
        Self::at(&workspace::target().join(folder).join(name), printing)
    }

    /// A program that somebody else has built.
    pub(crate) fn at(path: &Path, printing: Printing) -> Result<Self> {
        let path = path
            .canonicalize()
            .with_context(|| format!("no program at {}", path.display()))?;
        Ok(Self {
            path,
            verbose: printing == Printing::Everything,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A new home under `folder`: keys, empty store. It listens on loopback, on a port that the system chooses when its
    /// daemon starts: only tickets that are made from then on have an address, and that of this daemon alone.
    pub(crate) fn init(&self, folder: &Path, name: &str) -> Result<Home> {
        let mut home = Home {
            program: self.clone(),
            dir: folder.join(name),
            name: name.to_owned(),
            id: String::new(),
        };
        home.call(&["init", "--name", name, "--listen", "127.0.0.1:0"])?;
        home.id = text(&home.json(&["status"])?, "id")?;
        Ok(home)
    }
}

/// A domain: one directory with its keys and its store.
#[derive(Debug)]
pub(crate) struct Home {
    program: Program,
    dir: PathBuf,
    name: String,
    id: String,
}

impl Home {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The domain's id as text.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program.path);
        command
            .arg("--home")
            .arg(&self.dir)
            .args(args)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end; what it writes to standard output. An exit other than 0 is an error.
    pub(crate) fn call(&self, args: &[&str]) -> Result<Vec<u8>> {
        self.call_with(args, Vec::new())
    }

    /// The same, with bytes on standard input.
    pub(crate) fn call_with(&self, args: &[&str], input: Vec<u8>) -> Result<Vec<u8>> {
        let mut command = self.command(args);
        if self.program.verbose {
            workspace::announce(&command);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.path.display()))?;
        let mut stdin = child
            .stdin
            .take()
            .context("the program has no standard input")?;
        // A program that ends before it has read everything says why on its own.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child
            .wait_with_output()
            .context("cannot wait for the program")?;
        let _ = writer.join();
        self.judged(args, output)
    }

    fn judged(&self, args: &[&str], output: Output) -> Result<Vec<u8>> {
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{}: causality {}: {}: {}",
            self.name,
            args.join(" "),
            output.status,
            said.trim()
        )
    }

    /// Runs a command with `-o json`.
    pub(crate) fn json(&self, args: &[&str]) -> Result<Value> {
        let bytes = self.call(&[&["-o", "json"], args].concat())?;
        serde_json::from_slice(&bytes)
            .with_context(|| format!("{}: {} wrote no JSON", self.name, args.join(" ")))
    }

    /// Runs a command with `-o jsonl`, one value a line.
    pub(crate) fn json_lines(&self, args: &[&str]) -> Result<Vec<Value>> {
        let bytes = self.call(&[&["-o", "jsonl"], args].concat())?;
        let lines = bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        let values = lines.map(serde_json::from_slice).collect::<Result<_, _>>();
        values.with_context(|| format!("{}: {} wrote no JSON lines", self.name, args.join(" ")))
    }

    /// The pasteable ticket of this domain.
    pub(crate) fn ticket(&self) -> Result<String> {
        Ok(String::from_utf8(self.call(&["peer", "ticket"])?)
            .context("a ticket is text")?
            .trim()
            .to_owned())
    }

    /// Makes this domain know `peer`, with these compartments either way.
    pub(crate) fn add_peer(&self, peer: &Self, direction: &[&str]) -> Result<()> {
        let ticket = peer.ticket()?;
        self.call(&[&["peer", "add", &ticket, "--as", &peer.name], direction].concat())
            .map(drop)
    }

    /// Starts the daemon and waits until it says that it is ready. What it says on standard error goes to a file
    /// beside the home.
    pub(crate) fn serve(&self) -> Result<Daemon> {
        let mut command = self.command(&["serve"]);
        if self.program.verbose {
            workspace::announce(&command);
        }
        // Names have dots: what stands behind the last one is no extension.
        let mut log = self.dir.clone().into_os_string();
        log.push(".log");
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .context("cannot open the daemon's log")?;
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .context("cannot start the daemon")?;
        let stdout = child
            .stdout
            .take()
            .context("the daemon has no standard output")?;
        let lines = lines(stdout);
        let daemon = Daemon { child, lines };
        if daemon.lines.recv_timeout(START_MAX).is_err() {
            drop(daemon);
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            bail!(
                "{}: the daemon did not become ready: {}",
                self.name,
                said.trim()
            );
        }
        Ok(daemon)
    }

    /// Synchronises with a peer.
    pub(crate) fn sync(&self, peer: &Self, direction: &str) -> Result<Synced> {
        Synced::read(&self.json(&["sync", &peer.name, direction])?)
    }

    /// Writes the rules of the home.
    pub(crate) fn write_policy(&self, text: &str) -> Result<()> {
        std::fs::write(self.dir.join("policy.toml"), text).context("cannot write a policy")
    }

    /// How many facts are held, whole or in part.
    pub(crate) fn facts(&self) -> Result<u64> {
        number(&self.json(&["status"])?, "facts")
    }

    /// The rows of `digest`, in order of (origin, compartment, lane).
    pub(crate) fn logs(&self) -> Result<Vec<Log>> {
        let digest = self.json(&["digest"])?;
        let rows = digest["logs"]
            .as_array()
            .with_context(|| format!("{}: a digest without logs", self.name))?;
        let mut logs = rows.iter().map(Log::read).collect::<Result<Vec<_>>>()?;
        logs.retain(|log| log.size > 0);
        logs.sort();
        Ok(logs)
    }
}

/// How long a daemon may take to become ready, and to stop.
const START_MAX: Duration = Duration::from_secs(30);
const STOP_MAX: Duration = Duration::from_secs(30);

/// A running daemon; killed if dropped.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    lines: Receiver<String>,
}

impl Daemon {
    /// Asks it to stop (SIGTERM), and waits until it has.
    pub(crate) fn stop(mut self) -> Result<()> {
        let kill = format!("kill -TERM {}", self.child.id());
        let status = Command::new("sh")
            .args(["-c", &kill])
            .status()
            .context("cannot start sh")?;
        ensure!(status.success(), "{kill} failed");
        // The channel ends when the daemon's standard output does.
        loop {
            match self.lines.recv_timeout(STOP_MAX) {
                Ok(_) => {}
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                    bail!("the daemon did not stop on SIGTERM")
                }
            }
        }
        let status = self.child.wait().context("cannot wait for the daemon")?;
        ensure!(status.success(), "the daemon ended with {status}");
        Ok(())
    }

    /// The CPU time that its threads have had so far, in microseconds; Linux only.
    pub(crate) fn cpu_us(&self) -> Result<f64> {
        let threads = format!("/proc/{}/task", self.child.id());
        let mut nanos = 0;
        for thread in std::fs::read_dir(&threads).context("CPU time is not known here")? {
            let times = std::fs::read_to_string(thread?.path().join("schedstat"))
                .context("CPU time is not known here")?;
            let running = times.split(' ').next().unwrap_or_default();
            nanos += running
                .parse::<u64>()
                .with_context(|| format!("no CPU time in {times:?}"))?;
        }
        Ok(nanos as f64 / 1e3)
    }

    /// The most memory it ever held, in KiB.
    pub(crate) fn peak_memory_kib(&self) -> Option<u64> {
        peak_memory_kib(self.child.id())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Both fail if it has ended already, which is what they are for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lines as they come, from a thread of their own; the channel ends with the stream.
pub(crate) fn lines(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The most memory a process ever held, in KiB, while it runs; Linux only.
pub(crate) fn peak_memory_kib(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

/// What `sync -o json` tells.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Synced {
    pub(crate) facts: u64,
    /// UDP payload, less the probes for the path's MTU.
    pub(crate) bytes: u64,
    /// Bytes of the probes that this side sent.
    probes: u64,
    pub(crate) duration_ms: f64,
}

impl Synced {
    /// The bytes of a new connection without the probes of either side: on a path without loss both send the same ones.
    pub(crate) fn bytes_without_probes(&self) -> u64 {
        self.bytes.saturating_sub(self.probes)
    }

    pub(crate) fn read(value: &Value) -> Result<Self> {
        let (bytes_sent, bytes_received) = (
            number(value, "bytes_sent")?,
            number(value, "bytes_received")?,
        );
        let probes = value["mtu_probe_bytes"].as_u64().unwrap_or_default();
        Ok(Self {
            facts: number(value, "facts_sent")? + number(value, "facts_received")?,
            bytes: (bytes_sent + bytes_received).saturating_sub(probes),
            probes,
            duration_ms: value["duration_ms"].as_f64().context("no duration_ms")?,
        })
    }
}

/// One row of `digest -o json`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Log {
    /// The origin's id.
    pub(crate) origin: String,
    compartment: String,
    lane: String,
    pub(crate) size: u64,
    root: String,
    held: String,
    held_digest: String,
}

impl Log {
    /// Which tree it is, whatever of its facts is held.
    pub(crate) fn tree(&self) -> (String, u64, String) {
        (self.lane.clone(), self.size, self.root.clone())
    }

    fn read(row: &Value) -> Result<Self> {
        Ok(Self {
            origin: text(row, "origin")?,
            compartment: text(row, "compartment")?,
            lane: text(row, "lane")?,
            size: number(row, "size")?,
            root: text(row, "root")?,
            held: row["held"].to_string(),
            held_digest: text(row, "held_digest")?,
        })
    }
}

pub(crate) fn text(value: &Value, key: &str) -> Result<String> {
    value[key]
        .as_str()
        .map(str::to_owned)
        .with_context(|| format!("no text {key:?} in {value}"))
}

pub(crate) fn number(value: &Value, key: &str) -> Result<u64> {
    value[key]
        .as_u64()
        .with_context(|| format!("no number {key:?} in {value}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_output_of_sync_is_read() {
        let synced = Synced::read(&json!({
            "facts_sent": 3, "facts_received": 1, "bytes_sent": 500, "bytes_received": 100, "mtu_probe_bytes": 50,
            "round_trips": 2, "duration_ms": 1.5,
        }));
        let synced = synced.unwrap();
        assert_eq!((synced.facts, synced.bytes), (4, 550));
        assert!(Synced::read(&json!({"facts_sent": 3})).is_err());
    }

    #[test]
    fn the_peak_of_this_process_is_known_on_linux() {
        assert_eq!(
            peak_memory_kib(std::process::id()).is_some(),
            cfg!(target_os = "linux")
        );
    }
}
