//! The command `metrics`, and the answers that a daemon gives to monitoring systems: one page over HTTP/1.1
//! ([RFC 9112](https://www.rfc-editor.org/rfc/rfc9112)), and no more than that.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use causality_node::OPENMETRICS_TYPE;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use crate::control::not_taken;
use crate::exit::Failure;
use crate::handler::{Context, done, send};
use crate::protocol::{Reply, Summary};

/// How many connections are answered at once. Others wait in the queue of the system.
const CONNECTIONS_MAX: usize = 8;
/// How long a request may be, with its headers.
const REQUEST_BYTES_MAX: usize = 8192;
/// How long a connection may take from its beginning to its end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Prints what is counted here.
pub(crate) async fn metrics(
    context: &Context,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let text = context.node.openmetrics().await?;
    send(replies, Reply::Bytes(text.into_bytes())).await?;
    done(replies, Summary::Nothing).await
}

/// Listens for monitoring systems.
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind(address).await;
    let listener = listener
        .map_err(|error| Failure::io(format_args!("--metrics: listening on {address}"), &error))?;
    let at = listener.local_addr().unwrap_or(address);
    if at.ip().is_loopback() {
        tracing::info!("metrics at http://{at}/metrics");
    } else {
        tracing::warn!(
            "metrics at http://{at}/metrics, for everybody who reaches this address: they name peers and logs"
        );
    }
    Ok(listener)
}

/// Answers monitoring systems until it is dropped.
pub(crate) async fn serve(listener: TcpListener, context: Arc<Context>) -> Infallible {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            unreachable!("the semaphore is never closed")
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let context = Arc::clone(&context);
                tokio::spawn(async move {
                    // Whoever takes too long, or goes away, gets no answer.
                    let _ = timeout(PATIENCE, answer(stream, &context)).await;
                    drop(permit);
                });
            }
            Err(error) => not_taken("a monitoring system", &error).await,
        }
    }
}

async fn answer(mut stream: TcpStream, context: &Context) -> std::io::Result<()> {
    let head = read_head(&mut stream).await?;
    let answer = match Asked::read(&head) {
        Err(refused) => refused.to_owned().into_bytes(),
        Ok(asked) => match context.node.openmetrics().await {
            Ok(text) => page(asked, &text),
            Err(error) => {
                tracing::warn!(%error, "there are no metrics");
                UNAVAILABLE.to_owned().into_bytes()
            }
        },
    };
    stream.write_all(&answer).await?;
    stream.shutdown().await
}

/// Reads up to the empty line behind the headers, or as much as a request may have.
async fn read_head(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(1024);
    while !ends_head(&head) && head.len() < REQUEST_BYTES_MAX {
        let rest = (REQUEST_BYTES_MAX - head.len()) as u64;
        if (&mut *stream).take(rest).read_buf(&mut head).await? == 0 {
            break;
        }
    }
    Ok(head)
}

fn ends_head(head: &[u8]) -> bool {
    head.windows(4).any(|four| four == b"\r\n\r\n")
}

/// What is asked for: the page, or what would be said before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Page,
    Head,
}

const BAD: &str = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const NOT_ALLOWED: &str = "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const UNAVAILABLE: &str =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

impl Asked {
    /// Reads the head of a request; otherwise the answer that says what is wrong with it.
    fn read(head: &[u8]) -> Result<Self, &'static str> {
        let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let words: Vec<_> = line.split(|byte| *byte == b' ').collect();
        let [method, target, b"HTTP/1.1" | b"HTTP/1.0"] = words[..] else {
            return Err(BAD);
        };
        if !ends_head(head) {
            return Err(BAD);
        }
        if target.split(|byte| *byte == b'?').next() != Some(b"/metrics") {
            return Err(NOT_FOUND);
        }
        match method {
            b"GET" => Ok(Self::Page),
            b"HEAD" => Ok(Self::Head),
            _ => Err(NOT_ALLOWED),
        }
    }
}

fn page(asked: Asked, text: &str) -> Vec<u8> {
    let length = text.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {OPENMETRICS_TYPE}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    let body = if asked == Asked::Page { text } else { "" };
    (head + body).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_for_the_page_or_is_told_what_is_wrong() {
        for (head, expected) in [
            ("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", Ok(Asked::Page)),
            ("GET /metrics?x=1 HTTP/1.0\r\n\r\n", Ok(Asked::Page)),
            ("HEAD /metrics HTTP/1.1\r\n\r\n", Ok(Asked::Head)),
            ("POST /metrics HTTP/1.1\r\n\r\n", Err(NOT_ALLOWED)),
            ("GET / HTTP/1.1\r\n\r\n", Err(NOT_FOUND)),
            ("GET /metrics/x HTTP/1.1\r\n\r\n", Err(NOT_FOUND)),
            ("GET /metrics HTTP/2\r\n\r\n", Err(BAD)),
            ("GET /metrics HTTP/1.1\r\nHost: a\r\n", Err(BAD)),
            ("GET  /metrics HTTP/1.1\r\n\r\n", Err(BAD)),
            ("\u{16}\u{3}\u{1}", Err(BAD)),
            ("", Err(BAD)),
        ] {
            assert_eq!(Asked::read(head.as_bytes()), expected, "{head:?}");
        }
    }

    #[test]
    fn a_head_is_the_page_without_its_text() {
        let whole = String::from_utf8(page(Asked::Page, "# EOF\n")).unwrap();
        let head = String::from_utf8(page(Asked::Head, "# EOF\n")).unwrap();
        assert_eq!(whole.strip_suffix("# EOF\n"), Some(head.as_str()));
        assert!(head.contains("\r\nContent-Length: 6\r\n"), "{head}");
    }
}
