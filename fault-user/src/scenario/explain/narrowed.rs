//! What narrows a flow further, and what there is to know of it: exclusions, a share, names.

use std::fmt::Write as _;

use fault_common::condition::in_share;

use crate::scenario::model::{AppId, Exclude, Flow, Host, Remote, Scenario};

/// Ordinal numbers that are looked at, and how many of a share are listed.
const LOOKED_AT: u32 = 1000;
const LISTED: usize = 8;

/// A line for each.
pub fn lines(scenario: &Scenario, flow: &Flow) -> Vec<String> {
    let mut lines: Vec<String> = flow
        .exclude
        .iter()
        .map(|exclude| format!("never: {}", excluded(scenario, exclude)))
        .collect();
    if !flow.exclude.is_empty() && flow.nth.is_some() {
        lines.push("`nth` does not count what is excluded".into());
    }
    lines.extend(flow.share_of_whole().map(|share| part(scenario, flow, share)));
    if flow.waits_for_hello() {
        lines.push(
            "its handshake is nobody's, as are the first parts of what is said in several segments: `syn` faults never \
             meet it. Only what no other flow took when it connected is asked; TLS in several records, an encrypted \
             ClientHello (ECH) and more than 4096 bytes say nothing"
                .into(),
        );
    }
    let excluded = flow.exclude.iter().filter_map(|e| e.remote.as_ref());
    for remote in flow.remote.iter().chain(excluded) {
        if let Remote { host: Host::Name(name), .. } = remote {
            lines.push(format!(
                "{name}: all its addresses, IPv4 and IPv6, looked up when the run starts and every second; those that it \
                 had stay. A connection to an address that is new since the last look is not seen as this flow"
            ));
        }
    }
    lines
}

fn excluded(scenario: &Scenario, exclude: &Exclude) -> String {
    let Exclude { app, remote, local, uid, cgroup, hello, cookie, fd } = exclude;
    let app = app.map(|AppId(i)| format!("of app {}", scenario.apps[i].name));
    let local = local.map(|l| {
        let net = l.net.map_or("any address".into(), |net| net.to_string());
        l.ports.map_or(format!("from {net}"), |ports| format!("from {net} port {ports}"))
    });
    let all = [
        app,
        remote.as_ref().map(|remote| format!("to {remote}")),
        local,
        uid.map(|uid| format!("user id {uid}")),
        cgroup.as_ref().map(|cgroup| format!("in the cgroup `{cgroup}`")),
        hello.as_ref().map(|hello| format!("for {hello}")),
        cookie.map(|cookie| format!("cookie {cookie}")),
        fd.map(|fd| format!("descriptor {fd}")),
    ];
    all.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// With a seed it is known by now which connections it will be.
fn part(scenario: &Scenario, flow: &Flow, share: u32) -> String {
    let mut text = format!("a share of {} of them, ", flow.share.unwrap_or(1.0));
    let index = scenario.flows.iter().position(|other| other.name == flow.name);
    let (Some(seed), Some(index)) = (scenario.seed, index) else {
        return text + "drawn by the seed, which is drawn at the start";
    };
    let of_seed = |nth: &u32| in_share(seed, index as u32, *nth, share);
    let picked: Vec<String> =
        (1..=LOOKED_AT).filter(of_seed).take(LISTED).map(|nth| nth.to_string()).collect();
    let _ = match picked.is_empty() {
        true => write!(text, "with seed {seed} none of the first {LOOKED_AT}"),
        false => write!(text, "with seed {seed} connections {}, ...", picked.join(", ")),
    };
    text
}
