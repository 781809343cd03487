//! The benchmarks. The variants of each are measured in turn, round after round (ABAB), so that
//! whatever else the machine does meets all of them; a row is the median of its rounds.

mod delay_accuracy;
mod events;
mod idle_cost;
mod ledger;
mod line_throughput;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum as _;
use serde_json::json;

use crate::harness::lab::Lab;
use crate::harness::machine::Machine;
use crate::harness::table::Table;

#[derive(clap::Args)]
pub struct Args {
    /// Which; all of them by default
    names: Vec<Name>,
    /// Name them, and what they measure
    #[arg(long)]
    list: bool,
    /// One JSON document on stdout in place of tables
    #[arg(long)]
    json: bool,
    /// Rounds: how often each variant is measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Few samples, for an emulated guest
    #[arg(long)]
    few: bool,
    /// The flowfault to measure
    #[arg(long, required_unless_present = "list")]
    flowfault: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Name {
    LineThroughput,
    DelayAccuracy,
    IdleCost,
    Events,
    Ledger,
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    rounds: u32,
    /// An emulated guest measures less.
    pub few: bool,
}

impl Effort {
    /// The rounds, each said on stderr: a benchmark takes minutes.
    pub fn rounds(self) -> impl Iterator<Item = u32> {
        (1..=self.rounds).inspect(move |n| eprintln!("  round {n} of {}", self.rounds))
    }
}

impl Name {
    fn what(self) -> &'static str {
        match self {
            Self::LineThroughput => line_throughput::WHAT,
            Self::DelayAccuracy => delay_accuracy::WHAT,
            Self::IdleCost => idle_cost::WHAT,
            Self::Events => events::WHAT,
            Self::Ledger => ledger::WHAT,
        }
    }

    fn run(self, lab: &Lab, effort: Effort) -> Result<Table> {
        match self {
            Self::LineThroughput => line_throughput::run(lab, effort),
            Self::DelayAccuracy => delay_accuracy::run(lab, effort),
            Self::IdleCost => idle_cost::run(lab, effort),
            Self::Events => events::run(lab, effort),
            Self::Ledger => ledger::run(effort),
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            self.to_possible_value().map_or_else(String::new, |v| v.get_name().into()).as_str(),
        )
    }
}

/// Runs what was asked for.
///
/// # Errors
/// A benchmark could not be carried out; the others have been printed.
pub fn run(args: &Args) -> Result<()> {
    if args.list {
        for name in Name::value_variants() {
            println!("{:<16} {}", name.to_string(), name.what());
        }
        return Ok(());
    }
    let flowfault = args.flowfault.as_ref().context("--flowfault says which one is measured")?;
    if cfg!(debug_assertions) {
        bail!("a build without optimizations measures nothing: use `cargo xtask bench`");
    }
    let machine = Machine::here()?;
    let names = if args.names.is_empty() { Name::value_variants() } else { &args.names };
    let effort = Effort { rounds: args.rounds, few: args.few };
    let mut tables = Vec::new();
    if !args.json {
        println!("{}\n", machine.text());
    }
    for name in names {
        eprintln!("{name}");
        let lab = Lab::new(flowfault)?;
        let table = name.run(&lab, effort).with_context(|| format!("{name} failed"))?;
        if args.json {
            tables.push(table.json());
        } else {
            println!("{}", table.text());
        }
    }
    if args.json {
        println!(
            "{}",
            json!({ "machine": machine.json(), "rounds": args.rounds, "benches": tables })
        );
    }
    Ok(())
}
