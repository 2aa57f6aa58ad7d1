//! What an endpoint is given: its secret, its limits and its randomness.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use causality_transport::TransportKey;
use ed25519_dalek::SigningKey;
use thiserror::Error;
use zeroize::Zeroizing;

/// Everything an endpoint needs, checked.
#[derive(Debug)]
pub struct QuicConfig {
    pub(crate) secret: TransportSecret,
    pub(crate) limits: QuicLimits,
    pub(crate) randomness: Randomness,
}

impl QuicConfig {
    /// Checks the limits against their ranges and each other.
    ///
    /// # Errors
    /// [`ConfigError`] for the first limit outside its range.
    pub fn new(
        secret: TransportSecret,
        limits: QuicLimits,
        randomness: Randomness,
    ) -> Result<Self, ConfigError> {
        limits.check()?;
        Ok(Self {
            secret,
            limits,
            randomness,
        })
    }
}

/// The Ed25519 secret (RFC 8032) that an acceptor proves to whoever dials it. Wiped when dropped,
/// never printed.
pub struct TransportSecret(Zeroizing<[u8; 32]>);

impl TransportSecret {
    /// Takes the 32 secret bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key that peers see.
    pub fn public_key(&self) -> TransportKey {
        TransportKey::new(self.signing_key().verifying_key().to_bytes())
    }

    pub(crate) fn signing_key(&self) -> SigningKey {
        SigningKey::from_bytes(&self.0)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TransportSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TransportSecret")
    }
}

/// Where an endpoint draws its random bytes from: diallers' keys, connection ids, quinn's own
/// generator.
///
/// The key shares of TLS and the keys of Retry tokens are outside of it: `ring` and `quinn` draw
/// those from the operating system, and they change no length and no time of any packet.
pub struct Randomness(Mutex<Box<dyn FnMut() -> [u8; 32] + Send>>);

impl Randomness {
    /// Takes a source of independent, unpredictable 32-byte values.
    pub fn new(source: impl FnMut() -> [u8; 32] + Send + 'static) -> Self {
        Self(Mutex::new(Box::new(source)))
    }

    pub(crate) fn draw(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.lock().unwrap_or_else(PoisonError::into_inner)())
    }
}

impl fmt::Debug for Randomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Randomness")
    }
}

/// The bounds of an endpoint and of each of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "plain numbers, written out by whoever changes them"
)]
pub struct QuicLimits {
    /// Unread bytes that a peer may have in flight to us on one connection.
    pub connection_window_bytes: u64,
    /// Unread bytes that a peer may have in flight to us on one stream.
    pub stream_window_bytes: u64,
    /// Written bytes that we hold for one connection until the peer has acknowledged them.
    pub send_window_bytes: u64,
    /// Silence after which a connection is given up.
    pub idle_timeout_ms: u64,
    /// Silence after which a dialler shows that it is there.
    pub keep_alive_ms: u64,
    /// Time that dialling may take in all, name resolution excepted.
    pub connect_deadline_ms: u64,
    /// Time that an incoming handshake may take.
    pub handshake_deadline_ms: u64,
    /// Incoming connections that are in their handshake or wait to be accepted; more are refused.
    pub half_open_max: u64,
    /// Number of those above which a newcomer must first prove its address (Retry, RFC 9000 section
    /// 8.1.2).
    pub half_open_retry_above: u64,
    /// Open connections in both directions; beyond that no incoming one is taken.
    pub connections_max: u64,
    /// Wanted size of each of the two socket buffers.
    pub socket_buffer_bytes: u64,
}

impl QuicLimits {
    /// Values for a server between a handful and a few hundred peers.
    pub const STANDARD: Self = Self {
        connection_window_bytes: 8 << 20,
        stream_window_bytes: 2 << 20,
        send_window_bytes: 8 << 20,
        idle_timeout_ms: 30_000,
        keep_alive_ms: 10_000,
        connect_deadline_ms: 5_000,
        handshake_deadline_ms: 5_000,
        half_open_max: 256,
        half_open_retry_above: 32,
        connections_max: 1_024,
        socket_buffer_bytes: 4 << 20,
    };

    fn check(&self) -> Result<(), ConfigError> {
        let ranges = [
            (
                "connection_window_bytes",
                self.connection_window_bytes,
                16 << 10,
                1 << 30,
            ),
            (
                "stream_window_bytes",
                self.stream_window_bytes,
                16 << 10,
                self.connection_window_bytes,
            ),
            (
                "send_window_bytes",
                self.send_window_bytes,
                16 << 10,
                1 << 30,
            ),
            ("idle_timeout_ms", self.idle_timeout_ms, 100, 600_000),
            (
                "keep_alive_ms",
                self.keep_alive_ms,
                50,
                self.idle_timeout_ms / 2,
            ),
            ("connect_deadline_ms", self.connect_deadline_ms, 10, 600_000),
            (
                "handshake_deadline_ms",
                self.handshake_deadline_ms,
                10,
                600_000,
            ),
            ("half_open_max", self.half_open_max, 1, 65_536),
            (
                "half_open_retry_above",
                self.half_open_retry_above,
                0,
                self.half_open_max,
            ),
            ("connections_max", self.connections_max, 1, 1 << 20),
            (
                "socket_buffer_bytes",
                self.socket_buffer_bytes,
                64 << 10,
                1 << 30,
            ),
        ];
        for (limit, value, min, max) in ranges {
            if value < min || value > max {
                return Err(ConfigError::OutOfRange {
                    limit,
                    value,
                    min,
                    max,
                });
            }
        }
        Ok(())
    }
}

/// Why a configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A limit lies outside its range.
    #[error("{limit} is {value}, must be {min} to {max}")]
    OutOfRange {
        /// The field of [`QuicLimits`].
        limit: &'static str,
        /// What it was.
        value: u64,
        /// Least possible value.
        min: u64,
        /// Greatest possible value, given the other limits.
        max: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut QuicLimits)) -> Result<(), ConfigError> {
        let mut limits = QuicLimits::STANDARD;
        change(&mut limits);
        let secret = TransportSecret::from_bytes([1; 32]);
        QuicConfig::new(secret, limits, Randomness::new(|| [2; 32])).map(|_| ())
    }

    #[test]
    fn standard_limits_are_within_their_ranges() {
        assert_eq!(check(|_| {}), Ok(()));
    }

    fn check_range(field: fn(&mut QuicLimits) -> &mut u64, min: u64, max: u64) {
        for inside in [min, max] {
            assert_eq!(check(|limits| *field(limits) = inside), Ok(()));
        }
        for outside in min.checked_sub(1).into_iter().chain([max + 1]) {
            let error = check(|limits| *field(limits) = outside).unwrap_err();
            assert!(matches!(error, ConfigError::OutOfRange { .. }), "{error}");
        }
    }

    #[test]
    fn every_limit_is_refused_just_outside_its_range() {
        check_range(|l| &mut l.connection_window_bytes, 2 << 20, 1 << 30);
        check_range(|l| &mut l.stream_window_bytes, 16 << 10, 8 << 20);
        check_range(|l| &mut l.send_window_bytes, 16 << 10, 1 << 30);
        check_range(|l| &mut l.idle_timeout_ms, 20_000, 600_000);
        check_range(|l| &mut l.keep_alive_ms, 50, 15_000);
        check_range(|l| &mut l.connect_deadline_ms, 10, 600_000);
        check_range(|l| &mut l.handshake_deadline_ms, 10, 600_000);
        check_range(|l| &mut l.half_open_max, 32, 65_536);
        check_range(|l| &mut l.half_open_retry_above, 0, 256);
        check_range(|l| &mut l.connections_max, 1, 1 << 20);
        check_range(|l| &mut l.socket_buffer_bytes, 64 << 10, 1 << 30);
    }

    #[test]
    fn a_configuration_prints_no_secret() {
        let secret = TransportSecret::from_bytes([0xa7; 32]);
        let randomness = Randomness::new(|| [0xb6; 32]);
        let config = QuicConfig::new(secret, QuicLimits::STANDARD, randomness).unwrap();
        let printed = format!("{config:?}");
        assert!(printed.contains("TransportSecret, "), "{printed}");
        assert!(
            !printed.contains("167") && !printed.contains("182"),
            "{printed}"
        );
    }
}
