//! What commands and the node that executes them say to each other, in one process or over the control socket.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Pieces of streamed input that wait between whoever reads them and the command.
pub(crate) const INPUT_QUEUE: usize = 8;
/// Replies that wait between a command and whoever shows them.
pub(crate) const REPLY_QUEUE: usize = 64;

/// A command that works on a home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    Status,
    Metrics,
    Receipts {
        /// Those of this peer only.
        peer: Option<String>,
    },
    PeerTicket {
        /// Instead of where the home listens.
        address: Option<String>,
    },
    PeerAdd {
        ticket: String,
        name: Option<String>,
        send: Vec<String>,
        receive: Vec<String>,
    },
    PeerList,
    PeerRemove {
        peer: String,
    },
    Import(ImportOptions),
    Export(ExportOptions),
    FactList {
        options: ExportOptions,
        /// Whether what waits for its causes is listed too.
        received: bool,
    },
    FactShow {
        id: String,
    },
    FactVerify {
        id: String,
    },
    FactVerifyAll,
    FactProve {
        id: String,
    },
    Sync {
        peer: String,
        direction: SyncDirection,
    },
    Digest {
        origin: Option<String>,
    },
    PolicyCheck {
        /// What the file is called that comes as the streamed input; without it the file of the home is checked.
        file: Option<String>,
    },
    PolicyShow {
        peer: Option<String>,
    },
    PolicyReload {
        /// Whether rules without effect keep nothing from coming into force.
        anyway: bool,
    },
    Explain {
        /// A fact by its id, or a position as LANE:POSITION.
        fact: String,
        peer: String,
    },
    StoreCheck,
    StoreBackup {
        file: PathBuf,
    },
}

/// How lines are imported. They come as the streamed input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImportOptions {
    /// What the input is called in errors.
    pub(crate) source: String,
    /// Go on after an invalid line.
    pub(crate) skip_invalid: bool,
    /// Send an [`Item`] for each durable fact, not only progress.
    pub(crate) each: bool,
    /// The size of the input, if it is known.
    pub(crate) total_bytes: Option<u64>,
}

/// Which facts are exported or listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExportOptions {
    /// The own name, the name of a peer, or an id.
    pub(crate) origin: Option<String>,
    /// A pattern.
    pub(crate) resource: Option<String>,
}

/// What a synchronisation moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SyncDirection {
    Push,
    Pull,
    #[default]
    Both,
}

/// A part of the answer to a request. The last is `Done`, unless the command fails; a command that was done in part
/// says `Done` and then fails.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// One of a list or stream of results. Standard output: a JSON line, a member of a JSON list, or a row of a table.
    Item(Item),
    /// Bytes for standard output as they are, in every format: export lines, a proof.
    #[serde(skip)]
    Bytes(Vec<u8>),
    /// A sentence for standard error while the command goes on.
    Note(String),
    /// How far it has come: bytes of the input for an import, facts for everything else. Shown on a terminal only.
    Progress { done: u64, total: Option<u64> },
    /// The end, with the result that is not a list.
    Done(Summary),
}

/// A member of a list or stream of results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Item {
    Peer(PeerItem),
    Fact(FactItem),
    /// A fact of an import that is durable.
    Imported(ImportedItem),
    /// How far a synchronisation has come; cumulative.
    Moved(MovedItem),
}

/// A result that is not a list. JSON: the keys of the variant's own type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Summary {
    /// The items were all there is: the end of a list, which may be empty.
    List,
    /// Nothing to say beyond the bytes that were sent.
    Nothing,
    Initialised(InitSummary),
    Ready(ReadySummary),
    Status(StatusSummary),
    Receipts(ReceiptsSummary),
    PeerAdded(PeerItem),
    PeerRemoved(PeerItem),
    Imported(ImportSummary),
    Fact(Box<FactSummary>),
    Verified(VerifySummary),
    Synced(SyncSummary),
    Digest(DigestSummary),
    PolicyChecked(PolicyCheckSummary),
    PolicyShown(PolicyShowSummary),
    PolicyReloaded(PolicyReloadSummary),
    Explained(Box<ExplainSummary>),
    StoreChecked(CheckSummary),
    StoreCopied(CopySummary),
    StoreCreated(CreatedSummary),
}

/// A peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PeerItem {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) addresses: Vec<String>,
    /// Compartments whose logs it may have.
    pub(crate) send: Vec<String>,
    /// Compartments whose logs are taken from it.
    pub(crate) receive: Vec<String>,
}

/// A fact in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FactItem {
    pub(crate) id: String,
    /// The name of the origin here; its id if it has none.
    pub(crate) origin: String,
    #[serde(rename = "type")]
    pub(crate) fact_type: String,
    pub(crate) resource: String,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub(crate) aspect: String,
    pub(crate) valid_from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) valid_until: Option<String>,
    pub(crate) compartment: String,
    /// Whether a newer fact of its origin that is held here replaces it.
    #[serde(skip_serializing_if = "is_false", default)]
    pub(crate) superseded: bool,
    #[serde(flatten)]
    pub(crate) sight: Sight,
}

/// Why a fact is not to be seen yet, or is without all of its causes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sight {
    /// The causes that it waits for.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) waits_for: Vec<String>,
    /// The earlier position of its log behind which it waits.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) waits_behind: Option<u64>,
    /// Whether it is to be seen though some of its causes are not.
    #[serde(skip_serializing_if = "is_false", default)]
    pub(crate) causes_missing: bool,
}

impl Sight {
    /// In words, if there is something to say.
    pub(crate) fn text(&self) -> Option<String> {
        match (self.waits_behind, self.waits_for.as_slice()) {
            (Some(position), _) => Some(format!("behind position {position}")),
            (None, []) => self
                .causes_missing
                .then(|| "shown without all causes".to_owned()),
            (None, causes) => Some(format!("for {}", causes.join(", "))),
        }
    }
}

/// A durable fact of an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImportedItem {
    pub(crate) id: String,
    /// The number of its line in the input, from 1.
    pub(crate) line: u64,
    /// Whether it was there already.
    pub(crate) known: bool,
}

/// How far a synchronisation has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MovedItem {
    pub(crate) facts_sent: u64,
    pub(crate) facts_received: u64,
}

/// What an import did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImportSummary {
    /// Lines read, empty ones aside.
    pub(crate) lines: u64,
    /// Facts that are new.
    pub(crate) added: u64,
    /// Facts that were there already.
    pub(crate) known: u64,
    /// Invalid lines that were skipped.
    pub(crate) skipped: u64,
}

/// A fact in full: what it says, and where it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FactSummary {
    pub(crate) id: String,
    pub(crate) origin: String,
    /// The name of the origin here, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) origin_name: Option<String>,
    #[serde(rename = "type")]
    pub(crate) fact_type: String,
    pub(crate) resource: String,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub(crate) aspect: String,
    pub(crate) valid_from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) valid_until: Option<String>,
    /// When the origin said it, by its own clock.
    pub(crate) said: String,
    pub(crate) requires: Vec<String>,
    pub(crate) supersedes: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub(crate) label: String,
    /// Who may pass it on: `none`, `audience` or `any`.
    pub(crate) onward: String,
    pub(crate) compartment: String,
    pub(crate) lane: String,
    pub(crate) position: u64,
    /// How many fields are withheld from this domain.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub(crate) withheld: u64,
    #[serde(flatten)]
    pub(crate) sight: Sight,
    /// The fields, as an import line has them.
    pub(crate) content: serde_json::Map<String, serde_json::Value>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// What a check of facts found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct VerifySummary {
    pub(crate) logs: u64,
    pub(crate) facts: u64,
    /// The one fact that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fact: Option<FactItem>,
    /// What a proof has proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proven: Option<Box<ProvenSummary>>,
    pub(crate) findings: Vec<String>,
}

/// A fact in full, and the signature under which it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProvenSummary {
    #[serde(flatten)]
    pub(crate) fact: FactSummary,
    pub(crate) checkpoint: CheckpointItem,
}

/// A signature of an origin over its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CheckpointItem {
    /// How many positions it covers.
    pub(crate) size: u64,
    pub(crate) root: String,
    /// When it was signed, by the clock of the origin.
    pub(crate) signed: String,
    /// The epoch of the key that signed.
    pub(crate) epoch: u32,
}

/// A new home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InitSummary {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) home: String,
    pub(crate) listen: String,
    /// The file to back up.
    pub(crate) keys: String,
}

/// A daemon that answers from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReadySummary {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) listening: String,
}

/// The home at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StatusSummary {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) home: String,
    /// Whether a daemon runs.
    pub(crate) serving: bool,
    /// Where it listens, or would.
    pub(crate) listen: String,
    pub(crate) facts: u64,
    /// UDP payload since the daemon started.
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
    pub(crate) logs: Vec<StatusLog>,
    pub(crate) peers: Vec<StatusPeer>,
}

/// What this domain and its peers have signed for each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReceiptsSummary {
    /// Peer by peer, each in the order in which they last came up.
    pub(crate) receipts: Vec<ReceiptItem>,
}

/// A convergence receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReceiptItem {
    /// With whom.
    pub(crate) peer: String,
    pub(crate) signer: String,
    pub(crate) signer_id: String,
    pub(crate) signed: String,
    /// Which logs are meant.
    pub(crate) scope: String,
    /// What the signer holds of them, and knows the other side to hold: digests.
    pub(crate) signer_holds: String,
    pub(crate) peer_holds: String,
    /// Whether the other side has signed the same.
    pub(crate) confirmed: bool,
    /// Whether the signature is the signer's.
    pub(crate) valid: bool,
}

/// A log at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StatusLog {
    pub(crate) origin: String,
    /// The name of the origin here; none for a domain that is not a peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) origin_name: Option<String>,
    pub(crate) compartment: String,
    pub(crate) lane: String,
    /// Facts held, in part or in full.
    pub(crate) facts: u64,
    /// How many of them in part.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub(crate) partial: u64,
    /// Positions of which a hash only is held.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub(crate) withheld: u64,
    /// Whether that is all: `proven`, `attested` or `incomplete`.
    pub(crate) completeness: String,
}

/// A peer at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StatusPeer {
    pub(crate) name: String,
    pub(crate) id: String,
    /// The address of the open connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connected: Option<String>,
    /// The logs that it may have from here.
    pub(crate) logs: Vec<PeerLog>,
}

/// How far a peer is with a log that it may have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PeerLog {
    pub(crate) origin: String,
    /// The name of the origin here; none for a domain that is not a peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) origin_name: Option<String>,
    pub(crate) compartment: String,
    pub(crate) lane: String,
    /// Whether the peer wants it; unknown before it has said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wanted: Option<bool>,
    /// How many facts the peer has not confirmed, and how long ago the oldest of them was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lag_facts: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lag_seconds: Option<f64>,
    /// How many positions the peer holds that are not known here yet.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub(crate) missing_here: u64,
}

/// What a synchronisation did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SyncSummary {
    pub(crate) facts_sent: u64,
    pub(crate) facts_received: u64,
    /// UDP payload, handshake included.
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
    /// How much of what was sent only probed what the path carries.
    pub(crate) mtu_probe_bytes: u64,
    /// How often this side waited for an answer, after the Hello.
    pub(crate) round_trips: u32,
    pub(crate) duration_ms: f64,
    /// The logs that were not brought up to date.
    pub(crate) problems: Vec<SyncProblem>,
}

/// A log that a synchronisation did not bring up to date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SyncProblem {
    pub(crate) origin: String,
    /// The name of the origin here; none for a domain that is not a peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) origin_name: Option<String>,
    /// The name of the compartment here, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) compartment: Option<String>,
    pub(crate) lane: String,
    pub(crate) kind: ProblemKind,
    /// What is wrong, in a sentence.
    pub(crate) message: String,
}

/// What is wrong with a log between two domains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ProblemKind {
    /// The peer does not take it.
    Declined,
    /// Both hold other facts at the same positions.
    Forked,
    /// This store is behind what this domain has written before.
    LaneAhead,
    /// It is not taken from the peer.
    Refused,
    /// The peer lacks too much of it.
    TooFarBehind,
}

/// What is held, to be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DigestSummary {
    pub(crate) logs: Vec<DigestLog>,
    pub(crate) digest: String,
}

/// What is held of one log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DigestLog {
    pub(crate) origin: String,
    pub(crate) compartment: String,
    pub(crate) lane: String,
    pub(crate) size: u64,
    pub(crate) root: String,
    pub(crate) held: u64,
    pub(crate) held_digest: String,
}

/// What a check of a policy file found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PolicyCheckSummary {
    pub(crate) file: String,
    /// Whether there is no such file, so that only the grants of the address book count.
    #[serde(rename = "missing", skip_serializing_if = "is_false", default)]
    pub(crate) is_missing: bool,
    /// How many rules it has.
    pub(crate) rules: u64,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<PolicyErrorItem>,
    /// Rules without effect.
    pub(crate) findings: Vec<PolicyFindingItem>,
}

/// What is wrong with a policy file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PolicyErrorItem {
    /// Line and column, counted from 1.
    pub(crate) line: u64,
    pub(crate) column: u64,
    pub(crate) message: String,
    /// The word that was probably meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) suggestion: Option<String>,
}

/// A rule without effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PolicyFindingItem {
    pub(crate) rule: String,
    /// The line of the file in which it begins; none for a grant of the address book.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<u64>,
    /// `covered`, `empty_window`, `refused` and so on: why it decides nothing.
    pub(crate) kind: String,
    /// The rule that takes its effect away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<String>,
    /// The name that was probably meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) suggestion: Option<String>,
    /// What it is, in a sentence.
    pub(crate) message: String,
}

/// The policy file, read anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PolicyReloadSummary {
    pub(crate) file: String,
    /// Whether there is no such file, so that only the grants of the address book count.
    #[serde(rename = "missing", skip_serializing_if = "is_false", default)]
    pub(crate) is_missing: bool,
    pub(crate) rules: u64,
    /// Whether a daemon decides by it from now on.
    pub(crate) reloaded: bool,
}

/// The rules that apply, peer by peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PolicyShowSummary {
    pub(crate) peers: Vec<PeerRulesItem>,
}

/// The rules that apply to a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PeerRulesItem {
    pub(crate) name: String,
    pub(crate) id: String,
    /// What grants it facts.
    pub(crate) out: Vec<RuleItem>,
    /// What restricts that.
    pub(crate) security: Vec<RuleItem>,
    /// What lets facts in from it.
    #[serde(rename = "in")]
    pub(crate) inward: Vec<RuleItem>,
}

/// A rule, with the keys of the policy file; lists that it has not are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RuleItem {
    pub(crate) name: String,
    /// The line of the file in which it begins; none for a grant of the address book.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) compartments: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) fact_types: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) resource_types: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) labels: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) onward: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) valid: Option<WindowItem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) known: Option<WindowItem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) in_force: Option<WindowItem>,
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub(crate) filter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) volume: Option<VolumeItem>,
    #[serde(skip_serializing_if = "is_false", default)]
    pub(crate) refuse: bool,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) withhold: Vec<String>,
    /// `session` if its facts travel under the keys of a session only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) protection: Option<String>,
}

/// A stretch of time; without an end where it has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WindowItem {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<String>,
}

/// How much may travel in how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VolumeItem {
    pub(crate) facts: u64,
    pub(crate) bytes: u64,
    pub(crate) seconds: u64,
}

/// Why a fact is or is not at a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExplainSummary {
    /// Its id, unless nothing but its hash is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fact: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resource: Option<String>,
    pub(crate) origin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) origin_name: Option<String>,
    pub(crate) compartment: String,
    pub(crate) lane: String,
    pub(crate) position: u64,
    /// `whole`, `part` or `hash`.
    pub(crate) held: String,
    pub(crate) peer: String,
    /// What the rules here say of sending it to the peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) out: Option<DecisionItem>,
    /// What became of it there.
    pub(crate) at_peer: String,
    /// What the rules here say of taking it from the peer.
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    pub(crate) inward: Option<DecisionItem>,
    /// Why not all of it is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hole: Option<HoleItem>,
}

/// What rules say of a fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DecisionItem {
    pub(crate) granted: bool,
    /// The rule that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Option<RuleName>,
    /// Why it is not granted: `no_rule`, `onward`, `security` or `undetermined`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// The fields that are kept back, of those that are held here.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) withheld: Vec<WithheldItem>,
    /// `session` if it travels under the keys of a session only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) protection: Option<String>,
    /// When it will be granted by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) opens: Option<String>,
    /// All of that in sentences.
    pub(crate) words: String,
}

/// A rule, by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RuleName {
    pub(crate) name: String,
    /// The line of the file in which it begins; none for a grant of the address book.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<u64>,
}

/// A field that is kept back, and by which rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WithheldItem {
    pub(crate) field: String,
    pub(crate) rule: RuleName,
}

/// Why not all of a fact is held here, and what can be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HoleItem {
    pub(crate) sources: Vec<SourceItem>,
    pub(crate) advice: Vec<String>,
}

/// What a peer says of a fact that it keeps back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SourceItem {
    pub(crate) peer: String,
    /// `withheld`, `deferred` or `partial`; or `declined` for what the rules here did not take from it.
    pub(crate) says: String,
}

/// What a check of the store found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CheckSummary {
    pub(crate) rows: u64,
    pub(crate) withheld: u64,
    pub(crate) segments: u64,
    pub(crate) findings: Vec<String>,
    pub(crate) finding_count: u64,
}

/// An empty store that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CreatedSummary {
    pub(crate) store: String,
}

/// A copy of a store that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CopySummary {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) bytes: u64,
    /// Where what was there before is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kept: Option<String>,
}
