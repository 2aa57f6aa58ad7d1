//! The transport joint on QUIC with raw public keys.
