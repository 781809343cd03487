//! A client with a policy, and the test that shows it to be right: when a connection goes silent, it is given up and
//! another one dialed.
//!
//! `cargo test --example guarded_client` as root runs the test; as anybody else it says that it was skipped, or fails
//! with FLOWFAULT_REQUIRED=1. `cargo run --example guarded_client` asks one question.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Asks questions of one line each; the answer is a line, too.
pub struct Client {
    server: SocketAddr,
    /// How long an answer may take before the connection counts as dead.
    patience: Duration,
    stream: BufReader<TcpStream>,
    dials: u32,
}

impl Client {
    /// Dials the server.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn dial(server: SocketAddr, patience: Duration) -> io::Result<Self> {
        let stream = BufReader::new(TcpStream::connect(server).await?);
        Ok(Self { server, patience, stream, dials: 1 })
    }

    /// The connection that it has now.
    pub fn stream(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    /// Connections that it has had, this one included.
    pub fn dials(&self) -> u32 {
        self.dials
    }

    /// Asks until there is an answer, dialing again whenever a connection is silent for too long.
    ///
    /// # Errors
    /// The server cannot be dialed any more.
    pub async fn ask(&mut self, question: &str) -> io::Result<String> {
        loop {
            match timeout(self.patience, self.try_once(question)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(_)) | Err(_) => {
                    self.stream = BufReader::new(TcpStream::connect(self.server).await?);
                    self.dials += 1;
                }
            }
        }
    }

    async fn try_once(&mut self, question: &str) -> io::Result<String> {
        self.stream.write_all(format!("{question}\n").as_bytes()).await?;
        let mut answer = String::new();
        match self.stream.read_line(&mut answer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(answer.trim_end().to_owned()),
        }
    }
}

/// Answers each line with the same in capitals, on as many connections as there come.
///
/// # Errors
/// Loopback has no free port.
pub async fn serve() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (read, mut write) = stream.into_split();
                let mut lines = BufReader::new(read).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    if write.write_all((line.to_uppercase() + "\n").as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok(address)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let mut client = Client::dial(serve().await?, Duration::from_secs(1)).await?;
    println!("{}", client.ask("is anybody there?").await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use fault_user::guard::{Fault, load_or_skip};

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(300);
    const SOON: Duration = Duration::from_secs(10);

    /// What the client sends is lost, as on a network that has died in one direction. Its writes go on succeeding: only
    /// the missing answer can tell it.
    #[tokio::test]
    async fn a_silent_connection_is_given_up_and_another_one_dialed() {
        let Some(_loaded) = load_or_skip("a_silent_connection_is_given_up_and_another_one_dialed")
        else {
            return;
        };
        let server = serve().await.unwrap();
        let mut client = Client::dial(server, PATIENCE).await.unwrap();
        assert_eq!(client.ask("one").await.unwrap(), "ONE");
        assert_eq!(client.dials(), 1);

        let fault = Fault::on(client.stream()).unwrap().egress().drop_all().arm().unwrap();
        assert_eq!(client.ask("two").await.unwrap(), "TWO");
        assert_eq!(client.dials(), 2, "over another connection");

        let counts = fault.until_hits(1, SOON).await.unwrap();
        assert_eq!(counts.egress.hit, counts.egress.stream.dropped, "all that the first one sent");
        assert_eq!(counts.ingress.hit, 0);
        // The second connection is nobody's: the fault was on one stream.
        assert_eq!(client.ask("three").await.unwrap(), "THREE");
        assert_eq!(client.dials(), 2);
    }

    /// The answers are lost instead: the server has heard the question, and hears it again.
    #[tokio::test]
    async fn a_lost_answer_is_asked_for_again() {
        let Some(_loaded) = load_or_skip("a_lost_answer_is_asked_for_again") else { return };
        let server = serve().await.unwrap();
        let mut client = Client::dial(server, PATIENCE).await.unwrap();
        let fault = Fault::on(client.stream()).unwrap().ingress().drop_all().arm().unwrap();
        assert_eq!(client.ask("one").await.unwrap(), "ONE");
        assert_eq!(client.dials(), 2);
        let counts = fault.lift().unwrap();
        assert!(counts.ingress.hit > 0 && counts.egress.hit == 0, "{counts:?}");
    }
}
