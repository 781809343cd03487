//! Datagrams with the time in them; the receiver's kernel notes when they come.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use super::pace::Pace;

#[derive(clap::Args)]
pub struct Args {
    to: SocketAddr,
    #[arg(long)]
    seconds: f64,
    #[arg(long)]
    per_second: u32,
}

/// Bytes of a datagram: number, time, the rest is for the look of it.
const SIZE: usize = 200;
/// Longer than any delay here.
const LINGER: Duration = Duration::from_millis(200);

pub fn run(args: &Args) -> Result<Value> {
    let socket = UdpSocket::bind("0.0.0.0:0").context("no socket")?;
    socket.connect(args.to)?;
    let mut pace = Pace::new(args.per_second)?;
    let mut datagram = [0; SIZE];
    let count = (f64::from(args.per_second) * args.seconds) as u64;
    for number in 0..count {
        pace.next();
        datagram[..8].copy_from_slice(&number.to_le_bytes());
        // The receiver's stamps are of this clock (SO_TIMESTAMPNS).
        let now = Duration::from(clock_gettime(ClockId::CLOCK_REALTIME)?);
        datagram[8..16].copy_from_slice(&(now.as_nanos() as u64).to_le_bytes());
        socket.send(&datagram).context("cannot send a datagram")?;
    }
    // flowfault's run is over when its app is, and what is held then goes on at once.
    std::thread::sleep(LINGER);
    Ok(json!({ "port": socket.local_addr()?.port(), "sent": count }))
}
