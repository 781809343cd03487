//! One socket more than `max_flows` allows, opened while the fault is on: it is never the flow, nothing of it is touched,
//! all faults are lifted before its SYN leaves, and the run ends.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::daemon::{Told, connected};
use crate::support::capture::{Capture, Seen};
use crate::support::run::Run;
use crate::support::{Lab, stretched};

/// How long the controller stands still: TCP sends again after 200 and after 600 ms, and the lease holds for 2 s.
const STILL: Duration = Duration::from_millis(900);

fn scenario(lab: &Lab, pid: u32, port: &str, at: &str) -> String {
    let begun = lab.file("begun");
    let all = stretched(6_000);
    format!(
        "schema = 1\nname = 'one more'\nseed = 7\nduration = '{all}'\n[[app]]\nname = 'daemon'\npid = {pid}\n\
         [[flow]]\nname = 'dark'\nremote = '10.77.0.2:{port}'\n\
         [[step]]\nname = 'begun'\nat = '0s'\nexec = ['touch', '{begun}']\n\
         [[step]]\nname = 'outage'\nat = '{at}'\nfaults = [{{ flow = 'dark', drop = 1.0 }}]\nfor = '5s'\n"
    )
}

/// Every byte that the app wrote came over the cable exactly once, handshake and all, and so did what came back.
fn untouched(seen: &[Seen], told: &Told) {
    let mine = |seen: &&Seen| u64::from(seen.source_port) == told.port;
    let sent: usize = seen.iter().filter(mine).map(|s| s.payload).sum();
    assert!(told.sent > 0 && seen.iter().any(|s| mine(&s) && s.payload == 0), "{told:?}");
    assert_eq!(sent as u64, told.sent, "bytes on the cable of {told:?}");
    assert_eq!((told.received, told.retransmits), (told.sent, 0), "{told:?}");
}

/// Milliseconds from the extra socket to the last drop.
fn drops_after_the_overflow(run: &std::path::Path) -> f64 {
    let text = std::fs::read_to_string(run.join("events.jsonl")).expect("the run wrote it");
    let events: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let ts = |event: &Value| event["ts"].as_u64().expect("a time") as f64;
    let of = |kind: &'static str| events.iter().filter(move |e| e["kind"] == kind);
    let extra = of("overflow").map(ts).next().expect("it was told");
    let last = of("tx").filter(|e| e["dropped"] == true).map(ts).fold(f64::MIN, f64::max);
    (last - extra) / 1e6
}

#[test]
fn the_extra_socket_is_never_touched_and_the_fault_is_lifted() {
    let lab = Lab::pair();
    let (daemon, echo, port) = connected(&lab, 1);
    let first = daemon.quiet()[0];
    let text = scenario(&lab, daemon.process.pid(), &port, "50ms");
    let capture = Capture::start(lab.far.as_ref().expect("a pair"));
    let mut run = Run::start(&lab, "during", &text, &[]);
    daemon.order("go");
    // What is sent again has been lost: the fault is on.
    run.until("loss", |_| daemon.of(1)[0].retransmits > first.retransmits);
    // Nobody has to hear of it.
    run.signal(Signal::SIGSTOP);
    daemon.order("open");
    daemon.once("two", |_, told| told.len() == 2 && told[1].sent >= 160);
    std::thread::sleep(STILL);
    run.signal(Signal::SIGCONT);
    let finished = run.finish();
    let told = daemon.quiet();
    let seen = capture.finish();
    let report = finished.expect(4);
    assert!(report.warnings.iter().any(|w| w.contains("max_flows = 1")), "{:#?}", report.warnings);
    let extra = told.iter().find(|t| t.cookie != first.cookie).expect("the second");
    untouched(&seen, extra);
    let flow = crate::flow(&report, extra.cookie);
    assert!(!flow.selected, "{flow:#?}");
    assert_eq!((flow.egress.dropped, flow.ingress.dropped), (0, 0), "{flow:#?}");
    assert!(crate::flow(&report, first.cookie).egress.dropped > 0, "the fault was on");
    let after = drops_after_the_overflow(&finished.out);
    assert!(after < 0.0, "the last drop came {after} ms after the extra socket");
    drop((daemon, echo));
    lab.close();
}

#[test]
fn before_the_fault_it_is_never_armed() {
    let lab = Lab::pair();
    let (daemon, echo, port) = connected(&lab, 1);
    let text = scenario(&lab, daemon.process.pid(), &port, &stretched(2_000));
    daemon.order("go");
    let capture = Capture::start(lab.far.as_ref().expect("a pair"));
    let mut run = Run::start(&lab, "before", &text, &[]);
    let begun = lab.file("begun");
    run.until("beginning", |_| std::path::Path::new(&begun).exists());
    daemon.order("open");
    let finished = run.finish();
    let told = daemon.quiet();
    let seen = capture.finish();
    let report = finished.expect(4);
    assert_eq!(report.steps[1].armed_ms, None, "{:#?}", report.steps);
    assert!(report.flows.iter().all(|f| f.egress.dropped + f.ingress.dropped == 0));
    untouched(&seen, told.last().expect("the second"));
    drop((daemon, echo));
    lab.close();
}
