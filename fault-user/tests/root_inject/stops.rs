//! It ends when it is told to, and when there is nothing left to do; the fault ends with it.

use nix::sys::signal::Signal;

use crate::daemon::connected;
use crate::inject::{Inject, only};
use crate::support::Lab;

fn dropped(line: &serde_json::Value) -> bool {
    line["sockets"][0]["egress"]["dropped"].as_u64() > Some(0)
}

#[test]
fn a_signal_ends_it_with_a_summary() {
    let lab = Lab::pair();
    let (daemon, _echo, _) = connected(&lab, 1);
    let cookie = daemon.of(1)[0].cookie.to_string();
    daemon.order("go");
    for (name, signal, code) in [("int", Signal::SIGINT, 130), ("term", Signal::SIGTERM, 143)] {
        let mut inject =
            Inject::start(&lab, name, &["--cookie", &cookie, "--drop", "1.0", "--json"]);
        inject.until("a lost packet", dropped);
        inject.process.signal(signal);
        let done = inject.finish();
        let summary = done.summary(code);
        assert_eq!(summary["result"], "interrupted", "{summary:#}");
        assert!(
            dropped(&summary) && only(&summary)["after"]["state"] == "established",
            "{summary:#}"
        );
    }
    // All that was lost is sent again.
    daemon.quiet();
    drop(daemon);
    lab.close();
}

#[test]
fn the_end_of_the_process_is_its_end() {
    let lab = Lab::pair();
    let (daemon, _echo, _) = connected(&lab, 1);
    let cookie = daemon.of(1)[0].cookie.to_string();
    daemon.order("go");
    let args = ["--cookie", &cookie, "--drop", "0.5", "--direction", "egress", "--json"];
    let mut inject = Inject::start(&lab, "ends", &args);
    inject.until("a lost packet", dropped);
    daemon.process.signal(Signal::SIGKILL);
    let done = inject.finish();
    let socket = only(&done.summary(0));
    // What it had not sent yet the kernel still tries to deliver.
    assert_ne!(socket["after"]["state"], "established", "{socket:#}");
    drop(daemon);
    lab.close();
}
