//! The command `status`: the domain, its logs, and how far its peers are.

use std::fmt::Write as _;

use causality_node::{Clock as _, Completeness, Lag, PeerConfig, SystemClock};
use tokio::sync::mpsc;

use crate::exit::Failure;
use crate::handler::{Context, Network, done};
use crate::output::table;
use crate::plain::plain;
use crate::protocol::{PeerLog, Reply, StatusLog, StatusPeer, StatusSummary, Summary};
use crate::text::{count, short};

/// Shows the domain at a glance.
pub(crate) async fn status(
    context: &Context,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let status = context.node.status().await?;
    let mut logs = Vec::new();
    for held in context.node.holdings().await? {
        logs.push(StatusLog {
            origin: held.log.origin.to_string(),
            origin_name: context.name_of(held.log.origin).await,
            compartment: held.compartment,
            lane: held.log.lane.to_string(),
            facts: held.size - held.hidden,
            partial: held.partial,
            withheld: held.hidden,
            completeness: completeness_word(held.completeness).to_owned(),
        });
    }
    let now_ms = SystemClock.now_ms();
    let (mut peers, mut lags) = (Vec::new(), context.node.lags().await?);
    for (peer, connected) in status.peers {
        let PeerConfig { name, domain, .. } = peer;
        let mut its_logs = Vec::new();
        for lag in lags.extract_if(.., |lag| lag.peer == domain) {
            let log = logs.iter().find(|log| log.lane == lag.log.lane.to_string());
            let compartment = log.map(|log| log.compartment.clone());
            let origin_name = context.name_of(lag.log.origin).await;
            its_logs.push(peer_log(
                &lag,
                origin_name,
                compartment.unwrap_or_default(),
                now_ms,
            ));
        }
        peers.push(StatusPeer {
            name,
            id: domain.to_string(),
            connected,
            logs: its_logs,
        });
    }
    let listens = context.network == Network::Listens;
    let summary = StatusSummary {
        id: status.domain.to_string(),
        name: context.config.name.clone(),
        home: context.home.dir().display().to_string(),
        serving: listens,
        listen: status
            .address
            .filter(|_| listens)
            .unwrap_or_else(|| context.config.listen.clone()),
        facts: logs.iter().map(|log| log.facts).sum(),
        logs,
        bytes_sent: status.bytes_sent,
        bytes_received: status.bytes_received,
        peers,
    };
    done(replies, Summary::Status(summary)).await
}

fn completeness_word(completeness: Completeness) -> &'static str {
    match completeness {
        Completeness::Attested => "attested",
        Completeness::Incomplete => "incomplete",
        Completeness::Proven => "proven",
    }
}

fn peer_log(lag: &Lag, origin_name: Option<String>, compartment: String, now_ms: u64) -> PeerLog {
    let unconfirmed = lag.unconfirmed;
    let lag_ms = unconfirmed.map(|unconfirmed| {
        let said_ms = unconfirmed.oldest.map(|said| said.millis());
        said_ms.map_or(0, |said_ms| now_ms.saturating_sub(said_ms))
    });
    PeerLog {
        origin: lag.log.origin.to_string(),
        origin_name,
        compartment,
        lane: lag.log.lane.to_string(),
        wanted: unconfirmed.map(|unconfirmed| unconfirmed.is_wanted),
        lag_facts: unconfirmed.map(|unconfirmed| unconfirmed.facts),
        lag_seconds: lag_ms.map(|ms| ms as f64 / 1000.0),
        missing_here: lag.missing_here,
    }
}

impl StatusSummary {
    /// The home for people.
    pub(crate) fn text(&self) -> String {
        let Self {
            id,
            name,
            home,
            serving,
            listen,
            facts,
            bytes_sent,
            bytes_received,
            logs,
            peers,
        } = self;
        let [id, name, home, listen] = [id, name, home, listen].map(|text| plain(text));
        let daemon = if *serving {
            "listening on"
        } else {
            "not running; would listen on"
        };
        let mut text = format!(
            "{name} {id}\n  home    {home}\n  daemon  {daemon} {listen}\n  facts   {facts}\n"
        );
        if *serving {
            let sent = count(*bytes_sent, "byte");
            let _ = writeln!(text, "  wire    {sent} sent, {bytes_received} received");
        }
        if !logs.is_empty() {
            let header = [
                "ORIGIN",
                "COMPARTMENT",
                "LANE",
                "FACTS",
                "IN PART",
                "WITHHELD",
                "COMPLETENESS",
            ];
            let _ = write!(
                text,
                "\n{}",
                table(Some(&header), logs.iter().map(StatusLog::cells))
            );
        }
        if !peers.is_empty() {
            let header = ["PEER", "ID", "CONNECTED", "LAG"];
            let _ = write!(
                text,
                "\n{}",
                table(Some(&header), peers.iter().map(StatusPeer::cells))
            );
        }
        text
    }
}

impl StatusLog {
    fn cells(&self) -> Vec<String> {
        let origin = self.origin_name.clone();
        vec![
            origin.unwrap_or_else(|| short(&self.origin)),
            self.compartment.clone(),
            short(&self.lane),
            self.facts.to_string(),
            self.partial.to_string(),
            self.withheld.to_string(),
            self.completeness.clone(),
        ]
    }
}

impl StatusPeer {
    fn cells(&self) -> Vec<String> {
        let connected = self.connected.clone().unwrap_or_else(|| "-".to_owned());
        vec![self.name.clone(), short(&self.id), connected, self.lag()]
    }

    /// How far it is behind with all logs together. What it has not said is not known; what it does not want it does not
    /// lack.
    fn lag(&self) -> String {
        if self.logs.is_empty() {
            return "-".to_owned();
        }
        if self.logs.iter().any(|log| log.lag_facts.is_none()) {
            return "unknown".to_owned();
        }
        let wanted = self.logs.iter().filter(|log| log.wanted == Some(true));
        let facts = wanted.clone().filter_map(|log| log.lag_facts).sum();
        let seconds = wanted.filter_map(|log| log.lag_seconds).fold(0.0, f64::max);
        match facts {
            0 => "none".to_owned(),
            facts => format!("{}, {seconds:.1} s", count(facts, "fact")),
        }
    }
}
