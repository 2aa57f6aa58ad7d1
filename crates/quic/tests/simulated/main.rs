//! Endpoints over a simulated network on a paused clock: silence, loss, restarts, broken sockets,
//! floods.
#![expect(
    clippy::unwrap_used,
    reason = "a test: a failure is to be reported by panic"
)]

mod network;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use causality_quic::{
    MTU_PROBE_BYTES, QuicConfig, QuicLimits, QuicTransport, Randomness, TransportSecret,
};
use causality_transport::{Connection, CrossDomainTransport, ReadExact, TransportError};
use tokio::time::Instant;

use network::{DELAY, Network, Sent};

#[tokio::test(start_paused = true)]
async fn dialling_where_nobody_listens_ends_at_the_deadline() {
    let network = Network::new();
    let amber = endpoint(&network, 1, QuicLimits::STANDARD);
    let start = Instant::now();
    let error = amber.connect(&address(2).to_string()).await.unwrap_err();
    let reason = format!(
        "no answer within {} ms",
        QuicLimits::STANDARD.connect_deadline_ms
    );
    assert_eq!(
        error,
        TransportError::Unreachable {
            address: address(2).to_string(),
            reason
        }
    );
    assert_eq!(
        start.elapsed(),
        Duration::from_millis(QuicLimits::STANDARD.connect_deadline_ms)
    );
}

#[tokio::test(start_paused = true)]
async fn a_quiet_connection_is_kept_alive() {
    let network = Network::new();
    let (amber, basil) = (standard(&network, 1), standard(&network, 2));
    let (dialled, accepted) = connect(&amber, &basil).await;
    tokio::time::sleep(Duration::from_millis(
        10 * QuicLimits::STANDARD.idle_timeout_ms,
    ))
    .await;
    echo(&*dialled, &*accepted, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_falls_silent_times_out() {
    let network = Network::new();
    let (amber, basil) = (standard(&network, 1), standard(&network, 2));
    let (dialled, accepted) = connect(&amber, &basil).await;
    network.cut(address(1), address(2));
    network.cut(address(2), address(1));
    let start = Instant::now();
    assert_eq!(dialled.closed().await, TransportError::TimedOut);
    assert_eq!(accepted.closed().await, TransportError::TimedOut);
    let most = 2 * QuicLimits::STANDARD.idle_timeout_ms;
    assert!(
        start.elapsed() <= Duration::from_millis(most),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_restarted_peer_says_that_it_has_forgotten() {
    let network = Network::new();
    let amber = standard(&network, 1);
    let before = standard(&network, 2);
    let (dialled, _accepted) = connect(&amber, &before).await;
    let _after = standard(&network, 2);
    let start = Instant::now();
    let (mut send, _receive) = dialled.open_bi().await.unwrap();
    send.write_all(b"still there?").await.unwrap();
    assert_eq!(dialled.closed().await, TransportError::Forgotten);
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_broken_socket_is_told_from_a_broken_peer() {
    let network = Network::new();
    let (amber, basil) = (standard(&network, 1), standard(&network, 2));
    let (dialled, _accepted) = connect(&amber, &basil).await;
    network.break_socket(address(1));
    let endings = [
        dialled.closed().await,
        amber.accept().await.unwrap_err(),
        amber.connect(&basil.local_address()).await.unwrap_err(),
    ];
    let failed = |ending: &TransportError| matches!(ending, TransportError::Failed { .. });
    assert!(endings.iter().all(failed), "{endings:?}");
}

#[tokio::test(start_paused = true)]
async fn bytes_arrive_over_a_lossy_path() {
    let network = Network::new();
    network.lose_one_in(20);
    let (amber, basil) = (standard(&network, 1), standard(&network, 2));
    let (dialled, accepted) = connect(&amber, &basil).await;
    echo(&*dialled, &*accepted, 1 << 20).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_costs_little_and_probes_once() {
    let network = Network::new();
    let (amber, basil) = (standard(&network, 1), standard(&network, 2));
    let (dialled, accepted) = connect(&amber, &basil).await;
    echo(&*dialled, &*accepted, 100).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (dialler, acceptor) = (dialled.stats(), accepted.stats());
    for (side, stats) in [(1, dialler), (2, acceptor)] {
        let sent = network
            .trace()
            .into_iter()
            .filter(|sent| sent.from == address(side));
        let sent: Vec<usize> = sent.map(|sent| sent.length).collect();
        let probes = sent
            .iter()
            .filter(|length| **length == usize::from(MTU_PROBE_BYTES));
        assert_eq!(probes.count(), 1, "{sent:?}");
        assert_eq!(stats.udp_sent_bytes, sent.iter().sum::<usize>() as u64);
        assert_eq!(stats.mtu_probe_sent_bytes, u64::from(MTU_PROBE_BYTES));
        assert!(stats.round_trip >= 2 * DELAY, "{stats:?}");
    }
    let both_ways = dialler.udp_sent_bytes + acceptor.udp_sent_bytes;
    let probes = dialler.mtu_probe_sent_bytes + acceptor.mtu_probe_sent_bytes;
    assert!(
        both_ways - probes < 5_000,
        "{both_ways} bytes, {probes} of them probes"
    );
    assert_eq!(acceptor.udp_received_bytes, dialler.udp_sent_bytes);
}

#[tokio::test(start_paused = true)]
async fn equal_seeds_yield_equal_traces() {
    async fn trace(seed: u8) -> Vec<Sent> {
        let network = Network::new();
        network.lose_one_in(7);
        let (amber, basil) = (standard(&network, seed), standard(&network, seed + 1));
        let (dialled, accepted) = connect(&amber, &basil).await;
        echo(&*dialled, &*accepted, 50_000).await;
        network.trace()
    }
    let first = trace(1).await;
    assert!(first.len() > 100);
    assert_eq!(first, trace(1).await);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_half_open_connections_makes_newcomers_prove_their_address() {
    let limits = QuicLimits {
        half_open_max: 4,
        half_open_retry_above: 2,
        ..QuicLimits::STANDARD
    };
    for (flood, round_trips) in [(0, 1), (1, 1), (2, 2), (3, 2), (50, 2)] {
        let network = Network::new();
        let basil = endpoint(&network, 2, limits);
        let _deaf = flood_from(&network, &basil, flood).await;
        assert_eq!(basil.open_connections(), flood.min(2));
        let amber = standard(&network, 1);
        let start = Instant::now();
        let (dialled, accepted) = connect(&amber, &basil).await;
        let handshake = start.elapsed();
        let expected = 2 * DELAY * round_trips;
        assert!(handshake >= expected, "{flood} half open: {handshake:?}");
        assert!(
            handshake < expected + 2 * DELAY,
            "{flood} half open: {handshake:?}"
        );
        echo(&*dialled, &*accepted, 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn half_open_connections_beyond_the_cap_are_refused_until_their_deadline() {
    let limits = QuicLimits {
        half_open_max: 3,
        half_open_retry_above: 3,
        ..QuicLimits::STANDARD
    };
    for (flood, refused) in [(2, false), (3, true), (10, true)] {
        let network = Network::new();
        let basil = endpoint(&network, 2, limits);
        let deaf = flood_from(&network, &basil, flood).await;
        let amber = standard(&network, 1);
        let dialled = amber.connect(&basil.local_address()).await;
        assert_eq!(
            is_refused(&dialled),
            refused,
            "{flood} half open: {dialled:?}"
        );
        if !refused {
            continue;
        }
        network.cut(address(DEAF), address(2));
        drop(deaf);
        tokio::time::sleep(Duration::from_millis(limits.handshake_deadline_ms)).await;
        connect(&amber, &basil).await;
    }
}

#[tokio::test(start_paused = true)]
async fn connections_that_nobody_accepts_count_as_half_open() {
    let limits = QuicLimits {
        half_open_max: 3,
        half_open_retry_above: 3,
        ..QuicLimits::STANDARD
    };
    let network = Network::new();
    let (amber, basil) = (standard(&network, 1), endpoint(&network, 2, limits));
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(amber.connect(&basil.local_address()).await.unwrap());
    }
    assert!(is_refused(&amber.connect(&basil.local_address()).await));
    basil.accept().await.unwrap();
    amber.connect(&basil.local_address()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_more_connections_are_taken_than_allowed() {
    let limits = QuicLimits {
        connections_max: 2,
        ..QuicLimits::STANDARD
    };
    let network = Network::new();
    let (amber, basil) = (standard(&network, 1), endpoint(&network, 2, limits));
    let (first, _first) = connect(&amber, &basil).await;
    let _second = connect(&amber, &basil).await;
    assert!(is_refused(&amber.connect(&basil.local_address()).await));
    first.close(0, "");
    tokio::time::sleep(Duration::from_secs(1)).await;
    connect(&amber, &basil).await;
}

#[tokio::test(start_paused = true)]
async fn closing_waits_until_the_peers_have_been_told() {
    let network = Network::new();
    let (amber, basil) = (standard(&network, 1), standard(&network, 2));
    let (_dialled, accepted) = connect(&amber, &basil).await;
    amber.close().await;
    let told = tokio::time::timeout(Duration::ZERO, accepted.closed()).await;
    assert!(
        matches!(told, Ok(TransportError::ClosedByPeer { .. })),
        "{told:?}"
    );
    assert_eq!(amber.open_connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn garbage_datagrams_change_nothing() {
    let network = Network::new();
    let (amber, basil) = (standard(&network, 1), standard(&network, 2));
    let noise = network.socket(address(DEAF));
    for length in 0..1_400_usize {
        let contents: Vec<u8> = (0..length)
            .map(|at| (at * 31 + length * 17) as u8)
            .collect();
        let transmit = quinn::udp::Transmit {
            destination: address(2),
            ecn: None,
            contents: &contents,
            segment_size: None,
            src_ip: None,
        };
        noise.try_send(&transmit).unwrap();
    }
    let (dialled, accepted) = connect(&amber, &basil).await;
    echo(&*dialled, &*accepted, 1000).await;
    assert_eq!(basil.open_connections(), 1);
}

/// An endpoint whose datagrams reach the host and which never hears an answer, with so many dials
/// under way.
async fn flood_from(network: &Network, host: &QuicTransport, count: usize) -> Arc<QuicTransport> {
    let limits = QuicLimits {
        connect_deadline_ms: 600_000,
        ..QuicLimits::STANDARD
    };
    let deaf = Arc::new(endpoint(network, DEAF, limits));
    network.cut(host.local_address().parse().unwrap(), address(DEAF));
    for _ in 0..count {
        let (deaf, host) = (Arc::clone(&deaf), host.local_address());
        tokio::spawn(async move { deaf.connect(&host).await.map(drop) });
    }
    tokio::time::sleep(2 * DELAY).await;
    deaf
}

fn is_refused<T>(outcome: &Result<T, TransportError>) -> bool {
    matches!(outcome, Err(TransportError::Refused { .. }))
}

async fn connect(
    amber: &QuicTransport,
    basil: &QuicTransport,
) -> (Box<dyn Connection>, Box<dyn Connection>) {
    let address = basil.local_address();
    let (dialled, accepted) = tokio::join!(amber.connect(&address), basil.accept());
    (dialled.unwrap(), accepted.unwrap())
}

/// So many bytes there and back.
async fn echo(dialled: &dyn Connection, accepted: &dyn Connection, count: usize) {
    let there = async {
        let (mut send, mut receive) = dialled.open_bi().await.unwrap();
        send.write_all(&vec![7; count]).await.unwrap();
        send.finish().unwrap();
        let mut back = vec![0; count];
        assert_eq!(receive.read_exact(&mut back).await, Ok(ReadExact::Filled));
        assert_eq!(back, vec![7; count]);
        assert_eq!(receive.read_exact(&mut [0]).await, Ok(ReadExact::Finished));
    };
    let back = async {
        let (mut send, mut receive) = accepted.accept_bi().await.unwrap();
        let mut bytes = vec![0; count];
        assert_eq!(receive.read_exact(&mut bytes).await, Ok(ReadExact::Filled));
        assert_eq!(receive.read_exact(&mut [0]).await, Ok(ReadExact::Finished));
        send.write_all(&bytes).await.unwrap();
        send.finish().unwrap();
    };
    tokio::join!(there, back);
}

fn standard(network: &Network, name: u8) -> QuicTransport {
    endpoint(network, name, QuicLimits::STANDARD)
}

fn endpoint(network: &Network, name: u8, limits: QuicLimits) -> QuicTransport {
    let (mut drawn, mut count) = ([name; 32], 0_u64);
    let randomness = Randomness::new(move || {
        count += 1;
        drawn[..8].copy_from_slice(&count.to_le_bytes());
        drawn
    });
    let secret = TransportSecret::from_bytes([name; 32]);
    let config = QuicConfig::new(secret, limits, randomness).unwrap();
    let socket = network.socket(address(name));
    QuicTransport::with_socket(config, socket, Arc::new(quinn::TokioRuntime)).unwrap()
}

fn address(name: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, name], 4433))
}

const DEAF: u8 = 99;
