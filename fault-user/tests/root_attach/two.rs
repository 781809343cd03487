//! An app that the run starts and one that it attaches to, in two network namespaces with the same addresses.

use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::Value;

use crate::daemon::patient;
use crate::support::process::Process;
use crate::support::run::{Finished, Run};
use crate::support::{Lab, command, python, script, stretched};
use crate::{OUTAGE, Report};

use fault_user::report::model::FlowReport;

/// Ports of a server and a client, which both use. Others each time: a closed connection keeps its own for a while.
fn ports() -> [u16; 2] {
    static NEXT: AtomicU16 = AtomicU16::new(41_000);
    let first = NEXT.fetch_add(2, Ordering::Relaxed);
    [first, first + 1]
}

/// What an app says: longest time between two messages in ms, segments sent again, the error that ended it.
struct Told {
    longest: f64,
    again: u64,
    error: Option<String>,
}

fn told(output: &str) -> Told {
    let lines: Vec<Value> = output.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
    let times: Vec<f64> = lines.iter().filter_map(|line| line["time"].as_f64()).collect();
    assert!(times.len() > 20, "hardly anything: {output}");
    Told {
        longest: times.windows(2).map(|w| w[1] - w[0]).fold(0.0, f64::max) * 1e3,
        again: lines.iter().filter_map(|line| line["again"].as_u64()).max().unwrap_or(0),
        error: lines.iter().find_map(|line| Some(line["error"].as_str()?.to_owned())),
    }
}

/// Whether this kernel has links on interfaces (6.6): two namespaces need them.
fn has_tcx() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc is mounted");
    let mut numbers = release.split('.').map(|n| n.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(6))
}

/// Runs both, with this fault on the flow `started` or `attached`. `None`: this kernel cannot, and it was refused.
fn both(lab: &Lab, name: &str, fault: &str) -> Option<(Finished, Told, Told)> {
    patient(lab);
    let [server, client] = ports();
    let pair = format!("{} {server} {client}", script("pair.py"));
    let far = lab.far.as_ref().expect("a pair");
    let attached = Process::start(command(python(), &pair), far, &lab.path().join(name));
    attached.says("\"count\": 20,");
    let words: Vec<&str> = std::iter::once(python()).chain(pair.split(' ')).collect();
    let lasts = if fault.contains("drop") {
        format!("for = '{}'", stretched(OUTAGE))
    } else {
        String::new()
    };
    let text = format!(
        "schema = 1\nduration = '{}'\n\
         [[app]]\nname = 'there'\npid = {}\n\
         [[app]]\nname = 'here'\nmain = false\ncommand = {words:?}\nready = {{ log = '.count.: 20,' }}\n\
         [[flow]]\nname = 'attached'\napp = 'there'\nlocal = ':{client}'\n\
         [[flow]]\nname = 'started'\napp = 'here'\nremote = '127.0.0.1:{server}'\n\
         [[step]]\nat = '300ms'\nfaults = [{{ {fault} }}]\n{lasts}\n\
         [[step]]\nat = '{}'\nexec = ['true']\n",
        stretched(10_000),
        attached.pid(),
        stretched(2_500),
    );
    let finished = Run::start(lab, &format!("{name}-run"), &text, &[]).finish();
    if !has_tcx() {
        assert_eq!(finished.code, 3, "{finished:#?}");
        assert!(finished.stderr.contains("TCX"), "{finished:#?}");
        return None;
    }
    let here = std::fs::read_to_string(finished.out.join("apps/here.stdout")).unwrap_or_default();
    let there = attached.stdout();
    let (here, there) = (told(&here), told(&there));
    Some((finished, here, there))
}

fn flow<'a>(report: &'a Report, name: &str) -> &'a FlowReport {
    let found = report.flows.iter().find(|f| f.name == name);
    found.unwrap_or_else(|| panic!("no flow {name}: {:#?}", report.flows))
}

/// Each of the two goes dark while the other, which has the very same addresses, does not.
#[test]
fn one_goes_dark_and_its_double_does_not() {
    let lab = Lab::pair();
    let dark_for = f64::from(OUTAGE) * 0.8;
    for dark in ["started", "attached"] {
        let fault = format!("flow = '{dark}', drop = 1.0");
        let Some((finished, here, there)) = both(&lab, dark, &fault) else { continue };
        let report = finished.expect(0);
        let (started, attached) = (flow(&report, "started"), flow(&report, "attached"));
        assert_eq!((&started.local, &started.remote), (&attached.local, &attached.remote));
        assert_ne!(started.cookie, attached.cookie);
        let (hit, lit) = if dark == "started" { (started, attached) } else { (attached, started) };
        assert!(hit.egress.dropped > 0, "{hit:#?}");
        assert_eq!(lit.egress.dropped + lit.ingress.dropped, 0, "{lit:#?}");
        assert!(lit.egress.packets > 20 && lit.ingress.packets > 20, "it is seen: {lit:#?}");
        let (hit, lit) = if dark == "started" { (here, there) } else { (there, here) };
        assert!(hit.longest >= dark_for && hit.again > 0, "{} ms", hit.longest);
        assert_eq!((lit.again, lit.error), (0, None), "{} ms", lit.longest);
    }
    lab.close();
}

/// What flowfault sends itself, and the destruction of a socket, happen where the socket is.
#[test]
fn connections_end_where_they_are() {
    let lab = Lab::pair();
    let errors = [("reset = 'local'", "ECONNRESET"), ("abort = true", "ECONNABORTED")];
    for (n, (fault, error)) in errors.into_iter().enumerate() {
        for ended in ["started", "attached"] {
            let name = format!("{ended}-{n}");
            let all = format!("flow = '{ended}', {fault}");
            let Some((finished, here, there)) = both(&lab, &name, &all) else { continue };
            finished.expect(0);
            let (hit, lit) = if ended == "started" { (here, there) } else { (there, here) };
            assert_eq!(hit.error.as_deref(), Some(error), "{name}: {fault}");
            assert_eq!((lit.again, lit.error), (0, None), "{name}: {fault}");
        }
    }
    lab.close();
}

/// There is one delay line, in one of the namespaces.
#[test]
fn what_would_need_a_second_line_is_refused() {
    let lab = Lab::pair();
    let [server, client] = ports();
    let pair = format!("{} {server} {client}", script("pair.py"));
    let far = lab.far.as_ref().expect("a pair");
    let attached = Process::start(command(python(), &pair), far, &lab.path().join("there"));
    let text = format!(
        "schema = 1\n[[app]]\nname = 'there'\npid = {}\n[[app]]\nname = 'here'\ncommand = ['true']\n\
         [[flow]]\nname = 'started'\napp = 'here'\nremote = '127.0.0.1:1'\n\
         [[flow]]\nname = 'attached'\napp = 'there'\nremote = '127.0.0.1:1'\n\
         [[step]]\nat = '0s'\n\
         faults = [{{ flow = 'started', delay = '1s' }}, {{ flow = 'attached', delay = '1s' }}]\n",
        attached.pid()
    );
    let finished = Run::start(&lab, "out", &text, &[]).finish();
    assert_eq!(finished.code, 3, "{finished:#?}");
    assert!(finished.stderr.contains("needs the delay line"), "{finished:#?}");
    drop(attached);
    lab.close();
}
