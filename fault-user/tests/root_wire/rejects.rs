//! `reject`: what a firewall's REJECT answers, to a SYN and in the middle of a connection.

use std::collections::BTreeMap;

use crate::scene::{PORT, Place, Scene, faults, flow};

const KINDS: [&str; 5] = ["reset", "port", "host", "net", "admin"];

/// What connect() fails with (icmp_err_convert, tcp_v6_err of Linux).
fn errno(kind: &str, v6: bool) -> &'static str {
    match (kind, v6) {
        ("reset" | "port", _) => "ECONNREFUSED",
        ("admin", true) => "EACCES",
        ("host" | "admin", _) => "EHOSTUNREACH",
        ("net", _) => "ENETUNREACH",
        _ => unreachable!("no kind {kind}"),
    }
}

#[test]
fn a_refused_syn_fails_connect_with_the_errno_of_its_kind() {
    for place in Place::ALL {
        let scene = Scene::new(place);
        let tap = scene.tap_peer();
        // It listens at all ports: nobody but us refuses.
        let _server = scene.serve(
            "listeners = listen(*range(PORT, PORT + 6))\n\
             serve_bystander(accept(listeners[0]))\nwait('end')\n",
        );
        let client = format!(
            "kinds = {KINDS:?}\nbystander = connect()\nprint('ready', flush=True)\nwait('go')\n\
             for n, kind in enumerate(kinds, 1):\n    began = time.monotonic()\n    \
             how = outcome(connect, PORT + n)\n    \
             note('connect', kind=kind, how=how, ms=1e3 * (time.monotonic() - began))\n\
             use_bystander(bystander)\n"
        );
        let ports = (PORT + 1..).zip(KINDS);
        let flows: String = ports.map(|(port, kind)| scene.flow(kind, port, "")).collect();
        let flows = flows + &scene.flow("bystander", PORT, "");
        let all: Vec<String> = KINDS
            .iter()
            .map(|k| format!("{{ flow = '{k}', direction = 'egress', reject = '{k}' }}"))
            .collect();
        let report = scene.run(&client, &(flows + &faults(&all.join(", "))));
        let packets = tap.finish();
        let notes = scene.notes("client", "connect");
        let found: BTreeMap<&str, &str> = notes
            .iter()
            .map(|n| (n["kind"].as_str().expect("a text"), n["how"].as_str().expect("a text")))
            .collect();
        let expected: BTreeMap<&str, &str> =
            KINDS.into_iter().map(|k| (k, errno(k, place.is_v6()))).collect();
        assert_eq!(found, expected, "{place:?} {notes:?}");
        for (port, kind) in (PORT + 1..).zip(KINDS) {
            let reached = packets.iter().any(|p| p.to == port);
            assert!(!reached || place.is_lo(), "the SYN of `{kind}` arrived");
            assert!(flow(&report, kind).egress.dropped >= 1, "{report:#?}");
        }
        scene.bystander_is_untouched(&report, &packets);
        scene.lab.close();
    }
}

/// TCP_USER_TIMEOUT of the client, in milliseconds.
const USER_TIMEOUT: u32 = 1000;

#[test]
fn a_refusal_in_the_middle_is_a_soft_error_that_tells_the_reason_in_the_end() {
    for place in [Place::Cable4, Place::Lo6] {
        let scene = Scene::new(place);
        let tap = scene.tap_peer();
        let _server = scene.serve(&format!(
            "listener = listen()\nsockets = [accept(listener) for kind in {KINDS:?}]\n\
             serve_bystander(accept(listener))\nwait('end')\n"
        ));
        let client = format!(
            "sockets = {{kind: connect() for kind in {KINDS:?}}}\nbystander = connect()\n\
             for sock in sockets.values():\n    \
             sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, {USER_TIMEOUT})\n\
             print('ready', flush=True)\nwait('go')\ndef work(kind, sock):\n    \
             sent, began = outcome(sock.send, b'x' * 100), time.monotonic()\n    \
             how = outcome(sock.recv, 1)\n    ms = 1e3 * (time.monotonic() - began)\n    \
             note('refused', kind=kind, sent=sent, how=how, ms=ms)\n\
             workers = [background(work, *item) for item in sockets.items()]\n\
             use_bystander(bystander)\nfor worker in workers: worker.join()\n"
        );
        let turn = |(n, kind): (usize, &&str)| scene.flow(kind, PORT, &format!("nth = {}", n + 1));
        let flows: String = KINDS.iter().chain(&["bystander"]).enumerate().map(turn).collect();
        let fault = |k| format!("{{ flow = '{k}', direction = 'egress', reject = '{k}' }}");
        let report = scene.run(&client, &(flows + &faults(&KINDS.map(fault).join(", "))));
        for kind in KINDS {
            let notes = scene.notes("client", "refused");
            let note = notes.iter().find(|n| n["kind"] == kind).expect("each is noted");
            let soft = kind != "reset";
            let how = if soft { errno(kind, place.is_v6()) } else { "ECONNRESET" };
            assert_eq!((&note["sent"], &note["how"]), (&"ok".into(), &how.into()), "{place:?}");
            let ms = note["ms"].as_f64().expect("a number");
            assert_eq!(ms >= f64::from(USER_TIMEOUT) * 0.9, soft, "{place:?} {note}");
            assert!(flow(&report, kind).egress.dropped >= 1, "{report:#?}");
        }
        scene.bystander_is_untouched(&report, &tap.finish());
        scene.lab.close();
    }
}
