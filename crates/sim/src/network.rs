//! Datagrams between sockets of one process over simulated links, on tokio's paused clock. quinn runs over it unmodified.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::link::{Conditions, LinkModel};
use crate::power::Power;
use crate::trace::Trace;

/// A network. A handle: clones are the same network.
#[derive(Clone)]
pub struct Network(Arc<Mutex<State>>);

struct State {
    seed: u64,
    start: Instant,
    links: BTreeMap<(SocketAddr, SocketAddr), LinkModel>,
    inboxes: BTreeMap<SocketAddr, Inbox>,
    /// How many datagrams have been put into inboxes: of those that are due at once the first stays the first.
    delivered: u64,
    trace: Trace,
}

#[derive(Default)]
struct Inbox {
    /// When a datagram is due, and its number.
    waiting: BTreeMap<(Duration, u64), Datagram>,
    timer: Option<Pin<Box<Sleep>>>,
    waker: Option<Waker>,
}

struct Datagram {
    from: SocketAddr,
    bytes: Vec<u8>,
}

impl Network {
    /// A network of good links, whose fortunes the seed decides.
    pub fn new(seed: u64, trace: &Trace) -> Self {
        Self(Arc::new(Mutex::new(State {
            seed,
            start: Instant::now(),
            links: BTreeMap::new(),
            inboxes: BTreeMap::new(),
            delivered: 0,
            trace: trace.clone(),
        })))
    }

    /// A fresh socket at the address; what the former one there had not read is lost.
    pub fn socket(&self, address: SocketAddr, power: &Power) -> Arc<dyn AsyncUdpSocket> {
        self.state().inboxes.insert(address, Inbox::default());
        Arc::new(Socket {
            network: self.clone(),
            address,
            power: power.clone(),
        })
    }

    /// Changes how the link from one address to another behaves; the way back is another link.
    pub fn change(
        &self,
        (from, to): (SocketAddr, SocketAddr),
        change: impl FnOnce(&mut Conditions),
    ) {
        change(&mut self.state().link(from, to).conditions);
    }

    /// All links are good again.
    pub fn heal(&self) {
        let mut state = self.state();
        let links = state.links.values_mut();
        links.for_each(|link| link.conditions = Conditions::GOOD);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Network")
    }
}

impl State {
    fn link(&mut self, from: SocketAddr, to: SocketAddr) -> &mut LinkModel {
        let seed = self.seed;
        self.links.entry((from, to)).or_insert_with(|| {
            let mut hasher = DefaultHasher::new();
            (seed, from, to).hash(&mut hasher);
            LinkModel::new(hasher.finish(), Conditions::GOOD)
        })
    }

    fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let now = self.start.elapsed();
        let name = |address: SocketAddr| address.to_string();
        self.trace.datagram(&name(from), &name(to), bytes.len());
        let passage = self.link(from, to).carry(now, bytes);
        for fault in passage.faults {
            self.trace.fired(fault.into());
        }
        let Some(inbox) = self.inboxes.get_mut(&to) else {
            return;
        };
        for delivery in passage.deliveries {
            let bytes = delivery.bytes;
            let key = (delivery.at, self.delivered);
            self.delivered += 1;
            inbox.waiting.insert(key, Datagram { from, bytes });
        }
        if let Some(waker) = inbox.waker.take() {
            waker.wake();
        }
    }
}

impl Inbox {
    fn poll(&mut self, start: Instant, context: &mut Context<'_>) -> Poll<Datagram> {
        self.waker = Some(context.waker().clone());
        loop {
            let Some(next) = self.waiting.first_entry() else {
                return Poll::Pending;
            };
            let due = start + next.key().0;
            if due <= Instant::now() {
                return Poll::Ready(next.remove());
            }
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
            timer.as_mut().reset(due);
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

struct Socket {
    network: Network,
    address: SocketAddr,
    power: Power,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socket({})", self.address)
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if !self.power.is_on() {
            return Ok(());
        }
        let mut state = self.network.state();
        let segment = transmit.segment_size.unwrap_or(transmit.contents.len());
        for bytes in transmit.contents.chunks(segment.max(1)) {
            state.send(self.address, transmit.destination, bytes);
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        // Without power the inbox belongs to the next socket at this address, and nobody wakes this one again.
        if !self.power.is_on() {
            return Poll::Pending;
        }
        let mut state = self.network.state();
        let start = state.start;
        let Some(inbox) = state.inboxes.get_mut(&self.address) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let (Some(buffer), Some(meta)) = (buffers.first_mut(), metas.first_mut()) else {
            return Poll::Ready(Ok(0));
        };
        inbox.poll(start, context).map(|Datagram { from, bytes }| {
            let length = bytes.len().min(buffer.len());
            buffer[..length].copy_from_slice(&bytes[..length]);
            *meta = RecvMeta::default();
            (meta.addr, meta.len, meta.stride) = (from, length, length);
            Ok(1)
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
