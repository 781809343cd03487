//! `corrupt`: bits that the application sees, bits that the receiver's stack discards.

use std::collections::BTreeMap;

use fault_user::report::model::Report;

use crate::scene::counters::counter;
use crate::scene::wiretap::{self, Packet};
use crate::scene::{PORT, Place, Scene, faults, flow, plausible};

/// Sends the pattern one way over the first connection while the second one is used.
struct Bulk {
    place: Place,
    direction: &'static str,
    bytes: usize,
}

const SENDS: &str = "    target.sendall(pattern({bytes}))\n    target.shutdown(socket.SHUT_WR)\n";
const RECEIVES: &str = "    data, how = read(target, {bytes})\n    \
    note('received', length=len(data), how=how, wrong=wrong(data))\n    touch('received')\n";

impl Bulk {
    /// The scripts of client and server.
    fn scripts(&self) -> (String, String) {
        let fill = |text: &str| text.replace("{bytes}", &self.bytes.to_string());
        let (client, server) = match self.direction {
            "egress" => (SENDS, RECEIVES),
            _ => (RECEIVES, SENDS),
        };
        let client = format!(
            "target, bystander = connect(), connect()\nprint('ready', flush=True)\nwait('go')\n\
             note('target', port=target.getsockname()[1])\n\
             def work():\n{}\nworker = background(work)\nuse_bystander(bystander)\n\
             worker.join()\nwait('received')\n",
            fill(client)
        );
        let server = format!(
            "listener = listen()\ntarget, bystander = accept(listener), accept(listener)\n\
             serve_bystander(bystander)\nwait('go')\ndef work():\n{}\nwork()\nwait('end')\n",
            fill(server)
        );
        (client, server)
    }

    fn run(&self, fault: &str) -> (Scene, Report, Vec<Packet>) {
        let scene = Scene::new(self.place);
        let (client, server) = self.scripts();
        let tap = if self.direction == "egress" { scene.tap_peer() } else { scene.tap_client() };
        let _server = scene.serve(&server);
        let fault = format!("{{ flow = 'target', direction = '{}', {fault} }}", self.direction);
        let report = scene.run(&client, &(scene.flows() + &faults(&fault)));
        let packets = tap.finish();
        if self.direction == "egress" {
            scene.bystander_is_untouched(&report, &packets);
        }
        (scene, report, packets)
    }

    /// Who notes what was received.
    fn receiver(&self) -> &'static str {
        if self.direction == "egress" { "server" } else { "client" }
    }

    /// Source and destination port of the data.
    fn ports(&self, scene: &Scene) -> (u16, u16) {
        let port = scene.noted("client", "target")["port"].as_u64().expect("a number") as u16;
        if self.direction == "egress" { (port, PORT) } else { (PORT, port) }
    }

    fn corrupted(&self, report: &Report) -> u64 {
        let counted = flow(report, "target");
        let [there, back] = match self.direction {
            "egress" => [counted.egress, counted.ingress],
            _ => [counted.ingress, counted.egress],
        };
        assert_eq!(back.corrupted, 0, "the other direction: {counted:#?}");
        there.corrupted
    }
}

/// A packet with flipped bits.
struct Hit {
    /// Stream positions of the bytes, and the bits.
    flips: Vec<(usize, u8)>,
    /// How often its first byte came.
    arrivals: usize,
}

/// Packets with flipped bits; each is one packet, with three of them where they may be.
fn flips_on_wire(placed: &[(usize, &Packet)], place: Place) -> Vec<Hit> {
    let differs = |at: usize, (i, byte): (usize, &u8)| (i, byte ^ wiretap::pattern(at + i));
    let mut hits = Vec::new();
    for (at, packet) in placed {
        let bytes = packet.payload.iter().enumerate().map(|b| differs(*at, b));
        let wrong: Vec<(usize, u8)> = bytes.filter(|(_, bits)| *bits != 0).collect();
        if wrong.is_empty() {
            continue;
        }
        let bits: u32 = wrong.iter().map(|(_, bits)| bits.count_ones()).sum();
        assert_eq!(bits, 3, "{at} {wrong:?}");
        assert!(packet.payload.len() <= place.mss(), "{}", packet.payload.len());
        assert!(wrong.iter().all(|(i, _)| (100..200).contains(i)), "{wrong:?}");
        let covers = |(from, p): &&(usize, &Packet)| (*from..from + p.payload.len()).contains(at);
        hits.push(Hit {
            flips: wrong.iter().map(|(i, bits)| (at + i, *bits)).collect(),
            arrivals: placed.iter().filter(covers).count(),
        });
    }
    hits
}

#[test]
fn the_application_sees_just_the_flipped_bits() {
    for (place, direction, p) in [
        (Place::Cable4, "egress", 0.1),
        (Place::Cable6, "ingress", 0.1),
        (Place::Lo4, "ingress", 0.5),
        (Place::Lo6, "egress", 0.5),
    ] {
        let bulk = Bulk { place, direction, bytes: if place.is_lo() { 6 << 20 } else { 2 << 20 } };
        let fault = format!("corrupt = {{ p = {p}, bits = 3, offset = [100, 200] }}");
        let (scene, report, packets) = bulk.run(&fault);
        let count = bulk.corrupted(&report);
        let fault = &report.faults[usize::from(direction == "ingress" && report.faults.len() > 1)];
        assert_eq!((fault.acted, count > 0), (count, true), "{fault:?}");
        plausible(count, fault.matched, p);

        let note = scene.noted(bulk.receiver(), "received");
        assert_eq!((&note["length"], &note["how"]), (&bulk.bytes.into(), &"ok".into()), "{note}");
        let (from, to) = bulk.ports(&scene);
        let wire = flips_on_wire(&wiretap::placed(&packets, from, to), place);
        assert_eq!(wire.len() as u64, count, "packets on the wire with flipped bits");
        // The capture at the client has each packet twice: before and after its fault.
        let once = if direction == "egress" { 1 } else { 2 };
        let told = |pair: &serde_json::Value| {
            (pair[0].as_u64().expect("a position") as usize, pair[1].as_u64().expect("bits") as u8)
        };
        let seen: BTreeMap<usize, u8> =
            note["wrong"].as_array().expect("a list").iter().map(told).collect();
        let mut expected = BTreeMap::new();
        for hit in &wire {
            // Of a packet that came more than once, the application may have seen another copy.
            if hit.arrivals == once || hit.flips.iter().all(|(at, _)| seen.contains_key(at)) {
                expected.extend(hit.flips.iter().copied());
            }
        }
        assert_eq!(seen, expected, "bits that the application saw");
        scene.lab.close();
    }
}

#[test]
fn the_receivers_stack_discards_what_has_a_bad_checksum() {
    for (place, direction) in
        [(Place::Cable4, "egress"), (Place::Cable6, "egress"), (Place::Cable4, "ingress")]
    {
        let bulk = Bulk { place, direction, bytes: 2 << 20 };
        let p = 0.02;
        let (scene, report, _) = bulk.run(&format!("corrupt = {{ p = {p}, checksum = 'bad' }}"));
        let count = bulk.corrupted(&report);
        plausible(count, report.faults[0].matched, p);
        let netns = if direction == "egress" { scene.peers() } else { &scene.lab.near };
        assert_eq!(counter(netns, "Tcp.InCsumErrors"), count, "{report:#?}");
        let note = scene.noted(bulk.receiver(), "received");
        assert_eq!((&note["length"], &note["wrong"]), (&bulk.bytes.into(), &serde_json::json!([])));
        if direction == "egress" {
            let again = flow(&report, "target").retransmits;
            assert!(again >= count, "{again} retransmits of {count} discarded packets");
        }
        scene.lab.close();
    }
}

#[test]
fn flipped_headers_lose_packets_but_let_no_wrong_byte_through() {
    let bulk = Bulk { place: Place::Cable4, direction: "egress", bytes: 1 << 20 };
    let fault = "corrupt = { p = 0.05, headers = true, checksum = 'bad', offset = [0, 40] }";
    let (scene, report, _) = bulk.run(fault);
    let count = bulk.corrupted(&report);
    plausible(count, report.faults[0].matched, 0.05);
    let far = scene.peers();
    let ip = counter(far, "Ip.InHdrErrors") + counter(far, "IpExt.InTruncatedPkts");
    let tcp = counter(far, "Tcp.InCsumErrors");
    assert!(ip > 0 && tcp > 0 && ip + tcp <= count, "{ip} + {tcp} of {count}");
    let note = scene.noted("server", "received");
    assert_eq!((&note["length"], &note["wrong"]), (&bulk.bytes.into(), &serde_json::json!([])));
    scene.lab.close();
}

#[test]
fn tls_notices_what_tcp_does_not() {
    let scene = Scene::new(Place::Cable4);
    let (certificate, key) = (scene.lab.file("cert.pem"), scene.lab.file("key.pem"));
    let made = rcgen::generate_simple_self_signed(["wire".to_owned()]).expect("a certificate");
    std::fs::write(&certificate, made.cert.pem()).expect("the directory is ours");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("the directory is ours");
    let tap = scene.tap_peer();
    let _server = scene.serve(&format!(
        "import ssl\ncontext = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n\
         context.load_cert_chain('{certificate}', '{key}')\nlistener = listen()\n\
         target, bystander = accept(listener), accept(listener)\nserve_bystander(bystander)\n\
         target = context.wrap_socket(target, server_side=True)\n\
         note('first', length=len(target.recv(100)))\n\
         try:\n    note('second', data=len(target.recv(100)))\n\
         except ssl.SSLError as error:\n    note('second', error=error.reason)\n\
         touch('received')\nwait('end')\n"
    ));
    let client = "import ssl\ntarget, bystander = connect(), connect()\n\
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\ncontext.check_hostname = False\n\
        context.verify_mode = ssl.CERT_NONE\ntarget = context.wrap_socket(target)\n\
        target.sendall(b'x' * 50)\nprint('ready', flush=True)\nwait('go')\n\
        target.sendall(b'y' * 50)\nuse_bystander(bystander)\nwait('received')\n";
    // Bytes 0 to 5 are the record's header.
    let fault = "{ flow = 'target', direction = 'egress', \
        corrupt = { p = 1.0, offset = [5, 1500] } }";
    let report = scene.run(client, &(scene.flows() + &faults(fault)));
    assert_eq!(scene.noted("server", "first")["length"], 50);
    let note = scene.noted("server", "second");
    assert_eq!(note["error"], "DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "{note}");
    assert!(flow(&report, "target").egress.corrupted >= 1, "{report:#?}");
    scene.bystander_is_untouched(&report, &tap.finish());
    scene.lab.close();
}
