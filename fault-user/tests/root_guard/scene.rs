//! Two ends of a connection on loopback, both in this process.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::support::objects::{Objects, traces_of};
use crate::support::{Lab, slow};

/// Runs a test on a thread in a namespace with nothing but `lo`; nothing is left afterwards.
pub fn alone(test: impl FnOnce() + Send) {
    let lab = Lab::alone();
    let before = held();
    lab.near.within(test);
    assert_eq!(held(), before, "programs are still loaded");
    assert_eq!(traces_of(std::process::id()), Vec::<String>::new());
    lab.close();
}

/// BPF objects that this process holds.
pub fn held() -> Objects {
    let mut objects = Objects::default();
    objects.add_those_of(std::process::id());
    objects
}

/// A time that is long enough for what takes milliseconds.
pub fn soon() -> Duration {
    Duration::from_secs(5) * slow()
}

/// Both ends of a connection.
pub struct Pair {
    pub client: TcpStream,
    pub server: TcpStream,
}

impl Pair {
    pub fn new() -> Self {
        Self::at("127.0.0.1:0")
    }

    pub fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).expect("loopback is up");
        let client = TcpStream::connect(listener.local_addr().expect("it is bound"));
        let client = client.expect("somebody listens");
        let (server, _) = listener.accept().expect("somebody connects");
        for end in [&client, &server] {
            end.set_nodelay(true).expect("TCP has it");
        }
        Self { client, server }
    }

    /// The client says something.
    pub fn says(&mut self, text: &str) {
        self.client.write_all(text.as_bytes()).expect("the socket takes it");
    }

    /// What of it comes within this time.
    pub fn hears(&mut self, length: usize, within: Duration) -> String {
        self.server.set_read_timeout(Some(within)).expect("not zero");
        let (mut heard, mut room) = (Vec::new(), vec![0; length]);
        while heard.len() < length {
            match self.server.read(&mut room[heard.len()..]) {
                Ok(0) => break,
                Ok(n) => heard = room[..heard.len() + n].to_vec(),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                Err(e) => panic!("the server cannot read: {e}"),
            }
        }
        String::from_utf8_lossy(&heard).into_owned()
    }

    /// What the client says is heard.
    pub fn works(&mut self) {
        self.says("all is well\n");
        assert_eq!(self.hears(12, soon()), "all is well\n");
    }
}
