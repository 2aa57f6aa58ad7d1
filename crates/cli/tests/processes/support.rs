//! Homes, commands and daemons for the tests; all that they know of the program's output is here.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The exit codes of the program.
pub(crate) mod exit {
    pub(crate) const OK: i32 = 0;
    pub(crate) const OTHER: i32 = 1;
    pub(crate) const USAGE: i32 = 2;
    pub(crate) const PARTIAL: i32 = 3;
    pub(crate) const NOT_FOUND: i32 = 4;
    pub(crate) const CONTRADICTION: i32 = 5;
    pub(crate) const DENIED: i32 = 6;
    pub(crate) const UNREACHABLE: i32 = 7;
    pub(crate) const INTEGRITY: i32 = 8;
    pub(crate) const LOCKED: i32 = 9;
    pub(crate) const INTERRUPTED: i32 = 130;
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Outcome {
    fn of(output: Output) -> Self {
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!err.contains("panicked"), "the program panicked: {err}");
        // A process that a signal ended has no code.
        Self {
            code: output.status.code().unwrap_or(-1),
            out: output.stdout,
            err,
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.out.clone()).expect("the program wrote something else than text")
    }

    /// A failure: its code and a sentence. Returns the sentence.
    pub(crate) fn failed(self, code: i32) -> String {
        self.err_of(code, "the command")
    }

    /// The same, saying what was tried.
    pub(crate) fn err_of(self, code: i32, tried: &str) -> String {
        let out = String::from_utf8_lossy(&self.out);
        assert_eq!(
            self.code, code,
            "{tried}\nstandard output: {out}\nstandard error: {}",
            self.err
        );
        assert!(
            self.err.trim().len() > 10,
            "{tried}: no sentence: {:?}",
            self.err
        );
        self.err
    }
}

/// A domain of its own in a directory that goes with it.
#[derive(Debug)]
pub(crate) struct Home {
    name: String,
    dir: PathBuf,
    port: u16,
    _folder: TempDir,
}

impl Home {
    /// `causality init`, with a port of its own.
    pub(crate) fn new(name: &str) -> Self {
        Self::below(name, Path::new("home"), free_port())
    }

    /// The same at a path below a fresh directory, and on a port that the caller chose.
    pub(crate) fn below(name: &str, path: &Path, port: u16) -> Self {
        let home = Self::uninitialised(name, path, port);
        std::fs::create_dir_all(home.dir.parent().unwrap()).unwrap();
        home.ok(&[
            "init",
            "--name",
            name,
            "--listen",
            &format!("127.0.0.1:{port}"),
        ]);
        home
    }

    /// A path where nothing is yet.
    pub(crate) fn uninitialised(name: &str, path: &Path, port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            name: name.to_owned(),
            dir: folder.path().join(path),
            port,
            _folder: folder,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// A path beside the home, for files of the test.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self._folder.path().join(name)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = causality();
        command.arg("--home").arg(&self.dir).args(args);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        self.run_with(args, b"")
    }

    pub(crate) fn run_with(&self, args: &[&str], input: &[u8]) -> Outcome {
        run_with(self.command(args), input)
    }

    /// Runs what must succeed; its standard output.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        self.ok_with(args, b"")
    }

    pub(crate) fn ok_with(&self, args: &[&str], input: &[u8]) -> String {
        let outcome = self.run_with(args, input);
        assert_eq!(
            outcome.code,
            exit::OK,
            "{}: {args:?}: {}",
            self.name,
            outcome.err
        );
        outcome.text()
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let text = self.ok(&[&["-o", "json"], args].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"))
    }

    pub(crate) fn import(&self, lines: &str) {
        self.ok_with(&["fact", "import", "-"], lines.as_bytes());
    }

    /// The lines of `fact export`.
    pub(crate) fn export(&self) -> Vec<Value> {
        values(&self.ok(&["fact", "export"]))
    }

    /// The resources of all facts, sorted.
    pub(crate) fn resources(&self) -> Vec<String> {
        let mut all: Vec<String> = self
            .export()
            .iter()
            .map(|line| string(line, "resource"))
            .collect();
        all.sort();
        all
    }

    /// The rows of `digest` that hold something, in a fixed order.
    pub(crate) fn logs(&self) -> Vec<String> {
        let digest = self.json(&["digest"]);
        let rows = digest["logs"].as_array().expect("a digest has logs");
        let mut rows: Vec<String> = rows
            .iter()
            .filter(|row| row["size"] != 0)
            .map(Value::to_string)
            .collect();
        rows.sort();
        rows
    }

    /// How many positions of all logs are held.
    pub(crate) fn held(&self) -> u64 {
        let digest = self.json(&["digest"]);
        let rows = digest["logs"].as_array().expect("a digest has logs");
        rows.iter()
            .map(|row| row["held"].as_u64().expect("`held` is a number"))
            .sum()
    }

    pub(crate) fn ticket(&self) -> String {
        self.ok(&["peer", "ticket"]).trim().to_owned()
    }

    pub(crate) fn add_peer(&self, peer: &Self, direction: &[&str]) {
        self.ok(&[
            &["peer", "add", &peer.ticket(), "--as", &peer.name],
            direction,
        ]
        .concat());
    }

    /// Another directory with the same files, as somebody makes it with `cp`.
    pub(crate) fn copied(&self) -> Self {
        let copy = Self::uninitialised(&self.name, Path::new("copy"), free_port());
        std::fs::create_dir(&copy.dir).unwrap();
        for (path, bytes) in self.files() {
            std::fs::write(copy.dir.join(path.strip_prefix(&self.dir).unwrap()), bytes).unwrap();
        }
        copy
    }

    /// Starts the daemon, and waits for the line that says that it is ready.
    pub(crate) fn serve(&self) -> Daemon {
        self.serve_by(self.command(&["serve"]))
    }

    /// The same by a command that ends in `serve` on this home.
    pub(crate) fn serve_by(&self, mut command: Command) -> Daemon {
        let streams = command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = streams.stderr(Stdio::piped()).spawn().unwrap();
        let ready = lines(child.stdout.take().unwrap());
        if ready.recv_timeout(PATIENCE).is_err() {
            let _ = child.kill();
            let output = child.wait_with_output().unwrap();
            panic!(
                "{}: not ready: {}",
                self.name,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        drain(child.stderr.take().unwrap());
        Daemon { child, ready }
    }

    pub(crate) fn spawn(&self, args: &[&str], stdin: Stdio) -> Child {
        let mut command = self.command(args);
        command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Every file of the home with its bytes, by path.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        let mut open = vec![self.dir.clone()];
        while let Some(dir) = open.pop() {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else if path.is_file() {
                    let bytes = std::fs::read(&path).unwrap();
                    files.push((path, bytes));
                }
            }
        }
        files.sort();
        files
    }

    /// The largest file of the home: its store.
    pub(crate) fn store(&self) -> PathBuf {
        self.files()
            .into_iter()
            .max_by_key(|(_, bytes)| bytes.len())
            .unwrap()
            .0
    }
}

/// The program, with nothing of the caller's surroundings.
pub(crate) fn causality() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_causality"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// Runs a command to its end with bytes on its standard input; one that never ends is killed, and the test fails.
pub(crate) fn run_with(mut command: Command, input: &[u8]) -> Outcome {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut stdin, process) = (child.stdin.take().unwrap(), child.id());
    let (ended, end) = channel::<()>();
    let (output, late) = std::thread::scope(|scope| {
        // A program that ends before it has read everything says why on its own.
        scope.spawn(move || drop(stdin.write_all(input)));
        let watch = scope.spawn(move || {
            let late = end.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout);
            if late {
                send("KILL", process);
            }
            late
        });
        let output = child.wait_with_output().unwrap();
        drop(ended);
        (output, watch.join().unwrap())
    });
    assert!(!late, "{command:?} did not end");
    Outcome::of(output)
}

/// The same command where no file may grow past so many blocks of 512 bytes: to the program it looks like a full disk.
pub(crate) fn with_full_disk(blocks: u64, command: &Command) -> Command {
    let mut limited = Command::new("sh");
    limited.args([
        "-c",
        &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\""),
        "sh",
    ]);
    limited.arg(command.get_program()).args(command.get_args());
    limited
}

/// A running daemon; killed if dropped.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    ready: Receiver<String>,
}

impl Daemon {
    /// Ends it by a signal that it can act on; its exit code.
    pub(crate) fn stop(mut self, signal: &str) -> i32 {
        send(signal, self.child.id());
        while self.ready.recv_timeout(PATIENCE).is_ok() {}
        self.child.wait().unwrap().code().unwrap_or(-1)
    }

    /// Ends it as a power cut would: kill −9.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Both fail if it has ended already, which is what they are for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two homes that know each other; `a` sends its public facts to `b`, and receives `b`'s.
pub(crate) fn pair() -> (Home, Home) {
    let (a, b) = (Home::new("a"), Home::new("b"));
    introduce(&a, &b);
    (a, b)
}

/// Both add each other, with everything public either way.
pub(crate) fn introduce(a: &Home, b: &Home) {
    let both = ["--send", "public", "--receive", "public"];
    a.add_peer(b, &both);
    b.add_peer(a, &both);
}

/// Import lines of `count` observations, each of a resource of its own.
pub(crate) fn observations(prefix: &str, count: u64) -> String {
    (0..count)
        .map(|number| {
            observation(
                &format!("{prefix}/{number:06}"),
                json!({ "number": number }),
            )
        })
        .collect()
}

/// One import line.
pub(crate) fn observation(resource: &str, content: Value) -> String {
    json!({ "type": "observation", "resource": resource, "valid_from": 1_517_365_101_235_i64, "content": content })
        .to_string()
        + "\n"
}

/// JSON lines.
pub(crate) fn values(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

pub(crate) fn string(value: &Value, key: &str) -> String {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("no text {key:?} in {value}"))
        .to_owned()
}

/// Sends a signal to a process of this test.
pub(crate) fn send(signal: &str, process: u32) {
    let status = Command::new("sh")
        .args(["-c", &format!("kill -{signal} {process}")])
        .status()
        .unwrap();
    assert!(status.success());
}

/// Lines as they come; the channel ends with the stream.
pub(crate) fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
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

/// Reads a stream to its end, so that nobody blocks on it.
pub(crate) fn drain(mut stream: impl Read + Send + 'static) {
    std::thread::spawn(move || std::io::copy(&mut stream, &mut std::io::sink()));
}

/// A port that nobody uses now, below those that the system hands out by itself, and only once in this process.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 1_000).unwrap() * 12;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(port < 32_768, "no free port");
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// SplitMix64: a seeded generator, so that a failure can be played again.
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }
}
