//! The `causality` program: daemon and commands.

mod args;
mod control;
mod copies;
mod exit;
mod explain;
mod handler;
mod home;
mod metrics;
mod name;
mod output;
mod peers;
mod plain;
mod policy;
mod protocol;
mod receipts;
mod serve;
mod status;
mod synchronise;
mod text;
mod ticket;

mod export;
mod facts;
mod import;
mod line;
mod time;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::future::Future;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use causality_envelope::DomainKeys;
use causality_node::{Entropy as _, SystemEntropy};
use clap::Parser as _;
use tokio::sync::mpsc;
use tracing_subscriber::EnvFilter;

use args::{
    Command, CommandLine, FactCommand, Format, PeerCommand, PolicyCommand, Selection, StoreCommand,
};
use exit::{ExitCode, Failure};
use handler::{Context, handle};
use home::{Config, Home};
use output::Unit;
use protocol::{
    ExportOptions, INPUT_QUEUE, ImportOptions, InitSummary, REPLY_QUEUE, Reply, Request, Summary,
};

/// How much of a streamed input is handed on at once, at most.
const INPUT_BYTES: usize = 1 << 18;
/// Threads that work on the store, and on nothing else that takes long: one may write while the other reads. With more
/// the pages in its cache spread over as many heaps of the allocator, each of which keeps what it once was.
const STORE_THREADS: usize = 2;

fn main() -> process::ExitCode {
    let line = CommandLine::parse();
    start_log(&line);
    let ended = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(STORE_THREADS)
        .build()
    {
        Ok(runtime) => {
            let ended = runtime.block_on(run(line));
            // A thread may still wait for input that nobody needs any more.
            runtime.shutdown_background();
            ended
        }
        Err(error) => Err(Failure::io("the runtime", &error)),
    };
    match ended {
        Ok(()) => process::ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                output::say(&failure);
            }
            failure.code.into()
        }
    }
}

/// What the libraries note goes to standard error; `RUST_LOG` says what, if `-v` is not enough.
fn start_log(line: &CommandLine) {
    let level = match (line.verbose, &line.command) {
        (0, Command::Serve { .. }) => "info",
        (0, _) => "error",
        (1, _) => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    // Colours would need a feature, and their codes have no place in the log of a daemon.
    log.with_ansi(false).init();
}

async fn run(line: CommandLine) -> Result<(), Failure> {
    let CommandLine {
        home,
        output: format,
        timeout,
        command,
        ..
    } = line;
    let home = Home::at(home)?;
    let request = match command {
        Command::Init { name, listen } => return init(&home, format, Config { name, listen }),
        Command::Serve { metrics } => {
            return serve::serve(home, metrics, |ready| output::show_summary(format, ready)).await;
        }
        Command::Store(StoreCommand::Create) => {
            return output::show_summary(format, copies::create(&home)?);
        }
        Command::Store(StoreCommand::Restore { file }) => {
            return output::show_summary(format, copies::restore(&home, &file).await?);
        }
        Command::Fact(FactCommand::Verify {
            proof: Some(file), ..
        }) => {
            return output::show_summary(format, verify_proof(&file)?);
        }
        Command::Fact(FactCommand::Import { file, skip_invalid }) => {
            let input = Input::open(&file, "a file of import lines")?;
            let options = ImportOptions {
                source: input.name,
                skip_invalid,
                each: format == Format::Jsonl,
                total_bytes: input.bytes,
            };
            let request = Request::Import(options);
            return command_with(home, format, timeout, request, Some(input.source)).await;
        }
        Command::Policy(PolicyCommand::Check { file: Some(file) }) => {
            let input = Input::open(&file, "a policy file")?;
            let file = Some(input.name);
            let request = Request::PolicyCheck { file };
            return command_with(home, format, timeout, request, Some(input.source)).await;
        }
        command => request(command)?,
    };
    command_with(home, format, timeout, request, None).await
}

/// The request for a command that is nothing but that.
fn request(command: Command) -> Result<Request, Failure> {
    Ok(match command {
        Command::Status => Request::Status,
        Command::Metrics => Request::Metrics,
        Command::Receipts { peer } => Request::Receipts { peer },
        Command::Peer(PeerCommand::Ticket { address }) => Request::PeerTicket { address },
        Command::Peer(PeerCommand::Add {
            ticket,
            name,
            send,
            receive,
        }) => Request::PeerAdd {
            ticket,
            name,
            send,
            receive,
        },
        Command::Peer(PeerCommand::List) => Request::PeerList,
        Command::Peer(PeerCommand::Remove { peer }) => Request::PeerRemove { peer },
        Command::Fact(FactCommand::Export(selection)) => Request::Export(selection.into()),
        Command::Fact(FactCommand::List {
            selection,
            received,
        }) => Request::FactList {
            options: selection.into(),
            received,
        },
        Command::Fact(FactCommand::Show { id }) => Request::FactShow { id },
        Command::Fact(FactCommand::Verify { id: Some(id), .. }) => Request::FactVerify { id },
        Command::Fact(FactCommand::Verify { .. }) => Request::FactVerifyAll,
        Command::Fact(FactCommand::Prove { id }) => Request::FactProve { id },
        Command::Sync(sync) => {
            let direction = sync.direction();
            Request::Sync {
                peer: sync.peer,
                direction,
            }
        }
        Command::Digest { origin } => Request::Digest { origin },
        Command::Policy(PolicyCommand::Check { .. }) => Request::PolicyCheck { file: None },
        Command::Policy(PolicyCommand::Show { peer }) => Request::PolicyShow { peer },
        Command::Policy(PolicyCommand::Reload { anyway }) => Request::PolicyReload { anyway },
        Command::Explain { fact, peer } => Request::Explain { fact, peer },
        Command::Store(StoreCommand::Check) => Request::StoreCheck,
        Command::Store(StoreCommand::Backup { file }) => Request::StoreBackup {
            file: absolute(&file)?,
        },
        Command::Init { .. }
        | Command::Serve { .. }
        | Command::Store(StoreCommand::Create | StoreCommand::Restore { .. })
        | Command::Fact(FactCommand::Import { .. }) => {
            return Err(Failure::new(ExitCode::Other, "this command is no request"));
        }
    })
}

impl From<Selection> for ExportOptions {
    fn from(selection: Selection) -> Self {
        let Selection { origin, resource } = selection;
        Self { origin, resource }
    }
}

/// A path as the daemon understands it, which works in another directory.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::io(path.display(), &error))
}

fn init(home: &Home, format: Format, config: Config) -> Result<(), Failure> {
    name::check_domain_name(&config.name)?;
    name::check_address(&config.listen)?;
    let keys = DomainKeys::generate(&mut SystemEntropy.generator(), 0..i64::MAX)
        .map_err(|error| Failure::new(ExitCode::Other, error))?;
    home.init(&keys, &config)?;
    let summary = InitSummary {
        id: keys.domain().to_string(),
        name: config.name,
        home: home.dir().display().to_string(),
        listen: config.listen,
        keys: home.keys_path().display().to_string(),
    };
    output::show_summary(format, Summary::Initialised(summary))
}

fn verify_proof(file: &Path) -> Result<Summary, Failure> {
    let failed = |error: io::Error| Failure::io(file.display(), &error);
    let limit = u64::try_from(causality_fact::EXHIBIT_BYTES_MAX).unwrap_or(u64::MAX);
    let mut proof = Vec::new();
    // One byte more than a proof may have shows that it has too many.
    let mut reader = File::open(file).map_err(failed)?.take(limit + 1);
    reader.read_to_end(&mut proof).map_err(failed)?;
    facts::verify_proof(&proof)
}

/// What a command reads.
struct Input {
    /// What it is called in errors.
    name: String,
    source: Box<dyn Read + Send>,
    /// Its size, if that is known.
    bytes: Option<u64>,
}

impl Input {
    /// Opens a file, or standard input; `what` it is to be.
    fn open(file: &Path, what: &str) -> Result<Self, Failure> {
        if file == Path::new("-") {
            return Ok(Self {
                name: "standard input".to_owned(),
                source: Box::new(io::stdin()),
                bytes: None,
            });
        }
        let failed = |error: io::Error| Failure::io(file.display(), &error);
        let input = File::open(file).map_err(failed)?;
        let metadata = input.metadata().map_err(failed)?;
        if metadata.is_dir() {
            let is = format!("{} is a directory", file.display());
            let advice = format!("name {what}, or - for standard input");
            return Err(Failure::usage(is).advise(advice));
        }
        Ok(Self {
            name: file.display().to_string(),
            source: Box::new(input),
            bytes: metadata.is_file().then_some(metadata.len()),
        })
    }
}

/// Executes a request, in the daemon if there is one, and shows what comes of it.
async fn command_with(
    home: Home,
    format: Format,
    timeout: Option<Duration>,
    request: Request,
    source: Option<Box<dyn Read + Send>>,
) -> Result<(), Failure> {
    let unit = if source.is_some() {
        Unit::Bytes
    } else {
        Unit::Facts
    };
    let (replies, replies_out) = mpsc::channel(REPLY_QUEUE);
    let showing = std::thread::spawn(move || output::show(format, unit, replies_out));
    let executed = execute(home, request, source, timeout, replies).await;
    let shown = showing.join();
    let shown = shown.unwrap_or_else(|_| Err(Failure::new(ExitCode::Other, "the output failed")));
    // When nobody takes the results, the reason is at the output.
    shown.and(executed)
}

async fn execute(
    home: Home,
    request: Request,
    source: Option<Box<dyn Read + Send>>,
    timeout: Option<Duration>,
    replies: mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let (input, input_out) = mpsc::channel(INPUT_QUEUE);
    let (broken, is_broken) = mpsc::channel(1);
    if let Some(source) = source {
        std::thread::spawn(move || feed(source, &input, &broken));
    } else {
        drop((input, broken));
    }
    if let Some(daemon) = control::connect(&home).await? {
        return bounded(
            control::call(daemon, &request, input_out, &replies),
            timeout,
            is_broken,
        )
        .await;
    }
    let context = Context::open(home, request.network()).await?;
    let work = handle(&context, request, input_out, &replies);
    let ended = bounded(work, timeout, is_broken).await;
    context.close().await;
    ended
}

/// Hands on what there is to read, as soon as it is there.
fn feed(mut source: impl Read, input: &mpsc::Sender<Vec<u8>>, broken: &mpsc::Sender<io::Error>) {
    loop {
        let mut bytes = vec![0; INPUT_BYTES];
        match source.read(&mut bytes) {
            Ok(0) => return,
            Ok(length) => bytes.truncate(length),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                // The command must not take this for the end of the input, so the channel stays open until it is over.
                let _ = broken.blocking_send(error);
                return std::thread::park();
            }
        }
        if input.blocking_send(bytes).is_err() {
            return;
        }
    }
}

/// Lets a command work until it is done, its time is over, the user ends it, or its input breaks.
async fn bounded(
    work: impl Future<Output = Result<(), Failure>>,
    timeout: Option<Duration>,
    mut broken: mpsc::Receiver<io::Error>,
) -> Result<(), Failure> {
    let too_late = async {
        match timeout {
            Some(timeout) => {
                tokio::time::sleep(timeout).await;
                let seconds = timeout.as_secs_f64();
                Failure::new(
                    ExitCode::Unreachable,
                    format_args!("not done within {seconds} seconds"),
                )
            }
            None => std::future::pending().await,
        }
    };
    let input_broke = async {
        match broken.recv().await {
            Some(error) => Failure::io("the input", &error),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        done = work => done,
        failure = too_late => Err(failure),
        failure = input_broke => Err(failure),
        _ = tokio::signal::ctrl_c() => {
            Err(Failure::new(ExitCode::Interrupted, "interrupted; what was done until then stays"))
        }
    }
}
