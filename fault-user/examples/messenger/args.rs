//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use super::duration::{Period, parse_duration, parse_period, parse_span};
use super::policy::Fallback;
use super::refusal::Refusal;
use super::role::Role;

/// Largest message body; far above the 16 KiB of a TLS record, below the websocket frame limit.
const MAX_BODY: u64 = 8 << 20;

#[derive(Debug, Parser)]
#[command(name = "messenger", about = "A messenger with two TLS websockets: the app under test")]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write ca.pem, server.pem and server.key of a new test authority
    MakeCa(MakeCaArgs),
    /// Receive messages, note a receipt for each, confirm them
    Server(ServerArgs),
    /// Send numbered messages over two websockets and report on each
    SendLoop(SendLoopArgs),
    /// Send one message over a fresh identified websocket and wait for its confirmation
    SendOne(SendOneArgs),
}

#[derive(Debug, clap::Args)]
pub struct MakeCaArgs {
    /// Directory of the three files; created if missing, files of an earlier authority are replaced
    pub dir: PathBuf,
    /// A further name or address the certificate is good for (besides localhost, 127.0.0.1, ::1)
    #[arg(long = "name", value_name = "NAME")]
    pub names: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub struct ServerArgs {
    /// Address to listen on; port 0 takes a free one (the real address is printed)
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7443")]
    pub listen: String,
    /// Directory with server.pem and server.key
    #[arg(long, value_name = "DIR")]
    pub tls: PathBuf,
    /// Make a new authority in the --tls directory first
    #[arg(long)]
    pub make_ca: bool,
    /// A further name for the certificate of --make-ca
    #[arg(long = "name", value_name = "NAME", requires = "make_ca")]
    pub names: Vec<String>,
    /// File to append one JSON line to for each message received
    #[arg(long, value_name = "FILE")]
    pub receipts: PathBuf,
    /// Refuse these messages (counted from 1): unidentified:N, unidentified:N.. or unidentified:N..=M
    #[arg(long, value_name = "ROLE:RANGE", conflicts_with = "refuse_every")]
    pub refuse: Option<Refusal>,
    /// Refuse every Nth message of the unidentified websockets
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub refuse_every: Option<u64>,
    /// Wait this long between receipt and confirmation
    #[arg(long, value_name = "DUR", default_value = "0s", value_parser = parse_duration)]
    pub confirm_delay: Duration,
    /// Ping each client this often; one without a pong by the next ping is dropped
    #[arg(long, value_name = "DUR|off", default_value = "off", value_parser = parse_period)]
    pub keepalive: Period,
    /// Close a websocket on which nothing arrived for this long
    #[arg(long, value_name = "DUR|off", default_value = "off", value_parser = parse_period)]
    pub idle_timeout: Period,
}

/// Where to connect to, shared by both sending commands.
#[derive(Clone, Debug, clap::Args)]
pub struct ConnectArgs {
    /// The server
    #[arg(long, value_name = "HOST:PORT")]
    pub connect: String,
    /// Certificate of the authority the server must be signed by
    #[arg(long, value_name = "FILE")]
    pub ca: PathBuf,
    /// Longest wait for one act: a connection, a probe, a write with its confirmation
    #[arg(long, value_name = "DUR", default_value = "5s", value_parser = parse_span)]
    pub timeout: Duration,
    /// Longest wait for a connection with its handshakes [default: as for any other act]
    #[arg(long, value_name = "DUR", value_parser = parse_span)]
    pub connect_timeout: Option<Duration>,
    /// Address to connect from
    #[arg(long, value_name = "IP")]
    pub local_addr: Option<IpAddr>,
    /// Length of a message's body in bytes (the JSON around it comes on top)
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u64).range(..=MAX_BODY))]
    pub size: u64,
}

#[derive(Debug, clap::Args)]
pub struct SendLoopArgs {
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// How many messages; 0 sends without end
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub count: u64,
    /// From the start of one message to the start of the next, unless a message takes longer
    #[arg(long, value_name = "DUR", default_value = "1s", value_parser = parse_span)]
    pub interval: Duration,
    /// What sends a message over the identified websocket after the unidentified one
    #[arg(long, value_enum, default_value_t = Fallback::Refusal)]
    pub fallback: Fallback,
    /// When a message counts as sent
    #[arg(long, value_enum, default_value_t = SentWhen::Written)]
    pub sent_when: SentWhen,
    /// Ping each websocket this often; one without a pong by the next ping is reopened
    #[arg(long, value_name = "DUR|off", default_value = "55s", value_parser = parse_period)]
    pub keepalive: Period,
    /// Which websockets to ping, and await the pong of, before each message
    #[arg(long, value_enum, default_value_t = Probe::None)]
    pub probe: Probe,
    /// First wait before a broken websocket is opened again; doubled after each failure
    #[arg(long, value_name = "DUR", default_value = "1s", value_parser = parse_span)]
    pub reconnect_min: Duration,
    /// Longest wait before a broken websocket is opened again
    #[arg(long, value_name = "DUR", default_value = "30s", value_parser = parse_span)]
    pub reconnect_max: Duration,
    /// What precedes the number in a message's id
    #[arg(long, value_name = "TEXT", default_value = "msg-")]
    pub id_prefix: String,
    /// Keep the websockets open for this long after the last message
    #[arg(long, value_name = "DUR", default_value = "0s", value_parser = parse_duration)]
    pub linger: Duration,
}

#[derive(Debug, clap::Args)]
pub struct SendOneArgs {
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// Id of the message
    pub id: String,
}

/// When the sender calls a message sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SentWhen {
    /// The local kernel accepted all its bytes
    Written,
    /// The server confirmed it
    Confirmed,
}

/// Which websockets are probed before a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Probe {
    None,
    Identified,
    Unidentified,
    Both,
}

impl Probe {
    /// Whether the websocket of this role is to be probed.
    pub fn includes(self, role: Role) -> bool {
        match self {
            Self::None => false,
            Self::Identified => role == Role::Identified,
            Self::Unidentified => role == Role::Unidentified,
            Self::Both => true,
        }
    }
}
