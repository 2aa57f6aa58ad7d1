//! The two halves of a stream.

use async_trait::async_trait;
use causality_transport::{DROPPED_CODE, ReadExact, RecvStream, SendStream, TransportError};

use crate::error;

#[derive(Debug)]
pub(crate) struct QuicSendStream {
    stream: quinn::SendStream,
    ended: bool,
}

impl QuicSendStream {
    pub(crate) fn boxed(stream: quinn::SendStream) -> Box<dyn SendStream> {
        Box::new(Self {
            stream,
            ended: false,
        })
    }

    /// Marks the end; fails when there was one.
    fn end(&mut self) -> Result<(), TransportError> {
        let before = std::mem::replace(&mut self.ended, true);
        if before {
            Err(TransportError::StreamClosed)
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl SendStream for QuicSendStream {
    async fn write_all(&mut self, bytes: &[u8]) -> Result<(), TransportError> {
        if self.ended {
            return Err(TransportError::StreamClosed);
        }
        self.stream.write_all(bytes).await.map_err(error::write)
    }

    fn finish(&mut self) -> Result<(), TransportError> {
        self.end()?;
        // It fails only on a stream that has ended, which `end` has just ruled out.
        let _ = self.stream.finish();
        Ok(())
    }

    fn reset(&mut self, code: u32) -> Result<(), TransportError> {
        self.end()?;
        let _ = self.stream.reset(code.into());
        Ok(())
    }
}

impl Drop for QuicSendStream {
    /// quinn would finish the stream, and a message abandoned halfway would look complete.
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.stream.reset(DROPPED_CODE.into());
        }
    }
}

/// quinn itself stops the stream when it is dropped before its end.
#[derive(Debug)]
pub(crate) struct QuicRecvStream {
    stream: quinn::RecvStream,
    /// How reading ended, once it has; said again to whoever asks again.
    ended: Option<Result<ReadExact, TransportError>>,
}

impl QuicRecvStream {
    pub(crate) fn boxed(stream: quinn::RecvStream) -> Box<dyn RecvStream> {
        Box::new(Self {
            stream,
            ended: None,
        })
    }
}

#[async_trait]
impl RecvStream for QuicRecvStream {
    async fn read_exact(&mut self, buffer: &mut [u8]) -> Result<ReadExact, TransportError> {
        if buffer.is_empty() {
            return Ok(ReadExact::Filled);
        }
        if let Some(ended) = &self.ended {
            return ended.clone();
        }
        let Err(failed) = self.stream.read_exact(buffer).await else {
            return Ok(ReadExact::Filled);
        };
        let ended = error::read(failed, buffer.len()).map_or(Ok(ReadExact::Finished), Err);
        self.ended.insert(ended).clone()
    }

    fn stop(&mut self, code: u32) -> Result<(), TransportError> {
        if self.ended.is_some() {
            return Err(TransportError::StreamClosed);
        }
        self.ended = Some(Err(TransportError::StreamClosed));
        // It fails only on a stream whose end quinn has seen; there is nothing left to stop then.
        let _ = self.stream.stop(code.into());
        Ok(())
    }
}
