//! Where the line, or doing without it, is less than a fault asks for: the report says so.

use fault_user::report::model::Report;

use crate::lab::run::Run;
use crate::scene::{PORT, Place, Scene, faults, flow};

/// The number with which the warning begins that has these words.
fn warned(report: &Report, words: &str) -> u64 {
    let found = report.warnings.iter().find(|w| w.contains(words));
    let found = found.unwrap_or_else(|| panic!("no `{words}`: {:#?}", report.warnings));
    found.split(' ').find_map(|word| word.parse().ok()).expect("it has a number")
}

#[test]
fn what_finds_no_room_in_the_line_is_no_fault_s_and_the_report_says_how_late_the_rest_was() {
    const HOLD: u64 = 1 << 20;
    let scene = Scene::new(Place::Cable4);
    let names = "from datagrams import *\nnames = ['target']\n";
    let _server = scene.serve(&format!(
        "{names}sockets = endpoints(names, socket.socket.bind)\nlistener = listen()\n\
         collect(sockets)\ntouch('seen')\nwait('end')\n"
    ));
    let client = format!(
        "{names}import datagrams\ndatagrams.COUNT, datagrams.SIZE, datagrams.PACE = 2000, 1400, 0.0005\n\
         connect().close()\nsockets = endpoints(names, socket.socket.connect)\n\
         print('ready', flush=True)\nwait('go')\npour([sockets['target'].send])\nwait('seen')\n"
    );
    let fault = faults("{ flow = 'target', direction = 'egress', delay = '1s' }");
    let text =
        scene.scenario(&client, &(scene.flow("target", PORT + 1, "protocol = 'udp'") + &fault));
    let options = ["--set".to_owned(), format!("line.hold={HOLD}")];
    let options = options.each_ref().map(String::as_str);
    let report = scene.good(&Run::start(&scene.lab, "out", &text, &options).finish());
    let got = scene.noted("server", "got");
    let got = got["datagrams"].as_array().expect("a list").len() as u64;
    let counted = flow(&report, "target").egress;
    let lost = counted.packets - got;
    assert!(got > 20 && lost > 20, "{got} of {counted:?}");
    assert_eq!((counted.dropped, warned(&report, "`line.hold`")), (0, lost), "{counted:?}");
    let line = report.line.expect("there is a line");
    assert_eq!(line.released, got, "{line:?}");
    assert!((HOLD / 2..=HOLD).contains(&line.most_held_bytes), "{line:?}");
    let late = [line.late_p50_us, line.late_p99_us, line.late_max_us];
    assert!(late[0] > 0.0 && late.is_sorted(), "{line:?}");
    scene.lab.close();
}

#[test]
fn without_a_line_super_packets_are_judged_as_one_and_the_report_warns() {
    const BYTES: usize = 3 << 20;
    let scene = Scene::new(Place::Cable4);
    let _server = scene.serve(&format!(
        "sock = accept(listen())\ndata, how = read(sock, {BYTES})\n\
         note('received', wrong=len(wrong(data)), length=len(data))\nsock.sendall(b'!')\n"
    ));
    let client = format!(
        "sock = connect()\nprint('ready', flush=True)\nwait('go')\nsock.sendall(pattern({BYTES}))\n\
         note('answer', how=outcome(sock.recv, 1))\n"
    );
    let fault = faults("{ flow = 'target', direction = 'egress', drop = 0.02, may_miss = true }");
    let text = scene.scenario(&client, &(scene.flow("target", PORT, "") + &fault));
    let options = ["--set", "line.backend=none"];
    let report = scene.good(&Run::start(&scene.lab, "out", &text, &options).finish());
    assert_eq!(scene.noted("server", "received")["length"], BYTES);
    assert!(warned(&report, "as a whole") > 0 && report.backends.line == "none", "{report:#?}");
    scene.lab.close();
}
