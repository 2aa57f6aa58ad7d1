//! The control socket: how commands reach the daemon of their home.
//!
//! A Unix domain socket `control` in the home, for its owner only. Both sides send frames: `u32` little-endian length of
//! what follows, a kind, the payload; JSON for requests, replies and failures, plain bytes for streams.

use std::convert::Infallible;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader, BufWriter,
};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use crate::exit::{ExitCode, Failure};
use crate::handler::{Context, handle};
use crate::home::Home;
use crate::protocol::{INPUT_QUEUE, REPLY_QUEUE, Reply, Request};

/// The most bytes of a frame behind its length.
pub(crate) const FRAME_BYTES_MAX: usize = 16 << 20;

/// How long nobody is listened to when a connection could not be taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// The longest path of a socket that every system takes.
const PATH_BYTES_MAX: usize = 100;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Request = 0,
    Input = 1,
    InputEnd = 2,
    Reply = 3,
    Bytes = 4,
    Failed = 5,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Request,
        Self::Input,
        Self::InputEnd,
        Self::Reply,
        Self::Bytes,
        Self::Failed,
    ];
}

/// Connects to the daemon of a home; `None` when there is none, also when one was killed and left its socket.
pub(crate) async fn connect(home: &Home) -> Result<Option<UnixStream>, Failure> {
    let path = home.socket_path();
    let Some(near) = Near::of(&path)? else {
        return Ok(None);
    };
    match UnixStream::connect(near.path()).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
            _ => Err(Failure::io(
                format_args!("the daemon at {}", path.display()),
                &error,
            )),
        },
    }
}

/// Opens the socket of a home whose store this process has open, so that whatever is there is a leftover.
pub(crate) fn listen(home: &Home) -> Result<Listener, Failure> {
    let path = home.socket_path();
    let failed = |error: io::Error| Failure::io(path.display(), &error);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let near = Near::of_parent(&path).map_err(failed)?;
    let listener = UnixListener::bind(near.path()).map_err(failed)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(Listener { listener, path })
}

/// The open socket; its file goes when this does.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Answers commands until it is dropped.
    pub(crate) async fn serve(&self, context: Arc<Context>) -> Infallible {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(answer(Arc::clone(&context), stream));
                }
                Err(error) => not_taken("a command", &error).await,
            }
        }
    }
}

/// A connection could not be taken, mostly since there are no descriptors of files left until others close theirs: says so,
/// and lets some time pass.
pub(crate) async fn not_taken(whose: &str, error: &io::Error) {
    tracing::warn!(%error, "a connection of {whose} could not be taken; trying again in {ACCEPT_PAUSE:?}");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

impl Drop for Listener {
    fn drop(&mut self) {
        // A leftover is recognised by whoever comes next.
        let _ = fs::remove_file(&self.path);
    }
}

/// A name for a socket that is short enough: its own, or one through a link that lives as long as this.
#[derive(Debug)]
struct Near {
    path: PathBuf,
    link: Option<PathBuf>,
}

impl Near {
    /// `None` when there is no such socket.
    fn of(path: &Path) -> Result<Option<Self>, Failure> {
        match fs::symlink_metadata(path) {
            Ok(_) => {
                let near = Self::of_parent(path);
                near.map(Some)
                    .map_err(|error| Failure::io(path.display(), &error))
            }
            Err(_) => Ok(None),
        }
    }

    fn of_parent(path: &Path) -> io::Result<Self> {
        let (Some(parent), Some(file)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if path.as_os_str().as_bytes().len() <= PATH_BYTES_MAX {
            return Ok(Self {
                path: path.to_owned(),
                link: None,
            });
        }
        let link = link_to(&parent.canonicalize()?)?;
        Ok(Self {
            path: link.join(file),
            link: Some(link),
        })
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Near {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            let _ = fs::remove_file(link);
        }
    }
}

/// Makes a link with a short name. Making one never follows or replaces what is there.
fn link_to(dir: &Path) -> io::Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("causality-{}-{number}", std::process::id());
        let link = std::env::temp_dir().join(name);
        match symlink(dir, &link) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| link),
        }
    }
}

/// Has the daemon execute a request: the same as [`handle`] in this process.
pub(crate) async fn call(
    stream: UnixStream,
    request: &Request,
    input: mpsc::Receiver<Vec<u8>>,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let (reader, writer) = stream.into_split();
    let (mut reader, mut writer) = (BufReader::new(reader), BufWriter::new(writer));
    write_json(&mut writer, Kind::Request, request)
        .await
        .map_err(lost)?;
    writer.flush().await.map_err(lost)?;
    let answered = receive(&mut reader, replies);
    tokio::pin!(answered);
    tokio::select! {
        // What went wrong with sending, the answer or its absence says better.
        answered = &mut answered => return answered,
        _ = send_input(&mut writer, input) => {}
    }
    answered.await
}

async fn send_input(
    writer: &mut (impl AsyncWrite + Unpin),
    mut input: mpsc::Receiver<Vec<u8>>,
) -> io::Result<()> {
    while let Some(bytes) = input.recv().await {
        write_frame(writer, Kind::Input, &bytes).await?;
        if input.is_empty() {
            writer.flush().await?;
        }
    }
    write_frame(writer, Kind::InputEnd, &[]).await?;
    writer.flush().await
}

async fn receive(
    reader: &mut (impl AsyncRead + Unpin),
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    loop {
        let reply = match read_frame(reader).await.map_err(lost)? {
            (Kind::Reply, payload) => parse(&payload)?,
            (Kind::Bytes, payload) => Reply::Bytes(payload),
            (Kind::Failed, payload) => return Err(parse(&payload)?),
            // The end, and no failure before it.
            (Kind::InputEnd, _) => return Ok(()),
            (kind, _) => return Err(other_version(format_args!("a frame of kind {kind:?}"))),
        };
        if replies.send(reply).await.is_err() {
            return Err(nobody_listens());
        }
    }
}

fn lost(error: io::Error) -> Failure {
    Failure::new(
        ExitCode::Other,
        format_args!("the daemon ended before the command did: {error}"),
    )
    .advise("look at what it said, and start it again with `causality serve`")
}

/// Whoever was to get the replies has gone; only this side sees the failure, if anybody.
pub(crate) fn nobody_listens() -> Failure {
    Failure::new(ExitCode::Other, "nobody takes the results")
}

fn other_version(what: impl std::fmt::Display) -> Failure {
    Failure::new(
        ExitCode::Other,
        format_args!("the daemon and this program do not understand each other: {what}"),
    )
    .advise("stop the daemon and start it again with this version of the program")
}

/// Executes the request of one client. One that goes away ends what it asked for.
async fn answer(context: Arc<Context>, stream: UnixStream) {
    let (reader, writer) = stream.into_split();
    let (mut reader, mut writer) = (BufReader::new(reader), BufWriter::new(writer));
    let request = match read_frame(&mut reader).await {
        Ok((Kind::Request, payload)) => parse::<Request>(&payload),
        Ok((kind, _)) => Err(other_version(format_args!("a frame of kind {kind:?}"))),
        Err(_) => return,
    };
    let (input, input_out) = mpsc::channel(INPUT_QUEUE);
    let (replies, replies_out) = mpsc::channel(REPLY_QUEUE);
    let work = async move {
        let result = match request {
            Ok(request) => handle(&context, request, input_out, &replies).await,
            Err(failure) => Err(failure),
        };
        drop(replies);
        result
    };
    let answered = async {
        let (result, sent) = tokio::join!(work, send_replies(&mut writer, replies_out));
        sent?;
        match result {
            Ok(()) => write_frame(&mut writer, Kind::InputEnd, &[]).await?,
            Err(failure) => write_json(&mut writer, Kind::Failed, &failure).await?,
        }
        writer.flush().await
    };
    tokio::select! {
        _ = answered => {}
        () = take_input(&mut reader, input) => tracing::info!("a command went away before its end"),
    }
}

/// Takes the input to its end, then waits for the client to go.
async fn take_input(reader: &mut (impl AsyncRead + Unpin), input: mpsc::Sender<Vec<u8>>) {
    let mut input = Some(input);
    while let Ok((kind, payload)) = read_frame(reader).await {
        match (kind, &input) {
            (Kind::Input, Some(open)) => {
                // A command that needs no more input still answers.
                let _ = open.send(payload).await;
            }
            (Kind::InputEnd, Some(_)) => input = None,
            _ => return,
        }
    }
}

async fn send_replies(
    writer: &mut (impl AsyncWrite + Unpin),
    mut replies: mpsc::Receiver<Reply>,
) -> io::Result<()> {
    while let Some(reply) = replies.recv().await {
        match reply {
            Reply::Bytes(bytes) => write_frame(writer, Kind::Bytes, &bytes).await?,
            reply => write_json(writer, Kind::Reply, &reply).await?,
        }
        if replies.is_empty() {
            writer.flush().await?;
        }
    }
    Ok(())
}

fn parse<T: for<'a> Deserialize<'a>>(payload: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(payload).map_err(other_version)
}

async fn write_json(
    writer: &mut (impl AsyncWrite + Unpin),
    kind: Kind,
    value: &impl Serialize,
) -> io::Result<()> {
    write_frame(writer, kind, &serde_json::to_vec(value)?).await
}

async fn write_frame(
    writer: &mut (impl AsyncWrite + Unpin),
    kind: Kind,
    payload: &[u8],
) -> io::Result<()> {
    let length = payload.len().saturating_add(1);
    let fits = u32::try_from(length)
        .ok()
        .filter(|_| length <= FRAME_BYTES_MAX);
    let length = fits.ok_or_else(|| too_long(length))?;
    writer.write_all(&length.to_le_bytes()).await?;
    writer.write_all(&[kind as u8]).await?;
    writer.write_all(payload).await
}

async fn read_frame(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<(Kind, Vec<u8>)> {
    let mut head = [0; 4];
    reader.read_exact(&mut head).await?;
    let length = usize::try_from(u32::from_le_bytes(head)).unwrap_or(usize::MAX);
    if length > FRAME_BYTES_MAX {
        return Err(too_long(length));
    }
    let code = reader.read_u8().await?;
    let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == code);
    let kind = kind.ok_or_else(|| io::Error::other(format!("unknown kind of frame {code}")))?;
    let mut payload = vec![0; length.saturating_sub(1)];
    reader.read_exact(&mut payload).await?;
    Ok((kind, payload))
}

fn too_long(length: usize) -> io::Error {
    io::Error::other(format!(
        "a frame of {length} bytes, the limit is {FRAME_BYTES_MAX}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_frame_survives_the_way() {
        for kind in Kind::ALL {
            let mut bytes = Vec::new();
            write_frame(&mut bytes, kind, b"payload").await.unwrap();
            let (read, payload) = read_frame(&mut bytes.as_slice()).await.unwrap();
            assert_eq!((read, payload.as_slice()), (kind, b"payload".as_slice()));
            bytes.pop();
            assert!(read_frame(&mut bytes.as_slice()).await.is_err());
        }
    }

    #[tokio::test]
    async fn frames_are_as_long_as_the_limit_and_no_longer() {
        let mut bytes = Vec::new();
        let most = vec![7; FRAME_BYTES_MAX - 1];
        write_frame(&mut bytes, Kind::Bytes, &most).await.unwrap();
        assert_eq!(read_frame(&mut bytes.as_slice()).await.unwrap().1, most);
        let above = write_frame(
            &mut Vec::new(),
            Kind::Bytes,
            &[most.as_slice(), b"x"].concat(),
        )
        .await;
        assert!(above.unwrap_err().to_string().contains("limit"));
        let length = u32::try_from(FRAME_BYTES_MAX + 1).unwrap();
        let head = [length.to_le_bytes().as_slice(), &[0]].concat();
        assert!(
            read_frame(&mut head.as_slice())
                .await
                .unwrap_err()
                .to_string()
                .contains("limit")
        );
        assert!(read_frame(&mut [1, 0, 0, 0, 99].as_slice()).await.is_err());
    }

    #[test]
    fn a_long_path_is_reached_through_a_short_link() {
        let folder = tempfile::tempdir().unwrap();
        let short = folder.path().join("control");
        assert!(Near::of_parent(&short).unwrap().link.is_none());
        let dir = folder.path().join("long".repeat(30));
        fs::create_dir(&dir).unwrap();
        let near = Near::of_parent(&dir.join("control")).unwrap();
        assert!(near.path().as_os_str().len() <= PATH_BYTES_MAX);
        fs::write(near.path(), "here").unwrap();
        assert!(dir.join("control").is_file());
        let link = near.link.clone().unwrap();
        drop(near);
        assert!(fs::symlink_metadata(link).is_err());
    }
}
