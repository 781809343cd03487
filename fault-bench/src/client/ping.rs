//! Requests and answers, one after the other.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use serde_json::{Value, json};

#[derive(clap::Args)]
pub struct Args {
    to: SocketAddr,
    #[arg(long)]
    seconds: f64,
}

/// Bytes of a request and of its answer.
const SIZE: usize = 64;
/// Round trips that only warm up.
const WARM_UP: u32 = 200;

pub fn run(args: &Args) -> Result<Value> {
    let mut stream = TcpStream::connect(args.to).context("cannot connect")?;
    stream.set_nodelay(true)?;
    let mut message = [7; SIZE];
    for _ in 0..WARM_UP {
        round_trip(&mut stream, &mut message)?;
    }
    let mut took = Histogram::<u64>::new(3)?;
    let end = Instant::now() + Duration::from_secs_f64(args.seconds);
    let mut now = Instant::now();
    while now < end {
        round_trip(&mut stream, &mut message)?;
        let then = std::mem::replace(&mut now, Instant::now());
        took.record((now - then).as_nanos() as u64)?;
    }
    let us = |q: f64| took.value_at_quantile(q) as f64 / 1e3;
    Ok(json!({
        "trips": took.len(), "p50_us": us(0.5), "p99_us": us(0.99), "mean_us": took.mean() / 1e3,
    }))
}

fn round_trip(stream: &mut TcpStream, message: &mut [u8]) -> Result<()> {
    stream.write_all(message).context("cannot send a request")?;
    stream.read_exact(message).context("no answer")
}
