//! An app's stdout and stderr as this end sees them: lines, each with the moment of the write
//! that completed it.
//!
//! A SOCK_SEQPACKET socket keeps the app's writes apart, and with SO_TIMESTAMPNS the kernel
//! stamps each inside the app's own write() (unix_dgram_sendmsg), so the moment does not depend
//! on when this process gets to read. A pipe has neither: there the time of reading is taken.

use std::fs::File;
use std::io::{self, IoSliceMut, Write as _};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use nix::cmsg_space;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, setsockopt,
    socketpair, sockopt,
};
use nix::sys::time::TimeSpec;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};

use super::AppError;
use super::supervisor::AppEvent;
use crate::clock;

/// Longest single write that is read whole; SO_SNDBUF of the app's end is raised to it. The kernel
/// doubles that (socket(7)), so longer ones come, and are cut.
pub const MAX_WRITE: usize = 1 << 20;
/// A line longer than this is handed on in pieces.
const MAX_LINE: usize = 1 << 20;

/// Reads per round: an app that never stops writing gets one round for a flush, and everybody
/// else their turn in between.
const READS: usize = 64;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// File descriptor 1.
    Stdout,
    /// File descriptor 2.
    Stderr,
}

impl Stream {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Stdout, Self::Stderr];

    /// `stdout` or `stderr`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Both ends of one output stream.
#[derive(Debug)]
pub struct Channel {
    /// Our end.
    pub ours: Arc<OwnedFd>,
    /// The app's end; kept so that the app can be started again.
    pub theirs: OwnedFd,
    socket: bool,
}

impl Channel {
    /// A SEQPACKET socket pair, or a pipe.
    ///
    /// # Errors
    /// Out of descriptors.
    pub fn open(socket: bool) -> Result<Self, AppError> {
        let made = if socket { Self::pair() } else { Self::pipe() };
        made.map_err(|e| AppError::Io { what: "make an output channel".into(), source: e.into() })
    }

    fn pair() -> nix::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        setsockopt(&ours, sockopt::ReceiveTimestampns, &true)?;
        // Unprivileged the limit is net.core.wmem_max; a longer write then gets EMSGSIZE.
        if setsockopt(&theirs, sockopt::SndBufForce, &MAX_WRITE).is_err() {
            setsockopt(&theirs, sockopt::SndBuf, &MAX_WRITE)?;
        }
        nonblocking(&ours)?;
        Ok(Self { ours: Arc::new(ours), theirs, socket: true })
    }

    fn pipe() -> nix::Result<Self> {
        let (ours, theirs) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
        nonblocking(&ours)?;
        Ok(Self { ours: Arc::new(ours), theirs, socket: false })
    }

    /// Cookie of our end, if it is a socket: what the output filter knows it by.
    pub fn cookie(&self) -> Option<u64> {
        if !self.socket {
            return None;
        }
        let mut cookie = 0u64;
        let mut len = size_of::<u64>() as libc::socklen_t;
        // SAFETY: SO_COOKIE writes 8 bytes into a buffer of that size.
        let r = unsafe {
            libc::getsockopt(
                self.ours.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_COOKIE,
                (&raw mut cookie).cast(),
                &raw mut len,
            )
        };
        (r == 0).then_some(cookie)
    }
}

fn nonblocking(fd: &OwnedFd) -> nix::Result<()> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    fcntl(fd.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map(drop)
}

/// Asks a reader to read all that is there now and to answer.
pub type Flush = oneshot::Sender<()>;

/// Reads one stream until its end: lines to `events`, every byte to `copy`.
pub struct Reader {
    fd: AsyncFd<Arc<OwnedFd>>,
    socket: bool,
    app: usize,
    stream: Stream,
    copy: File,
    partial: BytesMut,
    buffer: Vec<u8>,
    events: mpsc::Sender<AppEvent>,
}

/// How a round of reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drained {
    /// Nothing is there any more.
    Empty,
    /// There may be more.
    More,
    /// The stream has ended.
    Ended,
}

/// What one read came to.
enum Got {
    /// How many are in the buffer, how many of the same write were not read, and when.
    Bytes(usize, usize, u64),
    Nothing,
    End,
}

impl Reader {
    /// Prepares to read `channel` of app number `app`; copies to `path`.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn new(
        channel: &Channel,
        app: usize,
        stream: Stream,
        path: &Path,
        events: mpsc::Sender<AppEvent>,
    ) -> Result<Self, AppError> {
        // Of this run alone: an earlier one that left no report may have left its output.
        let copy = File::create(path).map_err(AppError::io(format!("write {}", path.display())))?;
        let ours = Arc::clone(&channel.ours);
        // SAFETY: the Arc keeps the descriptor open and the same until the AsyncFd is dropped.
        let fd = unsafe { AsyncFd::register_with_interest(ours, Interest::READABLE) };
        let fd = fd.map_err(io::Error::from).map_err(AppError::io("watch an app's output"))?;
        let (partial, buffer) = (BytesMut::new(), vec![0; MAX_WRITE]);
        let socket = channel.socket;
        Ok(Self { fd, socket, app, stream, copy, partial, buffer, events })
    }

    /// Reads until the end of the stream.
    pub async fn run(mut self, mut flushes: mpsc::UnboundedReceiver<Flush>) {
        let mut drained = Drained::Empty;
        while drained != Drained::Ended {
            tokio::select! {
                ready = self.fd.readable(), if drained == Drained::Empty => match ready {
                    Ok(mut guard) => guard.clear_ready(),
                    Err(e) => return tracing::warn!("output of an app: {e}"),
                },
                () = std::future::ready(()), if drained == Drained::More => {}
                Some(flush) = flushes.recv() => {
                    drained = self.drain().await;
                    // The asker may be gone already: then nobody waits for the answer.
                    let _ = flush.send(());
                    continue;
                }
            }
            drained = self.drain().await;
        }
        self.line_end(clock::monotonic_ns()).await;
        // Whoever asks later gets an answer too.
        while let Some(flush) = flushes.recv().await {
            let _ = flush.send(());
        }
    }

    /// Reads what is there, at most [`READS`] times: an app that never stops writing must not keep
    /// this task from answering, nor the runtime's thread for itself.
    async fn drain(&mut self) -> Drained {
        for _ in 0..READS {
            match self.read() {
                Ok(Got::Bytes(n, cut, at)) => self.take(n, cut, at).await,
                Ok(Got::Nothing) => return Drained::Empty,
                Ok(Got::End) => return Drained::Ended,
                Err(e) => {
                    tracing::warn!("output of an app: {e}");
                    return Drained::Ended;
                }
            }
        }
        tokio::task::yield_now().await;
        Drained::More
    }

    fn read(&mut self) -> io::Result<Got> {
        let result = if self.socket { self.read_socket() } else { self.read_pipe() };
        match result {
            Err(nix::errno::Errno::EAGAIN) => Ok(Got::Nothing),
            other => other.map_err(Into::into),
        }
    }

    fn read_pipe(&mut self) -> nix::Result<Got> {
        let n = nix::unistd::read(self.fd.get_ref().as_fd(), &mut self.buffer)?;
        Ok(if n == 0 { Got::End } else { Got::Bytes(n, 0, clock::monotonic_ns()) })
    }

    fn read_socket(&mut self) -> nix::Result<Got> {
        let mut control = cmsg_space!(TimeSpec);
        let mut iov = [IoSliceMut::new(&mut self.buffer)];
        let fd = self.fd.get_ref().as_raw_fd();
        // MSG_TRUNC as a request: the length is the message's, not that of what fits (recv(2)).
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
        let got = recvmsg::<()>(fd, &mut iov, Some(&mut control), flags)?;
        let stamp = got.cmsgs()?.find_map(|c| match c {
            ControlMessageOwned::ScmTimestampns(t) => Some(t),
            _ => None,
        });
        // A write of no bytes is a message, too, and has a stamp; the end has none.
        let at = match stamp {
            Some(t) => clock::from_realtime(t.tv_sec() as u64 * 1_000_000_000 + t.tv_nsec() as u64),
            None if got.bytes == 0 => return Ok(Got::End),
            None => clock::monotonic_ns(),
        };
        let read = got.bytes.min(MAX_WRITE);
        Ok(Got::Bytes(read, got.bytes - read, at))
    }

    async fn take(&mut self, n: usize, cut: usize, at: u64) {
        if let Err(e) = self.copy.write_all(&self.buffer[..n]) {
            tracing::warn!("cannot copy the output of an app: {e}");
        }
        // What was there before has no line end in it.
        let mut searched = self.partial.len();
        self.partial.extend_from_slice(&self.buffer[..n]);
        while let Some(end) = self.partial[searched..].iter().position(|b| *b == b'\n') {
            let end = searched + end;
            let line = self.partial.split_to(end + 1).freeze();
            self.send(line.slice(..end), at).await;
            searched = 0;
        }
        if cut > 0 {
            self.cut_line(n, cut, at).await;
        }
        if self.partial.len() > MAX_LINE {
            self.line_end(at).await;
        }
    }

    /// Ends the line that a write was cut in: where its line ends were, nobody knows.
    async fn cut_line(&mut self, read: usize, cut: usize, at: u64) {
        let mark = format!("[flowfault: {cut} more bytes of this write were not read]");
        if let Err(e) = writeln!(self.copy, "{mark}") {
            tracing::warn!("cannot copy the output of an app: {e}");
        }
        self.partial.extend_from_slice(mark.as_bytes());
        self.line_end(at).await;
        let size = (read + cut) as u64;
        let event = AppEvent::Cut { app: self.app, stream: self.stream, size };
        // The receiver is gone only when the run is over.
        let _ = self.events.send(event).await;
    }

    async fn line_end(&mut self, at: u64) {
        if !self.partial.is_empty() {
            let line = self.partial.split().freeze();
            self.send(line, at).await;
        }
    }

    /// Waits while the controller is behind: then the app waits in its write, as on a terminal.
    async fn send(&self, text: Bytes, at: u64) {
        let text = text.strip_suffix(b"\r").map_or_else(|| text.clone(), |t| text.slice_ref(t));
        let line = AppEvent::Line { app: self.app, stream: Some(self.stream), at, text };
        // The receiver is gone only when the run is over.
        let _ = self.events.send(line).await;
    }
}
