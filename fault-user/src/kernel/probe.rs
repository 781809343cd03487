//! What this kernel and these privileges can do: found out by trying.

use super::{Hook, Kernel, KernelError, Setup, Tier};

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// What it is for.
    pub what: String,
    /// Whether it works.
    pub ok: bool,
    /// Whether a run is impossible without it.
    pub needed: bool,
    /// What was found, or why it does not work and what to do.
    pub detail: String,
}

/// Tries everything that a run needs; changes nothing that outlives the call.
pub fn probe() -> Vec<Check> {
    let mut checks = Vec::new();
    let mut kernel = match Kernel::load(&Setup::default()) {
        Ok(kernel) => {
            checks.push(check("load the eBPF programs", true, Ok("accepted".into())));
            kernel
        }
        Err(e) => {
            checks.push(check("load the eBPF programs", true, Err(e)));
            return checks;
        }
    };
    checks.extend(probe_hooks(&mut kernel));
    let mut any = false;
    for tier in Tier::ALL {
        let result = kernel.attach_evidence(Some(tier)).map(|_| "works".to_owned());
        any |= result.is_ok();
        checks.push(check(&format!("evidence of sends by {}", tier.name()), false, result));
    }
    checks.push(Check {
        what: "evidence of sends, one of the above".into(),
        ok: any,
        needed: true,
        detail: if any { "the first that works is used" } else { "none works" }.into(),
    });
    checks
}

/// Which hook a run would use.
fn probe_hooks(kernel: &mut Kernel) -> Vec<Check> {
    let lo = kernel.attach_interface("lo", 1, true);
    kernel.detach_interfaces();
    let works = |hook: Option<Hook>| match hook {
        Some(Hook::Tcx) => "TCX links (works on lo)".into(),
        _ => "filters of the clsact qdisc (work on lo; this kernel has no TCX, Linux 6.6)".into(),
    };
    let hook = kernel.hook();
    vec![check("hook for packets on interfaces", true, lo.map(|()| works(hook)))]
}

fn check(what: &str, needed: bool, result: Result<String, KernelError>) -> Check {
    let ok = result.is_ok();
    let detail = result.unwrap_or_else(|e| e.to_string());
    Check { what: what.into(), ok, needed, detail }
}
