//! Many small sends: each is an event of its own, with flowfault beside it.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::pace::Pace;

#[derive(clap::Args)]
pub struct Args {
    to: SocketAddr,
    #[arg(long)]
    seconds: f64,
    /// 0: as many as there can be
    #[arg(long)]
    per_second: u32,
}

/// Bytes of a send.
const SIZE: usize = 64;

pub fn run(args: &Args) -> Result<Value> {
    let mut stream = TcpStream::connect(args.to).context("cannot connect")?;
    stream.set_nodelay(true)?;
    let mut pace = Pace::new(args.per_second)?;
    let begin = Instant::now();
    let length = Duration::from_secs_f64(args.seconds);
    let mut sends = 0;
    while begin.elapsed() < length {
        pace.next();
        stream.write_all(&[1; SIZE]).context("cannot send")?;
        sends += 1;
    }
    let took = begin.elapsed().as_secs_f64();
    stream.shutdown(Shutdown::Write)?;
    stream.read_to_end(&mut Vec::new()).context("the receiver does not close")?;
    Ok(json!({ "sends": sends, "per_second": f64::from(sends) / took }))
}
