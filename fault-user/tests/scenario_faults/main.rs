//! Every form of every fault, and what is written for reports read again.

mod forms;
mod generate;
mod written;

use std::path::{Path, PathBuf};

use fault_user::scenario::model::{FaultSpec, Scenario};
use fault_user::scenario::parse;

fn base_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios")
}

fn scenario(top: &str, protocol: &str, fault: &str) -> Result<Scenario, String> {
    let text = format!(
        "schema = 1\n{top}\n[[app]]\nname = 'a'\ncommand = ['true']\n\
         [[flow]]\nname = 'f'\nremote = '10.0.0.1:443'\nprotocol = '{protocol}'\n\
         [[step]]\nat = '1s'\nfaults = [{{ flow = 'f', {fault} }}]\n"
    );
    parse("t.toml", &text, &base_dir(), &[]).map_err(|e| e.plain())
}

fn spec(fault: &str) -> FaultSpec {
    let scenario = scenario("", "tcp", fault).unwrap_or_else(|e| panic!("{e}"));
    scenario.steps[0].faults[0].clone()
}
