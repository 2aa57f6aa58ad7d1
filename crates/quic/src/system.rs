//! What only an operating system has: sockets, and names for addresses.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use causality_transport::TransportError;
use quinn::{AsyncUdpSocket, Runtime, TokioRuntime};
use socket2::{Domain, Protocol, Socket, Type};

/// What the system granted of the wanted socket buffers. Less than wanted costs throughput, not
/// correctness; on Linux raise `net.core.rmem_max` and `net.core.wmem_max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketBuffers {
    /// What was asked for, for each of the two.
    pub wanted_bytes: u64,
    /// What the system reports for receiving.
    pub receive_bytes: u64,
    /// What the system reports for sending.
    pub send_bytes: u64,
}

impl SocketBuffers {
    /// Whether the system granted both in full.
    pub fn are_granted(&self) -> bool {
        self.receive_bytes.min(self.send_bytes) >= self.wanted_bytes
    }
}

/// The runtime under a real endpoint.
pub(crate) fn runtime() -> Arc<dyn Runtime> {
    Arc::new(TokioRuntime)
}

/// A socket on the address, dual-stack if it is the IPv6 wildcard.
pub(crate) fn bind(
    address: SocketAddr,
    wanted_bytes: u64,
    runtime: &dyn Runtime,
) -> Result<(Arc<dyn AsyncUdpSocket>, SocketBuffers), TransportError> {
    let bound = open(address, wanted_bytes)
        .and_then(|(socket, buffers)| Ok((runtime.wrap_udp_socket(socket.into())?, buffers)));
    bound.map_err(|error| TransportError::BindFailed {
        address: address.to_string(),
        reason: error.to_string(),
    })
}

fn open(address: SocketAddr, wanted_bytes: u64) -> io::Result<(Socket, SocketBuffers)> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_nonblocking(true)?;
    let wanted = usize::try_from(wanted_bytes).unwrap_or(usize::MAX);
    // A refusal shows in what is granted.
    let _ = socket.set_recv_buffer_size(wanted);
    let _ = socket.set_send_buffer_size(wanted);
    let buffers = SocketBuffers {
        wanted_bytes,
        receive_bytes: granted(socket.recv_buffer_size()?),
        send_bytes: granted(socket.send_buffer_size()?),
    };
    socket.bind(&address.into())?;
    Ok((socket, buffers))
}

/// Linux reports twice the granted size, one half being its own book-keeping (socket(7),
/// SO_RCVBUF).
fn granted(reported: usize) -> u64 {
    let divisor = if cfg!(target_os = "linux") { 2 } else { 1 };
    reported as u64 / divisor
}

/// The addresses behind `host:port`, in the system's order; at least one.
pub(crate) async fn resolve(address: &str) -> Result<Vec<SocketAddr>, TransportError> {
    if let Ok(literal) = address.parse() {
        return Ok(vec![literal]);
    }
    let (host, port) = address.rsplit_once(':').unwrap_or_default();
    if host.is_empty() || host.contains(':') || port.parse::<u16>().is_err() {
        let reason = "must be host:port".to_owned();
        return Err(TransportError::AddressInvalid {
            address: address.to_owned(),
            reason,
        });
    }
    let unreachable = |reason| TransportError::Unreachable {
        address: address.to_owned(),
        reason,
    };
    let found = tokio::net::lookup_host(address).await;
    let found: Vec<_> = found
        .map_err(|error| unreachable(error.to_string()))?
        .collect();
    if found.is_empty() {
        Err(unreachable("the name has no address".to_owned()))
    } else {
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_without_host_or_port_is_invalid() {
        for address in [
            "",
            ":",
            "host",
            ":1",
            "host:",
            "host:x",
            "host:65536",
            "::1",
            "[::1]",
        ] {
            let error = resolve(address).await.unwrap_err();
            assert!(
                matches!(error, TransportError::AddressInvalid { .. }),
                "{address}: {error}"
            );
        }
    }

    #[tokio::test]
    async fn a_literal_address_needs_no_lookup() {
        for address in ["127.0.0.1:1", "[::1]:65535"] {
            assert_eq!(resolve(address).await.unwrap(), [address.parse().unwrap()]);
        }
    }

    #[test]
    fn buffers_report_what_was_granted() {
        let (_socket, buffers) = open("127.0.0.1:0".parse().unwrap(), 64 << 10).unwrap();
        assert!(buffers.are_granted(), "{buffers:?}");
        let short = SocketBuffers {
            send_bytes: (64 << 10) - 1,
            ..buffers
        };
        assert!(!short.are_granted(), "{short:?}");
        let (_socket, most) = open("127.0.0.1:0".parse().unwrap(), 1 << 30).unwrap();
        assert!(most.receive_bytes >= buffers.receive_bytes, "{most:?}");
    }
}
