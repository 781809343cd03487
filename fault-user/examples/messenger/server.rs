//! The server: accepts websockets until it is told to end.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;

use super::args::ServerArgs;
use super::receipts::Receipts;
use super::refusal::Refusal;
use super::session::{self, Shared};
use super::{ca, console, tls};

/// Pause after a failed accept(2): out of descriptors, say, which only time can heal.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until SIGTERM or SIGINT, then ends at once with exit code 0.
///
/// # Errors
/// The certificate, the receipts file or the address is unusable.
pub async fn run(args: ServerArgs) -> Result<ExitCode> {
    // Installed before readiness is announced, so that no signal finds the default action.
    let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
    if args.make_ca {
        ca::make(&args.tls, &args.names)?;
    }
    let acceptor = tls::acceptor(&args.tls)?;
    let shared = Arc::new(Shared {
        receipts: Receipts::open(&args.receipts)?,
        refusal: refusal(&args),
        unidentified_messages: AtomicU64::new(0),
        confirm_delay: args.confirm_delay,
        keepalive: args.keepalive.duration(),
        idle_timeout: args.idle_timeout.duration(),
    });
    let listener = TcpListener::bind(&args.listen)
        .await
        .with_context(|| format!("cannot listen on {}; is the port taken?", args.listen))?;
    let address = listener.local_addr().context("cannot read the port")?;
    console::say(format_args!("listening on {address}")).context("cannot write to stdout")?;
    tokio::select! {
        () = accept_all(&listener, &acceptor, &shared) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn refusal(args: &ServerArgs) -> Refusal {
    args.refuse.or(args.refuse_every.map(Refusal::Every)).unwrap_or(Refusal::Never)
}

async fn accept_all(listener: &TcpListener, acceptor: &TlsAcceptor, shared: &Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (acceptor, shared) = (acceptor.clone(), Arc::clone(shared));
                tokio::spawn(async move {
                    match session::serve(stream, peer, &acceptor, &shared).await {
                        Ok(end) => tracing::info!("{peer}: {end}"),
                        Err(error) => tracing::warn!("{peer}: {error:#}"),
                    }
                });
            }
            Err(error) => {
                tracing::warn!("accept failed: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
