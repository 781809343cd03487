//! `rate` and `trace`: links that are slower than the cable.

use std::sync::LazyLock;

use crate::support::packet::Packet;
use crate::support::scene::Scene;
use crate::support::stats::{late_ms, quantile};
use crate::support::stream::{Stream, in_order, wire_packets};
use crate::support::trial::{Case, Outcome, Outcomes, Place, run_in};

const MS: u64 = 1_000_000;
/// Of the link under test.
const BYTES_PER_S: u64 = 1_000_000;
const QUEUE: u64 = 64 << 10;

/// A delivery 1, 3 and 10 ms after the beginning, and so on.
const MAHIMAHI: &str = "1\n3\n10\n";
const CSV: &str = "time,delay,loss\n0s,20ms,0\n0.3s,80ms,0\n0.6s,30ms,1\n0.7s,30ms,0\n10s,0ms,0\n";

static RUN: LazyLock<Outcomes> = LazyLock::new(|| {
    let scene = Scene::new(true);
    std::fs::write(scene.lab.file("m.trace"), MAHIMAHI).expect("the directory is ours");
    std::fs::write(scene.lab.file("c.csv"), CSV).expect("the directory is ours");
    let case = |name, place, fault: &str, work: &str| {
        Case::new(name, place, &format!("{{ direction = 'egress', {fault} }}"), work)
    };
    let rate = "rate = { rate = '8mbit', queue = '64KiB' }";
    let mahimahi = "trace = { file = 'm.trace', format = 'mahimahi', queue = '1MiB' }";
    let csv = "trace = { file = 'c.csv', format = 'csv' }";
    let cases = [
        case("flood", Place::Cable4, rate, "flood 3000"),
        case("flood 6", Place::Cable6, rate, "flood 1500"),
        Case::new(
            "fetch",
            Place::Lo4,
            &format!("{{ direction = 'ingress', {rate} }}"),
            "fetch 1500000",
        ),
        case("datagrams", Place::Cable4, rate, "pour 1000 972 500"),
        // 1504 bytes fit into a delivery, with 4 bytes beside the IP packet.
        case("mahimahi", Place::Cable4, mahimahi, "pour 150 1472 1000"),
        case("csv", Place::Cable6, csv, "pour 1000 100 1000"),
    ];
    let outcomes = run_in(&scene, "out", 7, &cases, "");
    scene.close();
    outcomes
});

/// (went in, came out) of each packet that came out; ns, by number.
fn times(outcome: &Outcome) -> Vec<(u64, u64, u64)> {
    let [went, came] = [outcome.handed(true), outcome.given_back(true)]
        .map(|packets| Outcome::numbers_of(&packets));
    let mut went = went.into_iter();
    let find = |(number, out): (u64, u64)| {
        let (_, into) = went.find(|(n, _)| *n == number).expect("in order, and once");
        (number, into, out)
    };
    came.into_iter().map(find).collect()
}

/// One wire packet of a link, as it should have left it and as it did.
struct Served {
    bytes: u64,
    due: u64,
    out: u64,
    /// The link had nothing to do before it.
    idle: bool,
}

/// What a link of this rate does with what came out of it: the same from first principles.
fn served(outcome: &Outcome) -> Vec<Served> {
    let (went, came) = (outcome.handed(true), outcome.given_back(true));
    let mut busy_until = 0;
    let serve = |(into, out): (&Packet, &Packet)| {
        let (bytes, idle) = (out.wire_bytes(), busy_until < into.seen.at_ns);
        busy_until = busy_until.max(into.seen.at_ns) + bytes * 1_000_000_000 / BYTES_PER_S;
        Served { bytes, due: busy_until, out: out.seen.at_ns, idle }
    };
    in_order(&went, &came).into_iter().map(serve).collect()
}

#[test]
fn packets_leave_at_the_pace_of_the_link() {
    for name in ["flood", "flood 6"] {
        let outcome = RUN.of(name);
        outcome.is_whole();
        let served = served(outcome);
        let late: Vec<f64> =
            served.iter().map(|s| (s.out as f64 - s.due as f64) / MS as f64).collect();
        // The capture has a packet a moment later than the fault.
        assert!(quantile(&late, 0.0) > -0.5, "{late:?}");
        assert!(quantile(&late, 0.5) < late_ms(), "{late:?}");
    }
}

#[test]
fn throughput_is_the_rate() {
    for name in ["flood", "flood 6"] {
        let served = served(RUN.of(name));
        // While there is always something to send; a flood fills the link for seconds.
        let busy = served.chunk_by(|_, next| !next.idle).max_by_key(|busy| busy.len());
        let busy = busy.expect("it has sent");
        let bytes: u64 = busy[1..].iter().map(|s| s.bytes).sum();
        let seconds = (busy[busy.len() - 1].out - busy[0].out) as f64 / 1e9;
        assert!(seconds > 0.4, "{seconds}");
        let reached = bytes as f64 / seconds / BYTES_PER_S as f64;
        assert!((0.95..=1.05).contains(&reached), "{reached}");
    }
}

#[test]
fn the_queue_holds_no_more_than_it_may() {
    let outcome = RUN.of("flood");
    let [went, came] = [outcome.handed(true), outcome.given_back(true)];
    let took = in_order(&went, &came);
    let took: Vec<f64> =
        took.iter().map(|(into, out)| (out.seen.at_ns - into.seen.at_ns) as f64 / 1e6).collect();
    // A full queue takes 65.5 ms to drain; what comes then finds no room.
    let full = (QUEUE * 1000 / BYTES_PER_S) as f64;
    assert!(quantile(&took, 0.9) <= full + late_ms(), "{took:?}");
    assert!(quantile(&took, 1.0) >= full - 5.0, "the queue fills up: {took:?}");
    // Nor does TCP see a longer round trip than that.
    let rtts = outcome.client["rtts_us"].as_array().expect("it samples");
    let rtts: Vec<f64> = rtts.iter().map(|n| n.as_f64().expect("a number") / 1e3).collect();
    assert!(quantile(&rtts, 0.9) <= full + late_ms(), "{rtts:?}");
    let lost = wire_packets(&went) - wire_packets(&came);
    assert!(lost > 0, "a flood overflows the queue");
    assert_eq!(outcome.flow.egress.dropped, lost);
    let stream = Stream::of(came.iter().copied(), went[0].seq);
    assert!(!stream.holes.is_empty());
}

#[test]
fn what_is_received_is_slowed_down_as_well() {
    let outcome = RUN.of("fetch");
    assert_eq!(outcome.said("bytes") as u32, 1_500_000);
    // But for what a link that was idle lets through: one packet.
    let least = (1_500_000.0 - 65_536.0) / BYTES_PER_S as f64 * 1e3;
    assert!(outcome.said("work_ms") >= least, "{}", outcome.client);
}

#[test]
fn a_link_passes_no_byte_before_its_time() {
    let outcome = RUN.of("datagrams");
    let times = times(outcome);
    // Each takes 1 ms; they come at twice the pace, so the link is hardly ever idle.
    let (mut due, mut late) = (0, Vec::new());
    for (number, into, out) in &times {
        due = due.max(*into) + DATAGRAM_NS;
        // The capture has a packet a moment later than the fault.
        assert!(*out + MS / 2 >= due, "{number}");
        late.push((*out as f64 - due as f64) / MS as f64);
    }
    assert!(quantile(&late, 0.5) < late_ms(), "{late:?}");
    let lost = 1000 - times.len() as u64;
    assert_eq!(outcome.flow.egress.dropped, lost);
    let expected = without_room(&Outcome::numbers_of(&outcome.handed(true)));
    assert!(lost > 100 && lost.abs_diff(expected) <= 5, "{lost}, not {expected}");
}

/// Time that a datagram of 1000 bytes takes on the link.
const DATAGRAM_NS: u64 = 1000 * 1_000_000_000 / BYTES_PER_S;

/// How many of these datagrams find no room in the queue.
fn without_room(went: &[(u64, u64)]) -> u64 {
    let (mut busy_until, mut lost) = (0u64, 0);
    for (_, into) in went {
        let waiting = busy_until.saturating_sub(*into) * BYTES_PER_S / 1_000_000_000;
        if waiting > 0 && waiting + 1000 > QUEUE {
            lost += 1;
        } else {
            busy_until = busy_until.max(*into) + DATAGRAM_NS;
        }
    }
    lost
}

#[test]
fn a_mahimahi_trace_says_when_packets_go() {
    let outcome = RUN.of("mahimahi");
    let times = times(outcome);
    assert_eq!(times.len(), 150);
    let start = times[0].1;
    let mut late = Vec::new();
    // They come faster than they go, so each delivery is used.
    for (i, (_, _, out)) in (0..).zip(&times) {
        let due = start + (i / 3 * 10 + [1, 3, 10][i as usize % 3]) * MS;
        // The capture has the beginning a moment later than the fault.
        assert!(*out + MS / 2 >= due, "{i}: {} too early", due - out);
        late.push((*out as f64 - due as f64) / 1e6);
    }
    let p50 = quantile(&late, 0.5);
    assert!(p50 < late_ms(), "{p50}");
}

#[test]
fn a_csv_trace_says_how_long_and_how_many() {
    let outcome = RUN.of("csv");
    let times = times(outcome);
    let start = times[0].1;
    let slack = late_ms() as u64 * MS;
    let mut delays = [Vec::new(), Vec::new(), Vec::new()];
    for (number, into, out) in &times {
        // Which line held is not sure within a ms of where it begins; order is kept, so what
        // follows a longer delay waits for it.
        let (at, took) = ((into - start) / MS, out - into);
        match at {
            0..299 => delays[0].push(took),
            302..599 => delays[1].push(took),
            601..699 => panic!("{number} passed while all is lost"),
            751.. => delays[2].push(took),
            _ => {}
        }
    }
    for (took, ms) in delays.iter_mut().zip([20, 80, 30]) {
        took.sort_unstable();
        let (least, median) = (took[0], took[took.len() / 2]);
        assert!(least + MS / 2 >= ms * MS && median <= ms * MS + slack, "{ms}: {least} {median}");
    }
}
