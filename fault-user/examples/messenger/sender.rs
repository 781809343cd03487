//! Sends messages and reports on each.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::args::{ConnectArgs, Probe, SendLoopArgs, SendOneArgs, SentWhen};
use super::backoff::Backoff;
use super::channel::{Channel, Upkeep};
use super::console::say;
use super::dialer::Dialer;
use super::link::Connection;
use super::outcome::Outcome;
use super::policy::{self, Attempt, Fallback, Next};
use super::role::Role;
use super::wire::Message;

/// How long `send-one` waits for the server's half of the close handshake.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// Opens both websockets, sends the messages one after the other, closes.
///
/// # Errors
/// A first connection fails, or stdout is closed. A message that fails is an outcome, no error.
pub async fn send_loop(args: SendLoopArgs) -> Result<ExitCode> {
    let dialer = Arc::new(Dialer::new(&args.connect)?);
    let upkeep = Upkeep {
        keepalive: args.keepalive.duration(),
        backoff: Backoff::new(args.reconnect_min, args.reconnect_max),
    };
    // One after the other: the order of the connections is part of the contract.
    let identified = Channel::open(Role::Identified, Arc::clone(&dialer), upkeep).await?;
    let unidentified = Channel::open(Role::Unidentified, dialer, upkeep).await?;
    say("connected").context("cannot write to stdout")?;
    let sender = Sender { identified, unidentified, args };
    sender.send_all().await?;
    sleep(sender.args.linger).await;
    let (identified, unidentified) =
        tokio::join!(sender.identified.close(), sender.unidentified.close());
    identified?;
    unidentified?;
    Ok(ExitCode::SUCCESS)
}

/// Sends one message over an identified websocket of its own; exit code 0 if it was confirmed.
///
/// # Errors
/// The connection fails, or stdout is closed.
pub async fn send_one(args: SendOneArgs) -> Result<ExitCode> {
    let started = Instant::now();
    let socket = Dialer::new(&args.connect)?.dial(Role::Identified).await?;
    let mut connection = Connection::new(socket);
    let link = connection.link();
    let text = encode(&args.id, &args.connect)?;
    let bytes = text.len();
    let limit = args.connect.timeout;
    let attempt = tokio::select! {
        attempt = link.send(&args.id, text, SentWhen::Confirmed, limit) => attempt,
        reason = connection.serve(None) => Attempt::Broken(reason),
    };
    let mut report = Report::new(args.id, bytes, started);
    let confirmed = attempt == Attempt::Confirmed;
    // There is nothing to fall back to from the identified websocket.
    report.add(Fallback::Refusal, Role::Identified, &attempt)?;
    connection.close(CLOSE_LIMIT).await;
    Ok(if confirmed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Sender {
    identified: Channel,
    unidentified: Channel,
    args: SendLoopArgs,
}

impl Sender {
    async fn send_all(&self) -> Result<()> {
        let mut ticks = interval(self.args.interval);
        // A message that took long delays the ones after it; it does not make them come in a burst.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let last = match self.args.count {
            0 => u64::MAX,
            count => count,
        };
        for number in 1..=last {
            ticks.tick().await;
            self.deliver(format!("{}{number}", self.args.id_prefix)).await?;
        }
        Ok(())
    }

    async fn deliver(&self, id: String) -> Result<()> {
        let SendLoopArgs { connect, fallback, sent_when, .. } = &self.args;
        let text = encode(&id, connect)?;
        let mut report = Report::new(id.clone(), text.len(), Instant::now());
        self.probe().await;
        let mut role = Role::Unidentified;
        loop {
            let channel = self.channel(role);
            let attempt = channel.attempt(&id, text.clone(), *sent_when, connect.timeout).await;
            match report.add(*fallback, role, &attempt)? {
                Next::Report(_) => return Ok(()),
                Next::FallBack => role = Role::Identified,
            }
        }
    }

    /// Both at once: a dead websocket does not delay the verdict on the other one.
    async fn probe(&self) {
        let probe = async |role| {
            if self.args.probe.includes(role) {
                self.channel(role).probe(self.args.connect.timeout).await;
            }
        };
        if self.args.probe != Probe::None {
            tokio::join!(probe(Role::Identified), probe(Role::Unidentified));
        }
    }

    fn channel(&self, role: Role) -> &Channel {
        match role {
            Role::Identified => &self.identified,
            Role::Unidentified => &self.unidentified,
        }
    }
}

/// Collects the attempts for one message; the last one writes its outcome.
struct Report {
    id: String,
    bytes: usize,
    started: Instant,
    attempts: Vec<Role>,
}

impl Report {
    fn new(id: String, bytes: usize, started: Instant) -> Self {
        Self { id, bytes, started, attempts: Vec::new() }
    }

    /// Takes the next attempt in, and says what the policy makes of it.
    fn add(&mut self, fallback: Fallback, role: Role, attempt: &Attempt) -> Result<Next> {
        self.attempts.push(role);
        let next = policy::next(fallback, role, attempt);
        match next {
            Next::FallBack => say(format_args!("{}: {role} {attempt}, falling back", self.id))
                .context("cannot write to stdout")?,
            Next::Report(status) => Outcome {
                id: self.id.clone(),
                status,
                elapsed: self.started.elapsed(),
                bytes: self.bytes,
                via: role,
                attempts: self.attempts.clone(),
                error: (!attempt.succeeded()).then(|| attempt.to_string()),
            }
            .report()?,
        }
        Ok(next)
    }
}

fn encode(id: &str, args: &ConnectArgs) -> Result<String> {
    serde_json::to_string(&Message::new(id, args.size as usize)).context("cannot encode a message")
}
