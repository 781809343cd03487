//! `flowfault doctor`.

use anyhow::Result;
use fault_user::app::cgroup::Hierarchy;
use fault_user::experiment::journal;
use fault_user::kernel::{Check, probe};

use crate::args::Doctor;
use crate::exit::{self, Code};
use crate::out;

/// Tries what a run needs. Exit 3 if something needed does not work.
pub fn doctor(args: &Doctor) -> Result<Code> {
    let mut checks = probe();
    checks.push(cgroups());
    checks.push(leftovers());
    let able = checks.iter().all(|c| c.ok || !c.needed);
    if args.json {
        out::results(&format!("{}\n", serde_json::to_string_pretty(&checks)?))?;
    } else {
        for check in &checks {
            let word = match (check.ok, check.needed) {
                (true, _) => "yes",
                (false, true) => "NO",
                (false, false) => "no",
            };
            out::results(&format!("{word:>4}  {}: {}\n", check.what, check.detail))?;
        }
        out::results(if able {
            "flowfault can run here\n"
        } else {
            "flowfault cannot run here\n"
        })?;
    }
    Ok(if able { exit::DONE } else { exit::MACHINE })
}

fn cgroups() -> Check {
    let found = Hierarchy::find();
    let ok = found.is_ok();
    let detail = match found {
        Ok(h) if h.detached_fd().is_some() => "none is mounted; a detached mount works".into(),
        Ok(h) => h.root().display().to_string(),
        Err(e) => e.to_string(),
    };
    Check { what: "cgroup2 hierarchy".into(), ok, needed: true, detail }
}

fn leftovers() -> Check {
    let found = journal::leftovers();
    let detail = if found.is_empty() {
        "none".to_owned()
    } else {
        let list: Vec<&str> = found.iter().map(|l| l.what.as_str()).collect();
        format!("{}. Run `flowfault clean`", list.join(", "))
    };
    Check {
        what: "no leftovers of earlier runs".into(),
        ok: found.is_empty(),
        needed: false,
        detail,
    }
}
