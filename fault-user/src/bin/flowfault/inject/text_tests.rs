use clap::Parser as _;

use super::*;
use crate::args::{Args, Command};
use fault_user::scenario::model::{Attach, DirectionSpec, Fault, Loss, Ports};
use fault_user::scenario::{Scenario, parse};

fn inject(words: &[&str]) -> Inject {
    let all = ["flowfault", "inject"].iter().chain(words);
    match Args::try_parse_from(all).map(|args| args.command) {
        Ok(Command::Inject(args)) => *args,
        other => panic!("{other:?}"),
    }
}

fn scenario_of(words: &[&str], whose: &Whose) -> Scenario {
    let text = scenario(&inject(words), whose).unwrap();
    let parsed = parse("t.toml", &text, std::path::Path::new("/"), &[]);
    parsed.unwrap_or_else(|e| panic!("{}\n{text}", e.for_stderr()))
}

#[test]
fn part_of_the_sockets_of_a_container_and_of_children() {
    let words = [
        "--container",
        "0123456789ab",
        "--remote",
        "*:443",
        "--share",
        "0.5",
        "--exclude",
        "{ uid = 7 }",
        "--drop",
        "1.0",
    ];
    let s = scenario_of(&words, &Whose::Named);
    assert_eq!(s.apps[0].attach, Some(Attach::Container("0123456789ab".into())));
    let f = &s.flows[0];
    assert_eq!((f.share, f.max_flows, f.exclude[0].uid), (Some(0.5), 1024, Some(7)));
    let s = scenario_of(&["--pid", "7", "--children", "--fd", "5", "--drop", "1.0"], &Whose::Named);
    assert!(s.apps[0].children);
}

#[test]
fn every_option_comes_to_the_scenario() {
    let words = "--pid 7 --remote h.example:443 --local :5 --uid 3 --opened connect --max-flows 2 --follow \
                 --within 9s --drop 0.5 --delay 250ms --direction egress --may-miss --for 3s --seed 5";
    let words: Vec<&str> = words.split_whitespace().collect();
    let s = scenario_of(&words, &Whose::Named);
    assert_eq!((s.seed, s.apps[0].attach.clone()), (Some(5), Some(Attach::Pid(7))));
    let f = &s.flows[0];
    assert_eq!((f.app.is_some(), f.uid, f.max_flows, f.follow), (true, Some(3), 2, true));
    let (local, remote) = (f.local.unwrap(), f.remote.as_ref().unwrap());
    assert_eq!((local.ports, remote.ports), (Some(Ports::one(5)), Ports::one(443)));
    assert_eq!(f.within.as_secs(), 9);
    let step = &s.steps[0];
    assert_eq!(step.lasts.unwrap().as_secs(), 3);
    assert!(matches!(step.faults[0].fault, Fault::Drop(Loss::Random(p)) if p == 0.5));
    assert!(matches!(&step.faults[1].fault, Fault::Delay(d) if d.mean.as_millis() == 250));
    assert!(step.faults.iter().all(|f| f.may_miss && f.direction == DirectionSpec::Egress));
}

/// Each of the contract's fault keys, by its own option and as a whole.
#[test]
fn every_fault_has_an_option() {
    let faults = [
        ("drop", "{ first = 3 }"),
        ("delay", "{ mean = \"9ms\", jitter = \"3ms\" }"),
        ("rate", "2mbit"),
        ("corrupt", "{ p = 0.1, bits = 2 }"),
        ("duplicate", "0.1"),
        ("reorder", "{ p = 0.5, gap = 2 }"),
        ("reset", "both"),
        ("reject", "port"),
        ("limit", "{ bytes = 100, then = \"reset\" }"),
        ("mark-ce", "0.5"),
    ];
    for (option, value) in faults {
        let by_option =
            scenario_of(&["--cookie", "7", &format!("--{option}"), value], &Whose::Anybody);
        let key = option.replace('-', "_");
        let toml =
            if value.starts_with(['{', '0']) { value.into() } else { format!("\"{value}\"") };
        for whole in [format!("{key} = {toml}"), format!("{{ {key} = {toml} }}")] {
            let whole = scenario_of(&["--cookie", "7", "--fault", &whole], &Whose::Anybody);
            assert_eq!(by_option.steps, whole.steps, "{option}");
        }
    }
    for option in ["abort", "stall"] {
        let s = scenario_of(&["--cookie", "7", &format!("--{option}")], &Whose::Anybody);
        assert_eq!(s.steps[0].faults.len(), 1);
    }
}

#[test]
fn what_flows_prints_can_be_pasted() {
    let lines = "# sender (pid 7, fd 5), established\n[[flow]]\nname = \"sender-693\"\nremote = \"10.0.0.2:443\"\n\
                 local = \"10.0.0.1:5000\"\ncookie = 693\n";
    let s = scenario_of(&["--flow", lines, "--stall"], &Whose::Found(vec![7]));
    assert_eq!((s.flows[0].name.as_str(), s.flows[0].cookie), (FLOW, Some(693)));
    assert!(s.flows[0].local.is_some() && s.flows[0].remote.is_some());
    let s = scenario_of(&["--flow", "cookie = 693", "--cookie", "5", "--stall"], &Whose::Anybody);
    assert_eq!(s.flows[0].cookie, Some(5), "an option replaces it");
    for (wrong, why) in [("[[flow]]\n[[flow]]\n", "there are 2"), ("cookie = ", "not the TOML")] {
        let error = scenario(&inject(&["--flow", wrong, "--stall"]), &Whose::Anybody).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn several_processes_are_several_apps() {
    let words = ["--remote", "10.0.0.2:443", "--max-flows", "2", "--drop", "1.0"];
    let s = scenario_of(&words, &Whose::Found(vec![7, 8]));
    let pids: Vec<_> = s.apps.iter().map(|a| a.attach.clone().unwrap()).collect();
    assert_eq!(pids, [Attach::Pid(7), Attach::Pid(8)]);
    assert_eq!(s.flows[0].app, None);
}

/// The errors are those of a scenario: they name the key, and what would be right.
#[test]
fn bad_values_are_told_as_in_a_scenario() {
    let text = |words: &[&str]| {
        let text = scenario(&inject(words), &Whose::Named).unwrap();
        parse("t.toml", &text, std::path::Path::new("/"), &[]).unwrap_err().for_stderr()
    };
    let told = text(&["--pid", "7", "--remote", "nowhere", "--drop", "1.5"]);
    assert!(told.contains("remote = \"nowhere\"") && told.contains("drop"), "{told}");
    let told = text(&["--pid", "7", "--local", ":1", "--drop", "0.1\nabort = true"]);
    assert!(told.contains("drop"), "a line break does not make another key: {told}");
    let told = text(&["--pid", "7", "--local", ":1\"\nfd = 3", "--drop", "0.1"]);
    assert!(told.contains("local"), "nor does a quote: {told}");
}
