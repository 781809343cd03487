//! A small messenger: the app under test of the demonstrations and of the end-to-end tests.
//!
//! The sender keeps two TLS websockets to the same server, an identified and an unidentified
//! one, and prefers the unidentified. What it reports about a message (one JSON line on stdout)
//! and what the server really received (its receipts file) are independent, so that a fault on
//! one socket shows whether the app tells the truth about it.
//!
//! | file | holds |
//! |---|---|
//! | `args`, `duration` | the command line |
//! | `ca`, `tls` | the test certificate authority and the TLS configurations |
//! | `role`, `wire` | what both sides agree on: socket roles and the JSON of messages and answers |
//! | `server`, `session`, `receipts`, `refusal` | the server |
//! | `sender`, `policy`, `outcome` | one message: attempts, fallback, the outcome line |
//! | `dialer`, `link`, `channel`, `backoff` | one websocket: opening, serving, reopening |
//! | `console` | lines on stdout |

mod args;
mod backoff;
mod ca;
mod channel;
mod console;
mod dialer;
mod duration;
mod link;
mod outcome;
mod policy;
mod receipts;
mod refusal;
mod role;
mod sender;
mod server;
mod session;
mod tls;
mod wire;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use tracing_subscriber::EnvFilter;

use args::{Args, Command};

fn main() -> ExitCode {
    let args = Args::parse();
    start_log();
    match run(args.command) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// stdout belongs to the outcomes, so the log goes to stderr.
fn start_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    // One thread for everything: a log line and the connect(2) or write(2) it announces come
    // from the same thread, which is what an observer of both relies on.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the tokio runtime")?;
    let code = match command {
        Command::MakeCa(args) => ca::make(&args.dir, &args.names).map(|()| ExitCode::SUCCESS),
        Command::Server(args) => runtime.block_on(server::run(args)),
        Command::SendLoop(args) => runtime.block_on(sender::send_loop(args)),
        Command::SendOne(args) => runtime.block_on(sender::send_one(args)),
    };
    // A name lookup may hang in a pool thread; nobody waits for its answer any more.
    runtime.shutdown_background();
    code
}
