//! The options of `flowfault inject`: selectors of a `[[flow]]`, faults of a step, and how to run.

use std::path::PathBuf;

use crate::args::HookArg;

use super::faults::Faults;

/// What the options have in common. Not a doc comment: that of the command replaces the one of its options.
const HELP: &str = "\
Which socket: any of the options under \"Selectors\", all of which must hold. What `flowfault flows --selectors` \
prints can be pasted with --flow. Without --pid, --process, --cgroup and --container the socket is looked for in every process of \
this network namespace.

What: one or more of the options under \"Faults\". VALUE is what stands in a scenario: --drop 0.1, --delay 250ms, \
--drop '{ first = 3 }'. Several stack in the order in which they are given.

Exit codes: 0 done, 2 bad usage, 3 this machine cannot do it, 4 no such socket, several, or a fault that met no \
packet (unless --may-miss), 130 and 143 stopped by SIGINT and SIGTERM after everything was undone.";

/// The whole command line.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Inject {
    #[command(flatten)]
    pub selectors: Selectors,
    #[command(flatten)]
    pub faults: Faults,
    #[command(flatten)]
    pub run: How,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Selectors")]
pub struct Selectors {
    /// A socket of the process with this id
    #[arg(long, value_name = "P", group = "whose", value_parser = clap::value_parser!(i32).range(1..))]
    pub pid: Option<i32>,
    /// A socket of the process of this name, or whose command line this regular expression matches
    #[arg(long, value_name = "NAME", group = "whose")]
    pub process: Option<String>,
    /// A socket of the processes in this cgroup (path or systemd unit) and below
    #[arg(long, value_name = "PATH", group = "whose")]
    pub cgroup: Option<String>,
    /// A socket of the container or pod whose id begins so
    #[arg(long, value_name = "ID", group = "whose")]
    pub container: Option<String>,
    /// With --pid or --process: of its children as well
    #[arg(long, conflicts_with_all = ["cgroup", "container"], requires = "whose")]
    pub children: bool,
    /// Its peer; the host may be a network, the port a range, each of them `*`
    #[arg(long, value_name = "HOST:PORT")]
    pub remote: Option<String>,
    /// Its own address: IP:PORT, :PORT or IP, with networks and ranges as in --remote
    #[arg(long, value_name = "ADDRESS")]
    pub local: Option<String>,
    /// tcp (default) or udp
    #[arg(long)]
    pub protocol: Option<String>,
    /// The Nth connection that is opened to --remote from now on
    #[arg(long, value_name = "N", requires = "whose")]
    pub nth: Option<u32>,
    /// The socket with this cookie
    #[arg(long, value_name = "N")]
    pub cookie: Option<u64>,
    /// The socket behind this descriptor of the process
    #[arg(long, value_name = "N", requires = "whose")]
    pub fd: Option<u32>,
    /// Owner of the socket
    #[arg(long, value_name = "ID")]
    pub uid: Option<u32>,
    /// connect or accept: who opened it
    #[arg(long, value_name = "WHO")]
    pub opened: Option<String>,
    /// What it is not: an inline table of selectors, e.g. '{ remote = "10.0.0.0/8:443" }'
    #[arg(long, value_name = "TOML")]
    pub exclude: Option<String>,
    /// A seeded part of all sockets that match, e.g. 0.1
    #[arg(long, value_name = "P", conflicts_with = "nth")]
    pub share: Option<f64>,
    /// How many sockets it may be [default: 1; with --share 1024]
    #[arg(long, value_name = "N")]
    pub max_flows: Option<u32>,
    /// When its socket closes, the next one that matches takes its place
    #[arg(long)]
    pub follow: bool,
    /// If no such socket is open, wait so long for one that opens, e.g. 30s
    #[arg(long, value_name = "DURATION", requires = "whose")]
    pub within: Option<String>,
    /// A whole [[flow]] as in a scenario, or some of its keys
    #[arg(long, value_name = "TOML")]
    pub flow: Option<String>,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Run")]
pub struct How {
    /// How long, e.g. 30s [default: until Ctrl-C, or until the sockets are closed]
    #[arg(long = "for", value_name = "DURATION")]
    pub lasts: Option<String>,
    /// Seed of every random decision
    #[arg(long)]
    pub seed: Option<u64>,
    /// What delays packets: auto, tap or fq, or a table as in a scenario
    #[arg(long, value_name = "VALUE")]
    pub line: Option<String>,
    /// Attach to interfaces this way instead of the better one that works
    #[arg(long, value_enum)]
    pub hook: Option<HookArg>,
    /// Name the sockets that would be hit, print the scenario, and touch nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Keep the results of the run in this directory
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Replace the report in a directory that has one
    #[arg(long, requires = "out")]
    pub overwrite: bool,
    /// One JSON line a second on stdout, and one at the end
    #[arg(long, conflicts_with = "quiet")]
    pub json: bool,
    /// Print nothing but why it did not work
    #[arg(short, long)]
    pub quiet: bool,
}
