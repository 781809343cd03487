//! Packet programs as filters of clsact, as on kernels before 6.6: the same faults, and nothing
//! stays behind, though filters do not go with their process.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::failsafe::{child, comes_back, in_outage_with};
use crate::support::process::{Process, run, wait_for};
use crate::support::run::Run;
use crate::support::scenarios::{Policy, Twins};
use crate::support::truth::{self, Outage, receipts};
use crate::support::{Lab, command, flowfault};

const OPTIONS: &[&str] = &["--hook", "clsact"];

fn tc(lab: &Lab, args: &str) -> String {
    let args: Vec<&str> = ["-n", &lab.near.name].into_iter().chain(args.split(' ')).collect();
    run("tc", &args)
}

/// All qdiscs of clsact's kind and all filters on lo.
fn tc_state(lab: &Lab) -> String {
    let qdiscs = tc(lab, "qdisc show dev lo");
    let clsact: String = qdiscs.lines().filter(|l| l.contains("clsact")).collect();
    let filters = |side: &str| tc(lab, &format!("filter show dev lo {side}"));
    if clsact.is_empty() { clsact } else { clsact + &filters("egress") + &filters("ingress") }
}

/// How many filters of flowfault there are.
fn ours(lab: &Lab) -> usize {
    tc_state(lab).matches("pref 1 bpf chain 0 handle 0xf1").count()
}

/// The filter of somebody else, who has made the qdisc, too.
fn others_filter(lab: &Lab) {
    tc(lab, "qdisc add dev lo clsact");
    let filter = "-n NETNS filter add dev lo egress protocol all pref 7 bpf bytecode";
    let filter = filter.replace("NETNS", &lab.near.name);
    let mut args: Vec<&str> = filter.split(' ').collect();
    // A classic program of one instruction: return -1, the default class.
    args.push("1,6 0 0 4294967295");
    run("tc", &args);
}

/// The whole run of the twins, with an outage of both ways.
fn twins(lab: &Lab) {
    let twins = Twins::new(lab, Policy::Suspect);
    let finished = Run::start(lab, "out", &twins.text(), OPTIONS).finish();
    let report = finished.expect(0);
    assert_eq!(report.backends.hook, "clsact");
    let receipts = receipts(&lab.path().join("receipts"));
    let said = std::fs::read_to_string(finished.out.join("apps/sender.stdout"));
    let said = said.expect("the run copied it");
    truth::holds(&report, &receipts, &said, 12, Outage::Egress);
}

#[test]
fn faults_are_the_same_with_clsact_and_it_goes_with_the_run() {
    let lab = Lab::alone();
    assert_eq!(tc_state(&lab), "");
    twins(&lab);
    assert_eq!(tc_state(&lab), "");
    lab.close();
}

#[test]
fn filters_of_others_stay_as_they_are() {
    let lab = Lab::alone();
    others_filter(&lab);
    let before = tc_state(&lab);
    assert!(before.contains("pref 7"), "{before}");
    twins(&lab);
    assert_eq!(tc_state(&lab), before);
    lab.close();
}

#[test]
fn an_ingress_qdisc_is_told_apart() {
    let lab = Lab::alone();
    tc(&lab, "qdisc add dev lo ingress");
    let twins = Twins::new(&lab, Policy::Suspect);
    let finished = Run::start(&lab, "out", &twins.text(), OPTIONS).finish();
    assert_eq!(finished.code, 3, "{finished:#?}");
    assert!(finished.stderr.contains("`ingress` qdisc"), "{}", finished.stderr);
    lab.close();
}

#[test]
fn two_runs_share_a_qdisc_and_the_last_takes_it_off() {
    let lab = Lab::alone();
    let first = in_outage_with(&lab, OPTIONS);
    assert_eq!(ours(&lab), 2, "{}", tc_state(&lab));
    // Twins of its own, to another port.
    let twins = Twins { address: "127.0.0.1:7444", ..Twins::new(&lab, Policy::Suspect) };
    let text = twins.text().replace("/tls", "/tls-2").replace("/receipts", "/receipts-2");
    let mut second = Run::start(&lab, "second", &text, OPTIONS);
    second.app_says("sender", "msg-1");
    assert_eq!(ours(&lab), 4, "{}", tc_state(&lab));
    first.signal(Signal::SIGINT);
    assert_eq!(first.finish().code, 130);
    assert_eq!(ours(&lab), 2, "{}", tc_state(&lab));
    second.finish().expect(0);
    assert_eq!(tc_state(&lab), "");
    lab.close();
}

#[test]
fn the_janitor_takes_off_the_filters_of_a_killed_run() {
    let lab = Lab::alone();
    let mut run = in_outage_with(&lab, OPTIONS);
    let apps = [child(run.process.pid(), "server"), child(run.process.pid(), "send-loop")];
    assert_ne!(tc_state(&lab), "");
    run.signal(Signal::SIGKILL);
    wait_for("death of the controller", Duration::from_secs(5), || run.process.ended());
    run.is_gone(Duration::from_secs(2));
    assert_eq!(tc_state(&lab), "");
    comes_back(&lab);
    for app in apps {
        kill(Pid::from_raw(app), Signal::SIGKILL).expect("apps outlive the controller");
    }
    lab.close();
}

#[test]
fn clean_finds_filters_in_another_namespace() {
    let lab = Lab::alone();
    others_filter(&lab);
    let before = tc_state(&lab);
    let mut run = in_outage_with(&lab, OPTIONS);
    // Without it nobody reads the apps' output, and they end.
    let janitor = child(run.process.pid(), "janitor");
    kill(Pid::from_raw(janitor), Signal::SIGKILL).expect("it is there");
    run.signal(Signal::SIGKILL);
    wait_for("death of the controller", Duration::from_secs(5), || run.process.ended());
    assert_eq!(ours(&lab), 2, "{}", tc_state(&lab));
    // From the namespace of the test, not that of the run.
    let clean = command(flowfault().to_str().expect("a path"), "clean");
    let mut clean = Process::start_here(clean, &lab.path().join("clean"));
    let status = wait_for("end of clean", Duration::from_secs(10), || clean.ended());
    assert!(status.success(), "{}", clean.stderr());
    run.is_gone(Duration::from_secs(2));
    assert_eq!(tc_state(&lab), before);
    lab.close();
}

#[test]
fn filters_of_a_stuck_controller_let_all_pass() {
    let lab = Lab::alone();
    let run = in_outage_with(&lab, OPTIONS);
    run.signal(Signal::SIGSTOP);
    comes_back(&lab);
    assert_eq!(ours(&lab), 2, "they are still there: {}", tc_state(&lab));
    run.signal(Signal::SIGCONT);
    run.signal(Signal::SIGINT);
    assert_eq!(run.finish().code, 130);
    assert_eq!(tc_state(&lab), "");
    lab.close();
}
