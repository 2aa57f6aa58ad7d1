//! The suite of the joint over loopback, on one thread and on many.

use causality_quic::{QuicConfig, QuicLimits, QuicTransport, Randomness, TransportSecret};
use causality_transport::CrossDomainTransport;
use causality_transport::conformance::Pair;

const LIMITS: QuicLimits = QuicLimits {
    stream_window_bytes: 256 << 10,
    send_window_bytes: 512 << 10,
    connect_deadline_ms: 2_000,
    ..QuicLimits::STANDARD
};

async fn endpoint(name: u8) -> QuicTransport {
    let mut drawn = [name; 32];
    let randomness = Randomness::new(move || {
        drawn[0] = drawn[0].wrapping_add(1);
        drawn[1] = drawn[1].wrapping_add(u8::from(drawn[0] == 0));
        drawn
    });
    let secret = TransportSecret::from_bytes([name; 32]);
    let config = QuicConfig::new(secret, LIMITS, randomness).expect("limits are in range");
    QuicTransport::bind(config, "127.0.0.1:0")
        .await
        .expect("loopback has free ports")
}

async fn pair() -> Pair {
    let acceptor = endpoint(2).await;
    Pair {
        dialler: Box::new(endpoint(1).await),
        acceptor_address: acceptor.local_address(),
        acceptor: Box::new(acceptor),
        acceptor_key: TransportSecret::from_bytes([2; 32]).public_key(),
        nobody_address: "127.0.0.1:1".into(),
        buffered_bytes_max: (256 << 10) + (512 << 10),
    }
}

causality_transport::conformance_tests!(on_one_thread, "current_thread", pair);
causality_transport::conformance_tests!(on_many_threads, "multi_thread", pair);
