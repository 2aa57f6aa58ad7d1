//! What a connection proves: the key of the peer, and a secret that only its two ends know.

use std::fmt;

use zeroize::Zeroizing;

/// An Ed25519 public key (RFC 8032) whose possession the peer proved when the connection was made.
///
/// It says nothing about a domain: key records above decide whose key it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransportKey([u8; 32]);

impl TransportKey {
    /// Takes the 32 bytes of the compressed point; whether they are a good key was checked by TLS.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the compressed point.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TransportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TransportKey(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// 32 bytes that both ends of one connection derive and nobody else knows (RFC 8446 section 7.5,
/// label [`EXPORTER_LABEL`](crate::EXPORTER_LABEL), empty context).
///
/// What is signed over it cannot be carried to another connection. Wiped when dropped, never
/// printed.
pub struct ExporterValue(Zeroizing<[u8; 32]>);

impl ExporterValue {
    /// Takes the bytes that the connection exported.
    pub fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// The secret bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ExporterValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExporterValue")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_prints_as_hexadecimal() {
        let printed = format!("{:?}", TransportKey::new([0xa1; 32]));
        assert_eq!(printed, format!("TransportKey({})", "a1".repeat(32)));
    }

    #[test]
    fn an_exporter_value_prints_its_type_only() {
        let value = ExporterValue::new(Zeroizing::new([0xa1; 32]));
        assert_eq!(format!("{value:?}"), "ExporterValue");
        assert_eq!(value.as_bytes(), &[0xa1; 32]);
    }
}
