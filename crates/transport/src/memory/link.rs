//! The state that both ends of one connection share: streams, their bytes, and how it ended.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use zeroize::Zeroizing;

use crate::error::TransportError;
use crate::joint::{DROPPED_CODE, REASON_BYTES_MAX, Side};
use crate::key::{ExporterValue, TransportKey};

/// One end of a link, shared by its connection and its streams. Dropping the last of them closes
/// the link.
pub(super) struct End {
    pub(super) link: Arc<Link>,
    pub(super) side: Side,
    pub(super) peer_key: TransportKey,
    pub(super) exporter: ExporterValue,
}

impl End {
    pub(super) fn new(
        link: &Arc<Link>,
        side: Side,
        peer_key: TransportKey,
        exporter: [u8; 32],
    ) -> Self {
        let exporter = ExporterValue::new(Zeroizing::new(exporter));
        Self {
            link: Arc::clone(link),
            side,
            peer_key,
            exporter,
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.link.close(self.side, DROPPED_CODE, "");
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("End")
            .field("side", &self.side)
            .finish_non_exhaustive()
    }
}

/// What lies between two ends.
pub(super) struct Link {
    /// Names of dialler and acceptor.
    names: [String; 2],
    state: Mutex<State>,
    changed: Notify,
}

impl Link {
    pub(super) fn new(names: [String; 2]) -> Self {
        Self {
            names,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Waits until `ready` yields something; every change of the link asks it again.
    pub(super) async fn wait<T>(&self, mut ready: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            if let Some(value) = self.look(&mut ready) {
                self.changed.notify_waiters();
                return value;
            }
            changed.await;
        }
    }

    /// Changes the state and wakes whoever waits for that.
    pub(super) fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let value = self.look(change);
        self.changed.notify_waiters();
        value
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn close(&self, side: Side, code: u32, reason: &str) {
        self.update(|state| {
            if state.closed.is_none() {
                let reason = reason[..reason.floor_char_boundary(REASON_BYTES_MAX)].to_owned();
                state.closed = Some(Closing { side, code, reason });
                state.streams.clear();
            }
        });
    }

    pub(super) fn name(&self, side: Side) -> String {
        let [dialler, acceptor] = &self.names;
        if side == Side::Dialler {
            dialler.clone()
        } else {
            acceptor.clone()
        }
    }

    /// The end that the endpoint of this name holds; of a link to itself, the dialler's.
    pub(super) fn side_of(&self, name: &str) -> Side {
        let [dialler, _] = &self.names;
        if dialler == name {
            Side::Dialler
        } else {
            Side::Acceptor
        }
    }
}

#[derive(Default)]
pub(super) struct State {
    closed: Option<Closing>,
    pub(super) streams: BTreeMap<StreamId, Stream>,
    allowed: BTreeMap<(Side, Direction), u32>,
    opened: BTreeMap<(Side, Direction), u64>,
    sent: BTreeMap<Side, u64>,
}

struct Closing {
    side: Side,
    code: u32,
    reason: String,
}

impl State {
    /// Why the link is closed, seen from `side`; `None` while it is open.
    pub(super) fn end_for(&self, side: Side) -> Option<TransportError> {
        let closing = self.closed.as_ref()?;
        if closing.side == side {
            return Some(TransportError::Closed);
        }
        let reason = closing.reason.clone();
        Some(TransportError::ClosedByPeer {
            code: closing.code,
            reason,
        })
    }

    /// Lets `opener` have so many streams open at once; never lowers.
    pub(super) fn allow(&mut self, opener: Side, direction: Direction, count: u32) {
        let allowed = self.allowed(opener, direction).max(count);
        self.allowed.insert((opener, direction), allowed);
    }

    fn allowed(&self, opener: Side, direction: Direction) -> u32 {
        let before = if direction == Direction::Bi { 1 } else { 0 };
        self.allowed
            .get(&(opener, direction))
            .copied()
            .unwrap_or(before)
    }

    /// A new stream, or `None` while the peer allows no more.
    pub(super) fn open(&mut self, opener: Side, direction: Direction) -> Option<StreamId> {
        let of_kind = |id: &StreamId| id.opener == opener && id.direction == direction;
        let live = self
            .streams
            .iter()
            .filter(|(id, stream)| of_kind(id) && !stream.is_over());
        if live.count() >= usize::try_from(self.allowed(opener, direction)).unwrap_or(usize::MAX) {
            return None;
        }
        let opened = self.opened.entry((opener, direction)).or_default();
        let id = StreamId {
            opener,
            direction,
            index: *opened,
        };
        *opened = opened.wrapping_add(1);
        self.streams.insert(id, Stream::new(direction));
        Some(id)
    }

    /// The next stream of the peer that has been announced; the handles on it are now the caller's.
    pub(super) fn accept(&mut self, opener: Side, direction: Direction) -> Option<StreamId> {
        let (id, stream) = self.streams.iter_mut().find(|(id, stream)| {
            id.opener == opener && id.direction == direction && stream.announced && !stream.accepted
        })?;
        stream.accepted = true;
        stream.handles += direction.pipes();
        Some(*id)
    }

    /// Shows the peer this stream, and with it those opened before it, as QUIC does (RFC 9000
    /// section 2.1).
    fn announce(&mut self, id: StreamId) {
        for (_, stream) in self.streams.range_mut(StreamId { index: 0, ..id }..=id) {
            stream.announced = true;
        }
    }

    /// The pipe that `writer` fills; `None` once the link is closed.
    pub(super) fn pipe(&mut self, id: StreamId, writer: Side) -> Option<&mut Pipe> {
        let stream = self.streams.get_mut(&id)?;
        Some(if writer == id.opener {
            &mut stream.forward
        } else {
            &mut stream.backward
        })
    }

    /// Adds as many bytes as fit; `None` while nothing fits.
    pub(super) fn write(
        &mut self,
        id: StreamId,
        writer: Side,
        bytes: &[u8],
    ) -> Option<Result<usize, TransportError>> {
        if let Some(error) = self.end_for(writer) {
            return Some(Err(error));
        }
        let written = self.pipe(id, writer)?.write(bytes)?;
        if let Ok(count) = written {
            self.announce(id);
            *self.sent.entry(writer).or_default() += count as u64;
        }
        Some(written)
    }

    /// Ends what `writer` sends, unless that has an end already.
    pub(super) fn end(&mut self, id: StreamId, writer: Side, ending: Ending) {
        if let Some(pipe) = self.pipe(id, writer) {
            pipe.end(ending);
            self.announce(id);
        }
    }

    /// `reader` wants no more of what its peer sends.
    pub(super) fn stop(&mut self, id: StreamId, reader: Side, code: u32) {
        if let Some(pipe) = self.pipe(id, reader.peer()) {
            pipe.stop(code);
            self.announce(id);
        }
    }

    /// One handle on the stream is gone; the last one takes the stream along.
    pub(super) fn release(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        stream.handles = stream.handles.saturating_sub(1);
        if stream.handles == 0 && stream.accepted {
            self.streams.remove(&id);
        }
    }

    pub(super) fn sent(&self, side: Side) -> u64 {
        self.sent.get(&side).copied().unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StreamId {
    pub(super) opener: Side,
    pub(super) direction: Direction,
    index: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Direction {
    Bi,
    Uni,
}

impl Direction {
    /// Pipes of a stream, and so the handles that each end has on it at most.
    fn pipes(self) -> u8 {
        match self {
            Self::Bi => 2,
            Self::Uni => 1,
        }
    }
}

pub(super) struct Stream {
    announced: bool,
    accepted: bool,
    handles: u8,
    forward: Pipe,
    /// Of a stream in one direction: ended from the start.
    backward: Pipe,
}

impl Stream {
    fn new(direction: Direction) -> Self {
        let mut backward = Pipe::default();
        if direction == Direction::Uni {
            backward.end(Ending::Finished);
        }
        let handles = direction.pipes();
        Self {
            announced: false,
            accepted: false,
            handles,
            forward: Pipe::default(),
            backward,
        }
    }

    fn is_over(&self) -> bool {
        self.accepted && self.forward.is_over() && self.backward.is_over()
    }
}

/// Bytes in one direction of a stream.
#[derive(Default)]
pub(super) struct Pipe {
    buffer: VecDeque<u8>,
    ending: Option<Ending>,
    stopped: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Finished,
    Reset(u32),
}

impl Pipe {
    fn write(&mut self, bytes: &[u8]) -> Option<Result<usize, TransportError>> {
        if let Some(code) = self.stopped {
            return Some(Err(TransportError::Stopped { code }));
        }
        let room = STREAM_BUFFER_BYTES_MAX.saturating_sub(self.buffer.len());
        let count = room.min(bytes.len());
        self.buffer.extend(bytes.iter().take(count));
        (count > 0 || bytes.is_empty()).then_some(Ok(count))
    }

    /// Moves what is there into the buffer; zero bytes is a clean end, `None` means wait.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Option<Result<usize, TransportError>> {
        if let Some(Ending::Reset(code)) = self.ending {
            return Some(Err(TransportError::Reset { code }));
        }
        let count = self.buffer.len().min(buffer.len());
        if count == 0 && self.ending.is_none() {
            return None;
        }
        for (slot, byte) in buffer.iter_mut().zip(self.buffer.drain(..count)) {
            *slot = byte;
        }
        Some(Ok(count))
    }

    fn end(&mut self, ending: Ending) {
        if self.ending.is_none() {
            self.ending = Some(ending);
        }
        if matches!(ending, Ending::Reset(_)) {
            self.buffer.clear();
        }
    }

    fn stop(&mut self, code: u32) {
        self.stopped = Some(code);
        self.buffer.clear();
    }

    fn is_over(&self) -> bool {
        self.stopped.is_some() || (self.ending.is_some() && self.buffer.is_empty())
    }
}

/// Bytes that a stream holds in one direction before its writer waits.
pub const STREAM_BUFFER_BYTES_MAX: usize = 64 * 1024;
