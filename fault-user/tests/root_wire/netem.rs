//! The same faults by flowfault and by netem, on the same cable and the same traffic, beside each
//! other. What netem does to all packets of an interface, a fault has to do to those of one socket:
//! the same shares, the same distributions of times. Needs the module `sch_netem`:
//! `cargo xtask vm-test --kernel 6.12 --test root_wire netem`.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::lab::netns::CABLE;
use crate::lab::process::{Process, wait_for};
use crate::lab::{command, python, slow};
use crate::scene::counters::counter;
use crate::support::packet::{Eye, Packet};
use crate::support::qdiscs::needs_qdisc;
use crate::support::scene::{Scene, script};
use crate::support::stats::{SIGMAS, binomial, ks_bound, quantile, spread};
use crate::support::trial::{Case, PORT, Place, run_in};

/// What a datagram of the traffic is: 1442 bytes on the cable.
const PAYLOAD: usize = 1400;
/// Ethernet, IPv4 and UDP.
const HEADERS: usize = 14 + 20 + 8;

/// How far the medians of two samples of times may lie apart for other reasons than the delay: the
/// hrtimers of an emulated machine, and a thread that has to wake up against a softirq.
fn apart_ms() -> f64 {
    2.0 * f64::from(slow())
}

/// What the receiver's interface has seen of `count` datagrams.
struct Seen {
    count: usize,
    /// Number and time on the way, ms, in the order of arrival.
    came: Vec<(u64, f64)>,
    /// Datagrams that the receiver's stack has discarded for their checksum.
    wrong: u64,
}

impl Seen {
    fn of<'a>(packets: impl IntoIterator<Item = &'a Packet>, count: usize, wrong: u64) -> Self {
        let came = |p: &Packet| -> Option<(u64, f64)> {
            let (number, at) = p.message?;
            Some((number, p.seen.at_ns.saturating_sub(at) as f64 / 1e6))
        };
        Self { count, came: packets.into_iter().filter_map(came).collect(), wrong }
    }

    /// How often each number came.
    fn copies(&self) -> BTreeMap<u64, usize> {
        let mut copies = BTreeMap::new();
        for (number, _) in &self.came {
            *copies.entry(*number).or_default() += 1;
        }
        copies
    }

    fn lost(&self) -> Vec<u64> {
        let copies = self.copies();
        (0..self.count as u64).filter(|n| !copies.contains_key(n)).collect()
    }

    fn times(&self) -> Vec<f64> {
        self.came.iter().map(|(_, ms)| *ms).collect()
    }

    /// Datagrams that came after one with a higher number.
    fn overtaken(&self) -> usize {
        let mut highest = 0;
        let late = |&&(number, _): &&(u64, f64)| {
            let overtaken = number < highest;
            highest = highest.max(number);
            overtaken
        };
        self.came.iter().filter(late).count()
    }
}

/// A fault in both languages.
struct Twin {
    name: &'static str,
    fault: &'static str,
    netem: &'static str,
}

const fn twin(name: &'static str, fault: &'static str, netem: &'static str) -> Twin {
    Twin { name, fault, netem }
}

/// The traffic: datagrams, one every so many microseconds.
struct Pour {
    count: usize,
    us: u32,
}

impl Pour {
    fn work(&self) -> String {
        format!("pour {} {PAYLOAD} {} {}", self.count, self.us * slow(), 400 * slow())
    }

    /// What each twin has done, by flowfault and by netem.
    fn both(&self, twins: &[Twin]) -> BTreeMap<&'static str, (Seen, Seen)> {
        // The delay of flowfault's run in the first place: netem's qdisc would be in its way.
        let scene = Scene::new(false);
        let case = |t: &Twin| Case::new(t.name, Place::Cable4, t.fault, &self.work());
        let cases: Vec<Case> = twins.iter().map(case).collect();
        let outcomes = run_in(&scene, "out", 7, &cases, "");
        let wrong = counter(scene.lab.far.as_ref().expect("a pair"), "Udp.InCsumErrors");
        let ours = |t: &Twin| Seen::of(outcomes.of(t.name).arrived(), self.count, wrong);
        let both = twins.iter().map(|t| (t.name, (ours(t), self.netem(&scene, t))));
        let both = both.collect();
        scene.close();
        both
    }

    /// The same traffic while netem is on the cable.
    fn netem(&self, scene: &Scene, twin: &Twin) -> Seen {
        let far = scene.lab.far.as_ref().expect("a pair");
        let go = scene.lab.file(&format!("netem-{}.go", twin.name));
        let args = format!("{} client 10.77.0.2 {PORT} early {go} {}", script(), self.work());
        let base = scene.lab.path().join(format!("netem-{}", twin.name));
        let mut client = Process::start(command(python(), &args), &scene.lab.near, &base);
        wait_for("client", Duration::from_secs(10), || {
            client.stdout().contains("ready").then_some(())
        });
        tc(scene, &format!("qdisc add dev {CABLE} root netem limit 100000 {}", twin.netem));
        let (watch, before) = (scene.watch(), counter(far, "Udp.InCsumErrors"));
        fs::write(&go, "").expect("the directory is ours");
        let status = wait_for("end of the client", Duration::from_secs(20), || client.ended());
        assert!(status.success(), "{}", client.stderr());
        let (_, packets) = watch.finish();
        tc(scene, &format!("qdisc del dev {CABLE} root"));
        let came = |p: &&Packet| p.seen.eye == Eye::Cable && !p.seen.outgoing && p.to == PORT;
        let wrong = counter(far, "Udp.InCsumErrors") - before;
        Seen::of(packets.iter().filter(came), self.count, wrong)
    }
}

fn tc(scene: &Scene, args: &str) {
    let mut tc = command("tc", args);
    scene.lab.near.put(&mut tc);
    let out = tc.stdin(Stdio::null()).output().expect("tc can be run");
    assert!(out.status.success(), "tc {args}: {}", String::from_utf8_lossy(&out.stderr));
}

/// Whether this kernel has netem; says so if not.
fn has_netem() -> bool {
    let scene = Scene::new(false);
    let mut add = Command::new("tc");
    add.args(["qdisc", "add", "dev", CABLE, "root", "netem", "delay", "1ms"]);
    scene.lab.near.put(&mut add);
    let out = add.output().expect("tc can be run");
    if out.status.success() {
        tc(&scene, &format!("qdisc del dev {CABLE} root"));
    }
    scene.close();
    needs_qdisc("netem", out.status.success(), &String::from_utf8_lossy(&out.stderr))
}

#[test]
fn shares_agree_with_netem() {
    if !has_netem() {
        return;
    }
    const N: usize = 1200;
    let pour = Pour { count: N, us: 1000 };
    let both = pour.both(&[
        twin("loss", "{ direction = 'egress', drop = 0.1 }", "loss 10%"),
        twin(
            "bursts",
            "{ direction = 'egress', drop = { gilbert_elliott = { p = 0.05, r = 0.3 } } }",
            "loss gemodel 5% 30%",
        ),
        twin("copies", "{ direction = 'egress', duplicate = 0.1 }", "duplicate 10%"),
        twin(
            "flips",
            "{ direction = 'egress', corrupt = { p = 0.1, checksum = 'bad' } }",
            "corrupt 10%",
        ),
    ]);
    let (ours, netems) = &both["loss"];
    for (who, seen) in [("flowfault", ours), ("netem", netems)] {
        println!("{who} loses {} of {N}", seen.lost().len());
        binomial(&format!("lost by {who}"), seen.lost().len(), N, 0.1);
    }
    let (ours, netems) = &both["bursts"];
    bursts("flowfault", &ours.lost(), N);
    bursts("netem", &netems.lost(), N);
    let (ours, netems) = &both["copies"];
    for (who, seen) in [("flowfault", ours), ("netem", netems)] {
        let twice = seen.copies().values().filter(|n| **n == 2).count();
        println!("{who} doubles {twice} of {N}");
        assert_eq!((seen.lost(), seen.came.len()), (vec![], N + twice), "{who}");
        binomial(&format!("doubled by {who}"), twice, N, 0.1);
    }
    let (ours, netems) = &both["flips"];
    println!("discarded: {} by flowfault's flips, {} by netem's", ours.wrong, netems.wrong);
    binomial("flipped by flowfault", ours.wrong as usize, N, 0.1);
    // netem flips a bit anywhere in the frame; one in the headers of Ethernet or IP is no wrong
    // UDP checksum.
    let seen = (PAYLOAD + 8) as f64 / (PAYLOAD + HEADERS) as f64;
    binomial("flipped by netem", netems.wrong as usize, N, 0.1 * seen);
}

/// Share and length of the bursts of a two-state chain with p = 5 % and r = 30 %.
fn bursts(who: &str, lost: &[u64], n: usize) {
    let begins = lost.iter().enumerate().filter(|(i, l)| *i == 0 || lost[i - 1] + 1 != **l);
    let begun = begins.count();
    println!("{who} loses {} in {begun} bursts", lost.len());
    let (p, r) = (0.05, 0.3);
    let share = p / (p + r);
    // Neighbours are correlated by 1 - p - r, which widens the deviation of the mean.
    let widened = (2.0 - p - r) / (p + r);
    let deviation = (n as f64 * share * (1.0 - share) * widened).sqrt();
    spread(&format!("lost by {who}"), lost.len() as f64, n as f64 * share, deviation);
    let mean = lost.len() as f64 / begun as f64;
    let deviation = (1.0_f64 - r).sqrt() / r / (begun as f64).sqrt();
    spread(&format!("mean burst of {who}"), mean, 1.0 / r, deviation);
}

#[test]
fn times_agree_with_netem() {
    if !has_netem() {
        return;
    }
    const N: usize = 250;
    let pour = Pour { count: N, us: 2000 };
    // One after the other: an emulated machine that has to handle them all at a time is late.
    let both = [
        twin("constant", "{ direction = 'egress', delay = '40ms' }", "delay 40ms"),
        twin(
            "uniform",
            "{ direction = 'egress', \
             delay = { mean = '60ms', jitter = '20ms', distribution = 'uniform', keep_order = false } }",
            "delay 60ms 20ms",
        ),
        twin(
            "normal",
            "{ direction = 'egress', \
             delay = { mean = '60ms', jitter = '10ms', distribution = 'normal', keep_order = false } }",
            "delay 60ms 10ms distribution normal",
        ),
    ]
    .into_iter()
    .flat_map(|twin| pour.both(&[twin]))
    .collect::<BTreeMap<_, _>>();
    for (name, (ours, netems)) in &both {
        assert_eq!((ours.lost(), netems.lost()), (vec![], vec![]), "{name}");
        let (a, b) = (ours.times(), netems.times());
        let told = |times: &[f64]| [0.05, 0.5, 0.95].map(|q| quantile(times, q));
        println!("{name}: p5, p50, p95 {:?} ms, netem {:?} ms", told(&a), told(&b));
        let off = quantile(&a, 0.5) - quantile(&b, 0.5);
        assert!(off.abs() <= apart_ms() + sampled(name, N), "{name}: medians {off} ms apart");
    }
    let (ours, netems) = &both["constant"];
    for (who, seen) in [("flowfault", ours), ("netem", netems)] {
        assert!(seen.times().iter().all(|ms| *ms >= 40.0), "{who} is early");
        assert_eq!(seen.overtaken(), 0, "{who} keeps the order");
    }
    for name in ["uniform", "normal"] {
        let (ours, netems) = &both[name];
        let (a, b) = (centred(ours), centred(netems));
        let distance = two_samples(&a, &b);
        println!("{name}: Kolmogorov-Smirnov {distance:.3}");
        // Of two samples of n values each: as one of n / 2. A tenth for what the two machineries
        // add to each time.
        let bound = ks_bound(N / 2) + 0.1;
        assert!(distance <= bound, "{name}: {distance} > {bound}");
        assert!(ours.overtaken() > 0 && netems.overtaken() > 0, "{name}: jitter overtakes");
    }
}

/// How far medians of `n` times lie apart by chance: five standard deviations of their difference
/// (that of one is 1 / (2 f sqrt(n)), with the density f at the median), ms.
fn sampled(name: &str, n: usize) -> f64 {
    let density = match name {
        // 40 ms wide.
        "uniform" => 1.0 / 40.0,
        // 10 ms of standard deviation.
        "normal" => 1.0 / (10.0 * (2.0 * std::f64::consts::PI).sqrt()),
        _ => return 0.0,
    };
    SIGMAS * 2.0_f64.sqrt() / (2.0 * density * (n as f64).sqrt())
}

/// Times around their median: shapes are compared, medians have been.
fn centred(seen: &Seen) -> Vec<f64> {
    let times = seen.times();
    let median = quantile(&times, 0.5);
    times.into_iter().map(|ms| ms - median).collect()
}

/// The largest distance between two empirical distributions.
fn two_samples(a: &[f64], b: &[f64]) -> f64 {
    let below = |values: &[f64], at: f64| {
        values.iter().filter(|v| **v <= at).count() as f64 / values.len() as f64
    };
    a.iter().chain(b).map(|&at| (below(a, at) - below(b, at)).abs()).fold(0.0, f64::max)
}
