//! `flowfault clean`.

use anyhow::Result;
use fault_user::experiment::journal;

use crate::exit::{self, Code};

/// Removes what earlier runs have left. Runs that go on are not touched.
pub fn clean() -> Result<Code> {
    let (done, failed) = journal::clean();
    for leftover in &done {
        println!("removed: {}", leftover.what);
    }
    for (leftover, e) in &failed {
        eprintln!("flowfault: cannot remove {}: {e}", leftover.what);
    }
    if done.is_empty() && failed.is_empty() {
        println!("nothing was left");
    }
    Ok(if failed.is_empty() { exit::DONE } else { exit::RUN })
}
