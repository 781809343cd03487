//! As many bytes as TCP takes; the receiver measures.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::socket::{setsockopt, sockopt};
use serde_json::{Value, json};

#[derive(clap::Args)]
pub struct Args {
    to: SocketAddr,
    #[arg(long)]
    seconds: f64,
    /// Congestion control
    #[arg(long)]
    congestion: String,
}

/// Large enough that system calls cost little, small enough for the cache.
const WRITE: usize = 128 << 10;

pub fn run(args: &Args) -> Result<Value> {
    let mut stream = TcpStream::connect(args.to).context("cannot connect")?;
    let congestion = std::ffi::OsString::from(&args.congestion);
    setsockopt(&stream.as_fd(), sockopt::TcpCongestion, &congestion)
        .with_context(|| format!("no congestion control {}", args.congestion))?;
    let block = vec![0x5a; WRITE];
    let end = Instant::now() + Duration::from_secs_f64(args.seconds);
    let mut sent = 0;
    while Instant::now() < end {
        stream.write_all(&block).context("cannot send")?;
        sent += block.len();
    }
    stream.shutdown(Shutdown::Write)?;
    // The receiver closes when it has everything.
    stream.read_to_end(&mut Vec::new()).context("the receiver does not close")?;
    Ok(json!({ "port": stream.local_addr()?.port(), "sent": sent }))
}
