//! The limits of this crate in quinn's terms.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::crypto::{CryptoError, HmacKey};
use quinn::{ConnectionId, ConnectionIdGenerator, Runtime};
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::crypto::tls13::{Hkdf, OkmBlock};
use subtle::ConstantTimeEq;

use crate::config::{QuicConfig, QuicLimits, Randomness, TransportSecret};
use crate::tls;

/// What the endpoint as a whole does.
pub(crate) fn endpoint(
    secret: &TransportSecret,
    randomness: &Arc<Randomness>,
) -> quinn::EndpointConfig {
    let mut config = match ResetKey::new(secret) {
        Some(key) => quinn::EndpointConfig::new(Arc::new(key)),
        None => quinn::EndpointConfig::default(),
    };
    config.rng_seed(Some(*randomness.draw()));
    let source = Arc::clone(randomness);
    config.cid_generator(move || Box::new(DrawnIds(Arc::clone(&source))));
    config
}

/// How connections are taken.
pub(crate) fn server(
    config: &QuicConfig,
    runtime: &Arc<dyn Runtime>,
) -> Result<quinn::ServerConfig, String> {
    let tls = tls::server(config.secret.signing_key(), ALPN).map_err(|error| error.to_string())?;
    let crypto = QuicServerConfig::try_from(tls).map_err(|error| error.to_string())?;
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    let half_open_max = usize::try_from(config.limits.half_open_max).unwrap_or(usize::MAX);
    server
        .transport_config(Arc::new(transport(&config.limits)))
        .max_incoming(half_open_max)
        .incoming_buffer_size(INCOMING_BUFFER_BYTES)
        .incoming_buffer_size_total(INCOMING_BUFFERS_BYTES)
        .time_source(Arc::new(RuntimeTime::new(runtime)));
    server.validation_token.sent(0);
    Ok(server)
}

/// How one connection is dialled, with a key that serves for it alone.
pub(crate) fn client(
    transport: &Arc<quinn::TransportConfig>,
    randomness: &Arc<Randomness>,
) -> Result<quinn::ClientConfig, String> {
    let key = ed25519_dalek::SigningKey::from_bytes(&randomness.draw());
    let tls = tls::client(key, ALPN).map_err(|error| error.to_string())?;
    let crypto = QuicClientConfig::try_from(tls).map_err(|error| error.to_string())?;
    let mut client = quinn::ClientConfig::new(Arc::new(crypto));
    let source = Arc::clone(randomness);
    client
        .transport_config(Arc::clone(transport))
        .initial_dst_cid_provider(Arc::new(move || drawn_id(&source, INITIAL_ID_BYTES)));
    Ok(client)
}

/// The part of the settings that a dialler's connections have beyond an acceptor's.
pub(crate) fn dialler_transport(limits: &QuicLimits) -> quinn::TransportConfig {
    let mut config = transport(limits);
    config.keep_alive_interval(Some(Duration::from_millis(limits.keep_alive_ms)));
    config
}

fn transport(limits: &QuicLimits) -> quinn::TransportConfig {
    let mut config = quinn::TransportConfig::default();
    config
        .max_concurrent_bidi_streams(FIRST_BI_STREAMS.into())
        .max_concurrent_uni_streams(FIRST_UNI_STREAMS.into())
        .receive_window(var_int(limits.connection_window_bytes))
        .stream_receive_window(var_int(limits.stream_window_bytes))
        .send_window(limits.send_window_bytes)
        .max_idle_timeout(Some(var_int(limits.idle_timeout_ms).into()))
        .datagram_receive_buffer_size(None)
        .allow_spin(false)
        .mtu_discovery_config(Some(mtu_discovery()));
    config
}

/// One probe of the size that Ethernet carries decides: quinn's binary search skips to its upper
/// bound when half the distance is less than the smallest change worth having. Usually one
/// datagram, three at most.
fn mtu_discovery() -> quinn::MtuDiscoveryConfig {
    let mut config = quinn::MtuDiscoveryConfig::default();
    config
        .upper_bound(MTU_PROBE_BYTES)
        .minimum_change(MTU_PROBE_BYTES - MTU_FIRST_BYTES);
    config
}

/// The configuration keeps all of these far below 2^62.
fn var_int(value: u64) -> quinn::VarInt {
    quinn::VarInt::from_u64(value).unwrap_or(quinn::VarInt::MAX)
}

/// Makes the tokens by which a restarted endpoint tells its former peers that it knows them no more
/// (RFC 9000 section 10.3): HMAC-SHA256 under a key derived from the transport secret (HKDF, RFC
/// 5869), so that it survives the restart.
struct ResetKey {
    hkdf: &'static dyn Hkdf,
    key: OkmBlock,
}

impl ResetKey {
    fn new(secret: &TransportSecret) -> Option<Self> {
        let hkdf = TLS13_AES_128_GCM_SHA256.tls13()?.hkdf_provider;
        let key = hkdf
            .extract_from_secret(Some(RESET_KEY_SALT), secret.as_bytes())
            .expand_block(&[b"stateless reset"]);
        Some(Self { hkdf, key })
    }
}

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        signature_out.copy_from_slice(self.hkdf.hmac_sign(&self.key, data).as_ref());
    }

    fn signature_len(&self) -> usize {
        SHA256_BYTES
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let expected = self.hkdf.hmac_sign(&self.key, data);
        bool::from(expected.as_ref().ct_eq(signature))
            .then_some(())
            .ok_or(CryptoError)
    }
}

/// Connection ids without any structure, from the endpoint's randomness.
struct DrawnIds(Arc<Randomness>);

impl ConnectionIdGenerator for DrawnIds {
    fn generate_cid(&mut self) -> ConnectionId {
        drawn_id(&self.0, ID_BYTES)
    }

    fn cid_len(&self) -> usize {
        ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

fn drawn_id(randomness: &Randomness, length: usize) -> ConnectionId {
    let drawn = randomness.draw();
    ConnectionId::new(drawn.get(..length).unwrap_or_default())
}

/// The age of Retry tokens, on the runtime's clock: they never outlive the process that made them.
struct RuntimeTime {
    runtime: Arc<dyn Runtime>,
    start: Instant,
}

impl RuntimeTime {
    fn new(runtime: &Arc<dyn Runtime>) -> Self {
        Self {
            runtime: Arc::clone(runtime),
            start: runtime.now(),
        }
    }
}

impl quinn::TimeSource for RuntimeTime {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.runtime.now().saturating_duration_since(self.start)
    }
}

/// The application protocol in the handshake (RFC 7301); another one is refused.
pub const ALPN: &[u8] = b"causality/1";

/// UDP payload bytes of a path-MTU probe, and of the largest datagram sent: Ethernet less IPv6 and
/// UDP headers.
pub const MTU_PROBE_BYTES: u16 = 1_452;

/// UDP payload bytes that every path must carry, and of the datagram that opens a connection (RFC
/// 9000 section 14).
pub(crate) const MTU_FIRST_BYTES: u16 = 1_200;

const FIRST_BI_STREAMS: u32 = 1;
const FIRST_UNI_STREAMS: u32 = 0;

/// Bytes kept of one newcomer, and of all of them, between the first datagram and admission.
const INCOMING_BUFFER_BYTES: u64 = 64 << 10;
const INCOMING_BUFFERS_BYTES: u64 = 8 << 20;

const ID_BYTES: usize = 8;
/// At least 8 bytes (RFC 9000 section 7.2); it also keys the first packets.
const INITIAL_ID_BYTES: usize = 16;

const RESET_KEY_SALT: &[u8] = b"causality/1 quic";
const SHA256_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_key_signs_alike_after_a_restart_and_verifies_its_own() {
        let key = |byte| ResetKey::new(&TransportSecret::from_bytes([byte; 32])).unwrap();
        let sign = |key: &ResetKey| {
            let mut signature = vec![0; key.signature_len()];
            key.sign(b"id", &mut signature);
            signature
        };
        let signature = sign(&key(1));
        assert_eq!(signature, sign(&key(1)));
        assert_ne!(signature, sign(&key(2)));
        assert!(key(1).verify(b"id", &signature).is_ok());
        assert!(key(1).verify(b"ib", &signature).is_err());
        assert!(key(1).verify(b"id", &signature[1..]).is_err());
    }
}
