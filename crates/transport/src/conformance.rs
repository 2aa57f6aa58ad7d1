//! The suite that every implementation of the joint passes, one function a promise.
//!
//! [`conformance_tests!`](crate::conformance_tests) turns it into tests. Each case panics when the
//! promise is broken; none sleeps or reads a clock.
#![expect(
    clippy::unwrap_used,
    reason = "a suite of tests: a failure is to be reported by panic"
)]

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use crate::error::TransportError;
use crate::joint::{
    Connection, CrossDomainTransport, DROPPED_CODE, REASON_BYTES_MAX, ReadExact, RecvStream,
    SendStream, Side,
};
use crate::key::TransportKey;

/// Two endpoints of one network, and what the suite has to know about them.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a test states all of it, and a new field must not be forgotten"
)]
pub struct Pair {
    /// Dials.
    pub dialler: Box<dyn CrossDomainTransport>,
    /// Accepts.
    pub acceptor: Box<dyn CrossDomainTransport>,
    /// Where the acceptor is reached.
    pub acceptor_address: String,
    /// The long-term key that the acceptor proves.
    pub acceptor_key: TransportKey,
    /// An address at which nobody answers.
    pub nobody_address: String,
    /// Most bytes that one stream takes in while its reader does not read.
    pub buffered_bytes_max: usize,
}

impl Pair {
    /// One connection, dialler's end first.
    ///
    /// # Panics
    /// When it does not come about.
    pub async fn connect(&self) -> (Box<dyn Connection>, Box<dyn Connection>) {
        let dialled = self.dialler.connect(&self.acceptor_address);
        let (dialled, accepted) = tokio::join!(dialled, self.acceptor.accept());
        (dialled.unwrap(), accepted.unwrap())
    }

    /// One connection on which either side may open many streams.
    async fn connect_widely(&self) -> (Box<dyn Connection>, Box<dyn Connection>) {
        let (dialled, accepted) = self.connect().await;
        dialled.allow_streams(MANY, MANY);
        accepted.allow_streams(MANY, MANY);
        (dialled, accepted)
    }
}

/// A stream both ways on which the acceptor has read one byte; the dialler's halves first.
async fn stream(
    dialled: &dyn Connection,
    accepted: &dyn Connection,
) -> (
    (Box<dyn SendStream>, Box<dyn RecvStream>),
    (Box<dyn SendStream>, Box<dyn RecvStream>),
) {
    let (mut send, receive) = dialled.open_bi().await.unwrap();
    send.write_all(&[1]).await.unwrap();
    let (answer, mut listen) = accepted.accept_bi().await.unwrap();
    assert_eq!(read(&mut *listen, 1).await, Ok(vec![1]));
    ((send, receive), (answer, listen))
}

async fn read(receive: &mut dyn RecvStream, count: usize) -> Result<Vec<u8>, TransportError> {
    let mut buffer = vec![0; count];
    match receive.read_exact(&mut buffer).await? {
        ReadExact::Filled => Ok(buffer),
        ReadExact::Finished => Ok(Vec::new()),
    }
}

/// One byte there and back.
async fn ping(
    (send, receive): &mut (Box<dyn SendStream>, Box<dyn RecvStream>),
    (answer, listen): &mut (Box<dyn SendStream>, Box<dyn RecvStream>),
) {
    send.write_all(&[1]).await.unwrap();
    assert_eq!(read(&mut **listen, 1).await, Ok(vec![1]));
    answer.write_all(&[2]).await.unwrap();
    assert_eq!(read(&mut **receive, 1).await, Ok(vec![2]));
}

async fn is_waiting(future: impl Future) -> bool {
    let mut future = pin!(future);
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await
}

/// What is written comes back byte for byte, and both directions end cleanly, for good.
pub async fn echo_returns_what_was_sent(pair: Pair) {
    let (dialled, accepted) = pair.connect().await;
    let message: Vec<u8> = (0..300_000_u32).map(|at| (at % 251) as u8).collect();
    let ask = async {
        let (mut send, mut receive) = dialled.open_bi().await.unwrap();
        let asked = async {
            send.write_all(&message).await.unwrap();
            send.finish().unwrap();
        };
        let ((), echoed) = tokio::join!(asked, read(&mut *receive, message.len()));
        assert_eq!(echoed.unwrap(), message);
        for _ in 0..2 {
            assert_eq!(receive.read_exact(&mut [0]).await, Ok(ReadExact::Finished));
        }
    };
    let answer = async {
        let (mut send, mut receive) = accepted.accept_bi().await.unwrap();
        let mut chunk = [0; 1000];
        while receive.read_exact(&mut chunk).await.unwrap() == ReadExact::Filled {
            send.write_all(&chunk).await.unwrap();
        }
        send.finish().unwrap();
        send
    };
    tokio::join!(ask, answer);
}

/// Many streams at once carry each its own bytes, in the order of opening at the acceptor.
pub async fn many_streams_carry_their_own_bytes(pair: Pair) {
    let (dialled, accepted) = pair.connect_widely().await;
    let mut sending = Vec::new();
    for number in 0..MANY {
        let (mut send, receive) = dialled.open_bi().await.unwrap();
        send.write_all(&number.to_le_bytes()).await.unwrap();
        sending.push((send, receive));
    }
    let mut answering = Vec::new();
    for number in 0..MANY {
        let (mut send, mut receive) = accepted.accept_bi().await.unwrap();
        assert_eq!(read(&mut *receive, 4).await.unwrap(), number.to_le_bytes());
        send.write_all(&(number + 1).to_le_bytes()).await.unwrap();
        answering.push((send, receive));
    }
    for (number, (_, receive)) in (0..MANY).zip(&mut sending).rev() {
        assert_eq!(
            read(&mut **receive, 4).await.unwrap(),
            (number + 1).to_le_bytes()
        );
    }
}

/// A stream in one direction works from either side.
pub async fn one_way_streams_work_from_either_side(pair: Pair) {
    let (dialled, accepted) = pair.connect_widely().await;
    for (from, to) in [(&dialled, &accepted), (&accepted, &dialled)] {
        let mut send = from.open_uni().await.unwrap();
        send.write_all(b"news").await.unwrap();
        send.finish().unwrap();
        let mut receive = to.accept_uni().await.unwrap();
        assert_eq!(read(&mut *receive, 4).await.unwrap(), b"news");
        assert_eq!(receive.read_exact(&mut [0]).await, Ok(ReadExact::Finished));
    }
}

/// One direction ends, the other goes on.
pub async fn a_finished_direction_leaves_the_other_open(pair: Pair) {
    let (dialled, accepted) = pair.connect().await;
    let ((mut send, mut receive), (mut answer, mut listen)) = stream(&*dialled, &*accepted).await;
    send.finish().unwrap();
    assert_eq!(listen.read_exact(&mut [0]).await, Ok(ReadExact::Finished));
    answer.write_all(b"still here").await.unwrap();
    answer.finish().unwrap();
    assert_eq!(read(&mut *receive, 10).await.unwrap(), b"still here");
    assert_eq!(receive.read_exact(&mut [0]).await, Ok(ReadExact::Finished));
}

/// A reset ends the peer's reads with its code, every time.
pub async fn a_reset_arrives_with_its_code(pair: Pair) {
    let (dialled, accepted) = pair.connect().await;
    let ((mut send, _receive), (_answer, mut listen)) = stream(&*dialled, &*accepted).await;
    send.reset(77).unwrap();
    for _ in 0..2 {
        let read = listen.read_exact(&mut [0]).await;
        assert_eq!(read, Err(TransportError::Reset { code: 77 }));
    }
}

/// A stop ends the peer's writes with its code; finishing afterwards is no error.
pub async fn a_stop_arrives_with_its_code(pair: Pair) {
    let (dialled, accepted) = pair.connect().await;
    let ((mut send, _receive), (_answer, mut listen)) = stream(&*dialled, &*accepted).await;
    listen.stop(78).unwrap();
    let error = loop {
        if let Err(error) = send.write_all(&[0; 1000]).await {
            break error;
        }
    };
    assert_eq!(error, TransportError::Stopped { code: 78 });
    send.finish().unwrap();
}

/// A half that its owner drops never looks like a clean end.
pub async fn a_dropped_half_ends_its_direction(pair: Pair) {
    let (dialled, accepted) = pair.connect_widely().await;
    let ((send, _receive), (_answer, mut listen)) = stream(&*dialled, &*accepted).await;
    drop(send);
    let read = listen.read_exact(&mut [0]).await;
    assert_eq!(read, Err(TransportError::Reset { code: DROPPED_CODE }));

    let ((mut send, _receive), (_answer, listen)) = stream(&*dialled, &*accepted).await;
    drop(listen);
    let error = loop {
        if let Err(error) = send.write_all(&[0; 1000]).await {
            break error;
        }
    };
    assert_eq!(error, TransportError::Stopped { code: DROPPED_CODE });
}

/// What this side ended itself stays ended, and says so.
pub async fn an_ended_half_refuses_further_use(pair: Pair) {
    let (dialled, accepted) = pair.connect_widely().await;
    let ((mut send, mut receive), (mut answer, _listen)) = stream(&*dialled, &*accepted).await;
    send.finish().unwrap();
    assert_eq!(
        send.write_all(&[0]).await,
        Err(TransportError::StreamClosed)
    );
    assert_eq!(send.finish(), Err(TransportError::StreamClosed));
    assert_eq!(send.reset(1), Err(TransportError::StreamClosed));
    receive.stop(1).unwrap();
    assert_eq!(
        receive.read_exact(&mut [0]).await,
        Err(TransportError::StreamClosed)
    );
    assert_eq!(receive.stop(1), Err(TransportError::StreamClosed));
    answer.reset(1).unwrap();
    assert_eq!(
        answer.write_all(&[0]).await,
        Err(TransportError::StreamClosed)
    );
}

/// An end inside the buffer is an error that counts, not a clean end; an empty read always
/// succeeds.
pub async fn a_truncated_stream_is_told_from_a_finished_one(pair: Pair) {
    let (dialled, accepted) = pair.connect().await;
    let ((mut send, _receive), (_answer, mut listen)) = stream(&*dialled, &*accepted).await;
    assert_eq!(listen.read_exact(&mut []).await, Ok(ReadExact::Filled));
    send.write_all(b"abc").await.unwrap();
    send.finish().unwrap();
    let read = listen.read_exact(&mut [0; 4]).await;
    assert_eq!(
        read,
        Err(TransportError::Truncated {
            expected: 4,
            received: 3
        })
    );
    assert_eq!(listen.read_exact(&mut []).await, Ok(ReadExact::Filled));
}

/// Code and reason of a close reach the peer, in every operation of it; the closer reads its own
/// name for it.
pub async fn a_close_arrives_with_code_and_reason(pair: Pair) {
    let (dialled, accepted) = pair.connect().await;
    let ((mut send, mut receive), (mut answer, mut listen)) = stream(&*dialled, &*accepted).await;
    dialled.close(4_000_000_000, "enough");
    dialled.close(5, "too late");
    let peers = TransportError::ClosedByPeer {
        code: 4_000_000_000,
        reason: "enough".into(),
    };
    assert_eq!(accepted.closed().await, peers);
    assert_eq!(accepted.accept_bi().await.unwrap_err(), peers);
    assert_eq!(accepted.accept_uni().await.unwrap_err(), peers);
    assert_eq!(accepted.open_bi().await.unwrap_err(), peers);
    assert_eq!(accepted.open_uni().await.unwrap_err(), peers);
    assert_eq!(listen.read_exact(&mut [0]).await, Err(peers.clone()));
    assert_eq!(answer.write_all(&[0]).await, Err(peers));
    assert_eq!(dialled.closed().await, TransportError::Closed);
    assert_eq!(dialled.open_bi().await.unwrap_err(), TransportError::Closed);
    assert_eq!(
        dialled.accept_bi().await.unwrap_err(),
        TransportError::Closed
    );
    assert_eq!(
        receive.read_exact(&mut [0]).await,
        Err(TransportError::Closed)
    );
    assert_eq!(send.write_all(&[0]).await, Err(TransportError::Closed));
}

/// A reason of the longest length arrives whole, one byte more is cut at a character.
pub async fn a_long_reason_is_cut_at_a_character(pair: Pair) {
    let whole = "x".repeat(REASON_BYTES_MAX);
    let cut = format!("{}é", "x".repeat(REASON_BYTES_MAX - 1));
    for (given, arrives) in [(&whole, whole.as_str()), (&cut, &whole[1..])] {
        let (dialled, accepted) = pair.connect().await;
        accepted.close(1, given);
        let expected = TransportError::ClosedByPeer {
            code: 1,
            reason: arrives.into(),
        };
        assert_eq!(dialled.closed().await, expected);
    }
}

/// A connection that its owner drops is closed for the peer; a stream of it keeps it alive.
pub async fn a_dropped_connection_is_closed(pair: Pair) {
    let (dialled, accepted) = pair.connect().await;
    let (mut near, mut far) = stream(&*dialled, &*accepted).await;
    drop(dialled);
    ping(&mut near, &mut far).await;
    drop(near);
    let expected = TransportError::ClosedByPeer {
        code: DROPPED_CODE,
        reason: String::new(),
    };
    assert_eq!(accepted.closed().await, expected);
}

/// Both ends of a connection export the same secret, and no other connection does.
pub async fn exporters_agree_within_a_connection_only(pair: Pair) {
    let (dialled, accepted) = pair.connect().await;
    let (again, _accepted) = pair.connect().await;
    assert_eq!(
        dialled.exporter().as_bytes(),
        accepted.exporter().as_bytes()
    );
    assert_ne!(dialled.exporter().as_bytes(), again.exporter().as_bytes());
}

/// The dialler sees the acceptor's long-term key; the acceptor sees a key that is new on every
/// connection.
pub async fn peers_see_the_proven_keys(pair: Pair) {
    let (dialled, accepted) = pair.connect().await;
    let (again, accepted_again) = pair.connect().await;
    assert_eq!(dialled.peer_key(), pair.acceptor_key);
    assert_eq!(again.peer_key(), pair.acceptor_key);
    assert_ne!(accepted.peer_key(), accepted_again.peer_key());
    assert_ne!(accepted.peer_key(), pair.acceptor_key);
    assert_eq!(
        (dialled.side(), accepted.side()),
        (Side::Dialler, Side::Acceptor)
    );
    assert_eq!(dialled.remote_address(), pair.acceptor_address);
    assert!(!accepted.remote_address().is_empty());
}

/// Before the peer is allowed more it has one stream both ways and none one way; then the waiting
/// ones open.
pub async fn streams_wait_until_they_are_allowed(pair: Pair) {
    let (dialled, accepted) = pair.connect().await;
    for (from, to) in [(&dialled, &accepted), (&accepted, &dialled)] {
        let (mut near, mut far) = stream(&**from, &**to).await;
        ping(&mut near, &mut far).await;
        assert!(is_waiting(from.open_bi()).await, "a second stream opened");
        assert!(is_waiting(from.open_uni()).await, "a one-way stream opened");
        to.allow_streams(2, 1);
        to.allow_streams(0, 0);
        let (second, one_way) = tokio::join!(from.open_bi(), from.open_uni());
        let (_second, _one_way) = (second.unwrap(), one_way.unwrap());
        ping(&mut near, &mut far).await;
        assert!(is_waiting(from.open_bi()).await, "a third stream opened");
        assert!(
            is_waiting(from.open_uni()).await,
            "a second one-way stream opened"
        );
    }
}

/// A stream that is over makes room for the next one.
pub async fn an_ended_stream_makes_room_for_another(pair: Pair) {
    let (dialled, accepted) = pair.connect().await;
    for _ in 0..MANY {
        let ((mut send, mut receive), (mut answer, mut listen)) =
            stream(&*dialled, &*accepted).await;
        send.finish().unwrap();
        answer.finish().unwrap();
        assert_eq!(listen.read_exact(&mut [0]).await, Ok(ReadExact::Finished));
        assert_eq!(receive.read_exact(&mut [0]).await, Ok(ReadExact::Finished));
    }
}

/// The peer learns of a stream from its first byte, and of those opened before it as well.
pub async fn a_silent_stream_is_not_announced(pair: Pair) {
    let (dialled, accepted) = pair.connect_widely().await;
    let mut control = stream(&*dialled, &*accepted).await;
    let (mut first, _first) = dialled.open_bi().await.unwrap();
    let (mut second, _second) = dialled.open_bi().await.unwrap();
    ping(&mut control.0, &mut control.1).await;
    assert!(
        is_waiting(accepted.accept_bi()).await,
        "a silent stream was announced"
    );
    second.write_all(b"2").await.unwrap();
    let (_answer, mut listen_first) = accepted.accept_bi().await.unwrap();
    let (_answer, mut listen_second) = accepted.accept_bi().await.unwrap();
    assert_eq!(read(&mut *listen_second, 1).await.unwrap(), b"2");
    first.write_all(b"1").await.unwrap();
    assert_eq!(read(&mut *listen_first, 1).await.unwrap(), b"1");
}

/// A writer whose reader does not read waits before its bytes fill the memory, and holds up no
/// other stream.
pub async fn a_reader_that_never_reads_stops_its_writer(pair: Pair) {
    let (dialled, accepted) = pair.connect_widely().await;
    let mut control = stream(&*dialled, &*accepted).await;
    let ((mut send, _receive), (_answer, mut listen)) = stream(&*dialled, &*accepted).await;
    let written = AtomicUsize::new(0);
    let fill = async {
        loop {
            send.write_all(&[7; CHUNK_BYTES]).await.unwrap();
            written.fetch_add(CHUNK_BYTES, Ordering::Relaxed);
        }
    };
    let watch = async {
        let (mut quiet, mut seen) = (0, 0);
        while quiet < QUIET_ROUND_TRIPS {
            ping(&mut control.0, &mut control.1).await;
            let now = written.load(Ordering::Relaxed);
            quiet = if now == seen { quiet + 1 } else { 0 };
            seen = now;
        }
    };
    tokio::select! {
        () = fill => unreachable!("the writer writes for ever"),
        () = watch => {}
    }
    let written = written.into_inner();
    assert!(
        written <= pair.buffered_bytes_max,
        "{written} bytes went in"
    );
    for _ in 0..written / CHUNK_BYTES {
        assert_eq!(
            read(&mut *listen, CHUNK_BYTES).await.unwrap(),
            [7; CHUNK_BYTES]
        );
    }
}

/// Where nobody answers, dialling fails with the address in the error.
pub async fn an_address_without_a_listener_is_unreachable(pair: Pair) {
    let error = pair
        .dialler
        .connect(&pair.nobody_address)
        .await
        .unwrap_err();
    let TransportError::Unreachable { address, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(address, pair.nobody_address);
}

/// Closing a transport tells its peers, frees whoever waits to accept, and is final.
pub async fn a_closed_transport_tells_its_peers(pair: Pair) {
    let (dialled, accepted) = pair.connect().await;
    let waiting = async {
        assert_eq!(
            pair.acceptor.accept().await.unwrap_err(),
            TransportError::Closed
        );
    };
    let peer = async {
        let told = TransportError::ClosedByPeer {
            code: DROPPED_CODE,
            reason: String::new(),
        };
        assert_eq!(dialled.closed().await, told);
    };
    tokio::join!(waiting, peer, pair.acceptor.close());
    pair.acceptor.close().await;
    assert_eq!(accepted.closed().await, TransportError::Closed);
    assert_eq!(
        pair.acceptor.accept().await.unwrap_err(),
        TransportError::Closed
    );
    let dial = pair.acceptor.connect(&pair.nobody_address).await;
    assert_eq!(dial.unwrap_err(), TransportError::Closed);
}

/// Dropping a transport closes its connections as well.
pub async fn a_dropped_transport_closes_its_connections(pair: Pair) {
    let (dialled, accepted) = pair.connect().await;
    let Pair { acceptor, .. } = pair;
    drop(acceptor);
    let told = TransportError::ClosedByPeer {
        code: DROPPED_CODE,
        reason: String::new(),
    };
    assert_eq!(dialled.closed().await, told);
    assert_eq!(accepted.closed().await, TransportError::Closed);
}

/// Bytes are counted at both ends.
pub async fn bytes_are_counted(pair: Pair) {
    let (dialled, accepted) = pair.connect().await;
    let (mut near, mut far) = stream(&*dialled, &*accepted).await;
    near.0.write_all(&[0; 10_000]).await.unwrap();
    read(&mut *far.1, 10_000).await.unwrap();
    ping(&mut near, &mut far).await;
    let (dialler, acceptor) = (dialled.stats(), accepted.stats());
    assert!(dialler.udp_sent_bytes >= 10_000, "{dialler:?}");
    assert!(acceptor.udp_received_bytes >= 10_000, "{acceptor:?}");
    assert!(acceptor.udp_sent_bytes > 0, "{acceptor:?}");
    assert!(
        dialler.mtu_probe_sent_bytes <= dialler.udp_sent_bytes,
        "{dialler:?}"
    );
}

/// Two diallers at once, and an acceptor that dials back on the same endpoint.
pub async fn an_endpoint_dials_and_accepts_at_once(pair: Pair) {
    let (dialled, accepted) = pair.connect().await;
    let (again, accepted_again) = pair.connect().await;
    let address = accepted.remote_address();
    let back = pair.acceptor.connect(&address);
    let (back, accepted_back) = tokio::join!(back, pair.dialler.accept());
    let (back, accepted_back) = (back.unwrap(), accepted_back.unwrap());
    let pairs = [
        (&dialled, &accepted),
        (&again, &accepted_again),
        (&back, &accepted_back),
    ];
    for (from, to) in pairs {
        let (mut near, mut far) = stream(&**from, &**to).await;
        ping(&mut near, &mut far).await;
    }
}

/// Closing what the peer has closed changes nothing: its reason stays.
pub async fn a_close_behind_the_peers_keeps_the_peers_reason(pair: Pair) {
    let (dialled, accepted) = pair.connect().await;
    dialled.close(7, "first");
    let peers = TransportError::ClosedByPeer {
        code: 7,
        reason: "first".into(),
    };
    assert_eq!(accepted.closed().await, peers);
    accepted.close(8, "second");
    assert_eq!(accepted.closed().await, peers);
}

/// Turns the suite into a module of tests: `conformance_tests!(name, "current_thread", pair)`,
/// where `pair` is an async function without arguments that yields a fresh [`Pair`]. Needs tokio
/// with `macros`, `rt` and `time`.
#[macro_export]
macro_rules! conformance_tests {
    ($module:ident, $flavor:literal, $pair:path) => {
        $crate::conformance_tests!(@cases $module, $flavor, $pair,
            a_close_arrives_with_code_and_reason
            a_close_behind_the_peers_keeps_the_peers_reason
            a_closed_transport_tells_its_peers
            a_dropped_connection_is_closed
            a_dropped_half_ends_its_direction
            a_dropped_transport_closes_its_connections
            a_finished_direction_leaves_the_other_open
            a_long_reason_is_cut_at_a_character
            a_reader_that_never_reads_stops_its_writer
            a_reset_arrives_with_its_code
            a_silent_stream_is_not_announced
            a_stop_arrives_with_its_code
            a_truncated_stream_is_told_from_a_finished_one
            an_address_without_a_listener_is_unreachable
            an_ended_half_refuses_further_use
            an_ended_stream_makes_room_for_another
            an_endpoint_dials_and_accepts_at_once
            bytes_are_counted
            echo_returns_what_was_sent
            exporters_agree_within_a_connection_only
            many_streams_carry_their_own_bytes
            one_way_streams_work_from_either_side
            peers_see_the_proven_keys
            streams_wait_until_they_are_allowed
        );
    };
    (@cases $module:ident, $flavor:literal, $pair:path, $($case:ident)*) => {
        mod $module {
            use super::*;

            $(
                #[tokio::test(flavor = $flavor)]
                async fn $case() {
                    let case = $crate::conformance::$case($pair().await);
                    let patience = std::time::Duration::from_secs(60);
                    tokio::time::timeout(patience, case).await.expect("the case waits for ever");
                }
            )*
        }
    };
}

const MANY: u32 = 100;
const CHUNK_BYTES: usize = 16 * 1024;
const QUIET_ROUND_TRIPS: u32 = 100;
