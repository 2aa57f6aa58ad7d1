//! Peers that speak QUIC and TLS, but not as we do: each is turned away, and the next honest one is
//! served.
#![expect(
    clippy::unwrap_used,
    reason = "a test: a failure is to be reported by panic"
)]

use std::sync::Arc;

use causality_quic::{QuicConfig, QuicLimits, QuicTransport, Randomness, TransportSecret};
use causality_transport::{CrossDomainTransport, TransportError};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ConnectionError, Endpoint, VarInt};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, ResolvesClientCert};
use rustls::crypto::ring::{default_provider, sign::any_eddsa_type};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme, version};

#[tokio::test]
async fn a_dialler_with_an_honest_key_is_served() {
    let host = host().await;
    let stranger = Stranger::dialling(client(certified(spki(2), 2), ALPN));
    let (connection, accepted) = tokio::join!(stranger.connect(&host), host.accept());
    assert_eq!(accepted.unwrap().peer_key().as_bytes(), &public(2));
    drop(connection.unwrap());
}

#[tokio::test]
async fn a_dialler_with_another_protocol_is_turned_away() {
    turned_away(
        client(certified(spki(2), 2), b"causality/0"),
        NO_APPLICATION_PROTOCOL,
    )
    .await;
    turned_away(client(certified(spki(2), 2), b""), NO_APPLICATION_PROTOCOL).await;
}

#[tokio::test]
async fn a_dialler_without_a_key_is_turned_away() {
    let keyless = client_builder().with_no_client_auth();
    turned_away(with_alpn(keyless), HANDSHAKE_FAILURE).await;
}

#[tokio::test]
async fn a_dialler_with_a_garbage_key_is_turned_away() {
    for garbage in [vec![], vec![0x30], vec![0xa5; 44], vec![0; 5000]] {
        turned_away(client(certified(garbage, 2), ALPN), BAD_CERTIFICATE).await;
    }
}

#[tokio::test]
async fn a_dialler_with_a_weak_key_is_turned_away() {
    for weak in [[0; 32], order_one()] {
        turned_away(client(certified(frame(weak), 2), ALPN), ACCESS_DENIED).await;
    }
}

#[tokio::test]
async fn a_dialler_with_a_stolen_public_key_is_turned_away() {
    turned_away(client(certified(spki(3), 2), ALPN), DECRYPT_ERROR).await;
}

#[tokio::test]
async fn a_dialler_with_a_certificate_is_turned_away() {
    let resolver = Arc::new(Certificate(certified(spki(2), 2)));
    let tls = client_builder().with_client_cert_resolver(resolver);
    turned_away(with_alpn(tls), HANDSHAKE_FAILURE).await;
}

#[tokio::test]
async fn an_acceptor_with_an_honest_key_is_dialled() {
    let (stranger, address) = Stranger::accepting(raw_server(spki(2), 2), ALPN);
    let host = host().await;
    let serve = async { stranger.0.accept().await.unwrap().await.unwrap() };
    let (dialled, _served) = tokio::join!(host.connect(&address), serve);
    assert_eq!(dialled.unwrap().peer_key().as_bytes(), &public(2));
}

#[tokio::test]
async fn an_acceptor_with_another_protocol_is_refused() {
    let error = dialling(raw_server(spki(2), 2), b"causality/0").await;
    assert!(matches!(error, TransportError::Refused { .. }), "{error}");
}

#[tokio::test]
async fn an_acceptor_with_a_bad_key_violates_the_protocol() {
    for bad in [frame(order_one()), frame([0; 32]), vec![0xa5; 44], spki(3)] {
        let error = dialling(raw_server(bad, 2), ALPN).await;
        assert!(matches!(error, TransportError::Violated { .. }), "{error}");
    }
}

#[tokio::test]
async fn an_acceptor_with_a_certificate_is_refused() {
    let resolver = Arc::new(Certificate(certified(spki(2), 2)));
    let error = dialling(resolver, ALPN).await;
    assert!(matches!(error, TransportError::Refused { .. }), "{error}");
}

#[tokio::test]
async fn no_name_is_sent_and_nothing_can_be_resumed() {
    let (stranger, address) = Stranger::accepting(raw_server(spki(2), 2), ALPN);
    let host = host().await;
    let serve = async { stranger.0.accept().await.unwrap().await.unwrap() };
    let (dialled, served) = tokio::join!(host.connect(&address), serve);
    let data = served.handshake_data().unwrap();
    let data = data
        .downcast::<quinn::crypto::rustls::HandshakeData>()
        .unwrap();
    assert_eq!(data.server_name, None);
    assert_eq!(data.protocol.as_deref(), Some(ALPN));
    drop(dialled.unwrap());

    let mut tls = client(certified(spki(2), 2), ALPN);
    tls.enable_early_data = true;
    tls.resumption = rustls::client::Resumption::in_memory_sessions(4);
    let stranger = Stranger::dialling(tls);
    for _ in 0..2 {
        let (connection, accepted) = tokio::join!(stranger.connect(&host), host.accept());
        let connection = connection.unwrap();
        let frames = connection.stats().frame_rx;
        assert_eq!((frames.new_token, frames.crypto > 0), (0, true));
        accepted.unwrap();
        connection.close(VarInt::from_u32(0), b"");
        let again = stranger.start(&host);
        assert!(again.into_0rtt().is_err(), "early data was possible");
    }
}

#[tokio::test]
async fn a_peer_that_opens_more_streams_than_allowed_waits() {
    let host = host().await;
    let stranger = Stranger::dialling(client(certified(spki(2), 2), ALPN));
    let (connection, accepted) = tokio::join!(stranger.connect(&host), host.accept());
    let (connection, accepted) = (connection.unwrap(), accepted.unwrap());
    let (mut send, _receive) = connection.open_bi().await.unwrap();
    send.write_all(&[1]).await.unwrap();
    accepted.accept_bi().await.unwrap();
    tokio::select! {
        biased;
        _ = connection.open_bi() => panic!("a second stream opened"),
        _ = connection.open_uni() => panic!("a one-way stream opened"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(connection.max_datagram_size(), None, "datagrams are off");
}

/// The host refuses this dialler with the alert, and serves an honest one next.
async fn turned_away(tls: rustls::ClientConfig, alert: u8) {
    let host = host().await;
    let stranger = Stranger::dialling(tls);
    let error = match stranger.connect(&host).await {
        Ok(connection) => connection.closed().await,
        Err(error) => error,
    };
    let ConnectionError::ConnectionClosed(close) = error else {
        panic!("{error}");
    };
    assert_eq!(
        u64::from(close.error_code),
        CRYPTO_ERROR + u64::from(alert),
        "{close}"
    );

    let honest = Stranger::dialling(client(certified(spki(9), 9), ALPN));
    let (served, accepted) = tokio::join!(honest.connect(&host), host.accept());
    assert_eq!(accepted.unwrap().peer_key().as_bytes(), &public(9));
    drop(served.unwrap());
}

/// What our dialler says to an acceptor of this kind.
async fn dialling(resolver: Arc<dyn ResolvesServerCert>, alpn: &[u8]) -> TransportError {
    let (stranger, address) = Stranger::accepting(resolver, alpn);
    let host = host().await;
    let serve = async {
        let incoming = stranger.0.accept().await.unwrap();
        incoming.await.map(drop)
    };
    let (dialled, _served) = tokio::join!(host.connect(&address), serve);
    dialled.unwrap_err()
}

async fn host() -> QuicTransport {
    let mut drawn = [1_u8; 32];
    let randomness = Randomness::new(move || {
        drawn[0] = drawn[0].wrapping_add(1);
        drawn
    });
    let secret = TransportSecret::from_bytes([1; 32]);
    let config = QuicConfig::new(secret, QuicLimits::STANDARD, randomness).unwrap();
    QuicTransport::bind(config, "127.0.0.1:0").await.unwrap()
}

/// An endpoint of plain quinn.
struct Stranger(Endpoint);

impl Stranger {
    fn dialling(tls: rustls::ClientConfig) -> Self {
        let crypto = QuicClientConfig::try_from(tls).unwrap();
        let mut endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(crypto)));
        Self(endpoint)
    }

    fn accepting(resolver: Arc<dyn ResolvesServerCert>, alpn: &[u8]) -> (Self, String) {
        let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&version::TLS13])
            .unwrap()
            .with_client_cert_verifier(Arc::new(Anything))
            .with_cert_resolver(resolver);
        tls.alpn_protocols = vec![alpn.to_vec()];
        let crypto = QuicServerConfig::try_from(tls).unwrap();
        let config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        let endpoint = Endpoint::server(config, "127.0.0.1:0".parse().unwrap()).unwrap();
        let address = endpoint.local_addr().unwrap().to_string();
        (Self(endpoint), address)
    }

    fn start(&self, host: &QuicTransport) -> quinn::Connecting {
        self.0
            .connect(host.local_address().parse().unwrap(), "host.invalid")
            .unwrap()
    }

    async fn connect(&self, host: &QuicTransport) -> Result<quinn::Connection, ConnectionError> {
        self.start(host).await
    }
}

fn client_builder() -> rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert>
{
    rustls::ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything))
}

fn client(key: Arc<CertifiedKey>, alpn: &[u8]) -> rustls::ClientConfig {
    let resolver = Arc::new(AlwaysResolvesClientRawPublicKeys::new(key));
    let mut tls = client_builder().with_client_cert_resolver(resolver);
    tls.alpn_protocols = vec![alpn.to_vec()]
        .into_iter()
        .filter(|name| !name.is_empty())
        .collect();
    tls
}

fn with_alpn(mut tls: rustls::ClientConfig) -> rustls::ClientConfig {
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls
}

fn raw_server(shown: Vec<u8>, secret: u8) -> Arc<dyn ResolvesServerCert> {
    Arc::new(AlwaysResolvesServerRawPublicKeys::new(certified(
        shown, secret,
    )))
}

/// Shows any bytes as its key, and signs with the secret.
fn certified(shown: Vec<u8>, secret: u8) -> Arc<CertifiedKey> {
    let pkcs8 = [PKCS8_PREFIX, &[secret; 32]].concat();
    let key = any_eddsa_type(&PrivatePkcs8KeyDer::from(pkcs8)).unwrap();
    Arc::new(CertifiedKey::new(vec![CertificateDer::from(shown)], key))
}

fn public(secret: u8) -> [u8; 32] {
    *TransportSecret::from_bytes([secret; 32])
        .public_key()
        .as_bytes()
}

fn spki(secret: u8) -> Vec<u8> {
    frame(public(secret))
}

fn frame(key: [u8; 32]) -> Vec<u8> {
    [SPKI_PREFIX, &key].concat()
}

/// y = 1: the neutral element.
fn order_one() -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    bytes
}

/// Offers its key as an X.509 certificate.
#[derive(Debug)]
struct Certificate(Arc<CertifiedKey>);

impl ResolvesClientCert for Certificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// Trusts everybody.
#[derive(Debug)]
struct Anything;

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Anything {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

const ALPN: &[u8] = b"causality/1";

/// Where QUIC's codes for TLS alerts begin (RFC 9000 section 20.1), and the alerts (RFC 8446
/// section 6).
const CRYPTO_ERROR: u64 = 0x100;
const HANDSHAKE_FAILURE: u8 = 40;
const BAD_CERTIFICATE: u8 = 42;
const ACCESS_DENIED: u8 = 49;
const DECRYPT_ERROR: u8 = 51;
const NO_APPLICATION_PROTOCOL: u8 = 120;

const PKCS8_PREFIX: &[u8] = &[
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
const SPKI_PREFIX: &[u8] = &[
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
