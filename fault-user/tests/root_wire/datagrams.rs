//! UDP through the delay line, both ways at a time, against what the sockets at both ends got and
//! what their stacks counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use fault_user::report::model::{Counters, Report};
use serde::Deserialize;
use serde_json::Value;

use crate::scene::counters::counter;
use crate::scene::{PORT, Place, Scene, faults, flow};
use crate::support::stats::{binomial, late_ms, quantile};

/// Datagrams of each flow and direction, and their bytes (datagrams.py).
const N: usize = 400;
const SIZE: usize = 100;
/// Of a datagram, so many bytes are its number and time.
const HEAD: usize = 16;

/// Flows, and the fault that each of them meets in both directions.
const FLOWS: [(&str, &str); 8] = [
    ("late", "delay = '40ms'"),
    ("counted", "drop = { every = 10 }"),
    ("lossy", "drop = 0.2"),
    ("twice", "duplicate = 0.2"),
    ("overtaken", "reorder = { p = 0.05, gap = 3, delay = '1s' }"),
    ("valid", "corrupt = { p = 0.2, bits = 3, offset = [16, 100] }"),
    ("bad", "corrupt = { p = 0.2, checksum = 'bad' }"),
    ("untouched", ""),
];

/// A datagram as its receiver got it.
#[derive(Debug, Clone, Deserialize)]
struct Datagram {
    number: usize,
    /// ns from the sender's call to the receiver's.
    took: u64,
    size: usize,
    /// Position and flipped bits of bytes behind its head.
    flips: Vec<(usize, u8)>,
}

/// What came of one flow in one direction.
struct Way {
    got: Vec<Datagram>,
    counted: Counters,
    matched: u64,
    acted: u64,
    /// Wrong checksums that the receiver's stack has counted, of all flows.
    discarded: u64,
    v6: bool,
    told: String,
}

/// The runs over IPv4 and IPv6, with Ethernet headers and without: ways by flow.
static RUNS: LazyLock<Vec<BTreeMap<&str, [Way; 2]>>> =
    LazyLock::new(|| [Place::Cable4, Place::Cable6, Place::Tunnel6].map(run).into());

fn run(place: Place) -> BTreeMap<&'static str, [Way; 2]> {
    let scene = Scene::new(place);
    let names = format!("from datagrams import *\nnames = {:?}\n", FLOWS.map(|(name, _)| name));
    let _server = scene.serve(&format!(
        "{names}sockets = endpoints(names, socket.socket.bind)\nlistener = listen()\n\
         def back(udp, peer):\n    background(pour, [lambda data: udp.sendto(data, peer)])\n\
         collect(sockets, back)\ntouch('seen')\nwait('end')\n"
    ));
    // The connection makes neighbours known: datagrams before that may get lost.
    let client = format!(
        "{names}connect().close()\nsockets = endpoints(names, socket.socket.connect)\n\
         print('ready', flush=True)\nwait('go')\n\
         background(pour, [udp.send for udp in sockets.values()])\ncollect(sockets)\nwait('seen')\n"
    );
    let flows: String = (1..)
        .zip(FLOWS)
        .map(|(n, (name, _))| scene.flow(name, PORT + n, "protocol = 'udp'"))
        .collect();
    let faulty = FLOWS.iter().filter(|(_, fault)| !fault.is_empty());
    let all: Vec<String> =
        faulty.map(|(name, fault)| format!("{{ flow = '{name}', {fault} }}")).collect();
    let report = scene.run(&client, &(flows + &faults(&all.join(", "))));
    let ways = FLOWS.map(|(name, _)| (name, ways(&scene, &report, name)));
    drop(scene.tunnel);
    scene.lab.close();
    ways.into()
}

/// Egress and ingress of a flow.
fn ways(scene: &Scene, report: &Report, name: &str) -> [Way; 2] {
    let ends = [("egress", "server", scene.peers()), ("ingress", "client", &scene.lab.near)];
    ends.map(|(direction, receiver, netns)| {
        let of_flow = |n: &Value| n["flow"] == name;
        let note = scene.notes(receiver, "got").into_iter().find(of_flow).expect("each is noted");
        let got = serde_json::from_value(note["datagrams"].clone()).expect("as it was written");
        let of_way = report.faults.iter().find(|f| f.flow == name && f.direction == direction);
        let (matched, acted) = of_way.map_or((0, 0), |f| (f.matched, f.acted));
        let counted = flow(report, name);
        let counted = if direction == "egress" { counted.egress } else { counted.ingress };
        let errors = if scene.place.is_v6() { "Udp6InCsumErrors" } else { "Udp.InCsumErrors" };
        let discarded = counter(netns, errors);
        let told = format!("{name} {direction} {:?}", scene.place);
        Way { got, counted, matched, acted, discarded, v6: scene.place.is_v6(), told }
    })
}

/// The six ways of a flow. Each datagram was judged once.
fn all(name: &str) -> impl Iterator<Item = &'static Way> {
    let ways = RUNS.iter().flat_map(move |run| &run[name]);
    ways.inspect(|way| {
        assert_eq!(way.counted.packets, N as u64, "{}", way.told);
        assert_eq!(way.matched, N as u64, "{}", way.told);
    })
}

impl Way {
    fn numbers(&self) -> Vec<usize> {
        self.got.iter().map(|d| d.number).collect()
    }

    fn missing(&self) -> Vec<usize> {
        let there: BTreeSet<usize> = self.numbers().into_iter().collect();
        (0..N).filter(|n| !there.contains(n)).collect()
    }

    /// Each datagram is there once, in its order, with its bytes.
    fn is_whole(&self) {
        assert_eq!(self.numbers(), (0..N).collect::<Vec<_>>(), "{}", self.told);
        self.is_clean();
    }

    fn is_clean(&self) {
        let clean = |d: &Datagram| d.size == SIZE && d.flips.is_empty();
        assert!(self.got.iter().all(clean), "{}: {:?}", self.told, self.got);
    }
}

#[test]
fn a_delayed_datagram_is_never_early_and_keeps_its_place() {
    for way in all("late") {
        way.is_whole();
        let took: Vec<f64> = way.got.iter().map(|d| d.took as f64 / 1e6).collect();
        assert!(took.iter().all(|ms| *ms >= 40.0), "{}: {took:?}", way.told);
        assert!(quantile(&took, 0.5) < 40.0 + late_ms(), "{}: {took:?}", way.told);
        assert_eq!((way.acted, way.counted.delayed), (N as u64, N as u64), "{}", way.told);
    }
}

#[test]
fn lost_datagrams_are_those_that_the_fault_means() {
    for way in all("counted") {
        let tenth: Vec<usize> = (0..N).filter(|n| n % 10 == 9).collect();
        assert_eq!(way.missing(), tenth, "{}", way.told);
    }
    for way in all("lossy") {
        binomial(&way.told, way.missing().len(), N, 0.2);
    }
    for way in all("counted").chain(all("lossy")) {
        let missing = way.missing().len() as u64;
        assert_eq!((way.acted, way.counted.dropped), (missing, missing), "{}", way.told);
        assert!(way.numbers().is_sorted(), "{}", way.told);
        way.is_clean();
    }
}

#[test]
fn a_doubled_datagram_comes_twice_in_a_row() {
    for way in all("twice") {
        assert!(way.missing().is_empty(), "{}: {:?}", way.told, way.numbers());
        assert!(way.numbers().is_sorted(), "{}: {:?}", way.told, way.numbers());
        way.is_clean();
        let copies = way.got.len() - N;
        let again = way.numbers().windows(2).filter(|pair| pair[0] == pair[1]).count();
        assert!(copies == again && way.numbers().windows(3).all(|n| n[0] < n[2]), "{}", way.told);
        binomial(&way.told, copies, N, 0.2);
        let counted = (way.acted, way.counted.duplicated);
        assert_eq!(counted, (copies as u64, copies as u64), "{}", way.told);
    }
}

#[test]
fn a_datagram_held_back_is_overtaken_by_the_gap() {
    for way in all("overtaken") {
        let numbers = way.numbers();
        assert_eq!((numbers.len(), way.missing()), (N, vec![]), "{}", way.told);
        way.is_clean();
        let by = |(at, number): (usize, &usize)| {
            (*number, numbers[..at].iter().filter(|before| *before > number).count())
        };
        let late: Vec<(usize, usize)> =
            numbers.iter().enumerate().map(by).filter(|(_, by)| *by > 0).collect();
        // The last ones may have nothing behind them.
        let held = late.iter().filter(|(number, _)| *number < N - 20);
        assert!(held.clone().all(|(_, by)| *by == 3), "{}: {late:?}", way.told);
        binomial(&way.told, late.len(), N, 0.05);
        assert_eq!(way.counted.reordered, way.acted, "{}", way.told);
    }
}

#[test]
fn a_corrupt_datagram_shows_just_its_flipped_bits() {
    for way in all("valid") {
        assert_eq!(way.numbers(), (0..N).collect::<Vec<_>>(), "{}", way.told);
        let hit: Vec<&Datagram> = way.got.iter().filter(|d| !d.flips.is_empty()).collect();
        for datagram in &hit {
            let bits: u32 = datagram.flips.iter().map(|(_, bits)| bits.count_ones()).sum();
            assert_eq!((bits, datagram.size), (3, SIZE), "{}: {datagram:?}", way.told);
            assert!(datagram.flips.iter().all(|(at, _)| *at >= HEAD));
        }
        binomial(&way.told, hit.len(), N, 0.2);
        let counted = (way.acted, way.counted.corrupted);
        assert_eq!(counted, (hit.len() as u64, hit.len() as u64), "{}", way.told);
    }
}

#[test]
fn a_datagram_with_a_bad_checksum_is_discarded_and_counted_by_its_receiver() {
    for way in all("bad") {
        let missing = way.missing().len();
        way.is_clean();
        binomial(&way.told, missing, N, 0.2);
        let counted = (way.acted, way.counted.corrupted, way.discarded);
        // No other flow has any.
        assert_eq!(counted, (missing as u64, missing as u64, missing as u64), "{}", way.told);
    }
}

#[test]
fn a_datagram_flow_beside_them_meets_nothing() {
    for way in RUNS.iter().flat_map(|run| &run["untouched"]) {
        way.is_whole();
        let c = way.counted;
        let touched = [c.dropped, c.delayed, c.corrupted, c.duplicated, c.reordered, c.reset];
        assert_eq!((c.packets, touched), (N as u64, [0; 6]), "{}", way.told);
        // IP bytes: with its headers.
        let headers = if way.v6 { 40 + 8 } else { 20 + 8 };
        assert_eq!(c.bytes, (N * (SIZE + headers)) as u64, "{}", way.told);
    }
}
