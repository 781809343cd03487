//! What a capture sees of faults, and what a packet keeps on its way through the line.

use crate::scene::{self, PORT, Scene, faults};
use crate::support::packet::{Eye, Packet};
use crate::support::trial::{Case, Outcome, Place, run};

const N: u64 = 200;

/// Numbers of the datagrams that the near end of the cable sent (or received), in their order.
fn at_the_cable(outcome: &Outcome, sent: bool) -> Vec<u64> {
    let there =
        |p: &&Packet| (p.seen.eye, p.seen.outgoing, outcome.is_sent(p)) == (Eye::Cable, sent, sent);
    let packets: Vec<&Packet> = outcome.near.iter().filter(there).collect();
    numbers(&packets)
}

fn numbers(packets: &[&Packet]) -> Vec<u64> {
    Outcome::numbers_of(packets).into_iter().map(|(number, _)| number).collect()
}

#[test]
fn a_capture_sees_what_leaves_after_the_faults_and_what_comes_before_them() {
    let fault = |direction| format!("{{ direction = '{direction}', drop = {{ every = 5 }} }}");
    let outcomes = run(&[
        Case::new("out", Place::Cable4, &fault("egress"), &format!("pour {N} 100 1000")),
        Case::new("in", Place::Cable6, &fault("ingress"), &format!("draw {N} 100 1000")),
    ]);
    let kept: Vec<u64> = (0..N).filter(|n| n % 5 != 4).collect();
    let (out, into) = (outcomes.of("out"), outcomes.of("in"));
    // Nothing of what was lost on its way out.
    assert_eq!(at_the_cable(out, true), kept);
    assert_eq!(numbers(&out.arrived()), kept);
    // All that came in, and what came through the line a second time.
    let mut seen = at_the_cable(into, false);
    seen.sort_unstable();
    let mut expected: Vec<u64> = (0..N).chain(kept.iter().copied()).collect();
    expected.sort_unstable();
    assert_eq!(seen, expected);
    // On the line's own device: all that goes in, and what comes out.
    for (outcome, sent) in [(out, true), (into, false)] {
        assert_eq!(numbers(&outcome.handed(sent)), (0..N).collect::<Vec<_>>());
        assert_eq!(numbers(&outcome.given_back(sent)), kept);
    }
}

#[test]
fn what_is_held_has_no_socket_any_more_and_keeps_its_mark() {
    const MARK: u32 = 42;
    for place in [scene::Place::Lo4, scene::Place::Lo6] {
        let scene = Scene::new(place);
        // SO_RCVMARK, which Python has no name for (Linux 5.19).
        let _server = scene.serve(
            "udp = socket.socket(FAMILY, socket.SOCK_DGRAM)\n\
             udp.setsockopt(socket.SOL_SOCKET, 75, 1)\nudp.bind((HOST, PORT))\n\
             print('listening', flush=True)\ndata, more, _, _ = udp.recvmsg(2048, 256)\n\
             note('got', length=len(data), marks=[int.from_bytes(m, sys.byteorder) \
             for level, kind, m in more if kind == socket.SO_MARK])\ntouch('seen')\nwait('end')\n",
        );
        // SIOCOUTQ: what is sent and still belongs to the socket.
        let client = format!(
            "import fcntl\nudp = socket.socket(FAMILY, socket.SOCK_DGRAM)\n\
             udp.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, {MARK})\nudp.connect((HOST, PORT))\n\
             print('ready', flush=True)\nwait('go')\nudp.send(b'x' * 100)\ntime.sleep(0.1)\n\
             queued = int.from_bytes(fcntl.ioctl(udp, 0x5411, bytes(4)), sys.byteorder)\n\
             note('held', queued=queued)\nwait('seen')\n"
        );
        let delay = format!("delay = '{}'", crate::lab::stretched(600));
        let fault = format!("{{ flow = 'target', direction = 'egress', {delay} }}");
        let flow = scene.flow("target", PORT, "protocol = 'udp'");
        scene.run(&client, &(flow + &faults(&fault)));
        let (held, got) = (scene.noted("client", "held"), scene.noted("server", "got"));
        assert!(got["at_ms"].as_f64() > held["at_ms"].as_f64(), "it is held: {held} {got}");
        assert_eq!(held["queued"], 0, "{place:?}");
        assert_eq!(got["marks"], serde_json::json!([MARK]), "{place:?} {got}");
        assert_eq!(got["length"], 100);
        scene.lab.close();
    }
}
