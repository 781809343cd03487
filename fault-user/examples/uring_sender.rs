//! Sends lines over TCP with io_uring: no send call of its own that a system call tracepoint could see. Each line is
//! told on stdout as JSON.
//!
//! Arguments: `ADDRESS COUNT SIZE`, and `thread` for a kernel thread that submits (SQPOLL). Exit code 3: this kernel
//! has no io_uring.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use io_uring::{IoUring, opcode, types};

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(3),
        Err(e) => {
            eprintln!("{e:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether there is io_uring.
fn run() -> Result<bool> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [address, count, size, how @ ..] = &args[..] else {
        anyhow::bail!("arguments: ADDRESS COUNT SIZE [thread]");
    };
    let (count, size): (usize, usize) = (count.parse()?, size.parse()?);
    let mut ring = match ring(how.first().is_some_and(|h| h == "thread")) {
        Ok(ring) => ring,
        Err(e) => {
            eprintln!("no io_uring here: {e}");
            return Ok(false);
        }
    };
    let mut stream =
        TcpStream::connect(address).with_context(|| format!("connecting {address}"))?;
    eprintln!("connected");
    std::thread::sleep(Duration::from_millis(200));
    for number in 1..=count {
        let id = format!("uring-{number}");
        let line = format!("{id} {}\n", "x".repeat(size));
        let begun = Instant::now();
        send_all(&mut ring, &stream, line.as_bytes())?;
        let ms = begun.elapsed().as_secs_f64() * 1e3;
        let told = format!(
            "{{\"id\":\"{id}\",\"status\":\"ok\",\"bytes\":{},\"elapsed_ms\":{ms:.3}}}\n",
            line.len()
        );
        std::io::stdout().write_all(told.as_bytes())?;
        std::io::stdout().flush()?;
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    stream.read_to_end(&mut Vec::new())?;
    Ok(true)
}

fn ring(thread: bool) -> std::io::Result<IoUring> {
    let mut builder = IoUring::builder();
    if thread {
        builder.setup_sqpoll(50);
    }
    builder.build(8)
}

fn send_all(ring: &mut IoUring, stream: &TcpStream, mut data: &[u8]) -> Result<()> {
    while !data.is_empty() {
        let entry = opcode::Send::new(
            types::Fd(stream.as_raw_fd()),
            data.as_ptr(),
            u32::try_from(data.len())?,
        );
        // SAFETY: socket and data outlive the request: its completion is waited for below.
        unsafe { ring.submission().push(&entry.build()) }.context("the queue is empty")?;
        ring.submit_and_wait(1).context("io_uring_enter")?;
        let result = ring.completion().next().context("a completion was waited for")?.result();
        ensure!(result > 0, "sending: {}", std::io::Error::from_raw_os_error(-result));
        data = &data[usize::try_from(result)?..];
    }
    Ok(())
}
