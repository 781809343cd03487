//! Sends back what comes.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use anyhow::{Context as _, Result};

pub fn start(at: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(at).with_context(|| format!("cannot listen on {at}"))?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    Ok(())
}

/// Until the client is gone; if it should not be, the client says so.
fn serve(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    let Ok(()) = stream.set_nodelay(true) else { return };
    while let Ok(read @ 1..) = stream.read(&mut buffer)
        && stream.write_all(&buffer[..read]).is_ok()
    {}
}
