//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use fault_user::kernel::{Hook, Tier};
use fault_user::scenario::model::Remote;
use fault_user::scenario::parse_remote;

/// Takes one socket of a running program off the network, and says what became of each send.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
pub struct Args {
    /// More messages on stderr (-v info, -vv debug, -vvv trace)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a scenario
    Run(Run),
    /// Validate scenarios and print their resolved timelines; needs no privileges
    Check(Check),
    /// Render a finished run again
    Report(Report),
    /// One fault on one flow of a running program, without a file
    Inject(Box<crate::inject::Inject>),
    /// List live flows, and what picks each of them
    Flows(Flows),
    /// Say what this kernel, these privileges and this machine can and cannot do
    Doctor(Doctor),
    /// Remove every leftover of earlier runs
    Clean,
    /// Print the JSON Schema of the scenario file
    Schema,
    /// Print shell completions
    Completions { shell: Shell },
    /// Clean up when the controller is killed (started by `run`)
    #[command(hide = true)]
    Janitor,
}

#[derive(Debug, clap::Args)]
pub struct Run {
    /// The scenario file
    pub scenario: PathBuf,
    /// Directory for the results [default: fault-runs/NAME-TIMESTAMP]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Replace the report in a directory that has one
    #[arg(long)]
    pub overwrite: bool,
    /// Seed of every random decision, instead of the scenario's
    #[arg(long)]
    pub seed: Option<u64>,
    /// Replace a value of the scenario, e.g. `--set flow.unidentified.nth=1`
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// Print the plan and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print report.json on stdout instead of the summary
    #[arg(long, conflicts_with = "quiet")]
    pub json: bool,
    /// Print nothing on stdout, and on stderr only why a run did not pass
    #[arg(short, long)]
    pub quiet: bool,
    /// Use this evidence of sends instead of the best that works
    #[arg(long, value_enum)]
    pub evidence: Option<Evidence>,
    /// Attach to interfaces this way instead of the better one that works
    #[arg(long, value_enum)]
    pub hook: Option<HookArg>,
    /// Have an event for each packet in events.jsonl, also where no fault is armed
    #[arg(long)]
    pub every_packet: bool,
}

/// Ways to attach to interfaces, as report.json calls them.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum HookArg {
    /// Links, Linux 6.6
    Tcx,
    /// Filters of the clsact qdisc
    Clsact,
}

impl From<HookArg> for Hook {
    fn from(hook: HookArg) -> Self {
        match hook {
            HookArg::Tcx => Self::Tcx,
            HookArg::Clsact => Self::Clsact,
        }
    }
}

/// Evidence tiers, as report.json calls them.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Evidence {
    SockSendLength,
    Fexit,
    SysExit,
}

impl From<Evidence> for Tier {
    fn from(evidence: Evidence) -> Self {
        match evidence {
            Evidence::SockSendLength => Self::SockSendLength,
            Evidence::Fexit => Self::Fexit,
            Evidence::SysExit => Self::SysExit,
        }
    }
}

#[derive(Debug, clap::Args)]
pub struct Check {
    /// Scenario files
    #[arg(required = true)]
    pub scenarios: Vec<PathBuf>,
    /// Replace a value of each scenario
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub struct Report {
    /// Directory of a finished run
    pub dir: PathBuf,
    /// How to render it
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
    /// Repeat the run's audit from its files alone; exit code 1 if something does not add up
    #[arg(long, conflicts_with = "format")]
    pub audit: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Format {
    Text,
    Json,
    Junit,
    Html,
    /// A history for Jepsen's checkers, in EDN
    Jepsen,
}

/// Without --pid, --process and --cgroup: all flows of this network namespace. With them, those of the
/// processes that all of them mean, also in other namespaces.
///
/// NTH: which of the connections that the process now has to this remote, and of how many; `~` marks a guess
/// (by the sockets' inodes), for the kernel keeps no record of it. AGE: at least so much, for it keeps no time of
/// opening either. OUT, IN: bytes of payload, retransmissions included. UNACKED, RETR: segments.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Flows {
    /// Flows of the process with this id
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(i32).range(1..))]
    pub pid: Option<i32>,
    /// Flows of the process of this name, or whose command line this regular expression matches
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub process: Option<String>,
    /// Flows of the processes in this cgroup (path or systemd unit) and below
    #[arg(long, value_name = "PATH")]
    pub cgroup: Option<String>,
    /// Flows to this remote; `*:PORT` is any host
    #[arg(long, value_name = "HOST:PORT", value_parser = remote)]
    pub remote: Option<Remote>,
    /// Also listeners, unconnected sockets and TIME_WAIT
    #[arg(long)]
    pub all: bool,
    /// Print the [[flow]] of a scenario for each, instead of the table
    #[arg(long, conflicts_with_all = ["json", "watch"])]
    pub selectors: bool,
    /// Print one JSON document
    #[arg(long, conflicts_with = "watch")]
    pub json: bool,
    /// A live table; left and right choose the column to sort by, r reverses, q quits
    #[arg(long)]
    pub watch: bool,
}

fn remote(text: &str) -> Result<Remote, String> {
    parse_remote(text).map_err(|e| format!("{}; {}", e.why, e.help))
}

#[derive(Debug, clap::Args)]
pub struct Doctor {
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// Writes completions to stdout.
pub fn completions(shell: Shell) -> anyhow::Result<()> {
    use clap::CommandFactory as _;
    // Into memory first: clap_complete panics where a write fails.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "flowfault", &mut script);
    crate::out::results(&String::from_utf8_lossy(&script))
}
