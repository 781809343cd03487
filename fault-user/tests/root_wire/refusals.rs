//! What cannot be done, and how that is said: exit codes 2 and 3.

use std::process::Command;

use crate::lab::process::{Process, wait_for};
use crate::lab::run::Run;
use crate::lab::{Lab, flowfault};
use crate::scene::{PORT, Place, Scene, faults};

const SCENARIO: &str = "schema = 1\nname = 'refused'\nduration = '5s'\n\
    [[app]]\nname = 'client'\ncommand = ['true']\n\
    [[flow]]\nname = 'target'\napp = 'client'\nremote = '127.0.0.1:7000'\n\
    [[flow]]\nname = 'datagrams'\napp = 'client'\nremote = '127.0.0.1:7000'\nprotocol = 'udp'\n";

#[test]
fn without_a_tap_device_it_is_3_and_names_the_fault_and_what_is_missing() {
    for fault in ["corrupt = 0.1", "limit = { bytes = 5, then = 'drop' }", "mark_ce = 0.5"] {
        let lab = Lab::alone();
        let scenario = lab.path().join("s.toml");
        let text = SCENARIO.replace("protocol = 'udp'", "nth = 2");
        let step = faults(&format!("{{ flow = 'target', {fault} }}"));
        std::fs::write(&scenario, text + &step).expect("the directory is ours");
        // A mount namespace of its own, in which /dev/net is empty.
        let mut command = Command::new("unshare");
        let script = "mount -t tmpfs none /dev/net && exec \"$@\"";
        command.args(["--mount", "sh", "-c", script, "sh"]).arg(flowfault());
        command.arg("run").arg(&scenario).arg("--out").arg(lab.path().join("out"));
        let mut process = Process::start(command, &lab.near, &lab.path().join("hidden"));
        let limit = std::time::Duration::from_secs(20);
        let status = wait_for("end of the run", limit, || process.ended());
        let stderr = process.stderr();
        assert_eq!(status.code(), Some(3), "{stderr}");
        let name = fault.split(' ').next().expect("a word");
        for words in [name, "/dev/net/tun", "CONFIG_TUN"] {
            assert!(stderr.contains(words), "no `{words}`: {stderr}");
        }
        lab.close();
    }
}

#[test]
fn what_needs_no_line_runs_without_a_tap_device() {
    let scene = Scene::new(Place::Lo4);
    let _server = scene.serve("listener = listen()\nfirst = accept(listener)\nwait('end')\n");
    let client = "target = connect()\nprint('ready', flush=True)\n\
        note('read', how=outcome(target.recv, 1))\n";
    let fault = faults("{ flow = 'target', reset = 'local' }");
    let text = scene.scenario(client, &(scene.flow("target", PORT, "") + &fault));
    let path = scene.lab.path().join("s.toml");
    std::fs::write(&path, text).expect("the directory is ours");
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs none /dev/net && exec \"$@\"";
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(flowfault());
    command.arg("run").arg(&path).arg("--out").arg(scene.lab.path().join("out"));
    let mut process = Process::start(command, &scene.lab.near, &scene.lab.path().join("hidden"));
    let limit = std::time::Duration::from_secs(20);
    let status = wait_for("end of the run", limit, || process.ended());
    assert_eq!(status.code(), Some(0), "{}", process.stderr());
    assert_eq!(scene.noted("client", "read")["how"], "ECONNRESET");
    scene.lab.close();
}

#[test]
fn what_makes_no_sense_is_2_and_says_what_would() {
    let target = |fault: &str| format!("{{ flow = 'target', {fault} }}");
    let datagrams = |fault: &str| format!("{{ flow = 'datagrams', {fault} }}");
    for (fault, words) in [
        (target("corrupt = 1.5"), ["corrupt", "1.5"]),
        (target("corrupt = { p = 0.1, bits = 0 }"), ["bits", "0"]),
        (target("corrupt = { p = 0.1, bits = 9, offset = [5, 6] }"), ["offset", "8 bits"]),
        (target("corrupt = { p = 0.1, offset = [6, 5] }"), ["offset", "5"]),
        (target("corrupt = { p = 0.1, checksum = 'wrong' }"), ["checksum", "valid"]),
        (target("corrupt = 0.1, when = { tcp = 'ack_only' }"), ["when", "headers"]),
        (target("reset = 'remote'"), ["reset", "peer"]),
        (target("reset = 'peer', direction = 'egress'"), ["direction", "reset"]),
        (target("abort = false"), ["abort", "true"]),
        (target("reject = 'nothing'"), ["reject", "admin"]),
        (target("limit = { bytes = 0, then = 'drop' }"), ["bytes", "zero"]),
        (target("limit = { bytes = 5 }"), ["then", "drop"]),
        (target("stall = true, when = { tcp = 'data' }"), ["when", "stall"]),
        (target("mark_ce = -0.1"), ["mark_ce", "0.1"]),
        (target("drop = 0.1, corrupt = 0.1"), ["drop", "corrupt"]),
        (target("colour = 'red'"), ["colour", "fault"]),
        (datagrams("stall = true"), ["stall", "UDP"]),
        (datagrams("reset = 'both'"), ["reset", "UDP"]),
        (datagrams("reject = 'reset'"), ["reject", "UDP"]),
        ("{ flow = 'nobody', drop = 1.0 }".to_owned(), ["nobody", "target"]),
    ] {
        let lab = Lab::alone();
        let finished =
            Run::start(&lab, "out", &(SCENARIO.to_owned() + &faults(&fault)), &[]).finish();
        assert_eq!(finished.code, 2, "{fault}: {finished:#?}");
        for word in words {
            assert!(finished.stderr.contains(word), "{fault}: no `{word}` in {}", finished.stderr);
        }
        // At line and column, and before anything is touched.
        let line = 1
            + (SCENARIO.to_owned() + "[[step]]\nname = 'fault'\nat = '0s'\n").matches('\n').count();
        assert!(finished.stderr.contains(&format!(":{line}:")), "{fault}: {}", finished.stderr);
        assert!(!finished.out.exists() && finished.objects.programs.is_empty(), "{finished:#?}");
        lab.close();
    }
}
