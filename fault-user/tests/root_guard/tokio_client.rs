//! The library's example, and what else asynchronous tests need.

use std::time::Duration;

use fault_user::guard::{Fault, Guard};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::scene::{alone, soon};

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(work)
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is up");
    let address = listener.local_addr().expect("it is bound");
    let client = TcpStream::connect(address).await.expect("somebody listens");
    (client, listener.accept().await.expect("somebody connects").0)
}

/// Others go on while a condition is waited for, on a runtime with a single thread.
#[test]
fn a_wait_lets_others_run() {
    alone(|| {
        block_on(async {
            let (mut client, mut server) = pair().await;
            let fault = Fault::on(&client).unwrap().egress().drop_all().arm().unwrap();
            let send = async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                client.write_all(b"hello").await.unwrap();
            };
            let (counts, ()) = tokio::join!(fault.until_hits(2, soon()), send);
            assert!(counts.unwrap().egress.hit >= 2);
            drop(fault);
            let mut heard = [0; 5];
            server.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard, b"hello");
        });
    });
}

/// tokio's UDP sockets are as good as std's.
#[test]
fn a_socket_of_tokio_loses_its_answers() {
    alone(|| {
        block_on(async {
            let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let address = server.local_addr().unwrap();
            let fault = Fault::on(&client).unwrap().ingress().drop_first(1).arm().unwrap();
            let mut room = [0; 9];
            for _ in 0..2 {
                client.send_to(b"question", address).await.unwrap();
                let (_, from) = server.recv_from(&mut room).await.unwrap();
                server.send_to(b"answer", from).await.unwrap();
            }
            assert_eq!(client.recv_from(&mut room).await.unwrap(), (6, address));
            let counts = fault.until_hits(1, soon()).await.unwrap();
            assert_eq!((counts.ingress.hit, counts.ingress.stream.packets), (1, 2), "{counts:?}");
        });
    });
}

/// A guard may be held over an await in a task that moves between threads.
#[test]
fn a_guard_is_send_and_sync() {
    fn check<T: Send + Sync>() {}
    check::<Guard>();
    check::<Fault>();
}
