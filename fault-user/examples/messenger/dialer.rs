//! Opens websockets.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use rustls::pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::args::ConnectArgs;
use super::role::Role;
use super::{console, tls};

/// A websocket over TLS, on the sender's side.
pub type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// Knows the server and how to reach it.
pub struct Dialer {
    /// `HOST:PORT` as given.
    target: String,
    name: ServerName<'static>,
    tls: TlsConnector,
    local: Option<IpAddr>,
    limit: Duration,
}

impl Dialer {
    /// Reads the authority's certificate; touches no network yet.
    ///
    /// # Errors
    /// The certificate is unusable, or the target is no `HOST:PORT`.
    pub fn new(args: &ConnectArgs) -> Result<Self> {
        Ok(Self {
            name: server_name(&args.connect)?,
            target: args.connect.clone(),
            tls: tls::connector(&args.ca)?,
            local: args.local_addr,
            limit: args.connect_timeout.unwrap_or(args.timeout),
        })
    }

    /// Opens a websocket of this role. The line that says so is out before connect(2) is called,
    /// and there is one connect(2) for each address tried: exactly one unless the target is a
    /// name with several addresses.
    ///
    /// # Errors
    /// The name is unknown, no address answers, a handshake fails or the time-out is over.
    pub async fn dial(&self, role: Role) -> Result<Socket> {
        timeout(self.limit, self.dial_unbounded(role))
            .await
            .unwrap_or_else(|_| Err(anyhow!("no websocket within {:?}", self.limit)))
            .with_context(|| format!("cannot open the {role} websocket to {}", self.target))
    }

    async fn dial_unbounded(&self, role: Role) -> Result<Socket> {
        let addresses: Vec<SocketAddr> =
            lookup_host(&self.target).await.context("the host name does not resolve")?.collect();
        console::say(format_args!("creating {role} websocket"))?;
        let stream = self.connect(&addresses).await?;
        let stream = self
            .tls
            .connect(self.name.clone(), stream)
            .await
            .context("TLS handshake failed; is --ca the server's authority?")?;
        let url = format!("wss://{}{}", self.target, role.path());
        let (socket, _response) =
            client_async(url, stream).await.context("websocket handshake failed")?;
        Ok(socket)
    }

    async fn connect(&self, addresses: &[SocketAddr]) -> Result<TcpStream> {
        let mut last = anyhow!("the host name has no address");
        for address in addresses {
            match self.connect_one(*address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error.context(format!("cannot connect to {address}")),
            }
        }
        Err(last)
    }

    async fn connect_one(&self, address: SocketAddr) -> Result<TcpStream> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_nodelay(true).context("cannot set TCP_NODELAY")?;
        if let Some(local) = self.local {
            socket
                .bind(SocketAddr::new(local, 0))
                .with_context(|| format!("cannot use --local-addr {local}"))?;
        }
        Ok(socket.connect(address).await?)
    }
}

fn server_name(target: &str) -> Result<ServerName<'static>> {
    let host = target
        .rsplit_once(':')
        .filter(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        .map(|(host, _)| host.trim_start_matches('[').trim_end_matches(']'))
        .with_context(|| format!("--connect {target} is no HOST:PORT"))?;
    ServerName::try_from(host.to_owned())
        .with_context(|| format!("--connect {target}: not a host name or address"))
}
