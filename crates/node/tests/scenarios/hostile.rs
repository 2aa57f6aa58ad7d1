//! Peers that are known, and do what no honest one does.

use causality_envelope::Dialer;
use causality_envelope::ExpectedPeer;
use causality_envelope::FrameSealer;
use causality_envelope::Party;
use causality_fact::DomainId;
use causality_fact::TransportPublicKey;
use causality_node::PeerConfig;
use causality_transport::Connection;
use causality_transport::MemoryNetwork;
use causality_transport::ReadExact;
use causality_transport::RecvStream;
use causality_transport::SendStream;
use causality_transport::TransportError;
use causality_wire::BincodeSerializer;
use causality_wire::BoundedString;
use causality_wire::BoundedVec;
use causality_wire::CaughtUp;
use causality_wire::Frontier;
use causality_wire::FrontierPart;
use causality_wire::MessageSerializer as _;
use causality_wire::Page;
use causality_wire::Receives;
use causality_wire::SyncMessage;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use std::time::Duration;

use crate::world::Domain;
use crate::world::Network;
use crate::world::append;
use crate::world::serve;

/// How long an answer may take that takes no time.
const PATIENCE: Duration = Duration::from_secs(20);

/// A session in which a story says every word of one side, and never reads.
struct Liar {
    connection: Box<dyn Connection>,
    send: Box<dyn SendStream>,
    _recv: Box<dyn RecvStream>,
    sealer: FrameSealer,
}

impl Liar {
    async fn connect(liar: &Domain, victim: &Domain) -> Self {
        let connection = liar.transport.connect(victim.name).await.unwrap();
        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        let mut random = ChaCha20Rng::seed_from_u64(99);
        let (dialer, opening) = Dialer::start(&mut random);
        write(&mut *send, &opening).await.unwrap();
        let answer = read(&mut *recv).await;
        let party = Party {
            keys: &liar.keys,
            parameters: &[],
            exporter: connection.exporter().as_bytes(),
            now_ms: 1_000,
        };
        let expected = ExpectedPeer {
            domain: victim.id(),
            tls_key: TransportPublicKey::new(*connection.peer_key().as_bytes()),
        };
        let greeted = dialer.finish(&answer, &party, &expected, &mut random);
        let (mut established, proof) = greeted.unwrap();
        write(&mut *send, &proof).await.unwrap();
        Self {
            sealer: established.keys.sealer(0).unwrap(),
            connection,
            send,
            _recv: recv,
        }
    }

    async fn say(&mut self, messages: &[SyncMessage]) -> Result<(), TransportError> {
        let mut frames = Vec::new();
        for message in messages {
            let message = BincodeSerializer.serialize(message).unwrap();
            frames.extend(self.sealer.seal(&message).unwrap());
        }
        self.send.write_all(&frames).await
    }
}

async fn write(send: &mut dyn SendStream, message: &[u8]) -> Result<(), TransportError> {
    let length = (message.len() as u32).to_le_bytes();
    send.write_all(&[&length, message].concat()).await
}

async fn read(recv: &mut dyn RecvStream) -> Vec<u8> {
    let mut length = [0; 4];
    assert_eq!(
        recv.read_exact(&mut length).await.unwrap(),
        ReadExact::Filled
    );
    let mut message = vec![0; u32::from_le_bytes(length) as usize];
    assert_eq!(
        recv.read_exact(&mut message).await.unwrap(),
        ReadExact::Filled
    );
    message
}

fn frontier(round: u32, part: FrontierPart) -> SyncMessage {
    SyncMessage::Frontier(Frontier {
        round,
        part,
        trigger: BoundedString::default(),
        receives: Receives::Everything,
        last: Page::Last,
        logs: BoundedVec::default(),
    })
}

#[tokio::test]
async fn a_peer_that_opens_rounds_and_does_not_read_loses_its_session() {
    // A hundred bytes ask for the states of all logs. Whoever never read what came could have had 65,536 such answers
    // wait for it in the memory of this domain.
    let network = Network::Memory(MemoryNetwork::new(7));
    let (amber, basil) = (
        network.domain("amber", 1).await,
        network.domain("basil", 2).await,
    );
    let names: Vec<_> = (0..200).map(|number| format!("room-{number}")).collect();
    let peer = PeerConfig {
        send: names.clone(),
        ..amber.peer(&[], &[])
    };
    let b = basil.start(vec![peer]).await;
    serve(&b);
    for name in &names {
        append(&b, name, 1).await;
    }
    let mut liar = Liar::connect(&amber, &basil).await;
    let mut rounds = 0;
    while rounds < 6_000 {
        let round = [FrontierPart::Open, FrontierPart::Answer].map(|part| frontier(rounds, part));
        if liar.say(&round).await.is_err() {
            break;
        }
        rounds += 2;
    }
    assert!(rounds < 6_000, "answers to {rounds} rounds wait");
    let closed = liar.connection.closed().await;
    assert!(
        matches!(closed, TransportError::ClosedByPeer { .. }),
        "{closed:?}"
    );
    // Others are served on.
    append(&b, "public", 1).await;
}

#[tokio::test]
async fn a_peer_that_talks_without_end_holds_up_nobody_else() {
    // What peers said came before what this domain itself wanted: nobody could even remove the peer.
    let network = Network::Memory(MemoryNetwork::new(7));
    let (amber, basil) = (
        network.domain("amber", 1).await,
        network.domain("basil", 2).await,
    );
    let b = basil.start(vec![amber.peer(&[], &[])]).await;
    serve(&b);
    let mut liar = Liar::connect(&amber, &basil).await;
    liar.say(&[frontier(0, FrontierPart::Open)]).await.unwrap();
    let flood = tokio::spawn(async move {
        let nothing = SyncMessage::CaughtUp(CaughtUp {
            round: 0,
            facts: 0,
            bytes: 0,
        });
        let much = vec![nothing; 1_000];
        while liar.say(&much).await.is_ok() {}
    });
    for _ in 0..100 {
        let status = tokio::time::timeout(PATIENCE, b.status()).await;
        status.expect("the domain answers").unwrap();
    }
    let removed = tokio::time::timeout(PATIENCE, b.set_peers(Vec::new())).await;
    removed.expect("the peer is removed").unwrap();
    let ended = tokio::time::timeout(PATIENCE, flood).await;
    ended.expect("the session has ended").unwrap();
}

#[tokio::test]
async fn a_peer_is_removed_as_a_whole_also_when_nobody_waits_for_it() {
    // The command that removed it was interrupted: the peer was forgotten, its grants and its session stayed.
    let network = Network::Memory(MemoryNetwork::new(7));
    let (amber, basil) = (
        network.domain("amber", 1).await,
        network.domain("basil", 2).await,
    );
    let others = (0..1_000_u32).map(|number| {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&number.to_le_bytes());
        PeerConfig {
            domain: DomainId::new(id),
            addresses: Vec::new(),
            ..amber.peer(&[], &[])
        }
    });
    let others: Vec<_> = others.collect();
    let with_amber = others.iter().cloned().chain([amber.peer(&[], &[])]);
    let b = basil.start(with_amber.collect()).await;
    serve(&b);
    let mut liar = Liar::connect(&amber, &basil).await;
    liar.say(&[frontier(0, FrontierPart::Open)]).await.unwrap();
    let amber_is_connected = async || {
        let status = b.status().await.unwrap();
        status.peers.iter().any(|(_, address)| address.is_some())
    };
    while !amber_is_connected().await {
        tokio::task::yield_now().await;
    }
    tokio::select! {
        biased;
        _ = b.set_peers(others) => panic!("there is more to do than fits into the queue"),
        () = std::future::ready(()) => {}
    }
    let closed = tokio::time::timeout(PATIENCE, liar.connection.closed()).await;
    closed.expect("the session has ended");
}
