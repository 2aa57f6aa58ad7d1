//! A session's connection: the Hello on its control stream, then sealed frames on all streams.

use causality_envelope::Acceptor;
use causality_envelope::Dialer;
use causality_envelope::DomainKeys;
use causality_envelope::Established;
use causality_envelope::ExpectedPeer;
use causality_envelope::FrameOpener;
use causality_envelope::FrameSealer;
use causality_envelope::HELLO_BYTES_MAX;
use causality_envelope::HelloError;
use causality_envelope::Party;
use causality_fact::DomainId;
use causality_fact::TransportPublicKey;
use causality_fact::TreeHash;
use causality_sync::FEEDS;
use causality_sync::Input;
use causality_sync::SessionId;
use causality_sync::StreamNumber;
use causality_transport::Connection;
use causality_transport::ReadExact;
use causality_transport::RecvStream;
use causality_transport::SendStream;
use causality_transport::TransportError;
use causality_wire::AcceptedFormats;
use causality_wire::BincodeSerializer;
use causality_wire::COMPARTMENT_NAME_BYTES_MAX;
use causality_wire::FRAME_BYTES_MAX;
use causality_wire::LogState;
use causality_wire::MessageSerializer as _;
use causality_wire::SyncMessage;
use rand_core::CryptoRng;
use std::sync::Arc;
use thiserror::Error;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

/// The code with which a connection ends whose caller is not known.
pub(crate) const UNKNOWN_PEER_CODE: u32 = 1;
/// The code with which a connection ends that broke a rule.
pub(crate) const VIOLATION_CODE: u32 = 2;
/// The code with which a session ends that is over.
pub(crate) const DONE_CODE: u32 = 3;

/// How many messages may wait on one stream; a peer that does not read even that many loses its session.
pub(crate) const STREAM_MESSAGES_MAX: usize = 1 << 16;
/// How much memory the messages of one session may take that wait, likewise: twice the states of as many logs as a session
/// may have, for an open and a reply, and what the peer's credit lets out.
const UNREAD_BYTES_MAX: usize = 64 << 20;
/// The unit in which that is counted.
const UNREAD_UNIT: usize = 64;

/// How many bytes of frames are put together for one write.
const WRITE_BYTES: usize = 64 << 10;

/// Why a connection did not become a session.
#[derive(Debug, Error)]
pub(crate) enum ConnectError {
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error(transparent)]
    Hello(#[from] HelloError),
    #[error("the Hello ended early")]
    Ended,
    #[error("a Hello message of {0} bytes")]
    TooLong(usize),
}

/// A connection whose peer has proven who it is.
pub(crate) struct Greeted {
    pub(crate) established: Established,
    pub(crate) send: Box<dyn SendStream>,
    pub(crate) recv: Box<dyn RecvStream>,
}

/// Says Hello as the side that dialled.
pub(crate) async fn greet(
    connection: &dyn Connection,
    keys: &DomainKeys,
    peer: DomainId,
    now_ms: i64,
    mut random: Box<dyn CryptoRng + Send>,
) -> Result<Greeted, ConnectError> {
    let (mut send, mut recv) = connection.open_bi().await?;
    let (dialer, opening) = Dialer::start(&mut random);
    write_hello(&mut *send, &opening).await?;
    let answer = read_hello(&mut *recv).await?;
    let exporter = connection.exporter().as_bytes();
    let party = Party {
        keys,
        parameters: &[],
        exporter,
        now_ms,
    };
    let tls_key = TransportPublicKey::new(*connection.peer_key().as_bytes());
    let expected = ExpectedPeer {
        domain: peer,
        tls_key,
    };
    let (established, proof) = dialer.finish(&answer, &party, &expected, &mut random)?;
    write_hello(&mut *send, &proof).await?;
    Ok(Greeted {
        established,
        send,
        recv,
    })
}

/// Says Hello as the side that was called.
pub(crate) async fn answer(
    connection: &dyn Connection,
    keys: &DomainKeys,
    now_ms: i64,
    mut random: Box<dyn CryptoRng + Send>,
) -> Result<Greeted, ConnectError> {
    let (mut send, mut recv) = connection.accept_bi().await?;
    let opening = read_hello(&mut *recv).await?;
    let exporter = connection.exporter().as_bytes();
    let party = Party {
        keys,
        parameters: &[],
        exporter,
        now_ms,
    };
    let (acceptor, answer) = Acceptor::answer(&opening, &party, &mut random)?;
    write_hello(&mut *send, &answer).await?;
    let established = acceptor.finish(&read_hello(&mut *recv).await?)?;
    Ok(Greeted {
        established,
        send,
        recv,
    })
}

async fn write_hello(send: &mut dyn SendStream, message: &[u8]) -> Result<(), TransportError> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    send.write_all(&[&length.to_le_bytes()[..], message].concat())
        .await
}

async fn read_hello(recv: &mut dyn RecvStream) -> Result<Vec<u8>, ConnectError> {
    read_body(recv, HELLO_BYTES_MAX)
        .await?
        .ok_or(ConnectError::Ended)
}

/// Reads one length and so many bytes; `None` when the stream has ended before.
async fn read_body(
    recv: &mut dyn RecvStream,
    limit: usize,
) -> Result<Option<Vec<u8>>, ConnectError> {
    let mut header = [0; 4];
    if recv.read_exact(&mut header).await? == ReadExact::Finished {
        return Ok(None);
    }
    let length = u32::from_le_bytes(header) as usize;
    if length == 0 || length > limit {
        return Err(ConnectError::TooLong(length));
    }
    let mut body = vec![0; length];
    match recv.read_exact(&mut body).await? {
        ReadExact::Filled => Ok(Some(body)),
        ReadExact::Finished => Err(ConnectError::Ended),
    }
}

/// The sending ends of a session's streams.
#[derive(Debug)]
pub(crate) struct Streams {
    control: mpsc::Sender<Queued>,
    feeds: Vec<mpsc::Sender<Queued>>,
    room: Arc<Semaphore>,
}

/// A message that waits for the network, with its part of the room for such.
#[derive(Debug)]
struct Queued {
    message: SyncMessage,
    _room: OwnedSemaphorePermit,
}

impl Streams {
    /// Queues a message; `false` when the peer has not read for so long that the queue is full.
    pub(crate) fn send(&self, stream: StreamNumber, message: SyncMessage) -> bool {
        let permits = u32::try_from(weight(&message) / UNREAD_UNIT).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(permits) else {
            return false;
        };
        let message = Queued {
            message,
            _room: room,
        };
        let queue = match stream {
            StreamNumber::CONTROL => &self.control,
            StreamNumber(number) => &self.feeds[usize::from(number - 1) % self.feeds.len()],
        };
        queue.try_send(message).is_ok()
    }
}

/// About how many bytes of memory a message takes.
fn weight(message: &SyncMessage) -> usize {
    let more = match message {
        SyncMessage::Frontier(frontier) => {
            frontier.logs.len() * (size_of::<LogState>() + COMPARTMENT_NAME_BYTES_MAX)
        }
        SyncMessage::Announce(announce) => {
            let records = announce.key_records.iter();
            let records: usize = records.map(|r| r.len() + size_of::<Vec<u8>>()).sum();
            records + announce.block_roots.len() * TreeHash::LENGTH
        }
        SyncMessage::Sets(sets) => sets.full.len() + sets.partial.len() + sets.declined.len(),
        SyncMessage::Holes(holes) => {
            holes.withheld.len() + holes.deferred.len() + holes.partial.len()
        }
        message => message.fact_bytes(),
    };
    size_of::<SyncMessage>() + more
}

/// Starts the tasks that move a session's frames. They end with the connection. Nothing is read before `begin` says so,
/// so that the engine hears of a session before it hears from it.
pub(crate) fn run(
    session: SessionId,
    connection: &Arc<dyn Connection>,
    greeted: &mut Established,
    (send, recv): (Box<dyn SendStream>, Box<dyn RecvStream>),
    inputs: &mpsc::Sender<Input>,
    begin: oneshot::Receiver<()>,
) -> Option<Streams> {
    connection.allow_streams(1, u32::from(FEEDS));
    let keys = &mut greeted.keys;
    let to = |stream| Messages {
        session,
        stream,
        inputs: inputs.clone(),
    };
    let (control, messages) = mpsc::channel(STREAM_MESSAGES_MAX);
    let control_stream = StreamNumber::CONTROL;
    tokio::spawn(write(
        send,
        keys.sealer(0).ok()?,
        messages,
        to(control_stream),
    ));
    let mut feeds = Vec::new();
    let mut openers = Vec::new();
    for number in 1..=FEEDS {
        let (feed, messages) = mpsc::channel(STREAM_MESSAGES_MAX);
        let sealer = keys.sealer(u64::from(number)).ok()?;
        let stream = to(StreamNumber(number));
        tokio::spawn(open_feed(Arc::clone(connection), sealer, messages, stream));
        feeds.push(feed);
        openers.push(Some(keys.opener(u64::from(number)).ok()?));
    }
    let opener = keys.opener(0).ok()?;
    let (connection, messages) = (Arc::clone(connection), to(control_stream));
    tokio::spawn(async move {
        if begin.await.is_err() {
            return connection.close(DONE_CODE, "there is a session already");
        }
        let control = read(recv, opener, Arc::clone(&connection), messages.clone());
        let accepting = accept_feeds(Arc::clone(&connection), openers, messages.clone());
        tokio::select! {
            biased;
            () = control => {}
            () = accepting => {}
            _ = connection.closed() => {}
        }
        connection.close(DONE_CODE, "the session is over");
        let session = messages.session;
        // The engine may be gone, and then nobody wants to know.
        let _ = messages.inputs.send(Input::Disconnected { session }).await;
    });
    let room = Arc::new(Semaphore::new(UNREAD_BYTES_MAX / UNREAD_UNIT));
    Some(Streams {
        control,
        feeds,
        room,
    })
}

/// Where the messages of one stream go.
#[derive(Clone)]
struct Messages {
    session: SessionId,
    stream: StreamNumber,
    inputs: mpsc::Sender<Input>,
}

async fn accept_feeds(
    connection: Arc<dyn Connection>,
    mut openers: Vec<Option<FrameOpener>>,
    messages: Messages,
) {
    loop {
        let Ok(mut recv) = connection.accept_uni().await else {
            return;
        };
        let mut number = [0];
        let Ok(ReadExact::Filled) = recv.read_exact(&mut number).await else {
            return;
        };
        let index = usize::from(number[0]).checked_sub(1);
        let opener = index
            .and_then(|index| openers.get_mut(index))
            .and_then(Option::take);
        let Some(opener) = opener else {
            return connection.close(VIOLATION_CODE, "a stream that does not exist");
        };
        let stream = StreamNumber(number[0]);
        let messages = Messages {
            stream,
            ..messages.clone()
        };
        tokio::spawn(read(recv, opener, Arc::clone(&connection), messages));
    }
}

/// Reads, opens and decodes the frames of one stream until it ends or breaks a rule. What does not open or decode ends
/// the connection with one code, whatever was wrong with it.
async fn read(
    mut recv: Box<dyn RecvStream>,
    mut opener: FrameOpener,
    connection: Arc<dyn Connection>,
    to: Messages,
) {
    loop {
        let body = match read_body(&mut *recv, FRAME_BYTES_MAX).await {
            Ok(Some(body)) => body,
            Ok(None) => return,
            Err(ConnectError::Transport(_)) => return,
            Err(_) => return connection.close(VIOLATION_CODE, "a frame that is none"),
        };
        let message = opener.open(body).ok();
        let message = message.and_then(|b| AcceptedFormats::Bincode.deserialize(&b).ok());
        let Some(message) = message else {
            return connection.close(VIOLATION_CODE, "a frame that does not open");
        };
        let Messages {
            session, stream, ..
        } = to;
        if to
            .inputs
            .send(Input::Received {
                session,
                stream,
                message,
            })
            .await
            .is_err()
        {
            return;
        }
    }
}

/// Opens a feed once there is something to send on it.
async fn open_feed(
    connection: Arc<dyn Connection>,
    sealer: FrameSealer,
    mut messages: mpsc::Receiver<Queued>,
    to: Messages,
) {
    let Some(first) = messages.recv().await else {
        return;
    };
    let Ok(mut send) = connection.open_uni().await else {
        return;
    };
    if send.write_all(&[to.stream.0]).await.is_ok() {
        write_behind(send, sealer, messages, to, Some(first)).await;
    }
}

async fn write(
    send: Box<dyn SendStream>,
    sealer: FrameSealer,
    messages: mpsc::Receiver<Queued>,
    to: Messages,
) {
    write_behind(send, sealer, messages, to, None).await;
}

/// Seals and writes messages in their order, several small ones at once, and tells how much has left.
async fn write_behind(
    mut send: Box<dyn SendStream>,
    mut sealer: FrameSealer,
    mut messages: mpsc::Receiver<Queued>,
    to: Messages,
    mut next: Option<Queued>,
) {
    loop {
        let first = match next.take() {
            Some(message) => Some(message),
            None => messages.recv().await,
        };
        let Some(mut message) = first else {
            // Whoever closes the session decides when; a clean end says that nothing is missing.
            let _ = send.finish();
            return;
        };
        let (mut frames, mut entries) = (Vec::new(), 0);
        loop {
            entries += message.message.fact_bytes();
            let sealed = BincodeSerializer
                .serialize(&message.message)
                .ok()
                .and_then(|m| sealer.seal(&m).ok());
            let Some(frame) = sealed else { return };
            frames.extend_from_slice(&frame);
            if frames.len() >= WRITE_BYTES {
                break;
            }
            match messages.try_recv() {
                Ok(following) => message = following,
                Err(_) => break,
            }
        }
        if send.write_all(&frames).await.is_err() {
            return;
        }
        if entries > 0 {
            let flushed = Input::Flushed {
                session: to.session,
                bytes: entries,
            };
            if to.inputs.send(flushed).await.is_err() {
                return;
            }
        }
    }
}
