//! Many small sends: each is an event of its own, with flowfault beside it.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use serde_json::{Value, json};

use super::pace::Pace;

#[derive(clap::Args)]
pub struct Args {
    to: SocketAddr,
    #[arg(long)]
    seconds: f64,
    /// Of all connections together; 0: as many as there can be
    #[arg(long)]
    per_second: u32,
    /// Each with a sender of its own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
}

/// Bytes of a send.
const SIZE: usize = 64;

pub fn run(args: &Args) -> Result<Value> {
    let senders = (0..args.connections).map(|_| one(args)).collect::<Result<Vec<_>>>()?;
    let senders: Vec<_> = senders.into_iter().map(std::thread::spawn).collect();
    let (mut sends, mut per_second) = (0, 0.0);
    for sender in senders {
        let sent = sender.join().map_err(|_| anyhow!("a sender panicked"))??;
        sends += sent.sends;
        per_second += sent.per_second;
    }
    Ok(json!({ "sends": sends, "per_second": per_second }))
}

struct Sent {
    sends: u64,
    per_second: f64,
}

/// What one of them does, on its own connection.
fn one(args: &Args) -> Result<impl FnOnce() -> Result<Sent> + Send + use<>> {
    let mut stream = TcpStream::connect(args.to).context("cannot connect")?;
    stream.set_nodelay(true)?;
    let mut pace = Pace::new(args.per_second / args.connections)?;
    let length = Duration::from_secs_f64(args.seconds);
    Ok(move || {
        let begin = Instant::now();
        let mut sends = 0u32;
        while begin.elapsed() < length {
            pace.next();
            stream.write_all(&[1; SIZE]).context("cannot send")?;
            sends += 1;
        }
        let took = begin.elapsed().as_secs_f64();
        stream.shutdown(Shutdown::Write)?;
        stream.read_to_end(&mut Vec::new()).context("the receiver does not close")?;
        Ok(Sent { sends: sends.into(), per_second: f64::from(sends) / took })
    })
}
