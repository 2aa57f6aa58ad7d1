//! Which newcomers are let in, and how many at once: strangers cost little until they have proven
//! something.

use std::sync::{Arc, Weak};
use std::time::Duration;

use causality_transport::Side;
use quinn::{Endpoint, Incoming, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::config::QuicLimits;
use crate::connection::QuicConnection;
use crate::wait::within;

/// A connection that waits to be accepted, with the half-open slot that it gives back then.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) connection: QuicConnection,
    pub(crate) _slot: OwnedSemaphorePermit,
}

/// Takes newcomers until the endpoint is closed.
#[derive(Debug)]
pub(crate) struct Admission {
    endpoint: Endpoint,
    runtime: Arc<dyn Runtime>,
    limits: QuicLimits,
    slots: Arc<Semaphore>,
    arrivals: mpsc::Sender<Arrival>,
    /// What connections hold while the endpoint is there.
    open: Weak<()>,
}

impl Admission {
    /// The admission of an endpoint, and where the admitted come out.
    pub(crate) fn new(
        endpoint: &Endpoint,
        runtime: &Arc<dyn Runtime>,
        limits: QuicLimits,
        open: &Arc<()>,
    ) -> (Self, mpsc::Receiver<Arrival>) {
        let half_open_max = usize::try_from(limits.half_open_max).unwrap_or(Semaphore::MAX_PERMITS);
        let (arrivals, admitted) = mpsc::channel(half_open_max);
        let admission = Self {
            endpoint: endpoint.clone(),
            runtime: Arc::clone(runtime),
            limits,
            slots: Arc::new(Semaphore::new(half_open_max)),
            arrivals,
            open: Arc::downgrade(open),
        };
        (admission, admitted)
    }

    pub(crate) async fn run(self) {
        while let Some(incoming) = self.endpoint.accept().await {
            self.receive(incoming);
        }
    }

    /// Refuses, asks for proof of the address, or starts the handshake.
    fn receive(&self, incoming: Incoming) {
        let open = self.endpoint.open_connections() as u64;
        let half_open = self.limits.half_open_max - self.slots.available_permits() as u64;
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            return incoming.refuse();
        };
        if open >= self.limits.connections_max {
            return incoming.refuse();
        }
        if half_open >= self.limits.half_open_retry_above && incoming.may_retry() {
            // It fails only for a newcomer that may not be asked again.
            let _ = incoming.retry();
            return;
        }
        let arrivals = self.arrivals.clone();
        let deadline = Duration::from_millis(self.limits.handshake_deadline_ms);
        let (runtime, open) = (Arc::clone(&self.runtime), Weak::clone(&self.open));
        self.runtime.spawn(Box::pin(async move {
            let Some(Ok(connection)) = within(&*runtime, deadline, incoming.into_future()).await
            else {
                return;
            };
            let Some(open) = open.upgrade() else {
                return;
            };
            if let Ok(connection) = QuicConnection::new(connection, Side::Acceptor, &open) {
                // There is room: the channel has as many places as there are slots.
                let _ = arrivals.try_send(Arrival {
                    connection,
                    _slot: slot,
                });
            }
        }));
    }
}
