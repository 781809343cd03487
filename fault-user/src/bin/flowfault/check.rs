//! `flowfault check`.

use anyhow::Result;
use fault_user::experiment::RunError;
use fault_user::{plan, scenario};

use crate::args::Check;
use crate::exit::{self, Code};
use crate::out;

/// Validates all files; errors of one do not hide those of the next.
pub fn check(args: &Check) -> Result<Code> {
    let mut code = exit::DONE;
    for path in &args.scenarios {
        match one(path, &args.set) {
            Ok(text) => out::results(&text)?,
            Err(e) => code = exit::explain(&e),
        }
    }
    Ok(code)
}

fn one(path: &std::path::Path, set: &[String]) -> Result<String> {
    let scenario = scenario::load(path, set)?;
    let seed = scenario.seed.unwrap_or_default();
    plan::compile(&scenario, seed).map_err(RunError::from)?;
    Ok(scenario::explain(&scenario))
}
