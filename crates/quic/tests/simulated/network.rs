//! Datagrams between endpoints of one process, on tokio's paused clock: every one takes the same
//! time, some are lost, directions can be cut, sockets can break.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::time::{Instant, Sleep, sleep_until};

/// Time from one endpoint to another.
pub(crate) const DELAY: Duration = Duration::from_millis(10);

#[derive(Clone, Debug)]
pub(crate) struct Network(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    start: Instant,
    inboxes: BTreeMap<SocketAddr, Inbox>,
    cut: BTreeSet<(SocketAddr, SocketAddr)>,
    lost_one_in: usize,
    trace: Vec<Sent>,
}

/// One datagram, lost ones included: how long after the start of the network, and how many bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) at: Duration,
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) length: usize,
}

#[derive(Debug, Default)]
struct Inbox {
    broken: bool,
    waiting: VecDeque<Datagram>,
    timer: Option<Pin<Box<Sleep>>>,
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Datagram {
    due: Instant,
    from: SocketAddr,
    bytes: Vec<u8>,
}

impl Network {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            start: Instant::now(),
            inboxes: BTreeMap::new(),
            cut: BTreeSet::new(),
            lost_one_in: usize::MAX,
            trace: Vec::new(),
        })))
    }

    /// A fresh socket at the address; what the former one there had not read is lost.
    pub(crate) fn socket(&self, address: SocketAddr) -> Arc<dyn AsyncUdpSocket> {
        self.lock().inboxes.insert(address, Inbox::default());
        Arc::new(Socket {
            network: self.clone(),
            address,
        })
    }

    /// From now on nothing gets from one address to the other.
    pub(crate) fn cut(&self, from: SocketAddr, to: SocketAddr) {
        self.lock().cut.insert((from, to));
    }

    /// From now on every so manieth datagram is lost.
    pub(crate) fn lose_one_in(&self, count: usize) {
        self.lock().lost_one_in = count;
    }

    /// From now on the socket at the address fails.
    pub(crate) fn break_socket(&self, address: SocketAddr) {
        let mut state = self.lock();
        let inbox = state.inboxes.get_mut(&address).expect("there is a socket");
        inbox.broken = true;
        if let Some(waker) = inbox.waker.take() {
            waker.wake();
        }
    }

    pub(crate) fn trace(&self) -> Vec<Sent> {
        self.lock().trace.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0
            .lock()
            .expect("no test panics while it holds the network")
    }
}

impl State {
    fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let now = Instant::now();
        self.trace.push(Sent {
            at: now - self.start,
            from,
            to,
            length: bytes.len(),
        });
        let lost = self.trace.len().is_multiple_of(self.lost_one_in);
        if lost || self.cut.contains(&(from, to)) {
            return;
        }
        if let Some(inbox) = self.inboxes.get_mut(&to) {
            inbox.waiting.push_back(Datagram {
                due: now + DELAY,
                from,
                bytes: bytes.to_vec(),
            });
            if let Some(waker) = inbox.waker.take() {
                waker.wake();
            }
        }
    }
}

impl Inbox {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Datagram>> {
        if self.broken {
            return Poll::Ready(Err(io::Error::other("the cable is cut")));
        }
        self.waker = Some(context.waker().clone());
        loop {
            let Some(due) = self.waiting.front().map(|datagram| datagram.due) else {
                return Poll::Pending;
            };
            if due <= Instant::now() {
                return Poll::Ready(
                    self.waiting
                        .pop_front()
                        .ok_or(io::ErrorKind::NotFound.into()),
                );
            }
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
            timer.as_mut().reset(due);
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

#[derive(Debug)]
struct Socket {
    network: Network,
    address: SocketAddr,
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let mut state = self.network.lock();
        let segment = transmit
            .segment_size
            .unwrap_or(transmit.contents.len())
            .max(1);
        for bytes in transmit.contents.chunks(segment) {
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
        let mut state = self.network.lock();
        let inbox = state
            .inboxes
            .get_mut(&self.address)
            .expect("the socket made its inbox");
        let (Some(buffer), Some(meta)) = (buffers.first_mut(), metas.first_mut()) else {
            return Poll::Ready(Ok(0));
        };
        inbox.poll(context).map_ok(|Datagram { from, bytes, .. }| {
            buffer[..bytes.len()].copy_from_slice(&bytes);
            *meta = RecvMeta::default();
            (meta.addr, meta.len, meta.stride) = (from, bytes.len(), bytes.len());
            1
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
