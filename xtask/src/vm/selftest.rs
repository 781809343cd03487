//! Whether guests in trouble are found out: real ones, one that panics and one that hangs.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::guest::{Ending, Limits};
use super::init::Work;
use super::{Host, LIMITS, console};

/// Enough for an idle guest, short enough to wait for.
const SILENCE: Duration = Duration::from_secs(20);

/// Boots both.
///
/// # Errors
/// One was taken for something else: what for, and the console's tail.
pub fn run(host: &Host<'_>) -> Result<()> {
    // Not a line of userland's that looks like a panic, but the kernel's own.
    expect(
        host,
        "echo c >/proc/sysrq-trigger",
        |ending| matches!(ending, Ending::Trouble(words) if words.contains("panic") || words.contains("BUG")),
    )?;
    // Not a sleep: the guest's clock jumps over those.
    expect(host, "tail -f /dev/null", |ending| *ending == Ending::Silent(SILENCE))
}

fn expect(host: &Host<'_>, command: &str, right: impl Fn(&Ending) -> bool) -> Result<()> {
    let guest = host.guest(&Work::Command(command))?;
    let outcome = guest.run(Limits { silence: SILENCE, ..LIMITS })?;
    let (version, tail) = (guest.version, console::tail(&outcome.console, 40));
    ensure!(
        right(&outcome.ending) && !outcome.progress.passed(&guest.expected),
        "Linux {version}: `{command}` was judged as `{}`:\n{tail}",
        outcome.ending
    );
    println!("Linux {version}: `{command}` is found out: {}", outcome.ending);
    Ok(())
}
