//! Faults of a guard -> a scenario, which is validated like any other: the same faults, the same errors.

use std::path::Path;

use fault_common::fate::Then;

use super::GuardError;
use super::stream::Stream;
use crate::act::Protocol;
use crate::scenario::model::{Fault, FaultSpec};
use crate::scenario::{Scenario, parse, written};

/// One fault: the keys of an entry of `faults`, and the direction unless it stands among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub direction: Option<&'static str>,
    pub keys: String,
}

/// The scenario that says the same.
///
/// # Errors
/// What a scenario with these faults would be refused for, and faults that a guard cannot carry out.
pub fn scenario(stream: &Stream, entries: &[Entry]) -> Result<Scenario, GuardError> {
    let fault = |entry: &Entry| {
        let way = entry.direction.map(|d| format!("direction = \"{d}\", ")).unwrap_or_default();
        format!("  {{ flow = \"stream\", {way}{} }},\n", entry.keys)
    };
    let faults: String = entries.iter().map(fault).collect();
    let socket = match stream.protocol {
        Protocol::Tcp => format!("cookie = {}", stream.cookie),
        Protocol::Udp => format!("protocol = \"udp\"\nlocal = \"{}\"", stream.local),
    };
    let text = format!(
        "schema = 1\nname = \"guard\"\n\n[[app]]\nname = \"test\"\npid = {}\n\n[[flow]]\nname = \"stream\"\n\
         app = \"test\"\n{socket}\n\n[[step]]\nname = \"guard\"\nat = \"0s\"\nfaults = [\n{faults}]\n",
        std::process::id()
    );
    // Files of traces and distributions are found from where the test runs, as std::fs finds them.
    let base = std::env::current_dir().unwrap_or_else(|_| Path::new("/").to_owned());
    let scenario = parse("guard (as a scenario)", &text, &base, &[])?;
    scenario.steps.iter().flat_map(|step| &step.faults).try_for_each(available)?;
    Ok(scenario)
}

fn available(spec: &FaultSpec) -> Result<(), GuardError> {
    let why = match &spec.fault {
        Fault::Limit(limit) if limit.then == Then::Reset => {
            "nobody watches for that byte. With `then = \"drop\"` the stream goes silent at that byte instead"
        }
        _ => return Ok(()),
    };
    Err(GuardError::Unavailable { fault: written(spec), why })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::model::DirectionSpec;

    fn made(entries: &[(Option<&'static str>, &str)]) -> Result<Scenario, GuardError> {
        of(Protocol::Tcp, entries)
    }

    #[test]
    fn what_udp_does_not_have_is_refused() {
        assert!(
            of(Protocol::Udp, &[(Some("egress"), "drop = 1.0"), (None, "corrupt = 0.5")]).is_ok()
        );
        for keys in ["stall = true", "reset = \"local\"", "drop = 1.0, when = { tcp = \"syn\" }"] {
            let told = of(Protocol::Udp, &[(None, keys)]).unwrap_err().to_string();
            assert!(told.contains("TCP"), "{keys}: {told}");
        }
    }

    fn of(
        protocol: Protocol,
        entries: &[(Option<&'static str>, &str)],
    ) -> Result<Scenario, GuardError> {
        let entry = |(direction, keys): &(_, &str)| Entry {
            direction: *direction,
            keys: (*keys).to_owned(),
        };
        let any = std::net::SocketAddr::from(([0, 0, 0, 0], 7));
        let stream =
            Stream { cookie: 7, netns: 1, protocol, local: any, remote: None, dual: false };
        scenario(&stream, &entries.iter().map(entry).collect::<Vec<_>>())
    }

    #[test]
    fn faults_stand_in_their_order_with_their_directions() {
        let own = "direction = \"ingress\", delay = \"9ms\"";
        let s = made(&[(Some("egress"), "drop = { first = 3 }"), (None, own)]).unwrap();
        let faults = &s.steps[0].faults;
        assert!(
            matches!(faults[0].fault, Fault::Drop(_)) && matches!(faults[1].fault, Fault::Delay(_))
        );
        assert_eq!(faults[0].direction, DirectionSpec::Egress);
        assert_eq!(faults[1].direction, DirectionSpec::Ingress);
        assert_eq!(s.flows[0].cookie, Some(7));
        assert!(made(&[(Some("egress"), own)]).unwrap_err().to_string().contains("direction"));
        assert!(made(&[]).is_err(), "nothing to do");
    }

    #[test]
    fn what_is_wrong_is_told_as_in_a_scenario() {
        let told = made(&[(None, "drop = 2")]).unwrap_err().to_string();
        assert!(told.contains("drop = 2") && told.contains("0.02"), "{told}");
        assert!(made(&[(None, "reset = \"both\"")]).is_ok());
        let reset = "limit = { bytes = 5, then = \"reset\" }";
        let told = made(&[(None, reset)]).unwrap_err();
        assert!(
            matches!(&told, GuardError::Unavailable { fault, .. } if fault.contains("reset")),
            "{told}"
        );
        assert!(told.to_string().contains("then = \"drop\""), "{told}");
        assert!(made(&[(None, "limit = { bytes = 5, then = \"drop\" }")]).is_ok());
    }
}
