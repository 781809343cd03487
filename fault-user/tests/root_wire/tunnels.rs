//! The delay line on interfaces whose packets have no Ethernet header: TCP. (UDP: `datagrams`.)

use crate::scene::{PORT, Place, Scene, faults, flow};

/// Sent, and sent back.
const BYTES: usize = 300_000;
/// One way.
const DELAY_MS: f64 = 25.0;

#[test]
fn a_connection_through_a_tunnel_is_delayed_loses_packets_and_stays_whole() {
    for place in [Place::Tunnel4, Place::Tunnel6] {
        let scene = Scene::new(place);
        let _server = scene.serve(&format!(
            "listener = listen()\nsock = accept(listener)\ndata, how = read(sock, {BYTES})\n\
             note('received', how=how, length=len(data), wrong=len(wrong(data)))\n\
             sock.sendall(data)\nwait('end')\n"
        ));
        // Its handshake is delayed as well.
        let client = format!(
            "print('ready', flush=True)\nwait('go')\nbegan = time.monotonic()\nsock = connect()\n\
             ms = 1e3 * (time.monotonic() - began)\n\
             sender = background(sock.sendall, pattern({BYTES}))\n\
             data, how = read(sock, {BYTES})\nsender.join()\n\
             note('received', how=how, length=len(data), wrong=len(wrong(data)), ms=ms)\n"
        );
        let all = format!(
            "{{ flow = 'target', delay = '{DELAY_MS}ms' }}, \
             {{ flow = 'target', drop = {{ every = 50 }}, when = {{ tcp = 'data' }} }}"
        );
        let report = scene.run(&client, &(scene.flow("target", PORT, "") + &faults(&all)));
        for who in ["client", "server"] {
            let note = scene.noted(who, "received");
            assert_eq!(
                (&note["how"], &note["length"], &note["wrong"]),
                (&"ok".into(), &BYTES.into(), &0.into()),
                "{place:?} {who} {note}"
            );
        }
        let ms = scene.noted("client", "received")["ms"].as_f64().expect("a number");
        assert!(ms >= 2.0 * DELAY_MS, "{place:?}: connected after {ms} ms");
        let counted = flow(&report, "target");
        for (direction, c) in [("egress", counted.egress), ("ingress", counted.ingress)] {
            let rule = |n: usize| {
                report.faults.iter().filter(|f| f.direction == direction).nth(n).expect("a rule")
            };
            assert_eq!(rule(0).acted, c.packets, "{place:?}: each was held: {counted:#?}");
            let due = rule(1).matched / 50;
            assert!(due >= 4, "{place:?}: {report:#?}");
            assert_eq!((rule(1).acted, c.dropped), (due, due), "{place:?}: {counted:#?}");
        }
        assert!(counted.retransmits >= counted.egress.dropped, "{place:?}: {counted:#?}");
        drop(scene.tunnel);
        scene.lab.close();
    }
}
