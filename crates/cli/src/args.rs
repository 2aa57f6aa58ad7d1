//! The command line: what there is, and help that teaches it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, ArgGroup, Args, Parser, Subcommand, ValueEnum};

use crate::protocol::SyncDirection;

/// Exchanges signed facts between domains that trust each other only as far as they say.
#[derive(Debug, Parser)]
#[command(name = "causality", version, after_help = FIRST_STEPS)]
pub(crate) struct CommandLine {
    /// The directory of the domain: its keys, its facts, whom it knows
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// How results are written
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub(crate) output: Format,
    /// Say more on standard error; twice for everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Give up after so long: exit code 7
    #[arg(long, global = true, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How results are written to standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Table,
    /// One JSON value
    Json,
    /// One JSON value a line, each as soon as it is known
    Jsonl,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Set up a domain: make its keys and an empty store
    #[command(after_help = INIT)]
    Init {
        /// What the domain calls itself, such as seismo.us.ci
        #[arg(long)]
        name: String,
        /// Where `serve` listens
        #[arg(long, value_name = "HOST:PORT", default_value = crate::home::LISTEN)]
        listen: String,
    },
    /// Answer peers and keep in touch with them, until a signal ends it
    #[command(after_help = SERVE)]
    Serve {
        /// Answer monitoring systems at http://HOST:PORT/metrics; without password or encryption
        #[arg(long, value_name = "HOST:PORT")]
        metrics: Option<SocketAddr>,
    },
    /// Show the domain, its logs and its peers
    Status,
    /// Print what is counted here, as monitoring systems read it (OpenMetrics)
    Metrics,
    /// Show what this domain and its peers have signed for each other about what they hold
    #[command(after_help = RECEIPTS)]
    Receipts {
        /// Only with this peer: its name here, or its id
        #[arg(value_name = "NAME")]
        peer: Option<String>,
    },
    /// Whom this domain knows, and what goes to and from whom
    #[command(subcommand)]
    Peer(PeerCommand),
    /// What is shared with whom: check, show and reload the policy file
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Write, read, check and prove facts
    #[command(subcommand)]
    Fact(FactCommand),
    /// Say why a fact is or is not at a peer, and who keeps back what is missing here
    #[command(after_help = EXPLAIN)]
    Explain {
        /// The fact's id, or LANE:POSITION for one of which only the hash is held
        fact: String,
        /// The peer's name here, or its id
        #[arg(long, value_name = "NAME")]
        peer: String,
    },
    /// Bring this domain and a peer up to date with each other
    #[command(after_help = SYNC)]
    Sync(SyncArgs),
    /// Say in a few digits what is held, to be compared with another home
    Digest {
        /// Only what this domain said: a name or an id
        #[arg(long, value_name = "NAME")]
        origin: Option<String>,
    },
    /// Check, copy and bring back the store
    #[command(subcommand)]
    Store(StoreCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum PeerCommand {
    /// Write the ticket of this domain, which others need to add it
    Ticket {
        /// Where others reach this domain, if not where it listens
        #[arg(long, value_name = "HOST:PORT")]
        address: Option<String>,
    },
    /// Add a peer, or change what is known of it; nothing goes either way unless said
    #[command(after_help = PEER_ADD)]
    Add {
        /// What `causality peer ticket` wrote there
        ticket: String,
        /// What to call it here, if not as it calls itself
        #[arg(long = "as", value_name = "NAME")]
        name: Option<String>,
        /// It may have the facts of this compartment; can be repeated
        #[arg(long, value_name = "COMPARTMENT")]
        send: Vec<String>,
        /// Facts of this compartment are taken from it; can be repeated
        #[arg(long, value_name = "COMPARTMENT")]
        receive: Vec<String>,
    },
    /// List whom this domain knows
    List,
    /// Forget a peer; what it sent stays
    Remove {
        /// Its name here, or its id
        peer: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Check a policy file: exit code 2 if it is wrong, 3 if some rules are without effect
    #[command(after_help = POLICY_CHECK)]
    Check {
        /// The file, or `-` for standard input; policy.toml of the home if not given
        file: Option<PathBuf>,
    },
    /// Show the rules that apply to a peer both ways, with what the address book grants
    Show {
        /// One peer, by its name here or its id; all peers if not given
        #[arg(long, value_name = "NAME")]
        peer: Option<String>,
    },
    /// Have the daemon read policy.toml anew; a wrong file, or one with rules without effect, changes nothing
    Reload {
        /// Take the file though some of its rules are without effect
        #[arg(long)]
        anyway: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum FactCommand {
    /// Add facts of this domain, one JSON object a line
    #[command(after_help = IMPORT)]
    Import {
        /// The file; `-` for standard input
        file: PathBuf,
        /// Go on after an invalid line: exit code 3 if there was one
        #[arg(long)]
        skip_invalid: bool,
    },
    /// Write facts as import lines, causes first
    Export(Selection),
    /// List facts
    List {
        #[command(flatten)]
        selection: Selection,
        /// Also those that were received and wait for their causes
        #[arg(long)]
        received: bool,
    },
    /// Show a fact
    Show {
        /// Its id
        id: String,
    },
    /// Check facts: content, place in the log, signature
    #[command(group = ArgGroup::new("what").required(true).args(["id", "all", "proof"]))]
    Verify {
        /// One fact, by its id
        id: Option<String>,
        /// All that is held
        #[arg(long)]
        all: bool,
        /// A proof that `causality fact prove` wrote; needs no home
        #[arg(long, value_name = "FILE")]
        proof: Option<PathBuf>,
    },
    /// Write a proof that anybody can check without a store
    #[command(after_help = PROVE)]
    Prove {
        /// The fact's id
        id: String,
    },
}

/// Which facts.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// Only what this domain said: a name or an id
    #[arg(long, value_name = "NAME")]
    pub(crate) origin: Option<String>,
    /// Only about these: `*` stands for any characters, `?` for one, as in 'earthquake/*'
    #[arg(long, value_name = "PATTERN")]
    pub(crate) resource: Option<String>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("direction").args(["pull", "push", "both"]))]
pub(crate) struct SyncArgs {
    /// The peer's name here, or its id
    pub(crate) peer: String,
    /// Receive only
    #[arg(long)]
    pull: bool,
    /// Send only
    #[arg(long)]
    push: bool,
    /// Send and receive; this is the default
    #[arg(long)]
    both: bool,
}

impl SyncArgs {
    pub(crate) fn direction(&self) -> SyncDirection {
        match (self.push, self.pull) {
            (true, _) => SyncDirection::Push,
            (_, true) => SyncDirection::Pull,
            _ => SyncDirection::Both,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Read everything and compare it with its hashes
    Check,
    /// Copy the store to a new file while work goes on
    Backup {
        /// The new file
        file: PathBuf,
    },
    /// Make an empty store where there is none, for a home that has lost its own and has no backup
    #[command(after_help = CREATE)]
    Create,
    /// Put a backup in the place of the store
    #[command(after_help = RESTORE)]
    Restore {
        /// The backup
        file: PathBuf,
    },
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds > 0.0);
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| "expected seconds above 0, such as 30 or 2.5".to_owned())
}

const FIRST_STEPS: &str = "\
First steps:
  causality init --name example.org              make a domain; its keys stay here
  causality fact import facts.ndjson             say something
  causality peer ticket                          what to give to another domain
  causality peer add TICKET --receive public     what to do with its ticket
  causality serve                                answer peers
  causality sync NAME                            or exchange facts once

Exit codes:
  0 ok, 1 other, 2 usage or bad input, 3 done in part, 4 not found, 5 contradiction, 6 denied,
  7 unreachable or timed out, 8 damaged or forged, 9 in use, 130 interrupted";

const INIT: &str = "\
Examples:
  causality init --name seismo.us.ci
  causality --home ./ci init --name seismo.us.ci --listen 127.0.0.1:4771

Afterwards copy the file `keys` of the home to a safe place: it is the domain.";

const SERVE: &str = "\
Writes one line when it is ready. All commands work while it runs, and go through it.
SIGTERM and SIGINT (Ctrl-C) end it cleanly.";

const RECEIPTS: &str = "\
A round that ends well ends with a receipt of each side: how far it holds the logs that both share,
as facts or as hashes, and how far it knows the other to. Two that say the same confirm each other.
Each is verified as it is shown. Examples:
  causality receipts catalogue
  causality -o json receipts";

const PEER_ADD: &str = "\
Both sides add each other. Examples:
  causality peer add causality1... --as catalogue --send public
  causality peer add causality1... --send public --receive public";

pub(crate) const IMPORT: &str = r#"A line has type, resource and content, and may have ref, aspect, valid_from, valid_until, requires,
supersedes, label and compartment. Importing the same line again adds nothing. Example:
  {"type":"observation","resource":"earthquake/ak18247005","valid_from":"2018-01-30T22:18:21.235Z","content":{"mag":2.3}}

Types: cross_domain, observation, operation, retraction, state_change, transaction, validation, and
custom:NAME. A resource is TYPE/NAME. A time is RFC 3339 with Z or an offset, to the millisecond, or
whole milliseconds since 1970. A fact holds from now on if it has no valid_from, and for ever if it
has no valid_until.

With -o jsonl each fact is told on a line of its own as soon as it is durable."#;

const POLICY_CHECK: &str = "\
Rules are compared with the peers and compartments that are known here. Examples:
  causality policy check
  causality policy check new.toml && mv new.toml HOME/policy.toml && causality policy reload";

const EXPLAIN: &str = "\
Names the rule that decides, with its line in policy.toml, the fields that are kept back, when a
time opens it, and whether the peer has confirmed or refused it. Examples:
  causality explain 1a2b3c4d --peer catalogue
  causality explain 5e6f7a8b:17 --peer catalogue";

const PROVE: &str = "\
Example:
  causality fact prove ID > proof
  causality fact verify --proof proof";

const SYNC: &str = "\
Returns when all that either side owed the other is durable there. Examples:
  causality sync catalogue
  causality -o json sync catalogue --push";

const CREATE: &str = "\
What this domain said before comes back from peers that hold it, with `causality sync`, as far as
the home receives its compartments from them. What it says from then on goes to a new lane of its
log, so that it contradicts nothing.";

const RESTORE: &str = "\
The store that was there is kept beside it as store.before-restore.redb. What this domain says from
then on goes to a new lane of its log, so that it does not contradict what others hold already.";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    /// A longer line is broken a second time, and then its last words stand alone.
    #[test]
    fn help_fits_the_width_at_which_it_is_broken() {
        fn check(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string);
            for line in help.iter().flat_map(|help| help.lines()) {
                let is_broken = line.len() > 100 && line.trim().contains(' ');
                assert!(!is_broken, "{}: {line}", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&CommandLine::command());
    }

    #[test]
    fn both_directions_are_the_default() {
        for (flags, direction) in [
            (&[][..], SyncDirection::Both),
            (&["--both"], SyncDirection::Both),
            (&["--push"], SyncDirection::Push),
            (&["--pull"], SyncDirection::Pull),
        ] {
            let words = [&["causality", "sync", "b"], flags].concat();
            let Command::Sync(sync) = CommandLine::try_parse_from(words).unwrap().command else {
                panic!("not a sync");
            };
            assert_eq!(sync.direction(), direction);
        }
        assert!(
            CommandLine::try_parse_from(["causality", "sync", "b", "--push", "--pull"]).is_err()
        );
    }

    #[test]
    fn a_timeout_is_a_number_of_seconds_above_zero() {
        assert_eq!(seconds("2.5"), Ok(Duration::from_millis(2500)));
        for wrong in ["", "0", "-1", "NaN", "inf", "1e300", "5s"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
