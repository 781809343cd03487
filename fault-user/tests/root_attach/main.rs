//! flowfault attached to programs that ran before it, in namespaces of the tests' own. Needs root:
//! `cargo xtask test --root`.
//!
//! What is unharmed, and what is not, a packet socket at the far end of the cable says, and the app itself.

mod accepted;
mod apart;
mod cgroup;
mod cgroups;
mod children;
mod containers;
mod daemon;
mod elsewhere;
mod later;
mod listeners;
mod open;
mod overflow;
mod positions;
mod refusals;
#[path = "../root_run/support/mod.rs"]
#[expect(dead_code, reason = "shared with root_run, which needs more of it")]
mod support;
mod two;

use fault_user::report::model::{FlowReport, Report};

use support::run::{Finished, Run};
use support::{Lab, stretched};

/// How long outages last, in milliseconds on a fast machine.
const OUTAGE: u32 = 400;

/// A scenario with one app that runs already and a flow `dark`, which goes dark for a while.
fn scenario(app: &str, flow: &str) -> String {
    let (lasts, all) = (stretched(OUTAGE), stretched(8_000));
    format!(
        "schema = 1\nname = 'attached'\nseed = 7\nduration = '{all}'\n\
         [[app]]\nname = 'daemon'\n{app}\n\
         [[flow]]\nname = 'dark'\n{flow}\n\
         [[step]]\nname = 'outage'\nat = '100ms'\nfaults = [{{ flow = 'dark', drop = 1.0 }}]\nfor = '{lasts}'\n"
    )
}

fn run(lab: &Lab, name: &str, app: &str, flow: &str) -> Finished {
    Run::start(lab, name, &scenario(app, flow), &[]).finish()
}

/// The flow with this cookie.
fn flow(report: &Report, cookie: u64) -> &FlowReport {
    let found = report.flows.iter().find(|f| f.cookie == cookie);
    found.unwrap_or_else(|| panic!("no flow {cookie}: {:#?}", report.flows))
}
