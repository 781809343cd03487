//! One live websocket: writing, matching answers to messages, keepalive.
//!
//! The two ends are a [`Link`] (cheap to clone, for whoever sends) and a [`Connection`] (the
//! socket itself, served by one task). Nobody who waits on a `Link` waits without a limit, and a
//! write that the kernel does not take stops only later writes, never reading or the keepalive.

use std::collections::HashMap;
use std::future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_tungstenite::tungstenite::{Bytes, Message as Frame};

use super::args::SentWhen;
use super::dialer::Socket;
use super::policy::Attempt;
use super::wire::Reply;

/// Handle to a websocket that was alive when the handle was taken.
#[derive(Clone, Debug)]
pub struct Link {
    outbox: mpsc::UnboundedSender<Outgoing>,
    state: Arc<State>,
}

#[derive(Debug)]
struct Outgoing {
    frame: Frame,
    written: oneshot::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    waiting: Mutex<Waiting>,
    /// Signalled when somebody gave the websocket up.
    given_up: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    replies: HashMap<String, oneshot::Sender<Reply>>,
    pongs: HashMap<Bytes, oneshot::Sender<()>>,
    pings: u64,
    /// Why the websocket is dead, once it is.
    dead: Option<String>,
}

impl Link {
    /// Sends one message and waits, up to `limit`, until it counts as sent.
    pub async fn send(&self, id: &str, text: String, until: SentWhen, limit: Duration) -> Attempt {
        let deadline = Instant::now() + limit;
        let reply = (until == SentWhen::Confirmed).then(|| self.expect_reply(id));
        let attempt = match timeout_at(deadline, self.write(Frame::text(text))).await {
            Err(_) => Attempt::TimedOut(format!("not written within {limit:?}")),
            Ok(Err(reason)) => Attempt::Broken(reason),
            Ok(Ok(())) => match reply {
                None => Attempt::Written,
                Some(reply) => match timeout_at(deadline, reply).await {
                    Err(_) => Attempt::TimedOut(format!("no confirmation within {limit:?}")),
                    Ok(Err(_)) => Attempt::Broken(self.reason()),
                    Ok(Ok(Reply::Ack { .. })) => Attempt::Confirmed,
                    Ok(Ok(Reply::Refused { reason, .. })) => Attempt::Refused(reason),
                },
            },
        };
        self.state.waiting().replies.remove(id);
        attempt
    }

    /// Sends a ping and waits for its pong, up to `deadline`.
    ///
    /// # Errors
    /// `None`: no pong in time; else why the websocket is dead.
    pub async fn ping(&self, deadline: Instant) -> Result<(), Option<String>> {
        let (payload, pong) = self.expect_pong();
        let exchange = async {
            self.write(Frame::Ping(payload.clone())).await?;
            pong.await.map_err(|_| self.reason())
        };
        let answered = timeout_at(deadline, exchange).await;
        self.state.waiting().pongs.remove(&payload);
        answered.map_err(|_| None)?.map_err(Some)
    }

    /// Declares the websocket dead: it is of no more use to anybody from now on.
    pub fn give_up(&self, reason: &str) {
        self.state.bury(reason);
        self.state.given_up.notify_one();
    }

    /// Why the websocket is dead, if it is.
    pub fn dead(&self) -> Option<String> {
        self.state.waiting().dead.clone()
    }

    async fn write(&self, frame: Frame) -> Result<(), String> {
        let (written, done) = oneshot::channel();
        let outgoing = Outgoing { frame, written };
        self.outbox.send(outgoing).map_err(|_| self.reason())?;
        done.await.map_err(|_| self.reason())
    }

    fn expect_reply(&self, id: &str) -> oneshot::Receiver<Reply> {
        let (sender, receiver) = oneshot::channel();
        self.state.waiting().replies.insert(id.to_owned(), sender);
        receiver
    }

    fn expect_pong(&self) -> (Bytes, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.state.waiting();
        waiting.pings += 1;
        let payload = Bytes::from(waiting.pings.to_string());
        waiting.pongs.insert(payload.clone(), sender);
        (payload, receiver)
    }

    fn reason(&self) -> String {
        self.dead().unwrap_or_else(|| "closed".to_owned())
    }
}

impl State {
    /// Each critical section leaves the maps whole, so a poisoned lock is still good.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the first reason, and wakes everybody who waits for an answer.
    fn bury(&self, reason: &str) {
        let mut waiting = self.waiting();
        waiting.dead.get_or_insert_with(|| reason.to_owned());
        waiting.replies.clear();
        waiting.pongs.clear();
    }

    fn answered(&self, reply: Reply) {
        match self.waiting().replies.remove(reply.id()) {
            // A receiver that is gone timed out a moment ago: nobody to tell.
            Some(waiting) => {
                let _ = waiting.send(reply);
            }
            None if matches!(reply, Reply::Refused { .. }) => {
                tracing::warn!("{} was refused after its outcome was reported", reply.id());
            }
            None => tracing::debug!("{} was confirmed, nobody waits for it", reply.id()),
        }
    }
}

/// The websocket itself.
pub struct Connection {
    sink: SplitSink<Socket, Frame>,
    stream: SplitStream<Socket>,
    inbox: mpsc::UnboundedReceiver<Outgoing>,
    link: Link,
}

impl Connection {
    pub fn new(socket: Socket) -> Self {
        let (sink, stream) = socket.split();
        let (outbox, inbox) = mpsc::unbounded_channel();
        let state = Arc::new(State::default());
        Self { sink, stream, inbox, link: Link { outbox, state } }
    }

    /// A handle to send with.
    pub fn link(&self) -> Link {
        self.link.clone()
    }

    /// Moves messages and answers until the websocket is dead, and says why it is.
    pub async fn serve(&mut self, keepalive: Option<Duration>) -> String {
        let reason = tokio::select! {
            reason = write_all(&mut self.sink, &mut self.inbox) => reason,
            reason = read_all(&mut self.stream, &self.link.state) => reason,
            reason = keep_alive(&self.link, keepalive) => reason,
            () = self.link.state.given_up.notified() => self.link.reason(),
        };
        self.link.state.bury(&reason);
        reason
    }

    /// Closes politely, but waits no longer than `limit` for the server.
    pub async fn close(mut self, limit: Duration) {
        self.link.state.bury("closed by the sender");
        let goodbye = async {
            if self.sink.close().await.is_ok() {
                while let Some(Ok(_)) = self.stream.next().await {}
            }
        };
        if timeout(limit, goodbye).await.is_err() {
            tracing::debug!("the server did not answer the close in {limit:?}");
        }
    }
}

async fn write_all(
    sink: &mut SplitSink<Socket, Frame>,
    inbox: &mut mpsc::UnboundedReceiver<Outgoing>,
) -> String {
    while let Some(Outgoing { frame, written }) = inbox.recv().await {
        // Whoever gave up before the first byte was written does not want it sent any more.
        if written.is_closed() {
            continue;
        }
        if let Err(error) = sink.send(frame).await {
            return error.to_string();
        }
        // A requester whose time ran out meanwhile is gone: nobody to tell.
        let _ = written.send(());
    }
    "closed by the sender".to_owned()
}

async fn read_all(stream: &mut SplitStream<Socket>, state: &State) -> String {
    while let Some(frame) = stream.next().await {
        match frame {
            Err(error) => return error.to_string(),
            Ok(Frame::Text(text)) => match serde_json::from_str(&text) {
                Ok(reply) => state.answered(reply),
                Err(error) => return format!("the server sent no valid answer: {error}"),
            },
            Ok(Frame::Pong(payload)) => {
                // As with replies, whoever waited may have run out of time.
                if let Some(waiting) = state.waiting().pongs.remove(&payload) {
                    let _ = waiting.send(());
                }
            }
            Ok(_) => {}
        }
    }
    "closed by the server".to_owned()
}

async fn keep_alive(link: &Link, period: Option<Duration>) -> String {
    let Some(period) = period else {
        return future::pending().await;
    };
    let mut tick = Instant::now() + period;
    loop {
        sleep_until(tick).await;
        tick += period;
        match link.ping(tick).await {
            Ok(()) => {}
            Err(None) => return "keepalive timeout".to_owned(),
            Err(Some(reason)) => return reason,
        }
    }
}
