//! One websocket on the server's side.

use std::collections::VecDeque;
use std::future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::{Bytes, Message as Frame};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use super::receipts::Receipts;
use super::refusal::Refusal;
use super::role::Role;
use super::wire::{Message, Reply};

/// Longest wait for a client's handshake, and for room to write an answer into.
const PATIENCE: Duration = Duration::from_secs(10);

/// What all sessions of a server share.
#[derive(Debug)]
pub struct Shared {
    pub receipts: Receipts,
    pub refusal: Refusal,
    /// Messages that came over unidentified websockets so far.
    pub unidentified_messages: AtomicU64,
    pub confirm_delay: Duration,
    pub keepalive: Option<Duration>,
    pub idle_timeout: Option<Duration>,
}

/// Serves one connection to its end, and says how it ended.
///
/// # Errors
/// A handshake or the connection failed, the client broke the protocol, or a receipt could not
/// be written.
pub async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: &TlsAcceptor,
    shared: &Shared,
) -> Result<&'static str> {
    stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
    let (socket, role) = timeout(PATIENCE, handshake(stream, acceptor))
        .await
        .context("the client did not finish its handshake")??;
    tracing::info!("{peer}: {role} websocket open");
    let session = Session {
        socket,
        role,
        peer,
        shared,
        replies: VecDeque::new(),
        heard: Instant::now(),
        next_ping: shared.keepalive.map(|period| Instant::now() + period),
        pong_due: false,
    };
    session.run().await
}

async fn handshake(stream: TcpStream, acceptor: &TlsAcceptor) -> Result<(Socket, Role)> {
    let tls = acceptor.accept(stream).await.context("TLS handshake failed")?;
    let mut role = None;
    #[expect(clippy::result_large_err, reason = "the callback's type is given")]
    let pick_role = |request: &Request, response: Response| {
        role = Role::from_path(request.uri().path());
        role.map(|_| response).ok_or_else(|| {
            let mut refusal = ErrorResponse::new(None);
            *refusal.status_mut() = StatusCode::NOT_FOUND;
            refusal
        })
    };
    let socket = accept_hdr_async(tls, pick_role).await.context("websocket handshake failed")?;
    let role = role.context("the request names no known role")?;
    Ok((socket, role))
}

type Socket = WebSocketStream<TlsStream<TcpStream>>;

struct Session<'a> {
    socket: Socket,
    role: Role,
    peer: SocketAddr,
    shared: &'a Shared,
    /// Answers with the time each is due; the delay is constant, so they are in order.
    replies: VecDeque<(Instant, Reply)>,
    heard: Instant,
    next_ping: Option<Instant>,
    pong_due: bool,
}

impl Session<'_> {
    async fn run(mut self) -> Result<&'static str> {
        loop {
            let reply_due = self.replies.front().map(|(due, _)| *due);
            let idle_end = self.shared.idle_timeout.map(|limit| self.heard + limit);
            tokio::select! {
                frame = self.socket.next() => match frame {
                    None => return Ok("closed by the client"),
                    Some(frame) => self.receive(frame.context("connection failed")?)?,
                },
                () = until(reply_due) => self.reply().await?,
                () = until(self.next_ping) => self.ping().await?,
                () = until(idle_end) => {
                    self.write(Frame::Close(None)).await?;
                    return Ok("closed after the idle time-out");
                }
            }
        }
    }

    fn receive(&mut self, frame: Frame) -> Result<()> {
        self.heard = Instant::now();
        match frame {
            Frame::Text(text) => self.take(&text),
            Frame::Pong(_) => {
                self.pong_due = false;
                Ok(())
            }
            Frame::Binary(_) => bail!("the client sent a binary frame, which has no meaning here"),
            // tungstenite answers pings and closes by itself.
            Frame::Ping(_) | Frame::Close(_) | Frame::Frame(_) => Ok(()),
        }
    }

    /// The receipt comes first: a confirmed message is always on record.
    fn take(&mut self, text: &str) -> Result<()> {
        let Message { id, .. } =
            serde_json::from_str(text).context("the client sent no valid message")?;
        let reply = if self.refuses() {
            Reply::Refused {
                refused: id,
                reason: format!("the {} websocket takes no message now", self.role),
            }
        } else {
            let receipts = &self.shared.receipts;
            receipts.note(&id, self.role, self.peer, text.len())?;
            Reply::Ack { ack: id }
        };
        let due = Instant::now() + self.shared.confirm_delay;
        self.replies.push_back((due, reply));
        Ok(())
    }

    fn refuses(&self) -> bool {
        if self.role == Role::Identified {
            return false;
        }
        let before = &self.shared.unidentified_messages;
        let number = before.fetch_add(1, Ordering::Relaxed) + 1;
        self.shared.refusal.applies(number)
    }

    async fn reply(&mut self) -> Result<()> {
        let Some((_, reply)) = self.replies.pop_front() else {
            return Ok(());
        };
        let text = serde_json::to_string(&reply).context("cannot encode an answer")?;
        self.write(Frame::text(text)).await
    }

    async fn ping(&mut self) -> Result<()> {
        if self.pong_due {
            bail!("dropped: keepalive timeout");
        }
        self.pong_due = true;
        self.next_ping = self.shared.keepalive.map(|period| Instant::now() + period);
        self.write(Frame::Ping(Bytes::new())).await
    }

    async fn write(&mut self, frame: Frame) -> Result<()> {
        timeout(PATIENCE, self.socket.send(frame))
            .await
            .context("dropped: the client takes no more bytes")?
            .context("cannot write to the client")
    }
}

/// Waits for that instant, or for ever.
async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => future::pending().await,
    }
}
