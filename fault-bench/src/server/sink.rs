//! Takes bytes, and notes how many there were when.

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

/// How long a sample may be on its way, beyond its client's end.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time between two notes.
const NOTE: Duration = Duration::from_millis(10);
const READ: usize = 256 << 10;

/// The server.
pub struct Sink {
    done: Receiver<Transfer>,
}

/// What came on one connection.
pub struct Transfer {
    /// Of the client.
    pub port: u16,
    /// Time since the connection was accepted, and bytes until then.
    notes: Vec<(Duration, u64)>,
}

impl Sink {
    pub fn start(at: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(at).with_context(|| format!("cannot listen on {at}"))?;
        let (tell, done) = channel();
        std::thread::spawn(move || {
            for (stream, from) in std::iter::from_fn(|| listener.accept().ok()) {
                let tell = tell.clone();
                std::thread::spawn(move || take(stream, from.port(), &tell));
            }
        });
        Ok(Self { done })
    }

    /// What the client with this port has sent.
    ///
    /// # Errors
    /// It never came to an end.
    pub fn of(&self, port: u16) -> Result<Transfer> {
        loop {
            let transfer = self.done.recv_timeout(PATIENCE);
            let transfer = transfer.with_context(|| format!("no transfer from port {port}"))?;
            if transfer.port == port {
                return Ok(transfer);
            }
        }
    }
}

impl Transfer {
    /// Mbit/s of payload from `warm_up` to `end`.
    ///
    /// # Errors
    /// Too little was received in that time to speak of a rate.
    pub fn mbit_s(&self, warm_up: Duration, end: Duration) -> Result<f64> {
        let within = |at: &Duration| *at >= warm_up && *at <= end;
        let notes: Vec<_> = self.notes.iter().filter(|(at, _)| within(at)).collect();
        ensure!(
            notes.len() > 2,
            "port {}: {} notes of {} between {warm_up:?} and {end:?}: too few for a rate",
            self.port,
            notes.len(),
            self.notes.len()
        );
        let (first, last) = (notes[0], notes[notes.len() - 1]);
        Ok((last.1 - first.1) as f64 * 8e-6 / (last.0 - first.0).as_secs_f64())
    }
}

fn take(mut stream: TcpStream, port: u16, tell: &Sender<Transfer>) {
    let begin = Instant::now();
    let mut buffer = vec![0; READ];
    let (mut bytes, mut notes) = (0, Vec::<(Duration, u64)>::new());
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        bytes += read as u64;
        let at = begin.elapsed();
        if notes.last().is_none_or(|(last, _)| at >= *last + NOTE) {
            notes.push((at, bytes));
        }
    }
    // Nobody listens when the program is at its end.
    let _ = tell.send(Transfer { port, notes });
}
