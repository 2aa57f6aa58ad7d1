//! One QUIC connection as the joint sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use causality_transport::{
    Connection, ConnectionStats, EXPORTER_LABEL, ExporterValue, REASON_BYTES_MAX, RecvStream,
    SendStream, Side, TransportError, TransportKey,
};
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use crate::error;
use crate::settings::{MTU_FIRST_BYTES, MTU_PROBE_BYTES};
use crate::stream::{QuicRecvStream, QuicSendStream};
use crate::tls;

/// A connection whose handshake is complete on this side.
#[derive(Debug)]
pub(crate) struct QuicConnection {
    connection: quinn::Connection,
    /// With one handle alone, quinn calls a connection whose socket broke closed by this side.
    _second_handle: quinn::Connection,
    peer_key: TransportKey,
    exporter: ExporterValue,
    side: Side,
    /// What the peer may open, for limits never fall.
    allowed_bi: AtomicU32,
    allowed_uni: AtomicU32,
    /// Tells the endpoint that somebody holds this connection.
    _open: Arc<()>,
}

impl QuicConnection {
    pub(crate) fn new(
        connection: quinn::Connection,
        side: Side,
        open: &Arc<()>,
    ) -> Result<Self, TransportError> {
        let peer_key = peer_key(&connection)?;
        let mut secret = Zeroizing::new([0; 32]);
        connection
            .export_keying_material(secret.as_mut_slice(), EXPORTER_LABEL, b"")
            .map_err(|_| TransportError::Failed {
                reason: "tls exports no keying material".to_owned(),
            })?;
        let exporter = ExporterValue::new(secret);
        Ok(Self {
            _second_handle: connection.clone(),
            connection,
            peer_key,
            exporter,
            side,
            allowed_bi: AtomicU32::new(0),
            allowed_uni: AtomicU32::new(0),
            _open: Arc::clone(open),
        })
    }
}

/// The key whose possession TLS has proven. TLS refused all that lack a good one, so this does not
/// fail.
fn peer_key(connection: &quinn::Connection) -> Result<TransportKey, TransportError> {
    let violated = |reason: String| TransportError::Violated { reason };
    let identity = connection.peer_identity();
    let keys = identity.and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok());
    let key = keys.and_then(|keys| keys.into_iter().next());
    let key = key.ok_or_else(|| violated("the peer showed no key".to_owned()))?;
    tls::good_key(&key).map_err(|error| violated(error.to_string()))
}

#[async_trait]
impl Connection for QuicConnection {
    fn peer_key(&self) -> TransportKey {
        self.peer_key
    }

    fn exporter(&self) -> &ExporterValue {
        &self.exporter
    }

    fn side(&self) -> Side {
        self.side
    }

    fn remote_address(&self) -> String {
        let address = self.connection.remote_address();
        std::net::SocketAddr::new(address.ip().to_canonical(), address.port()).to_string()
    }

    async fn open_bi(&self) -> Result<(Box<dyn SendStream>, Box<dyn RecvStream>), TransportError> {
        let (send, receive) = self.connection.open_bi().await.map_err(error::connection)?;
        Ok((QuicSendStream::boxed(send), QuicRecvStream::boxed(receive)))
    }

    async fn accept_bi(
        &self,
    ) -> Result<(Box<dyn SendStream>, Box<dyn RecvStream>), TransportError> {
        let (send, receive) = self
            .connection
            .accept_bi()
            .await
            .map_err(error::connection)?;
        Ok((QuicSendStream::boxed(send), QuicRecvStream::boxed(receive)))
    }

    async fn open_uni(&self) -> Result<Box<dyn SendStream>, TransportError> {
        self.connection
            .open_uni()
            .await
            .map(QuicSendStream::boxed)
            .map_err(error::connection)
    }

    async fn accept_uni(&self) -> Result<Box<dyn RecvStream>, TransportError> {
        self.connection
            .accept_uni()
            .await
            .map(QuicRecvStream::boxed)
            .map_err(error::connection)
    }

    fn allow_streams(&self, bi: u32, uni: u32) {
        if self.allowed_bi.fetch_max(bi, Ordering::Relaxed) < bi && bi > 0 {
            self.connection.set_max_concurrent_bi_streams(bi.into());
        }
        if self.allowed_uni.fetch_max(uni, Ordering::Relaxed) < uni {
            self.connection.set_max_concurrent_uni_streams(uni.into());
        }
    }

    fn close(&self, code: u32, reason: &str) {
        // quinn would put this reason in the place of the one that came first.
        if self.connection.close_reason().is_some() {
            return;
        }
        let reason = &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)];
        self.connection.close(code.into(), reason.as_bytes());
    }

    async fn closed(&self) -> TransportError {
        error::connection(self.connection.closed().await)
    }

    fn stats(&self) -> ConnectionStats {
        let stats = self.connection.stats();
        // quinn leaves out the datagram that opened an accepted connection; it has no more bytes
        // than it must.
        let opening = if self.side == Side::Acceptor {
            u64::from(MTU_FIRST_BYTES)
        } else {
            0
        };
        ConnectionStats {
            udp_sent_bytes: stats.udp_tx.bytes,
            udp_received_bytes: stats.udp_rx.bytes + opening,
            mtu_probe_sent_bytes: stats.path.sent_plpmtud_probes * u64::from(MTU_PROBE_BYTES),
            round_trip: stats.path.rtt,
        }
    }
}
