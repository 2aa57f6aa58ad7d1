//! The endpoint: listens and dials on one socket.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use causality_transport::{Connection, CrossDomainTransport, DROPPED_CODE, Side, TransportError};
use quinn::{AsyncUdpSocket, ConnectError, Connecting, Endpoint, Runtime};
use tokio::sync::{Mutex, mpsc};

use crate::admission::{Admission, Arrival};
use crate::config::{QuicConfig, QuicLimits, Randomness};
use crate::connection::QuicConnection;
use crate::error;
use crate::settings;
use crate::system::{self, SocketBuffers};
use crate::wait::within;

/// An endpoint on QUIC. Its socket is free again once it and all its connections are dropped.
#[derive(Debug)]
pub struct QuicTransport {
    endpoint: Endpoint,
    local_address: SocketAddr,
    socket_buffers: Option<SocketBuffers>,
    runtime: Arc<dyn Runtime>,
    limits: QuicLimits,
    randomness: Arc<Randomness>,
    dialler_transport: Arc<quinn::TransportConfig>,
    arrivals: Mutex<mpsc::Receiver<Arrival>>,
    closed: AtomicBool,
    /// Held by this and by every connection that somebody holds.
    open: Arc<()>,
}

impl QuicTransport {
    /// Listens on `host:port`; port 0 lets the system choose. Runs on the tokio runtime of the
    /// caller.
    ///
    /// # Errors
    /// `AddressInvalid`, `Unreachable` when the name does not resolve, `BindFailed`, for instance
    /// when the port is in use, `Failed` when TLS cannot be set up.
    pub async fn bind(config: QuicConfig, address: &str) -> Result<Self, TransportError> {
        let runtime = system::runtime();
        let mut outcome = Err(TransportError::Closed);
        for address in system::resolve(address).await? {
            outcome = system::bind(address, config.limits.socket_buffer_bytes, &*runtime);
            if outcome.is_ok() {
                break;
            }
        }
        let (socket, buffers) = outcome?;
        let mut transport = Self::with_socket(config, socket, runtime)?;
        transport.socket_buffers = Some(buffers);
        Ok(transport)
    }

    /// Runs over any socket and runtime, such as simulated ones.
    ///
    /// # Errors
    /// `BindFailed` when the socket does not know its address, `Failed` when TLS cannot be set up.
    pub fn with_socket(
        config: QuicConfig,
        socket: Arc<dyn AsyncUdpSocket>,
        runtime: Arc<dyn Runtime>,
    ) -> Result<Self, TransportError> {
        let bind_failed = |error: std::io::Error| TransportError::BindFailed {
            address: String::new(),
            reason: error.to_string(),
        };
        let local_address = socket.local_addr().map_err(bind_failed)?;
        let server = settings::server(&config, &runtime)
            .map_err(|reason| TransportError::Failed { reason })?;
        let QuicConfig {
            secret,
            limits,
            randomness,
        } = config;
        let randomness = Arc::new(randomness);
        let endpoint = Endpoint::new_with_abstract_socket(
            settings::endpoint(&secret, &randomness),
            Some(server),
            socket,
            Arc::clone(&runtime),
        )
        .map_err(bind_failed)?;
        let open = Arc::new(());
        let (admission, arrivals) = Admission::new(&endpoint, &runtime, limits, &open);
        runtime.spawn(Box::pin(admission.run()));
        Ok(Self {
            endpoint,
            local_address,
            socket_buffers: None,
            dialler_transport: Arc::new(settings::dialler_transport(&limits)),
            runtime,
            limits,
            randomness,
            arrivals: Mutex::new(arrivals),
            closed: AtomicBool::new(false),
            open,
        })
    }

    /// What the system granted of the socket buffers, for a warning; `None` over a socket from
    /// outside.
    pub fn socket_buffers(&self) -> Option<SocketBuffers> {
        self.socket_buffers
    }

    /// Connections that are open or in their handshake, in both directions.
    pub fn open_connections(&self) -> usize {
        self.endpoint.open_connections()
    }

    fn dial(&self, address: SocketAddr) -> Result<Connecting, TransportError> {
        let failed = |reason| TransportError::Failed { reason };
        let client = settings::client(&self.dialler_transport, &self.randomness).map_err(failed)?;
        let dialled = self
            .endpoint
            .connect_with(client, address, UNUSED_SERVER_NAME);
        dialled.map_err(|error| match error {
            ConnectError::EndpointStopping => self.stopped(),
            ConnectError::InvalidRemoteAddress(_) => TransportError::Unreachable {
                address: address.to_string(),
                reason: "this endpoint cannot send to such an address".to_owned(),
            },
            other => failed(other.to_string()),
        })
    }

    /// Why the endpoint works no more.
    fn stopped(&self) -> TransportError {
        if self.closed.load(Ordering::Acquire) {
            TransportError::Closed
        } else {
            TransportError::Failed {
                reason: "the socket broke".to_owned(),
            }
        }
    }

    /// Dials one address after the other without waiting for those before to fail; the first to
    /// answer is taken.
    async fn first_to_answer(
        &self,
        addresses: &[SocketAddr],
    ) -> Result<quinn::Connection, TransportError> {
        let mut attempts = Attempts::default();
        for address in addresses {
            match self.dial(*address) {
                Ok(connecting) => attempts.running.push(Box::pin(connecting)),
                Err(error) => attempts.failed = Some(error),
            }
            if let Some(Ok(connection)) = within(&*self.runtime, STAGGER, attempts.next()).await {
                return Ok(connection);
            }
        }
        attempts.next().await
    }

    fn close_now(&self) {
        self.closed.store(true, Ordering::Release);
        self.endpoint.close(DROPPED_CODE.into(), b"");
    }
}

#[async_trait]
impl CrossDomainTransport for QuicTransport {
    async fn connect(&self, address: &str) -> Result<Box<dyn Connection>, TransportError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(TransportError::Closed);
        }
        let mut addresses = system::resolve(address).await?;
        addresses.truncate(ADDRESSES_MAX);
        let unreachable = |reason| TransportError::Unreachable {
            address: address.to_owned(),
            reason,
        };
        let milliseconds = self.limits.connect_deadline_ms;
        let deadline = Duration::from_millis(milliseconds);
        let answered = within(&*self.runtime, deadline, self.first_to_answer(&addresses)).await;
        let connection = match answered {
            Some(Err(TransportError::TimedOut)) | None => {
                return Err(unreachable(format!("no answer within {milliseconds} ms")));
            }
            Some(Err(TransportError::Unreachable { reason, .. })) => {
                return Err(unreachable(reason));
            }
            Some(answered) => answered?,
        };
        Ok(Box::new(QuicConnection::new(
            connection,
            Side::Dialler,
            &self.open,
        )?))
    }

    async fn accept(&self) -> Result<Box<dyn Connection>, TransportError> {
        let arrival = self.arrivals.lock().await.recv().await;
        if self.closed.load(Ordering::Acquire) {
            return Err(TransportError::Closed);
        }
        let arrival = arrival.ok_or_else(|| self.stopped())?;
        Ok(Box::new(arrival.connection))
    }

    fn local_address(&self) -> String {
        self.local_address.to_string()
    }

    async fn close(&self) {
        self.close_now();
        // quinn would go on to answer stragglers for three probe timeouts, which is 3 s for an
        // address that never answered; and a peer that has closed its side needs no answer at all.
        let limit = if Arc::strong_count(&self.open) > 1 {
            FAREWELL
        } else {
            LAST_WORDS
        };
        let _ = within(&*self.runtime, limit, self.endpoint.wait_idle()).await;
    }
}

impl Drop for QuicTransport {
    fn drop(&mut self) {
        self.close_now();
    }
}

/// Dialling attempts under way, and how the last of those that ended failed.
#[derive(Default)]
struct Attempts {
    running: Vec<Pin<Box<Connecting>>>,
    failed: Option<TransportError>,
}

impl Attempts {
    /// The first to succeed, or the last error once none runs any more.
    async fn next(&mut self) -> Result<quinn::Connection, TransportError> {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<quinn::Connection, TransportError>> {
        let mut answered = None;
        let failed = &mut self.failed;
        self.running
            .retain_mut(|attempt| match attempt.as_mut().poll(context) {
                Poll::Pending => true,
                Poll::Ready(Ok(connection)) => {
                    answered.get_or_insert(connection);
                    false
                }
                Poll::Ready(Err(error)) => {
                    *failed = Some(error::connection(error));
                    false
                }
            });
        match answered {
            Some(connection) => Poll::Ready(Ok(connection)),
            None if self.running.is_empty() => {
                Poll::Ready(Err(failed.clone().unwrap_or(TransportError::TimedOut)))
            }
            None => Poll::Pending,
        }
    }
}

/// How long an endpoint that had connections when it was closed still works, so that a peer that
/// missed the end is told again.
const FAREWELL: Duration = Duration::from_millis(500);

/// How long one without any still works: what is to be sent is sent at once.
const LAST_WORDS: Duration = Duration::from_millis(20);

/// Addresses of one name that are dialled; further ones are left aside.
pub const ADDRESSES_MAX: usize = 8;

/// Head start of one address before the next (RFC 8305 section 5).
const STAGGER: Duration = Duration::from_millis(250);

/// rustls wants a name; none is sent, and none is compared.
const UNUSED_SERVER_NAME: &str = "unused.invalid";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TransportSecret;

    async fn endpoint(name: u8) -> QuicTransport {
        let mut drawn = [name; 32];
        let randomness = Randomness::new(move || {
            drawn[0] = drawn[0].wrapping_add(1);
            drawn
        });
        let secret = TransportSecret::from_bytes([name; 32]);
        let config = QuicConfig::new(secret, QuicLimits::STANDARD, randomness).unwrap();
        QuicTransport::bind(config, "127.0.0.1:0").await.unwrap()
    }

    #[tokio::test]
    async fn a_silent_address_does_not_hold_up_the_next() {
        let (amber, basil) = (endpoint(1).await, endpoint(2).await);
        let silent = "127.0.0.1:1".parse().unwrap();
        let unusable = "[::1]:1".parse().unwrap();
        let addresses = [silent, unusable, basil.local_address];
        let (dialled, accepted) = tokio::join!(amber.first_to_answer(&addresses), basil.accept());
        assert_eq!(dialled.unwrap().remote_address(), basil.local_address);
        accepted.unwrap();
    }

    /// quinn keeps a closed connection for three probe timeouts, which are 3 s where nobody has answered yet: a program
    /// that had given up on a silent peer took so much longer to end.
    #[tokio::test]
    async fn an_endpoint_that_dials_a_silent_address_is_closed_soon() {
        let amber = endpoint(1).await;
        let silence = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let attempt = amber.dial(silence.local_addr().unwrap()).unwrap();
        let closed = tokio::time::timeout(Duration::from_secs(2), amber.close()).await;
        assert_eq!(closed, Ok(()));
        assert!(attempt.await.is_err());
    }

    #[tokio::test]
    async fn peers_hear_of_the_end_of_an_endpoint() {
        let (amber, basil) = (endpoint(1).await, endpoint(2).await);
        let address = basil.local_address();
        let (dialled, accepted) = tokio::join!(amber.connect(&address), basil.accept());
        let (_dialled, accepted) = (dialled.unwrap(), accepted.unwrap());
        amber.close().await;
        let heard = accepted.closed().await;
        assert!(
            matches!(
                heard,
                TransportError::ClosedByPeer {
                    code: DROPPED_CODE,
                    ..
                }
            ),
            "{heard}"
        );
    }

    #[tokio::test]
    async fn a_name_is_dialled_like_an_address() {
        let (amber, basil) = (endpoint(1).await, endpoint(2).await);
        let address = format!("localhost:{}", basil.local_address.port());
        let (dialled, accepted) = tokio::join!(amber.connect(&address), basil.accept());
        dialled.unwrap();
        accepted.unwrap();
    }

    #[tokio::test]
    async fn an_address_of_another_family_is_unreachable() {
        let error = endpoint(1).await.connect("[::1]:1").await.unwrap_err();
        let TransportError::Unreachable { address, reason } = error else {
            panic!("{error}");
        };
        assert_eq!(address, "[::1]:1");
        assert!(reason.contains("cannot send"), "{reason}");
    }

    #[tokio::test]
    async fn what_is_no_address_is_invalid() {
        let error = endpoint(1).await.connect("basil").await.unwrap_err();
        assert!(
            matches!(error, TransportError::AddressInvalid { .. }),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_port_in_use_cannot_be_bound() {
        let amber = endpoint(1).await;
        let secret = TransportSecret::from_bytes([2; 32]);
        let randomness = Randomness::new(|| [3; 32]);
        let config = QuicConfig::new(secret, QuicLimits::STANDARD, randomness).unwrap();
        let error = QuicTransport::bind(config, &amber.local_address())
            .await
            .unwrap_err();
        let TransportError::BindFailed { address, reason } = error else {
            panic!("{error}");
        };
        assert_eq!(address, amber.local_address());
        assert!(reason.contains("in use"), "{reason}");
        assert!(
            amber
                .socket_buffers()
                .is_some_and(|granted| granted.receive_bytes > 0)
        );
    }
}
