//! Which faults go through the delay line, and what that needs.

use crate::scenario::model::{Backend, Fault, FaultSpec, Scenario, Via};
use crate::scenario::units::format_size;

/// The line in one line of text.
pub fn of_scenario(scenario: &Scenario) -> String {
    let line = scenario.line;
    let mut faults = scenario.steps.iter().flat_map(|step| &step.faults);
    if line.backend == Backend::None {
        return "none: faults act at the hook, on a super-packet as a whole".into();
    }
    if !faults.any(|f| f.via(line.backend) == Some(Via::Line)) {
        return "not needed: every fault acts at the hook".into();
    }
    let made_of = match line.backend {
        Backend::Fq => "a veth pair with the fq qdisc (needs sch_fq)",
        _ => {
            "a TAP device (needs /dev/net/tun; for IPv4 over lo the sysctls route_localnet and \
             accept_local during the run)"
        }
    };
    format!("{made_of}; holds at most {}", format_size(line.hold))
}

/// Where one of a step's faults is carried out.
pub fn of_fault(scenario: &Scenario, faults: &[FaultSpec], spec: &FaultSpec) -> &'static str {
    let via = |f: &FaultSpec| f.via(scenario.line.backend);
    let beside = |f: &FaultSpec| {
        let shared = f.direction.each().iter().any(|d| spec.direction.each().contains(d));
        f.flow == spec.flow && shared
    };
    match via(spec) {
        None => "",
        Some(Via::Line) => " [line]",
        Some(Via::Hook) if matches!(spec.fault, Fault::Stall) => " [hook]",
        // The faults of a stack are judged in one place.
        Some(Via::Hook) if faults.iter().any(|f| beside(f) && via(f) == Some(Via::Line)) => {
            " [line, with the others]"
        }
        Some(Via::Hook) => " [hook]",
    }
}
