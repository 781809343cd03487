//! `stall`: a zero window that lasts as long as it has to, and ends at once.

use fault_user::report::model::Report;

use crate::lab::slow;
use crate::scene::wiretap::{Packet, placed};
use crate::scene::{PORT, Place, Scene, flow};

/// Longer than the persist timer takes for its first four probes (200 ms, doubling each time).
const STALL_MS: u32 = 3300;
/// How soon data flows again, ten times what it should take.
const SOON_MS: f64 = 100.0;

fn steps(direction: &str) -> String {
    format!(
        "[[step]]\nname = 'stall'\nat = '300ms'\nfor = '{STALL_MS}ms'\n\
         faults = [{{ flow = 'target', direction = '{direction}', stall = true }}]\n"
    )
}

/// Times of arming and lifting, in milliseconds since 1970.
fn stalled(report: &Report) -> (f64, f64) {
    let t0 = crate::lab::truth::started_ms(report);
    let step = report.steps.iter().find(|s| s.name == "stall").expect("it is there");
    let (armed, lifted) = (step.armed_ms.expect("armed"), step.lifted_ms.expect("lifted"));
    (t0 + armed, t0 + lifted)
}

/// One end writes a message every 10 ms, the other one reads and notes when it got some.
const WRITES: &str = "def work():\n    stop = time.monotonic() + 4.3 + SLOW\n    sent = 0\n    \
    while time.monotonic() < stop:\n        target.sendall(pattern(5000, sent))\n        sent += 5000\n        \
    note('wrote', total=sent)\n        time.sleep(0.01)\n    target.shutdown(socket.SHUT_WR)\n    \
    note('sent', length=sent)\n";
const READS: &str = "def work():\n    data = bytearray()\n    while True:\n        \
    part = target.recv(1 << 20)\n        if not part: break\n        data += part\n        \
    note('got', total=len(data))\n    note('received', length=len(data), wrong=len(wrong(bytes(data))))\n    \
    touch('received')\n";

fn run(place: Place, direction: &str) -> (Scene, Report, Vec<Packet>) {
    let scene = Scene::new(place);
    // Egress: the peer's data stops. Ingress: the client's own does.
    let (client, server) = if direction == "egress" { (READS, WRITES) } else { (WRITES, READS) };
    let tap = scene.tap_peer();
    let _server = scene.serve(&format!(
        "listener = listen()\ntarget, bystander = accept(listener), accept(listener)\n\
         serve_bystander(bystander)\n{server}wait('go')\nwork()\nwait('end')\n"
    ));
    let client = format!(
        "target, bystander = connect(), connect()\nprint('ready', flush=True)\n{client}wait('go')\n\
         note('target', port=target.getsockname()[1])\nworker = background(work)\n\
         time.sleep(0.5)\nuse_bystander(bystander)\nworker.join()\nwait('received')\n"
    );
    let report = scene.run(&client, &(scene.flows() + &steps(direction)));
    let packets = tap.finish();
    scene.bystander_is_untouched(&report, &packets);
    (scene, report, packets)
}

/// Times of notes.
fn times(scene: &Scene, who: &str, what: &str) -> Vec<f64> {
    scene.notes(who, what).iter().map(|n| n["at_ms"].as_f64().expect("a time")).collect()
}

/// All bytes came, and none was wrong.
fn came_whole(scene: &Scene, sender: &str, receiver: &str) {
    let (sent, received) = (scene.noted(sender, "sent"), scene.noted(receiver, "received"));
    assert_eq!((&received["length"], &received["wrong"]), (&sent["length"], &0.into()));
}

#[test]
fn a_stalled_peer_sends_nothing_stays_connected_and_goes_on_at_once() {
    for place in [Place::Cable6, Place::Lo4] {
        let (scene, report, packets) = run(place, "egress");
        let (armed, lifted) = stalled(&report);
        came_whole(&scene, "server", "client");
        let got = times(&scene, "client", "got");
        // What was on its way when the first zero window was sent still arrives.
        let grace = armed + SOON_MS * f64::from(slow());
        let during = got.iter().filter(|t| (grace..lifted).contains(t)).count();
        assert_eq!(during, 0, "data came during the stall: {armed} {lifted} {got:?}");
        assert!(got.iter().any(|t| *t < armed), "data flowed before");
        let after = got.iter().find(|t| **t >= lifted).expect("it goes on") - lifted;
        assert!(after < SOON_MS * f64::from(slow()), "{after} ms until data flowed again");

        let port = scene.noted("client", "target")["port"].as_u64().expect("a number") as u16;
        let said = packets.iter().filter(|p| (p.from, p.to) == (port, PORT));
        let during: Vec<u16> =
            said.filter(|p| (grace..lifted).contains(&p.at_ms)).map(|p| p.window).collect();
        // Its probes are answered, each time with no room.
        assert!(during.len() >= 2 && during.iter().all(|w| *w == 0), "{during:?}");
        let rule = &report.faults[0];
        let closed: Vec<&Packet> =
            packets.iter().filter(|p| p.from == port && p.window == 0 && !p.rst).collect();
        // A reset has no window.
        assert_eq!(rule.acted, closed.len() as u64, "{armed} {lifted} {closed:?}");
        let counted = flow(&report, "target");
        assert_eq!((counted.egress.dropped, counted.ingress.dropped), (0, 0), "{counted:#?}");
        scene.lab.close();
    }
}

#[test]
fn a_stalled_writer_waits_and_goes_on_at_once() {
    let (scene, report, packets) = run(Place::Cable4, "ingress");
    let (armed, lifted) = stalled(&report);
    came_whole(&scene, "client", "server");
    let port = scene.noted("client", "target")["port"].as_u64().expect("a number") as u16;
    let sent = placed(&packets, port, PORT);
    let grace = armed + SOON_MS * f64::from(slow());
    let between = |p: &&(usize, &Packet)| (grace..lifted).contains(&p.1.at_ms);
    let during: Vec<usize> = sent.iter().filter(between).map(|(at, _)| *at).collect();
    assert!(during.is_empty(), "data on the wire during the stall: {during:?}");
    let got = times(&scene, "server", "got");
    let after = got.iter().find(|t| **t >= lifted).expect("it goes on") - lifted;
    assert!(after < SOON_MS * f64::from(slow()), "{after} ms until data flowed again");
    let counted = flow(&report, "target");
    assert!(report.faults[0].acted > 0, "{:#?}", report.faults);
    assert_eq!(counted.ingress.dropped + counted.egress.dropped, 0, "{counted:#?}");
    scene.lab.close();
}
