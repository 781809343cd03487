//! Benchmarks in a guest: for what this machine's own kernel has not, such as netem.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use super::guest::{Drive, Ending};
use super::init::Work;
use super::{Host, LIMITS, Line, Results, judge, payload};
use crate::setup;

/// Between these lines stands what the benchmarks print, on a console that the kernel has too.
const BEGIN: &str = "---- benchmarks ----";
const END: &str = "---- end of the benchmarks ----";

/// Runs a command line of these programs in a guest, and prints what it prints.
///
/// # Errors
/// The guest or the command failed.
pub fn bench(line: Line, programs: &[PathBuf], command: &str) -> Result<()> {
    setup::ensure_guests()?;
    let built = programs.iter().map(PathBuf::as_path).collect();
    let programs = payload::Programs { built, data: Vec::new() };
    let host = Host::new(line, &programs, Drive::HostClock)?;
    let command = format!("echo '{BEGIN}'; {command}; status=$?; echo '{END}'; exit $status");
    let guest = host.guest(&Work::Command(&command))?;
    let results: Results<'_> = vec![(&guest, guest.run(LIMITS))];
    judge(&results)?;
    for (_, outcome) in results {
        let outcome = outcome?;
        ensure!(outcome.ending == Ending::Done, "the guest {}", outcome.ending);
        print!("{}", said(&outcome.console));
    }
    Ok(())
}

/// What stands between the two lines.
fn said(console: &str) -> String {
    let lines = console.lines().map(str::trim_end);
    let after = lines.skip_while(|line| *line != BEGIN).skip(1);
    after.take_while(|line| *line != END).map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_words_before_and_after_are_no_results() {
        let console = format!("[1.0] boot\r\n{BEGIN}\r\n| a |\r\n\r\n{END}\r\n[9.0] bye\r\n");
        assert_eq!(said(&console), "| a |\n\n");
        assert_eq!(said("nothing"), "");
    }
}
