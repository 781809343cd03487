//! flowfault's developer commands: set-up, build, run, test, measure. `cargo xtask help` lists them.

mod bench;
mod build;
mod cargo;
mod doctor;
mod exec;
mod linker;
mod lint;
mod named_tests;
mod packages;
mod run;
mod setup;
mod steady;
mod test;
mod test_binaries;
#[path = "../../fault-user/build/toolchain.rs"]
mod toolchain;
#[cfg(test)]
mod toolchain_tests;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "flowfault's developer commands")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what the build needs and does not find
    Setup,
    /// Set up, then build flowfault and the messenger example
    Build(build::Args),
    /// Set up, build, then `flowfault run` with these arguments, as root
    Run(run::Args),
    /// Set up, build, then any other flowfault command, as root
    Fault(run::Args),
    /// Unit tests, then the privileged ones as root
    Test(test::Args),
    /// The privileged tests on the kernels of distributions, in QEMU
    VmTest(vm::Args),
    /// The benchmarks, each beside a peer or a baseline in the same run
    Bench(bench::Args),
    /// Formatting, clippy with warnings as errors, and that the tests exist which the docs name
    Lint,
    /// A test program; what fails in it is tried again alone
    #[command(hide = true)]
    Steady(steady::Args),
    /// What this machine has and lacks
    Doctor,
    /// Exactly what CI runs: .ci/run
    Ci,
}

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Setup => setup::command(),
        Command::Build(args) => build::command(&args),
        Command::Run(args) => run::scenario(&args),
        Command::Fault(args) => run::any(&args),
        Command::Test(args) => test::command(&args),
        Command::VmTest(args) => vm::command(&args),
        Command::Bench(args) => bench::command(&args),
        Command::Lint => lint::command(),
        Command::Steady(args) => steady::command(&args),
        Command::Doctor => doctor::command(),
        Command::Ci => cargo::root()
            .and_then(|root| exec::run(&mut std::process::Command::new(root.join(".ci/run")))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(exec::exit_code(&error))
        }
    }
}
