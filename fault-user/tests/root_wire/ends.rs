//! What ends a connection: `reset`, `abort`, `limit`. (`reject` has a file of its own.)

use std::collections::BTreeMap;

use serde_json::Value;

use crate::scene::wiretap::{Packet, stream};
use crate::scene::{PORT, Place, Scene, faults, flow};

/// Flows `a`, `b`, ... for the first connections, `bystander` for the one after.
fn in_turn(scene: &Scene, names: &[&str]) -> String {
    let of = |(n, name): (usize, &&str)| scene.flow(name, PORT, &format!("nth = {}", n + 1));
    names.iter().chain(&["bystander"]).enumerate().map(of).collect()
}

/// Opens these connections and the bystander.
fn opening(names: &[&str]) -> String {
    format!(
        "names = {names:?}\nsockets = {{name: connect() for name in names}}\n\
         bystander = connect()\nprint('ready', flush=True)\n"
    )
}

/// Accepts them.
fn accepting(names: &[&str]) -> String {
    format!(
        "listener = listen()\nnames = {names:?}\nsockets = {{name: accept(listener) for name in names}}\n\
         serve_bystander(accept(listener))\n"
    )
}

/// What each connection's call ended with.
fn outcomes(scene: &Scene, who: &str, what: &str) -> BTreeMap<String, String> {
    let text = |v: &Value| v.as_str().expect("a text").to_owned();
    scene.notes(who, what).iter().map(|n| (text(&n["flow"]), text(&n["how"]))).collect()
}

fn map(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// Both ends wait for bytes that never come; then each of them sends.
const IDLE: &str = "def look(name):\n    sock = sockets[name]\n    sock.settimeout(0.6 * SLOW)\n    \
    note('read', flow=name, how=outcome(sock.recv, 1))\n";

#[test]
fn a_reset_reaches_the_sides_that_it_is_for_and_no_other() {
    for place in [Place::Cable4, Place::Cable6, Place::Lo4] {
        let scene = Scene::new(place);
        let names = ["local", "peer", "both", "abort"];
        let look = format!("{IDLE}workers = [background(look, name) for name in names]\n");
        let join = "for worker in workers: worker.join()\n";
        let tap = scene.tap_peer();
        let _server =
            scene.serve(&format!("{}{look}{join}touch('seen')\nwait('end')\n", accepting(&names)));
        // What the untouched end does next is refused by an end that is gone.
        let client = format!(
            "{}{look}wait('go')\nuse_bystander(bystander)\n{join}wait('seen')\n\
             sock = sockets['peer']\nsock.send(b'x')\nnote('next', how=outcome(sock.recv, 1))\n",
            opening(&names)
        );
        let fault = |name: &str| match name {
            "abort" => "{ flow = 'abort', abort = true }".to_owned(),
            side => format!("{{ flow = '{side}', reset = '{side}' }}"),
        };
        let all: Vec<String> = names.iter().map(|n| fault(n)).collect();
        let report = scene.run(&client, &(in_turn(&scene, &names) + &faults(&all.join(", "))));
        let near = map(&[
            ("local", "ECONNRESET"),
            ("peer", "timeout"),
            ("both", "ECONNRESET"),
            ("abort", "ECONNABORTED"),
        ]);
        let far = map(&[
            ("local", "timeout"),
            ("peer", "ECONNRESET"),
            ("both", "ECONNRESET"),
            ("abort", "ECONNRESET"),
        ]);
        assert_eq!(outcomes(&scene, "client", "read"), near, "{place:?}");
        assert_eq!(outcomes(&scene, "server", "read"), far, "{place:?}");
        assert_eq!(scene.noted("client", "next")["how"], "ECONNRESET");
        let resets = |name| (flow(&report, name).ingress.reset, flow(&report, name).egress.reset);
        assert!(resets("local").0 > 0 && resets("local").1 == 0, "{report:#?}");
        assert!(resets("peer").0 == 0 && resets("peer").1 > 0, "{report:#?}");
        assert!(resets("both").0 > 0 && resets("both").1 > 0, "{report:#?}");
        assert!(report.faults.iter().all(|f| f.acted == 1), "{:#?}", report.faults);
        scene.bystander_is_untouched(&report, &tap.finish());
        scene.lab.close();
    }
}

/// Of two threads with one socket, the first to call gets the error; to the other it has ended,
/// or it had nothing more to do (`ok`).
fn was_reset(scene: &Scene, who: &str, name: &str) {
    let notes = scene.notes(who, "io");
    let mut found: Vec<&str> =
        notes.iter().filter(|n| n["flow"] == name).filter_map(|n| n["how"].as_str()).collect();
    found.sort_unstable();
    // Upper case sorts first.
    let after = ["ECONNRESET", "EPIPE", "end", "ok"];
    let known = found.len() == 2 && found[0] == "ECONNRESET" && after.contains(&found[1]);
    assert!(known, "{who} {name}: {found:?}");
}

#[test]
fn a_reset_of_a_busy_connection_hits_all_the_same() {
    let scene = Scene::new(Place::Cable4);
    let names = ["local", "peer", "both"];
    let tap = scene.tap_peer();
    // As fast as they can, both ways, until it ends.
    let work = "def drain(sock, name):\n    how = 'ok'\n    while how == 'ok':\n        \
        data, how = read(sock, 1 << 16)\n    note('io', flow=name, how=how)\n\
        def fill(sock, name):\n    how = 'ok'\n    data = pattern(1 << 16)\n    while how == 'ok':\n        \
        how = outcome(sock.sendall, data)\n    note('io', flow=name, how=how)\n\
        workers = [background(work, sock, name) for name, sock in sockets.items() for work in (drain, fill)]\n";
    let join = "for worker in workers: worker.join()\n";
    let _server =
        scene.serve(&format!("{}{work}{join}touch('seen')\nwait('end')\n", accepting(&names)));
    let client = format!(
        "{}{work}wait('go')\nuse_bystander(bystander)\n{join}wait('seen')\n",
        opening(&names)
    );
    let all = names.map(|n| format!("{{ flow = '{n}', reset = '{n}' }}")).join(", ");
    // When they are under full load.
    let step = format!("[[step]]\nname = 'fault'\nat = '150ms'\nfaults = [{all}]\n");
    let report = scene.run(&client, &(in_turn(&scene, &names) + &step));
    // Of a busy connection both sides learn of it sooner or later: an end that is gone answers.
    for (who, name) in ["client", "server"].into_iter().flat_map(|w| names.map(|n| (w, n))) {
        was_reset(&scene, who, name);
    }
    assert!(report.faults.iter().all(|f| f.acted == 1), "{:#?}", report.faults);
    scene.bystander_is_untouched(&report, &tap.finish());
    scene.lab.close();
}

#[test]
fn an_armed_reset_meets_each_connection_that_follows() {
    for place in [Place::Cable4, Place::Lo6] {
        let scene = Scene::new(place);
        let _server = scene.serve(
            "ports = listen(PORT, PORT + 1)\n\
             serve_bystander(accept(ports[1]))\nwait('end')\n",
        );
        // A reset of the local side while it still connects is a refusal (RFC 9293, 3.10.7.3); if
        // the SYN-ACK was faster, the first call finds the connection reset.
        let client = "print('ready', flush=True)\nwait('go')\ndef attempt():\n    \
            sock = connect()\n    sock.recv(1)\n\
            for n in range(3): note('attempt', flow=str(n), how=outcome(attempt))\n\
            use_bystander(connect(PORT + 1))\n";
        let flows =
            scene.flow("target", PORT, "follow = true") + &scene.flow("bystander", PORT + 1, "");
        let fault = "{ flow = 'target', reset = 'local' }";
        let report = scene.run(client, &(flows + &faults(fault)));
        let attempts = outcomes(&scene, "client", "attempt");
        assert_eq!(attempts.len(), 3, "{attempts:?}");
        let failed = |how: &String| how == "ECONNREFUSED" || how == "ECONNRESET";
        assert!(attempts.values().all(failed), "{place:?}: {attempts:?}");
        assert_eq!(report.faults[0].acted, 3, "{:#?}", report.faults);
        assert_eq!(scene.noted("client", "bystander")["answered"], 20);
        scene.lab.close();
    }
}

/// Names of the flows of a limit, and its bytes.
const LIMITS: [(&str, usize); 4] = [("a", 1), ("b", 777), ("c", 1449), ("d", 300_001)];
const SENT: usize = 600_000;

/// Each end sends more than the limit and reads all that it gets.
fn limited(place: Place, then: &str) {
    let scene = Scene::new(place);
    let names = LIMITS.map(|(name, _)| name);
    // A reset does not keep them waiting.
    let patience = if then == "drop" { 1 } else { 8 };
    let work = format!(
        "def work(name):\n    sock = sockets[name]\n    sock.settimeout({patience} * SLOW)\n    \
         def send(): note('io', flow=name, how=outcome(sock.sendall, pattern({SENT})))\n    \
         sender = background(send)\n    data, how = read(sock, {SENT})\n    sender.join()\n    \
         note('io', flow=name, how=how)\n    \
         note('received', flow=name, how=how, length=len(data), wrong=len(wrong(data)))\n"
    );
    let all = "workers = [background(work, name) for name in names]\n";
    let join = "for worker in workers: worker.join()\n";
    let tap = scene.tap_peer();
    let _server = scene.serve(&format!(
        "{}wait('go')\n{work}{all}{join}touch('seen')\nwait('end')\n",
        accepting(&names)
    ));
    let client = format!(
        "{}wait('go')\n{work}{all}use_bystander(bystander)\n{join}wait('seen')\n",
        opening(&names)
    );
    let faulty = LIMITS.map(|(name, bytes)| {
        format!("{{ flow = '{name}', limit = {{ bytes = {bytes}, then = '{then}' }} }}")
    });
    let report = scene.run(&client, &(in_turn(&scene, &names) + &faults(&faulty.join(", "))));
    let packets = tap.finish();
    for (name, bytes) in LIMITS {
        for who in ["client", "server"] {
            let notes = scene.notes(who, "received");
            let note = notes.iter().find(|n| n["flow"] == name).expect("each is noted");
            let length = note["length"].as_u64().expect("a number") as usize;
            assert_eq!(note["wrong"], 0, "{note}");
            if then == "drop" {
                // Just that, in each direction, and then nothing.
                assert_eq!((length, &note["how"]), (bytes, &"timeout".into()), "{who} {note}");
            } else {
                // The direction that reached it first has it whole; the other may be cut short.
                assert!(length <= bytes, "{who} {note}");
                was_reset(&scene, who, name);
            }
        }
        let counted = flow(&report, name);
        if then == "drop" {
            assert!(counted.egress.dropped > 0 && counted.ingress.dropped > 0, "{counted:#?}");
        } else {
            let most = ["client", "server"].map(|who| {
                let notes = scene.notes(who, "received");
                let of_it = notes.iter().find(|n| n["flow"] == name).map(|n| n["length"].as_u64());
                of_it.flatten().expect("a number") as usize
            });
            assert_eq!(most.into_iter().max(), Some(bytes), "{name}");
            assert!(counted.egress.reset > 0 && counted.ingress.reset > 0, "{counted:#?}");
        }
        if !place.is_lo() {
            let local: std::net::SocketAddr = counted.local.parse().expect("an address");
            // Once the run is over, its faults are lifted and TCP sends what is left.
            let end = crate::lab::truth::started_ms(&report) + report.duration_ms;
            let during: Vec<Packet> = packets.iter().filter(|p| p.at_ms < end).cloned().collect();
            let on_wire = stream(&during, local.port(), PORT).bytes.len();
            assert!(on_wire <= bytes, "{on_wire} bytes of `{name}` on the cable");
        }
    }
    scene.bystander_is_untouched(&report, &packets);
    scene.lab.close();
}

#[test]
fn a_limit_lets_just_so_many_bytes_through_and_then_nothing() {
    for place in [Place::Cable4, Place::Lo6] {
        limited(place, "drop");
    }
}

#[test]
fn a_limit_that_resets_ends_both_sides_at_that_byte() {
    limited(Place::Cable6, "reset");
}
