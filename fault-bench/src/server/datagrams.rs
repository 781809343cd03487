//! Takes datagrams with the time in them, and notes how long each was on its way. The times of
//! arrival are the kernel's, so that it does not matter when this thread gets to run.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::socket::{setsockopt, sockopt};

use super::clock;

/// Nothing more is to come after so long; longer than any delay here.
const QUIET: Duration = Duration::from_millis(700);
/// The socket must not lose what the line lets through.
const BUFFER: usize = 64 << 20;

/// One datagram.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    port: u16,
    pub number: u64,
    /// From the client's send to the receiver's network stack, ns; below zero if the clock was set
    /// meanwhile.
    pub took: i64,
}

/// The server.
pub struct Datagrams {
    came: Receiver<Arrival>,
}

impl Datagrams {
    pub fn start(at: SocketAddr) -> Result<Self> {
        let socket = UdpSocket::bind(at).with_context(|| format!("cannot listen on {at}"))?;
        setsockopt(&socket.as_fd(), sockopt::RcvBufForce, &BUFFER)?;
        setsockopt(&socket.as_fd(), sockopt::ReceiveTimestampns, &true)?;
        let (tell, came) = channel();
        std::thread::spawn(move || take(&socket, &tell));
        Ok(Self { came })
    }

    /// What came from this port, in the order in which it came.
    ///
    /// # Errors
    /// Nothing came.
    pub fn of(&self, port: u16) -> Result<Vec<Arrival>> {
        let all = std::iter::from_fn(|| self.came.recv_timeout(QUIET).ok());
        let arrivals: Vec<Arrival> = all.filter(|a| a.port == port).collect();
        ensure!(!arrivals.is_empty(), "no datagram came from port {port}");
        Ok(arrivals)
    }
}

fn take(socket: &UdpSocket, tell: &Sender<Arrival>) {
    let mut buffer = [0; 2048];
    loop {
        let Some(datagram) = clock::receive(socket, &mut buffer) else { continue };
        let word = |from: usize| {
            let bytes = buffer.get(from..from + 8).filter(|_| datagram.len >= from + 8)?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        };
        let (Some(number), Some(sent)) = (word(0), word(8)) else { continue };
        let took = datagram.at.wrapping_sub(sent) as i64;
        if tell.send(Arrival { port: datagram.port, number, took }).is_err() {
            return;
        }
    }
}
