//! The command `serve`: the daemon.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use crate::control::{connect, listen};
use crate::exit::{ExitCode, Failure};
use crate::handler::{Context, Network};
use crate::home::Home;
use crate::metrics;
use crate::policy;
use crate::protocol::{ReadySummary, Summary};

/// Answers peers and commands until a signal ends it. `ready` is told once it does.
pub(crate) async fn serve(
    home: Home,
    metrics: Option<SocketAddr>,
    ready: impl FnOnce(Summary) -> Result<(), Failure>,
) -> Result<(), Failure> {
    home.keys()?;
    if connect(&home).await?.is_some() {
        let said = format!("a daemon is running on {} already", home.dir().display());
        return Err(Failure::new(ExitCode::Locked, said));
    }
    let context = Arc::new(Context::open(home, Network::Listens).await?);
    let served = serve_context(&context, metrics, ready).await;
    context.close().await;
    served
}

async fn serve_context(
    context: &Arc<Context>,
    metrics: Option<SocketAddr>,
    ready: impl FnOnce(Summary) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::io("waiting for signals", &error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let socket = listen(&context.home)?;
    let pages = match metrics {
        Some(address) => Some(metrics::listen(address).await?),
        None => None,
    };
    let monitored = async {
        match pages {
            Some(listener) => metrics::serve(listener, Arc::clone(context)).await,
            None => std::future::pending().await,
        }
    };
    for finding in policy::findings(context, &context.policy().await?).await? {
        tracing::warn!("policy.toml: {}", finding.message);
    }
    let address = context.node.messenger().local_address();
    ready(Summary::Ready(ReadySummary {
        id: context.node.domain().to_string(),
        name: context.config.name.clone(),
        listening: address.unwrap_or_else(|| context.config.listen.clone()),
    }))?;
    tokio::select! {
        () = context.node.serve() => Err(Failure::new(ExitCode::Other, "the node has stopped")),
        never = socket.serve(Arc::clone(context)) => match never {},
        never = monitored => match never {},
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}
