//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use fault_user::kernel::{Hook, Tier};

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
    /// Say what this kernel, these privileges and this machine can and cannot do
    Doctor(Doctor),
    /// Remove every leftover of earlier runs
    Clean,
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
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Format {
    Text,
    Json,
    Junit,
    Html,
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
