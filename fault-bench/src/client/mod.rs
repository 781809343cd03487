//! What sends. It says `ready`, waits until it may begin, works, and prints one line of JSON.

mod bulk;
mod datagrams;
mod pace;
mod ping;
mod sends;

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Subcommand;

/// How long a client waits for what is to happen around it.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(clap::Args)]
pub struct Args {
    /// Begin when this file is there
    #[arg(long)]
    go: Option<PathBuf>,
    /// Open a second connection there, and send a byte on it every 50 ms: something that a fault
    /// can hit
    #[arg(long)]
    decoy: Option<SocketAddr>,
    #[command(subcommand)]
    work: Work,
}

#[derive(Subcommand)]
enum Work {
    /// As many bytes as TCP takes
    Bulk(bulk::Args),
    /// Datagrams with the time in them
    Datagrams(datagrams::Args),
    /// Requests and answers, one after the other
    Ping(ping::Args),
    /// Many small sends
    Sends(sends::Args),
    /// Nothing, until this file is there
    Idle { until: PathBuf },
}

/// Does the work.
///
/// # Errors
/// A connection fails, or the sign to begin never comes.
pub fn run(args: &Args) -> Result<()> {
    let decoy = args.decoy.map(TcpStream::connect).transpose().context("cannot open the decoy")?;
    println!("ready");
    if let Some(go) = &args.go {
        wait_for(go)?;
    }
    if let Some(decoy) = decoy {
        std::thread::spawn(move || chatter(decoy));
    }
    let said = match &args.work {
        Work::Bulk(args) => bulk::run(args)?,
        Work::Datagrams(args) => datagrams::run(args)?,
        Work::Ping(args) => ping::run(args)?,
        Work::Sends(args) => sends::run(args)?,
        Work::Idle { until } => {
            wait_for(until)?;
            serde_json::json!({})
        }
    };
    println!("{said}");
    Ok(())
}

fn wait_for(file: &Path) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while !file.exists() {
        ensure!(Instant::now() < end, "{} did not come within {PATIENCE:?}", file.display());
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Ends with the process, or when the connection is dead: that it may be is its purpose.
fn chatter(mut decoy: TcpStream) {
    while decoy.write_all(b"x").is_ok() {
        std::thread::sleep(Duration::from_millis(50));
    }
}
