//! Somebody between a node and its transport who has no keys, and repeats what was sent: what the seals of a session are
//! for, beyond those of QUIC.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use causality_transport::{
    Connection, ConnectionStats, CrossDomainTransport, ExporterValue, RecvStream, SendStream, Side,
    TransportError, TransportKey,
};

use crate::happening::Happening;
use crate::trace::Trace;

/// Whether the meddler strikes next time. A handle: clones are the same meddler.
#[derive(Clone, Debug, Default)]
pub struct Meddler(Arc<AtomicBool>);

impl Meddler {
    /// The next frames that the node sends on a feed go out twice.
    pub fn repeat_next(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A transport behind which a meddler sits.
#[derive(Debug)]
pub struct Meddled<T> {
    transport: T,
    meddler: Meddler,
    trace: Trace,
}

impl<T: CrossDomainTransport> Meddled<T> {
    /// The transport, with the meddler behind it.
    pub fn new(transport: T, meddler: Meddler, trace: Trace) -> Self {
        Self {
            transport,
            meddler,
            trace,
        }
    }

    fn connection(&self, connection: Box<dyn Connection>) -> Box<dyn Connection> {
        Box::new(MeddledConnection {
            connection,
            meddler: self.meddler.clone(),
            trace: self.trace.clone(),
        })
    }
}

#[async_trait]
impl<T: CrossDomainTransport> CrossDomainTransport for Meddled<T> {
    async fn connect(&self, address: &str) -> Result<Box<dyn Connection>, TransportError> {
        let connection = self.transport.connect(address).await?;
        Ok(self.connection(connection))
    }

    async fn accept(&self) -> Result<Box<dyn Connection>, TransportError> {
        let connection = self.transport.accept().await?;
        Ok(self.connection(connection))
    }

    fn local_address(&self) -> String {
        self.transport.local_address()
    }

    async fn close(&self) {
        self.transport.close().await;
    }
}

#[derive(Debug)]
struct MeddledConnection {
    connection: Box<dyn Connection>,
    meddler: Meddler,
    trace: Trace,
}

#[async_trait]
impl Connection for MeddledConnection {
    fn peer_key(&self) -> TransportKey {
        self.connection.peer_key()
    }

    fn exporter(&self) -> &ExporterValue {
        self.connection.exporter()
    }

    fn side(&self) -> Side {
        self.connection.side()
    }

    fn remote_address(&self) -> String {
        self.connection.remote_address()
    }

    async fn open_bi(&self) -> Result<(Box<dyn SendStream>, Box<dyn RecvStream>), TransportError> {
        self.connection.open_bi().await
    }

    async fn accept_bi(
        &self,
    ) -> Result<(Box<dyn SendStream>, Box<dyn RecvStream>), TransportError> {
        self.connection.accept_bi().await
    }

    async fn open_uni(&self) -> Result<Box<dyn SendStream>, TransportError> {
        Ok(Box::new(MeddledStream {
            stream: self.connection.open_uni().await?,
            meddler: self.meddler.clone(),
            trace: self.trace.clone(),
        }))
    }

    async fn accept_uni(&self) -> Result<Box<dyn RecvStream>, TransportError> {
        self.connection.accept_uni().await
    }

    fn allow_streams(&self, bi: u32, uni: u32) {
        self.connection.allow_streams(bi, uni);
    }

    fn close(&self, code: u32, reason: &str) {
        self.connection.close(code, reason);
    }

    async fn closed(&self) -> TransportError {
        self.connection.closed().await
    }

    fn stats(&self) -> ConnectionStats {
        self.connection.stats()
    }
}

#[derive(Debug)]
struct MeddledStream {
    stream: Box<dyn SendStream>,
    meddler: Meddler,
    trace: Trace,
}

#[async_trait]
impl SendStream for MeddledStream {
    async fn write_all(&mut self, bytes: &[u8]) -> Result<(), TransportError> {
        self.stream.write_all(bytes).await?;
        // The number of the stream is one byte; what is longer is whole frames.
        if bytes.len() > 1 && self.meddler.0.swap(false, Ordering::Relaxed) {
            self.trace.fired(Happening::FramesRepeated);
            self.stream.write_all(bytes).await?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), TransportError> {
        self.stream.finish()
    }

    fn reset(&mut self, code: u32) -> Result<(), TransportError> {
        self.stream.reset(code)
    }
}
