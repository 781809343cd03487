//! One role's websocket over time: opened, served, reopened when it breaks.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::args::SentWhen;
use super::backoff::Backoff;
use super::console::say;
use super::dialer::Dialer;
use super::link::{Connection, Link};
use super::policy::Attempt;
use super::role::Role;

/// Longest wait for the server's half of the close handshake.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// How a channel keeps itself alive.
#[derive(Clone, Copy, Debug)]
pub struct Upkeep {
    pub keepalive: Option<Duration>,
    pub backoff: Backoff,
}

/// A websocket that comes back.
pub struct Channel {
    link: watch::Receiver<Result<Link, String>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl Channel {
    /// Opens the websocket and keeps it open from then on.
    ///
    /// # Errors
    /// The first connection fails; there is no second try for that one.
    pub async fn open(role: Role, dialer: Arc<Dialer>, upkeep: Upkeep) -> Result<Self> {
        let connection = Connection::new(dialer.dial(role).await?);
        let (publish, link) = watch::channel(Ok(connection.link()));
        let (stop, stopped) = oneshot::channel();
        let keeper = Keeper { role, dialer, upkeep, publish };
        let task = tokio::spawn(keeper.run(connection, stopped));
        Ok(Self { link, stop, task })
    }

    /// One attempt to send a message, at most `limit` long.
    pub async fn attempt(
        &self,
        id: &str,
        text: String,
        until: SentWhen,
        limit: Duration,
    ) -> Attempt {
        match self.live() {
            Ok(link) => link.send(id, text, until, limit).await,
            Err(reason) => Attempt::Unavailable(reason),
        }
    }

    /// Pings, and gives the websocket up if no pong comes within `limit`.
    pub async fn probe(&self, limit: Duration) {
        let Ok(link) = self.live() else {
            return;
        };
        // Any other failure is the websocket's own death, which its keeper sees as well.
        if link.ping(Instant::now() + limit).await == Err(None) {
            link.give_up("probe timeout");
        }
    }

    /// Closes the websocket, within about a second whatever the network does.
    ///
    /// # Errors
    /// Its lines could not be written to stdout.
    pub async fn close(self) -> Result<()> {
        // A task that is over already has no use for the signal; its result is read below.
        let _ = self.stop.send(());
        self.task
            .await
            .context("a websocket task panicked; this is a bug")?
            .context("cannot write to stdout")
    }

    /// The link may be dead before its keeper had a turn to withdraw it.
    fn live(&self) -> Result<Link, String> {
        let link = self.link.borrow().clone()?;
        match link.dead() {
            Some(reason) => Err(reason),
            None => Ok(link),
        }
    }
}

struct Keeper {
    role: Role,
    dialer: Arc<Dialer>,
    upkeep: Upkeep,
    publish: watch::Sender<Result<Link, String>>,
}

impl Keeper {
    async fn run(
        mut self,
        mut connection: Connection,
        mut stopped: oneshot::Receiver<()>,
    ) -> io::Result<()> {
        loop {
            tokio::select! {
                reason = connection.serve(self.upkeep.keepalive) => {
                    say(format_args!("closing {} websocket: {reason}", self.role))?;
                    self.publish(Err(format!("{reason}, reconnecting")));
                }
                _ = &mut stopped => {
                    connection.close(CLOSE_LIMIT).await;
                    return Ok(());
                }
            }
            // The old socket is closed before a new one is opened.
            drop(connection);
            tokio::select! {
                reopened = self.reopen() => connection = reopened?,
                _ = &mut stopped => return Ok(()),
            }
        }
    }

    fn publish(&self, state: Result<Link, String>) {
        drop(self.publish.send_replace(state));
    }

    async fn reopen(&mut self) -> io::Result<Connection> {
        loop {
            sleep(self.upkeep.backoff.wait()).await;
            match self.dialer.dial(self.role).await {
                Ok(socket) => {
                    let connection = Connection::new(socket);
                    say(format_args!("reopened {} websocket", self.role))?;
                    self.publish(Ok(connection.link()));
                    self.upkeep.backoff.reset();
                    return Ok(connection);
                }
                Err(error) => tracing::warn!("{error:#}"),
            }
        }
    }
}
