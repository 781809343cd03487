//! flowfault's benchmarks, each variant beside a baseline or a peer in the same run.
//!
//! `fault-bench run` makes two network namespaces with a cable, starts the servers in one and the clients
//! (`fault-bench client`, by itself or as an app of flowfault) in the other. `cargo xtask bench` builds
//! all of it with optimizations and starts it as root.
//!
//! | folder | responsibility |
//! |---|---|
//! | `client` | what sends: one program, so that it is the same with and without flowfault |
//! | `server` | what receives and measures; flowfault does not know it |
//! | `harness` | namespaces, samples, statistics, tables |
//! | `benches` | the benchmarks |

mod benches;
mod client;
mod harness;
mod server;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "fault-bench", about = "flowfault's benchmarks")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs benchmarks, as root
    Run(benches::Args),
    /// Sends; started by `run`
    Client(client::Args),
}

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Run(args) => benches::run(&args),
        Command::Client(args) => client::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
