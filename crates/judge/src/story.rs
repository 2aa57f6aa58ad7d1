//! Events as lines of a story.

use crate::history::{Acknowledged, Event};
use crate::world::Moment;

/// An event of a node in one line; none for what would only fill a story.
pub(crate) fn line(now: Moment, node: &str, event: &Event) -> Option<String> {
    let text = text(event)?;
    let Moment { line, at } = now;
    Some(format!("line {line:<6} {at:>8} ms  {node}: {text}"))
}

fn text(event: &Event) -> Option<String> {
    Some(match event {
        Event::Started { domain } => format!("started, of domain {}", domain.short()),
        Event::Entitled { to } => format!("may have the logs of {} scopes", to.len()),
        Event::Policy { peer, .. } => format!("is told new rules about {}", peer.short()),
        Event::Obeys {} => "goes by the new rules".to_owned(),
        Event::Clock { shows, rate } => {
            format!("has a clock that shows {shows} ms and runs at {rate} ppm")
        }
        Event::Crashed {} => "crashed".to_owned(),
        Event::Stopped {} => "stopped".to_owned(),
        Event::Restarted {} => "runs again".to_owned(),
        Event::Restored {
            taken_at, marked, ..
        } => {
            let how = if *marked { "and knows it" } else { "unmarked" };
            format!("was restored from a backup of {taken_at} ms, {how}")
        }
        Event::Left {} => "left".to_owned(),
        Event::Appended { request, facts, .. } => {
            format!("is asked to append {facts} facts, request {request}")
        }
        Event::Acknowledged { request, facts } => {
            let facts: Vec<_> = facts.iter().map(acknowledged).collect();
            format!("acknowledges request {request}: {}", list(&facts))
        }
        Event::Durable {
            log, size, peer, ..
        } => {
            let from = peer
                .as_ref()
                .map(|peer| format!(", from {peer}"))
                .unwrap_or_default();
            format!("has {size} positions of {} durable{from}", log.short())
        }
        Event::Seen { facts } => {
            let facts: Vec<_> = facts
                .iter()
                .map(|fact| format!("{} at {}", fact.id.short(), fact.place))
                .collect();
            format!("shows a reader {}", list(&facts))
        }
        Event::Meets { peer, .. } => format!("meets {peer}"),
        Event::Met { peer } => format!("has met {peer}"),
        Event::LaneStopped { log, .. } => format!("gives up its lane {}", log.short()),
        Event::ForkNoticed { log, .. } => format!("notices a fork of {}", log.short()),
        Event::Holds { log, size, .. } => format!("holds {size} positions of {}", log.short()),
        Event::Rows { .. } | Event::Healed {} | Event::End {} => return None,
        Event::Dumped { is_final: true } => "that is how it ends".to_owned(),
        Event::Dumped { is_final: false } => "that is all it holds".to_owned(),
        Event::Note { text } => format!("({text})"),
    })
}

fn acknowledged(fact: &Acknowledged) -> String {
    match &fact.place {
        Some(place) => format!("{} at {place}", fact.id.short()),
        None => fact.id.short(),
    }
}

fn list(facts: &[String]) -> String {
    let shown = facts.len().min(LISTED_MAX);
    let mut text = facts[..shown].join(", ");
    if facts.len() > shown {
        text += &format!(" and {} more", facts.len() - shown);
    }
    text
}

/// How many facts a line of a story names.
const LISTED_MAX: usize = 3;
