//! The `flowfault` command: arguments, exit codes, and nothing else; the work is the library's.

mod args;
mod check;
mod clean;
mod doctor;
mod exit;
mod flows;
mod inject;
mod out;
mod report;
mod run;

use std::process::ExitCode;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

use args::{Args, Command};

fn main() -> ExitCode {
    let args = Args::parse();
    log_to_stderr(args.verbose);
    let result = match args.command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::check(&args),
        Command::Report(args) => report::report(&args),
        Command::Flows(args) => flows::flows(args),
        Command::Inject(args) => inject::inject(*args),
        Command::Doctor(args) => doctor::doctor(&args),
        Command::Clean => clean::clean(),
        Command::Schema => out::results(fault_user::scenario::SCHEMA).map(|()| exit::DONE),
        Command::Completions { shell } => args::completions(shell).map(|()| exit::DONE),
        Command::Janitor => fault_user::experiment::tend().map(|()| exit::DONE).map_err(Into::into),
    };
    result.unwrap_or_else(|e| exit::explain(&e)).into()
}

/// FLOWFAULT_LOG as in tracing's EnvFilter; without it warnings, and more with -v.
fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env("FLOWFAULT_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(out::colour(&std::io::stderr()))
        // With them it would panic on a stderr that nobody reads any more.
        .log_internal_errors(false)
        .init();
}
