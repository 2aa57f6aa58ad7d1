//! TLS 1.3 with raw Ed25519 keys (RFC 7250, RFC 8032): any good key is accepted, its possession is
//! proven.

use std::fmt;
use std::sync::Arc;

use causality_transport::TransportKey;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::{cipher_suite, default_provider, kx_group};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, ServerName,
    SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer, UnixTime, alg_id,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error,
    PeerMisbehaved, ServerConfig, SignatureAlgorithm, SignatureScheme, version,
};

/// How this side dials with the given key.
pub(crate) fn client(key: SigningKey, alpn: &[u8]) -> Result<ClientConfig, Error> {
    let resolver = rustls::client::AlwaysResolvesClientRawPublicKeys::new(certified(key));
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyGoodKey))
        .with_client_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![alpn.to_vec()];
    config.enable_sni = false;
    config.enable_early_data = false;
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// How this side accepts with the given key.
pub(crate) fn server(key: SigningKey, alpn: &[u8]) -> Result<ServerConfig, Error> {
    let resolver = rustls::server::AlwaysResolvesServerRawPublicKeys::new(certified(key));
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13])?
        .with_client_cert_verifier(Arc::new(AnyGoodKey))
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![alpn.to_vec()];
    config.max_early_data_size = 0;
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Ok(config)
}

/// The key in a SubjectPublicKeyInfo, if it has exactly the form of RFC 8410 section 4 and is a
/// good key: canonical, on the curve, without small order and without a torsion component.
pub(crate) fn good_key(spki: &[u8]) -> Result<TransportKey, Error> {
    let bytes = spki
        .strip_prefix(SPKI_PREFIX)
        .and_then(|key| <[u8; 32]>::try_from(key).ok());
    let bytes = bytes.ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
    let bad = || Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);
    let key = VerifyingKey::from_bytes(&bytes).map_err(|_| bad())?;
    let point = key.to_edwards();
    let canonical = point.compress().as_bytes() == &bytes;
    if canonical && !key.is_weak() && point.is_torsion_free() {
        Ok(TransportKey::new(bytes))
    } else {
        Err(bad())
    }
}

/// TLS 1.3 suites, key exchange and signatures, one or two of each: what nobody needs cannot be
/// attacked.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        kx_groups: vec![kx_group::X25519],
        signature_verification_algorithms: ALGORITHMS,
        ..default_provider()
    })
}

/// Accepts every good raw key from either side; whose it is, Hello decides.
#[derive(Debug)]
struct AnyGoodKey;

impl AnyGoodKey {
    fn check(key: &CertificateDer<'_>, chain: &[CertificateDer<'_>]) -> Result<(), Error> {
        if !chain.is_empty() {
            return Err(Error::InvalidCertificate(CertificateError::BadEncoding));
        }
        good_key(key).map(|_| ())
    }
}

impl ServerCertVerifier for AnyGoodKey {
    fn verify_server_cert(
        &self,
        key: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Self::check(key, chain).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify(message, key, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ALGORITHMS.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for AnyGoodKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        key: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Self::check(key, chain).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify(message, key, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ALGORITHMS.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

fn verify(
    message: &[u8],
    key: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let key = SubjectPublicKeyInfoDer::from(key.as_ref());
    verify_tls13_signature_with_raw_key(message, &key, signed, &ALGORITHMS)
}

/// QUIC knows TLS 1.3 only, so nobody can ask for this.
fn tls12() -> Error {
    Error::PeerMisbehaved(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)
}

/// Ed25519 by `verify_strict`, the one verification that all parts of the system share.
#[derive(Debug)]
struct StrictEd25519;

impl SignatureVerificationAlgorithm for StrictEd25519 {
    fn verify_signature(
        &self,
        key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let key = <&[u8; 32]>::try_from(key).map_err(|_| InvalidSignature)?;
        let key = VerifyingKey::from_bytes(key).map_err(|_| InvalidSignature)?;
        let signature = Signature::from_slice(signature).map_err(|_| InvalidSignature)?;
        key.verify_strict(message, &signature)
            .map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ED25519
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ED25519
    }
}

fn certified(key: SigningKey) -> Arc<CertifiedKey> {
    let spki = spki(key.verifying_key().as_bytes());
    let key = Arc::new(OwnKey(Arc::new(key)));
    Arc::new(CertifiedKey::new(
        vec![CertificateDer::from(spki.to_vec())],
        key,
    ))
}

fn spki(key: &[u8; 32]) -> SubjectPublicKeyInfoDer<'static> {
    rustls::sign::public_key_to_spki(&alg_id::ED25519, key)
}

/// Signs for this side; the secret is wiped with the last holder.
#[derive(Clone)]
struct OwnKey(Arc<SigningKey>);

impl rustls::sign::SigningKey for OwnKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn rustls::sign::Signer>> {
        offered
            .contains(&SignatureScheme::ED25519)
            .then(|| Box::new(self.clone()) as Box<_>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(spki(self.0.verifying_key().as_bytes()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl rustls::sign::Signer for OwnKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.sign(message).to_bytes().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

impl fmt::Debug for OwnKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnKey")
    }
}

const ALGORITHMS: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[&StrictEd25519],
    mapping: &[(SignatureScheme::ED25519, &[&StrictEd25519])],
};

/// `SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING of 32 bytes }` up to the key (RFC 8410).
const SPKI_PREFIX: &[u8] = &[
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> VerifyingKey {
        SigningKey::from_bytes(&[byte; 32]).verifying_key()
    }

    fn check(key: &[u8; 32]) -> Result<TransportKey, Error> {
        good_key(&spki(key))
    }

    /// y = −1: the point of order two.
    fn order_two() -> [u8; 32] {
        let mut bytes = [0xff; 32];
        (bytes[0], bytes[31]) = (0xec, 0x7f);
        bytes
    }

    #[test]
    fn an_honest_key_is_good() {
        for byte in 0..8 {
            let bytes = key(byte).to_bytes();
            assert_eq!(check(&bytes), Ok(TransportKey::new(bytes)));
        }
    }

    #[test]
    fn a_key_of_small_order_is_refused() {
        let mut one = [0; 32];
        one[0] = 1;
        for small in [[0; 32], one, order_two()] {
            assert!(VerifyingKey::from_bytes(&small).unwrap().is_weak());
            check(&small).unwrap_err();
        }
    }

    #[test]
    fn a_key_with_a_torsion_component_is_refused() {
        let torsion = VerifyingKey::from_bytes(&order_two()).unwrap().to_edwards();
        let mixed = (key(1).to_edwards() + torsion).compress().to_bytes();
        assert!(!VerifyingKey::from_bytes(&mixed).unwrap().is_weak());
        check(&mixed).unwrap_err();
    }

    #[test]
    fn a_key_not_in_canonical_form_is_refused() {
        for low in 0xed..=0xff {
            for high in [0x7f, 0xff] {
                let mut bytes = [0xff; 32];
                (bytes[0], bytes[31]) = (low, high);
                check(&bytes).unwrap_err();
            }
        }
    }

    #[test]
    fn bytes_that_are_no_point_are_refused() {
        let off_curve = (0..=255).map(|byte| [byte; 32]);
        let off_curve: Vec<_> = off_curve
            .filter(|b| VerifyingKey::from_bytes(b).is_err())
            .collect();
        assert!(off_curve.len() > 50);
        for bytes in off_curve {
            check(&bytes).unwrap_err();
        }
    }

    #[test]
    fn every_cut_and_every_flip_of_the_frame_is_refused() {
        let whole = spki(key(1).as_bytes()).to_vec();
        for length in 0..whole.len() {
            good_key(&whole[..length]).unwrap_err();
        }
        good_key(&[whole.as_slice(), &[0]].concat()).unwrap_err();
        for at in 0..SPKI_PREFIX.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            good_key(&flipped).unwrap_err();
        }
    }

    #[test]
    fn a_chain_behind_the_key_is_refused() {
        let key = CertificateDer::from(spki(key(1).as_bytes()).to_vec());
        AnyGoodKey::check(&key, &[]).unwrap();
        AnyGoodKey::check(&key, std::slice::from_ref(&key)).unwrap_err();
    }

    #[test]
    fn signatures_are_verified_strictly() {
        let signer = SigningKey::from_bytes(&[1; 32]);
        let mut signature = signer.sign(b"message").to_bytes();
        let verify = |key: &[u8], message: &[u8], signature: &[u8]| {
            StrictEd25519
                .verify_signature(key, message, signature)
                .is_ok()
        };
        let public = signer.verifying_key().to_bytes();
        assert!(verify(&public, b"message", &signature));
        assert!(!verify(&public, b"massage", &signature));
        assert!(!verify(&public[1..], b"message", &signature));
        assert!(!verify(&public, b"message", &signature[1..]));
        // Under a key of small order the signature R = A, s = 0 fits any message; only the strict
        // form refuses it.
        let mut identity = [0; 32];
        identity[0] = 1;
        let forged = [identity, [0; 32]].concat();
        assert!(!verify(&identity, b"message", &forged));
        signature[63] ^= 0x20;
        assert!(!verify(&public, b"message", &signature));
    }

    #[test]
    fn a_signing_key_prints_its_type_only() {
        let key = OwnKey(Arc::new(SigningKey::from_bytes(&[0xa7; 32])));
        assert_eq!(format!("{key:?}"), "OwnKey");
    }
}
