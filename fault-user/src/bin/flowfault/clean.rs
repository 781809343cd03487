//! `flowfault clean`.

use anyhow::Result;
use fault_user::experiment::journal;

use crate::exit::{self, Code};
use crate::out;

/// Removes what earlier runs have left. Runs that go on are not touched.
pub fn clean() -> Result<Code> {
    let (done, failed) = journal::clean();
    for leftover in &done {
        out::results(&format!("removed: {}\n", leftover.what))?;
    }
    for (leftover, e) in &failed {
        out::message(&format!("flowfault: cannot remove {}: {e}\n", leftover.what));
    }
    if done.is_empty() && failed.is_empty() {
        out::results("nothing was left\n")?;
    }
    Ok(if failed.is_empty() { exit::DONE } else { exit::RUN })
}
