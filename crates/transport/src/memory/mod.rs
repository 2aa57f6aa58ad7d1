//! A network inside one process: names are addresses, buffers are bounded, endings are those of the
//! real network.
//!
//! It is stricter than the real one where that finds mistakes: closing a connection discards what
//! was not read.

mod link;
mod network;
mod stream;

pub use link::STREAM_BUFFER_BYTES_MAX;
pub use network::{ACCEPT_BACKLOG_MAX, MemoryNetwork, MemoryTransport};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::Pair;
    use crate::key::TransportKey;

    async fn pair() -> Pair {
        let network = MemoryNetwork::new(7);
        let key = TransportKey::new([2; 32]);
        Pair {
            dialler: Box::new(
                network
                    .endpoint("amber", TransportKey::new([1; 32]))
                    .unwrap(),
            ),
            acceptor: Box::new(network.endpoint("basil", key).unwrap()),
            acceptor_address: "basil".into(),
            acceptor_key: key,
            nobody_address: "nobody".into(),
            buffered_bytes_max: STREAM_BUFFER_BYTES_MAX,
        }
    }

    crate::conformance_tests!(on_one_thread, "current_thread", pair);
    crate::conformance_tests!(on_many_threads, "multi_thread", pair);
}
