//! Names, endpoints, and the meeting of a dialler with an acceptor.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use tokio::sync::Notify;

use super::link::{End, Link};
use super::stream::MemoryConnection;
use crate::error::TransportError;
use crate::joint::{Connection, CrossDomainTransport, DROPPED_CODE, Side};
use crate::key::TransportKey;

/// A network inside one process, for tests and simulations.
///
/// Exporter values and the diallers' keys follow from the seed: distinct, repeatable, and no secret
/// at all.
#[derive(Clone)]
pub struct MemoryNetwork {
    directory: Arc<Mutex<Directory>>,
}

struct Directory {
    seed: u64,
    links: u64,
    desks: BTreeMap<String, Arc<Desk>>,
}

/// Where the connections of one endpoint arrive.
struct Desk {
    name: String,
    key: TransportKey,
    state: Mutex<DeskState>,
    changed: Notify,
}

#[derive(Default)]
struct DeskState {
    closed: bool,
    arrived: VecDeque<End>,
    links: Vec<Weak<Link>>,
}

impl MemoryNetwork {
    /// An empty network whose connections draw from `seed`.
    pub fn new(seed: u64) -> Self {
        let directory = Directory {
            seed,
            links: 0,
            desks: BTreeMap::new(),
        };
        Self {
            directory: Arc::new(Mutex::new(directory)),
        }
    }

    /// An endpoint that listens under `name` and proves `key` to whoever dials it.
    ///
    /// # Errors
    /// `AddressInvalid` for an empty name, `BindFailed` when an open endpoint has it.
    pub fn endpoint(
        &self,
        name: &str,
        key: TransportKey,
    ) -> Result<MemoryTransport, TransportError> {
        let address = name.to_owned();
        if name.is_empty() {
            return Err(TransportError::AddressInvalid {
                address,
                reason: "empty name".into(),
            });
        }
        let mut directory = self.lock();
        if directory.desks.contains_key(name) {
            return Err(TransportError::BindFailed {
                address,
                reason: "name in use".into(),
            });
        }
        let desk = Desk::new(address, key);
        directory.desks.insert(name.to_owned(), Arc::clone(&desk));
        Ok(MemoryTransport {
            network: self.clone(),
            desk,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Directory> {
        self.directory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryNetwork")
            .field("names", &self.lock().desks.keys())
            .finish()
    }
}

impl Directory {
    /// 32 bytes that differ for every link and purpose.
    fn draw(&self, purpose: u64) -> [u8; 32] {
        let mut state = split_mix(self.seed ^ split_mix(self.links ^ split_mix(purpose)));
        let mut bytes = [0; 32];
        for word in bytes.chunks_exact_mut(8) {
            state = split_mix(state);
            word.copy_from_slice(&state.to_le_bytes());
        }
        bytes
    }
}

/// One step of SplitMix64 (Steele, Lea, Flood 2014): a bijection that mixes well.
fn split_mix(state: u64) -> u64 {
    let mixed = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl Desk {
    fn new(name: String, key: TransportKey) -> Arc<Self> {
        Arc::new(Self {
            name,
            key,
            state: Mutex::default(),
            changed: Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, DeskState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Remembers a link so that closing the endpoint closes it.
    fn own(&self, link: &Arc<Link>) {
        let mut state = self.lock();
        state.links.retain(|known| known.strong_count() > 0);
        state.links.push(Arc::downgrade(link));
    }

    fn arrive(&self, end: End) -> Result<(), TransportError> {
        let mut state = self.lock();
        if state.closed {
            return Err(unreachable(&self.name));
        }
        if state.arrived.len() >= ACCEPT_BACKLOG_MAX {
            let reason = format!("{ACCEPT_BACKLOG_MAX} connections wait to be accepted");
            return Err(TransportError::Refused { reason });
        }
        state.arrived.push_back(end);
        self.changed.notify_waiters();
        Ok(())
    }

    fn take(&self) -> Option<Result<End, TransportError>> {
        let mut state = self.lock();
        if state.closed {
            return Some(Err(TransportError::Closed));
        }
        state.arrived.pop_front().map(Ok)
    }

    /// Closes the endpoint; the ends are dropped outside the lock, since that closes them.
    fn close(&self) {
        let (arrived, links) = {
            let mut state = self.lock();
            state.closed = true;
            (
                std::mem::take(&mut state.arrived),
                std::mem::take(&mut state.links),
            )
        };
        drop(arrived);
        for link in links.iter().filter_map(Weak::upgrade) {
            link.close(link.side_of(&self.name), DROPPED_CODE, "");
        }
        self.changed.notify_waiters();
    }
}

fn unreachable(name: &str) -> TransportError {
    let reason = "nobody listens under this name".into();
    TransportError::Unreachable {
        address: name.to_owned(),
        reason,
    }
}

/// One endpoint of a [`MemoryNetwork`].
pub struct MemoryTransport {
    network: MemoryNetwork,
    desk: Arc<Desk>,
}

impl MemoryTransport {
    /// Makes both ends of a new link and leaves the far one at the peer's desk.
    fn dial(&self, name: &str) -> Result<End, TransportError> {
        let mut directory = self.network.lock();
        let Some(peer) = directory.desks.get(name).map(Arc::clone) else {
            return Err(unreachable(name));
        };
        directory.links = directory.links.wrapping_add(1);
        let link = Arc::new(Link::new([self.desk.name.clone(), peer.name.clone()]));
        let exporter = directory.draw(PURPOSE_EXPORTER);
        let dialler_key = TransportKey::new(directory.draw(PURPOSE_DIALLER_KEY));
        drop(directory);
        self.desk.own(&link);
        peer.own(&link);
        peer.arrive(End::new(&link, Side::Acceptor, dialler_key, exporter))?;
        Ok(End::new(&link, Side::Dialler, peer.key, exporter))
    }

    fn leave(&self) {
        let mut directory = self.network.lock();
        if directory
            .desks
            .get(&self.desk.name)
            .is_some_and(|desk| Arc::ptr_eq(desk, &self.desk))
        {
            directory.desks.remove(&self.desk.name);
        }
        drop(directory);
        self.desk.close();
    }
}

#[async_trait]
impl CrossDomainTransport for MemoryTransport {
    async fn connect(&self, address: &str) -> Result<Box<dyn Connection>, TransportError> {
        if self.desk.is_closed() {
            return Err(TransportError::Closed);
        }
        if address.is_empty() {
            let reason = "empty name".into();
            return Err(TransportError::AddressInvalid {
                address: String::new(),
                reason,
            });
        }
        self.dial(address).map(MemoryConnection::boxed)
    }

    async fn accept(&self) -> Result<Box<dyn Connection>, TransportError> {
        loop {
            let changed = self.desk.changed.notified();
            if let Some(taken) = self.desk.take() {
                return taken.map(MemoryConnection::boxed);
            }
            changed.await;
        }
    }

    fn local_address(&self) -> String {
        self.desk.name.clone()
    }

    async fn close(&self) {
        self.leave();
    }
}

impl Drop for MemoryTransport {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for MemoryTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTransport")
            .field("name", &self.desk.name)
            .finish_non_exhaustive()
    }
}

/// Connections that may wait at an endpoint to be accepted; further diallers are refused.
pub const ACCEPT_BACKLOG_MAX: usize = 64;

const PURPOSE_EXPORTER: u64 = 1;
const PURPOSE_DIALLER_KEY: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> TransportKey {
        TransportKey::new([byte; 32])
    }

    #[test]
    fn an_empty_name_is_no_address() {
        let empty = MemoryNetwork::new(1).endpoint("", key(1)).unwrap_err();
        assert!(
            matches!(empty, TransportError::AddressInvalid { .. }),
            "{empty}"
        );
    }

    #[tokio::test]
    async fn dialling_an_empty_name_is_the_callers_mistake() {
        let amber = MemoryNetwork::new(1).endpoint("amber", key(1)).unwrap();
        let error = amber.connect("").await.unwrap_err();
        assert!(
            matches!(error, TransportError::AddressInvalid { .. }),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_name_in_use_cannot_be_bound_and_is_free_after_close() {
        let network = MemoryNetwork::new(1);
        let first = network.endpoint("amber", key(1)).unwrap();
        let second = network.endpoint("amber", key(2)).unwrap_err();
        assert!(
            matches!(second, TransportError::BindFailed { .. }),
            "{second}"
        );
        first.close().await;
        let third = network.endpoint("amber", key(3)).unwrap();
        drop(first);
        assert!(
            third.connect("amber").await.is_ok(),
            "the old owner took the name along"
        );
    }

    #[tokio::test]
    async fn diallers_beyond_the_backlog_are_refused() {
        let network = MemoryNetwork::new(1);
        let amber = network.endpoint("amber", key(1)).unwrap();
        let basil = network.endpoint("basil", key(2)).unwrap();
        let mut waiting = Vec::new();
        for _ in 0..ACCEPT_BACKLOG_MAX {
            waiting.push(amber.connect("basil").await.unwrap());
        }
        let error = amber.connect("basil").await.unwrap_err();
        assert!(matches!(error, TransportError::Refused { .. }), "{error}");
        basil.accept().await.unwrap();
        assert!(amber.connect("basil").await.is_ok());
    }

    #[tokio::test]
    async fn an_equal_seed_yields_equal_exporters_and_another_seed_others() {
        async fn exporter(seed: u64) -> [u8; 32] {
            let network = MemoryNetwork::new(seed);
            let amber = network.endpoint("amber", key(1)).unwrap();
            let _basil = network.endpoint("basil", key(2)).unwrap();
            *amber.connect("basil").await.unwrap().exporter().as_bytes()
        }
        assert_eq!(exporter(1).await, exporter(1).await);
        assert_ne!(exporter(1).await, exporter(2).await);
    }
}
