//! A TCP relay in which single connections can be turned into a black hole.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// No connection is swallowed.
const NOBODY: usize = usize::MAX;

/// Relays each connection to the server. Its threads end with their connections.
pub struct Relay {
    address: SocketAddr,
    swallowed: Arc<AtomicUsize>,
}

impl Relay {
    pub fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let swallowed = Arc::new(AtomicUsize::new(NOBODY));
        let flag = Arc::clone(&swallowed);
        thread::spawn(move || {
            for (index, client) in listener.incoming().enumerate() {
                let client = client.expect("accept works on loopback");
                let server = TcpStream::connect(server).expect("the server listens");
                relay(index, &client, &server, &flag);
                relay(index, &server, &client, &flag);
            }
        });
        Self { address, swallowed }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on every byte of the connection with this index (in order of opening, from 0)
    /// is taken and thrown away, in both directions: sending works, nothing arrives.
    pub fn swallow(&self, index: usize) {
        self.swallowed.store(index, Ordering::SeqCst);
    }
}

fn relay(index: usize, from: &TcpStream, to: &TcpStream, swallowed: &Arc<AtomicUsize>) {
    let mut from = from.try_clone().expect("a descriptor is free");
    let mut to = to.try_clone().expect("a descriptor is free");
    to.set_nodelay(true).expect("TCP_NODELAY exists");
    let swallowed = Arc::clone(swallowed);
    thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let hole = swallowed.load(Ordering::SeqCst) == index;
            if !hole && to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        // The other side may have closed already.
        let _ = to.shutdown(Shutdown::Write);
    });
}
