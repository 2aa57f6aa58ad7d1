//! The joint's connection and streams, on top of a shared link.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::link::{Direction, End, Ending, StreamId};
use crate::error::TransportError;
use crate::joint::{
    Connection, ConnectionStats, DROPPED_CODE, ReadExact, RecvStream, SendStream, Side,
};
use crate::key::{ExporterValue, TransportKey};

#[derive(Debug)]
pub(super) struct MemoryConnection {
    end: Arc<End>,
}

impl MemoryConnection {
    pub(super) fn boxed(end: End) -> Box<dyn Connection> {
        Box::new(Self { end: Arc::new(end) })
    }

    async fn open(&self, direction: Direction) -> Result<StreamId, TransportError> {
        let side = self.end.side;
        let opened = self.end.link.wait(|state| match state.end_for(side) {
            Some(error) => Some(Err(error)),
            None => state.open(side, direction).map(Ok),
        });
        opened.await
    }

    async fn accept(&self, direction: Direction) -> Result<StreamId, TransportError> {
        let side = self.end.side;
        let accepted = self.end.link.wait(|state| match state.end_for(side) {
            Some(error) => Some(Err(error)),
            None => state.accept(side.peer(), direction).map(Ok),
        });
        accepted.await
    }

    fn send(&self, id: StreamId) -> Box<dyn SendStream> {
        Box::new(MemorySendStream {
            end: Arc::clone(&self.end),
            id,
            ended: false,
        })
    }

    fn receive(&self, id: StreamId) -> Box<dyn RecvStream> {
        Box::new(MemoryRecvStream {
            end: Arc::clone(&self.end),
            id,
            ended: None,
        })
    }
}

#[async_trait]
impl Connection for MemoryConnection {
    fn peer_key(&self) -> TransportKey {
        self.end.peer_key
    }

    fn exporter(&self) -> &ExporterValue {
        &self.end.exporter
    }

    fn side(&self) -> Side {
        self.end.side
    }

    fn remote_address(&self) -> String {
        self.end.link.name(self.end.side.peer())
    }

    async fn open_bi(&self) -> Result<(Box<dyn SendStream>, Box<dyn RecvStream>), TransportError> {
        let id = self.open(Direction::Bi).await?;
        Ok((self.send(id), self.receive(id)))
    }

    async fn accept_bi(
        &self,
    ) -> Result<(Box<dyn SendStream>, Box<dyn RecvStream>), TransportError> {
        let id = self.accept(Direction::Bi).await?;
        Ok((self.send(id), self.receive(id)))
    }

    async fn open_uni(&self) -> Result<Box<dyn SendStream>, TransportError> {
        self.open(Direction::Uni).await.map(|id| self.send(id))
    }

    async fn accept_uni(&self) -> Result<Box<dyn RecvStream>, TransportError> {
        self.accept(Direction::Uni).await.map(|id| self.receive(id))
    }

    fn allow_streams(&self, bi: u32, uni: u32) {
        let peer = self.end.side.peer();
        self.end.link.update(|state| {
            state.allow(peer, Direction::Bi, bi);
            state.allow(peer, Direction::Uni, uni);
        });
    }

    fn close(&self, code: u32, reason: &str) {
        self.end.link.close(self.end.side, code, reason);
    }

    async fn closed(&self) -> TransportError {
        let side = self.end.side;
        self.end.link.wait(|state| state.end_for(side)).await
    }

    fn stats(&self) -> ConnectionStats {
        let side = self.end.side;
        self.end.link.look(|state| ConnectionStats {
            udp_sent_bytes: state.sent(side),
            udp_received_bytes: state.sent(side.peer()),
            mtu_probe_sent_bytes: 0,
            round_trip: Duration::ZERO,
        })
    }
}

#[derive(Debug)]
struct MemorySendStream {
    end: Arc<End>,
    id: StreamId,
    ended: bool,
}

impl MemorySendStream {
    fn end(&mut self, ending: Ending) -> Result<(), TransportError> {
        if std::mem::replace(&mut self.ended, true) {
            return Err(TransportError::StreamClosed);
        }
        self.end
            .link
            .update(|state| state.end(self.id, self.end.side, ending));
        Ok(())
    }
}

#[async_trait]
impl SendStream for MemorySendStream {
    async fn write_all(&mut self, bytes: &[u8]) -> Result<(), TransportError> {
        if self.ended {
            return Err(TransportError::StreamClosed);
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let written = self
                .end
                .link
                .wait(|state| state.write(self.id, self.end.side, rest));
            rest = rest.get(written.await?..).unwrap_or_default();
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), TransportError> {
        self.end(Ending::Finished)
    }

    fn reset(&mut self, code: u32) -> Result<(), TransportError> {
        self.end(Ending::Reset(code))
    }
}

impl Drop for MemorySendStream {
    fn drop(&mut self) {
        if !self.ended {
            self.end
                .link
                .update(|s| s.end(self.id, self.end.side, Ending::Reset(DROPPED_CODE)));
        }
        self.end.link.update(|state| state.release(self.id));
    }
}

#[derive(Debug)]
struct MemoryRecvStream {
    end: Arc<End>,
    id: StreamId,
    /// How reading ended, once it has; said again to whoever asks again.
    ended: Option<Result<ReadExact, TransportError>>,
}

impl MemoryRecvStream {
    async fn read(&self, buffer: &mut [u8]) -> Result<usize, TransportError> {
        let (side, id) = (self.end.side, self.id);
        let read = self.end.link.wait(|state| match state.end_for(side) {
            Some(error) => Some(Err(error)),
            None => state.pipe(id, side.peer())?.read(buffer),
        });
        read.await
    }

    async fn fill(&self, buffer: &mut [u8]) -> Result<ReadExact, TransportError> {
        let expected = buffer.len();
        let mut received = 0;
        while let Some(rest) = buffer.get_mut(received..).filter(|rest| !rest.is_empty()) {
            match (self.read(rest).await?, received) {
                (0, 0) => return Ok(ReadExact::Finished),
                (0, _) => return Err(TransportError::Truncated { expected, received }),
                (count, _) => received += count,
            }
        }
        Ok(ReadExact::Filled)
    }
}

#[async_trait]
impl RecvStream for MemoryRecvStream {
    async fn read_exact(&mut self, buffer: &mut [u8]) -> Result<ReadExact, TransportError> {
        if buffer.is_empty() {
            return Ok(ReadExact::Filled);
        }
        if let Some(ended) = &self.ended {
            return ended.clone();
        }
        let outcome = self.fill(buffer).await;
        if outcome != Ok(ReadExact::Filled) {
            self.ended = Some(outcome.clone());
        }
        outcome
    }

    fn stop(&mut self, code: u32) -> Result<(), TransportError> {
        if self.ended.is_some() {
            return Err(TransportError::StreamClosed);
        }
        self.ended = Some(Err(TransportError::StreamClosed));
        self.end
            .link
            .update(|state| state.stop(self.id, self.end.side, code));
        Ok(())
    }
}

impl Drop for MemoryRecvStream {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.end
                .link
                .update(|state| state.stop(self.id, self.end.side, DROPPED_CODE));
        }
        self.end.link.update(|state| state.release(self.id));
    }
}
