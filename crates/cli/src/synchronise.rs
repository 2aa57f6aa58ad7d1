//! The command `sync`.

use causality_node::{
    Direction, GoodbyeReason, LogError, LogProblem, NodeError, PeerConfig, Problem, RefusalReason,
};
use causality_strategy::PeerPolicy;
use causality_sync::SyncError;
use tokio::sync::mpsc;

use crate::exit::{ExitCode, Failure};
use crate::handler::{Context, done, send};
use crate::home::{Home, Peer};
use crate::name;
use crate::peers::own_ticket;
use crate::plain::word;
use crate::protocol::{
    Item, MovedItem, ProblemKind, Reply, Summary, SyncDirection, SyncProblem, SyncSummary,
};
use crate::text::count;
use crate::ticket::Ticket;

/// How many logs that were not brought up to date are told in sentences.
const PROBLEMS_TOLD_MAX: usize = 20;

/// Catches up with a peer, and tells how far it has come.
pub(crate) async fn sync(
    context: &Context,
    said: &str,
    direction: SyncDirection,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let peer = name::peer(&context.peers().await, said)?.clone();
    let config = PeerConfig::from(peer.clone());
    let policies = config.policies(&context.policy().await?.policies, context.node.domain());
    let goes = |policy: &PeerPolicy| !policy.sync_policies().is_empty();
    let goes = [goes(&policies.outward), goes(&policies.inward)];
    if let Some(note) = note_if_nothing_goes(&context.home, &peer, direction, goes) {
        send(replies, Reply::Note(note)).await?;
    }
    let may_come = direction != SyncDirection::Push && goes[1];
    let (peer, name) = (peer.id, peer.name);
    let mut last = None;
    let progress = |report: &causality_node::SyncReport| {
        let moved = MovedItem {
            facts_sent: report.facts_sent,
            facts_received: report.facts_received,
        };
        if last.as_ref() != Some(&moved) {
            last = Some(moved.clone());
            // The numbers are cumulative: when the queue is full, the next report says it all.
            let _ = replies.try_send(Reply::Item(Item::Moved(moved)));
        }
    };
    let synced = context
        .node
        .synchronizer()
        .sync(peer, direction.into(), progress)
        .await;
    let report = synced.map_err(|error| explain(context, &name, error))?;
    let (mut problems, mut code) = (Vec::new(), ExitCode::Partial);
    for met in report.problems {
        let (problem, its_code) = problem_of(context, &name, met).await;
        if its_code == ExitCode::Integrity {
            code = its_code;
        }
        problems.push(problem);
    }
    let told: Vec<_> = problems.iter().map(|p| p.message.clone()).collect();
    let is_idle = report.facts_sent == 0 && report.facts_received == 0 && told.is_empty();
    // Where the two share a log, the peer grants something; what it holds is perhaps of others.
    if is_idle && may_come && context.node.receipts(peer).await?.is_empty() {
        let note = format!(
            "nothing came, and {name} offers nothing; if something should have come, {name} has to grant it, with \
             `causality peer add` and --send there, or by a rule of [[out]]"
        );
        send(replies, Reply::Note(note)).await?;
    }
    let summary = SyncSummary {
        facts_sent: report.facts_sent,
        facts_received: report.facts_received,
        bytes_sent: report.bytes_sent + report.mtu_probe_bytes,
        bytes_received: report.bytes_received,
        mtu_probe_bytes: report.mtu_probe_bytes,
        round_trips: report.round_trips,
        duration_ms: report.duration_us as f64 / 1000.0,
        problems,
    };
    done(replies, Summary::Synced(summary)).await?;
    match told.split_first() {
        None => Ok(()),
        Some((only, [])) => Err(Failure::new(code, only)),
        Some(_) => {
            let logs = count(told.len() as u64, "log");
            for message in told.into_iter().take(PROBLEMS_TOLD_MAX) {
                send(replies, Reply::Note(message)).await?;
            }
            let said = format!("not up to date with {name}: {logs}");
            Err(Failure::new(code, said).advise("`-o json` tells of each"))
        }
    }
}

/// Says so when nothing is granted to this peer in any direction that was asked for, and how to grant something.
fn note_if_nothing_goes(
    home: &Home,
    peer: &Peer,
    direction: SyncDirection,
    [is_sent, is_received]: [bool; 2],
) -> Option<String> {
    let (nothing_goes, way, missing) = match direction {
        SyncDirection::Push => (!is_sent, "to", "--send public"),
        SyncDirection::Pull => (!is_received, "from", "--receive public"),
        SyncDirection::Both => {
            let both = "--send public --receive public";
            (!is_sent && !is_received, "to or from", both)
        }
    };
    if !nothing_goes {
        return None;
    }
    let ticket = Ticket {
        domain: peer.id,
        name: peer.name.clone(),
        addresses: peer.addresses.clone(),
    };
    // Adding a peer again replaces what is granted.
    let kept = [("--send", &peer.send), ("--receive", &peer.receive)];
    let kept = kept.into_iter().flat_map(|(option, compartments)| {
        let grant = move |compartment: &String| format!(" {option} {}", word(compartment));
        compartments.iter().map(grant)
    });
    Some(format!(
        "nothing goes {way} {}, since nothing is granted; to grant it: causality{} peer add {} {missing}{}",
        peer.name,
        home.option(),
        ticket.to_text(),
        kept.collect::<String>(),
    ))
}

/// A failure to synchronise, with what to do about it.
fn explain(context: &Context, peer: &str, error: NodeError) -> Failure {
    let advice = match &error {
        NodeError::UnknownToPeer { .. }
        | NodeError::Goodbye {
            reason: GoodbyeReason::UnknownPeer,
            ..
        } => match own_ticket(context, None) {
            Ok(ticket) => format!(
                "hand over this ticket, to be added there with `causality peer add`: {}",
                ticket.to_text()
            ),
            Err(_) => format!("ask {peer} to add this domain"),
        },
        NodeError::WrongPeer { .. } => format!(
            "nothing was told to it; if {peer} has moved, add its new ticket with `causality peer add`"
        ),
        NodeError::Unreachable { .. } | NodeError::TimedOut { .. } => {
            format!("is `causality serve` running at {peer}?")
        }
        NodeError::NoAddress { .. } => {
            format!("wait until {peer} calls, or add a ticket of it that has an address")
        }
        NodeError::Goodbye { reason, .. } => match reason {
            GoodbyeReason::Failed => format!(
                "nothing is wrong here, and what was confirmed until then stays; {peer} has to look at what its \
                 daemon said"
            ),
            GoodbyeReason::Violation => {
                "both sides should run the same version of the program".to_owned()
            }
            _ => "what was confirmed until then stays; try again later".to_owned(),
        },
        NodeError::Session { error, .. } => match error {
            SyncError::Closed => "what was confirmed until then stays; try again".to_owned(),
            SyncError::Failed(_) => "run `causality store check`".to_owned(),
            _ => format!(
                "nothing of what is wrong was taken; both sides should run the same version of the program, and {peer} \
                 should run `causality fact verify --all`"
            ),
        },
        _ => return error.into(),
    };
    Failure::from(error).advise(advice)
}

/// A log that was not brought up to date, for the report, and how the program ends for it.
async fn problem_of(context: &Context, peer: &str, met: LogProblem) -> (SyncProblem, ExitCode) {
    let LogProblem {
        log,
        compartment,
        problem,
    } = met;
    let is_own = log.origin == context.node.domain();
    let origin_name = context.name_of(log.origin).await;
    let origin = origin_name
        .clone()
        .unwrap_or_else(|| log.origin.to_string());
    let Advice { kind, code, text } = advice(&problem, is_own, &origin, peer);
    let lane = log.lane.to_string();
    let message = format!(
        "log {} of {origin} in {}: {text}",
        lane.get(..LANE_DIGITS).unwrap_or_default(),
        compartment
            .as_deref()
            .unwrap_or("a compartment without a name here"),
    );
    let problem = SyncProblem {
        origin: log.origin.to_string(),
        origin_name,
        compartment,
        lane,
        kind,
        message,
    };
    (problem, code)
}

/// What a problem means to the user.
struct Advice {
    kind: ProblemKind,
    code: ExitCode,
    text: String,
}

fn advice(problem: &Problem, is_own: bool, origin: &str, peer: &str) -> Advice {
    let two_versions = if is_own {
        "two stores wrote with the keys of this domain, such as a home and its copy: use only one of them, export what \
         the other said with `causality fact export`, and import it here"
            .to_owned()
    } else {
        format!(
            "{origin}, or whoever has its keys, signed two versions: ask {origin} which one holds"
        )
    };
    let compare = "compare `causality digest` on both sides";
    let (kind, code, text) = match problem {
        Problem::Forked => {
            let text = format!(
                "{peer} holds other facts at the same positions, and no more of it goes either way; {two_versions}"
            );
            (ProblemKind::Forked, ExitCode::Integrity, text)
        }
        Problem::LaneAhead => {
            let text = format!(
                "{peer} holds more of it than this home, which writes it: the store was set back, such as by an older \
                 copy of its file; what this domain says from now on goes to a new log, and what is missing comes back \
                 from {peer} if its compartment is received from there; bring back copies with `causality store \
                 restore` only"
            );
            (ProblemKind::LaneAhead, ExitCode::Integrity, text)
        }
        Problem::Refused(error) => {
            let (code, advice) = match error {
                LogError::Limit => (ExitCode::Partial, "sync again".to_owned()),
                LogError::NotGranted => (
                    ExitCode::Partial,
                    "`causality peer add` with --receive grants it, or a rule of the policy"
                        .to_owned(),
                ),
                LogError::Closed { .. } => (
                    ExitCode::Partial,
                    "what comes behind the end of a log does not count".to_owned(),
                ),
                LogError::CalledOtherwise => (
                    ExitCode::Partial,
                    format!(
                        "{peer}, or whoever told of the compartment first, gives a false name for it"
                    ),
                ),
                _ => (
                    ExitCode::Integrity,
                    format!(
                        "nothing of it was stored; {peer} holds an altered one, or {two_versions}; {compare}"
                    ),
                ),
            };
            let text = format!("it is not taken from {peer}: {error}; {advice}");
            (ProblemKind::Refused, code, text)
        }
        Problem::Declined(reason) => {
            let (code, advice) = match reason {
                RefusalReason::Key | RefusalReason::Malformed => (
                    ExitCode::Integrity,
                    format!("one side holds an altered one, or {two_versions}; {compare}"),
                ),
                RefusalReason::Limit | RefusalReason::RetryLater => {
                    (ExitCode::Partial, "sync again later".to_owned())
                }
                RefusalReason::Policy => (
                    ExitCode::Partial,
                    format!(
                        "{peer} grants it by `causality peer add` with --receive, or by a rule of its policy"
                    ),
                ),
                RefusalReason::Unsupported => {
                    (ExitCode::Partial, format!("{peer} needs a newer program"))
                }
                RefusalReason::Void => (
                    ExitCode::Partial,
                    "what comes behind the end of a log does not count".to_owned(),
                ),
            };
            let text = format!("{problem}; {advice}");
            (ProblemKind::Declined, code, text)
        }
        Problem::TooFarBehind => {
            let text = format!(
                "{peer} lacks more of it than can be announced at once, so it was not sent"
            );
            (ProblemKind::TooFarBehind, ExitCode::Partial, text)
        }
        other => (ProblemKind::Refused, ExitCode::Partial, other.to_string()),
    };
    Advice { kind, code, text }
}

/// Digits of a lane that people need to tell one from another.
const LANE_DIGITS: usize = 12;

impl From<SyncDirection> for Direction {
    fn from(direction: SyncDirection) -> Self {
        match direction {
            SyncDirection::Push => Self::Push,
            SyncDirection::Pull => Self::Pull,
            SyncDirection::Both => Self::Both,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_has_its_code_and_says_what_to_do() {
        let refused = |error| (Problem::Refused(error), ProblemKind::Refused);
        let declined = |reason| (Problem::Declined(reason), ProblemKind::Declined);
        let (integrity, partial) = (ExitCode::Integrity, ExitCode::Partial);
        for ((problem, kind), code, said) in [
            (
                (Problem::Forked, ProblemKind::Forked),
                integrity,
                "ask o which",
            ),
            (
                (Problem::LaneAhead, ProblemKind::LaneAhead),
                integrity,
                "new log",
            ),
            (
                (Problem::TooFarBehind, ProblemKind::TooFarBehind),
                partial,
                "not sent",
            ),
            (refused(LogError::Limit), partial, "sync again"),
            (refused(LogError::NotGranted), partial, "--receive"),
            (
                refused(LogError::Closed { size: 7 }),
                partial,
                "closed at 7",
            ),
            (
                refused(LogError::EpochRunsBack { held: 2, found: 1 }),
                integrity,
                "epoch 1",
            ),
            (declined(RefusalReason::Key), integrity, "digest"),
            (declined(RefusalReason::Malformed), integrity, "digest"),
            (declined(RefusalReason::Limit), partial, "later"),
            (declined(RefusalReason::RetryLater), partial, "later"),
            (declined(RefusalReason::Policy), partial, "--receive"),
            (
                declined(RefusalReason::Unsupported),
                partial,
                "newer program",
            ),
            (declined(RefusalReason::Void), partial, "closed the lane"),
        ] {
            let advice = advice(&problem, false, "o", "p");
            assert_eq!((advice.kind, advice.code), (kind, code), "{problem:?}");
            assert!(advice.text.contains(said), "no {said:?}: {}", advice.text);
        }
        let own = advice(&Problem::Forked, true, "o", "p");
        assert!(own.text.contains("two stores"), "{}", own.text);
    }
}
