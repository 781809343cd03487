//! A run that is longer than what is held has the verdicts of one that is held whole.

use std::collections::BTreeMap;

use fault_common::rule::Direction;
use fault_user::correlate::correlate;
use fault_user::history::{History, Lookup, Rest, Watch};
use fault_user::ledger::build::build;
use fault_user::ledger::heads::Heads;
use fault_user::report::model::SendReport;
use fault_user::verdict::Outcome::{Failed, Ok as Fine};
use fault_user::verdict::{Confidence, Verdict};

use crate::trace::{Sock, Trace, ns};

/// Keeps all.
#[derive(Default)]
struct All {
    sends: Vec<SendReport>,
    stretches: Vec<u64>,
}

impl Watch for All {
    fn stretch(&mut self, _: &Lookup<'_>, until: u64) {
        self.stretches.push(until);
    }
    fn send(&mut self, send: SendReport) {
        self.sends.push(send);
    }
}

/// Judges the trace with so many records at a time; a line comes `late` ms after it was true.
fn judge(trace: &Trace, held: usize, late: impl Fn(usize) -> f64) -> (All, Rest) {
    let mut all = All::default();
    let mut history = History::new(&Heads::of(&trace.entries), trace.facts.clone(), held);
    let mut order: Vec<(u64, bool, usize)> = Vec::new();
    order.extend(trace.entries.iter().enumerate().map(|(i, e)| (e.ts, false, i)));
    let lines = trace.messages.iter().enumerate();
    order.extend(lines.map(|(i, m)| (m.t1 + (late(i) * 1e6) as u64, true, i)));
    order.sort_unstable();
    for (_, is_line, i) in order {
        match is_line {
            true => history.message(trace.messages[i].clone(), &mut all),
            false => history.entry(trace.entries[i], &mut all),
        }
    }
    let rest = history.finish(&mut all);
    all.sends.sort_by(|a, b| a.started_ms.total_cmp(&b.started_ms));
    (all, rest)
}

fn whole(trace: &Trace) -> Vec<SendReport> {
    correlate(&build(&trace.entries), &trace.messages, &trace.facts).sends
}

fn totals(sends: &[SendReport]) -> BTreeMap<Verdict, usize> {
    let mut totals = BTreeMap::new();
    sends.iter().for_each(|s| *totals.entry(s.verdict).or_default() += 1);
    totals
}

#[track_caller]
fn same(trace: &Trace, held: usize) -> (All, Rest) {
    let (all, rest) = judge(trace, held, |_| 0.3);
    let whole = whole(trace);
    assert!(all.stretches.len() > 6, "it was judged in {} stretches", all.stretches.len());
    assert_eq!(totals(&all.sends), totals(&whole));
    let key = |s: &SendReport| (s.started_ms.to_bits(), s.id.clone(), s.cookie, s.stream);
    let by_key: BTreeMap<_, _> = all.sends.iter().map(|s| (key(s), s)).collect();
    for expected in &whole {
        assert_eq!(by_key.get(&key(expected)), Some(&expected));
    }
    (all, rest)
}

/// Numbers that look random, always the same ones.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Bytes written to a socket so far.
type Written = BTreeMap<u64, i64>;

/// One message that fares somehow; ms when it is over.
fn message(t: &mut Trace, s: Sock, written: &mut Written, (n, ms): (u64, f64), luck: u64) {
    let from = *written.entry(s.cookie).or_default();
    let len = 80 + (n % 7) as i64 * 40;
    let to = from + len;
    let failed = luck.is_multiple_of(11);
    match luck {
        // The first copy is lost, the second comes through.
        0..5 => {
            t.lost(s, ms, from, to).send(s, ms + 0.02, len);
            t.tx(s, ms + 0.2, from, to).ack(s, ms + 0.4, to);
        }
        // An acknowledgement is lost.
        5..8 => {
            t.tx(s, ms, from, to).send(s, ms + 0.02, len);
            t.lost_ack(s, ms + 0.1, to).tx(s, ms + 0.25, from, to).ack(s, ms + 0.4, to);
        }
        // In two calls.
        8..20 => {
            t.tx(s, ms, from, from + 40).send(s, ms + 0.02, 40);
            t.tx(s, ms + 0.03, from + 40, to).send(s, ms + 0.05, len - 40).ack(s, ms + 0.1, to);
        }
        _ => {
            t.tx(s, ms, from, to).send(s, ms + 0.02, len).ack(s, ms + 0.1, to);
        }
    }
    written.insert(s.cookie, to);
    let outcome = if failed { Failed } else { Fine };
    let size = (n % 3 > 0).then_some(len as u64);
    t.message(&format!("m{n}"), outcome, ms - 0.01, ms + 0.06).bytes = size;
}

/// Messages on three sockets, with keepalives, losses, and sockets that close over lost ones.
fn busy() -> Trace {
    let mut t = Trace::new();
    let mut chance = Chance(1);
    let mut written = Written::new();
    let mut socks: Vec<Sock> = (0..3).map(|n| t.socket(n % 2)).collect();
    for n in 0..8000u64 {
        let ms = 10.0 + n as f64;
        let at = (n % 3) as usize;
        let luck = chance.below(200);
        if n % 40 == 7 {
            // Nobody says anything of this one.
            let from = *written.entry(socks[at].cookie).or_default();
            t.tx(socks[at], ms, from, from + 17).send(socks[at], ms + 0.01, 17);
            t.ack(socks[at], ms + 0.1, from + 17);
            written.insert(socks[at].cookie, from + 17);
        } else if n % 900 == 500 {
            // Lost for good, and the socket closes; every other one is tried again elsewhere.
            let s = socks[at];
            let from = *written.entry(s.cookie).or_default();
            t.lost(s, ms, from, from + 300).send(s, ms + 0.02, 300);
            t.lost(s, ms + 0.5, from, from + 300).close(s, ms + 0.9);
            t.message(&format!("lost{n}"), Fine, ms - 0.01, ms + 0.06);
            socks[at] = t.socket((n / 900 % 2) as u32);
            if n % 1800 == 500 {
                let other = socks[(at + 1) % 3];
                let from = *written.entry(other.cookie).or_default();
                t.tx(other, ms + 0.5, from, from + 300).send(other, ms + 0.52, 300);
                t.ack(other, ms + 0.6, from + 300);
                written.insert(other.cookie, from + 300);
                t.message(&format!("lost{n}"), Fine, ms + 0.49, ms + 0.56);
            }
        } else {
            message(&mut t, socks[at], &mut written, (n, ms), luck);
        }
    }
    // At the end one of them hangs.
    let s = socks[0];
    let from = *written.entry(s.cookie).or_default();
    t.lost(s, 9_000.0, from, from + 50).send(s, 9_000.01, 50);
    t.message("stuck", Fine, 8_999.9, 9_000.05);
    t.facts.armed_at_end = vec![(0, Direction::Egress), (1, Direction::Egress)];
    t
}

#[test]
fn verdicts_are_the_same_whatever_is_held() {
    let trace = busy();
    for held in [1500, 4000, 9000] {
        let (all, rest) = same(&trace, held);
        assert!(rest.broken.is_empty() && rest.warnings.is_empty(), "{rest:?}");
        let known = totals(&all.sends);
        for verdict in
            [Verdict::SilentLoss, Verdict::Rerouted, Verdict::Late, Verdict::FalseFailure]
        {
            assert!(known.contains_key(&verdict), "{verdict:?} is missing: {known:?}");
        }
        assert!(!known.contains_key(&Verdict::Unknown));
        let left: usize = rest.flows.iter().map(|f| f.sends.len() + f.tx.len()).sum();
        assert!(left < held, "{left} were still there at the end");
    }
}

#[test]
fn sends_without_a_line_are_one_entry_however_long_they_go_on() {
    let mut t = Trace::new();
    let s = t.socket(0);
    for n in 0..30_000i64 {
        let (ms, from) = (10.0 + n as f64 / 10.0, n * 50);
        if n % 100 == 3 {
            t.lost(s, ms, from, from + 50).send(s, ms + 0.01, 50);
            t.tx(s, ms + 0.02, from, from + 50);
        } else {
            t.tx(s, ms, from, from + 50).send(s, ms + 0.01, 50);
        }
        t.ack(s, ms + 0.05, from + 50);
    }
    let (all, _) = same(&t, 24_000);
    assert_eq!(all.sends.len(), 1);
    assert_eq!((all.sends[0].drops, all.sends[0].bytes), (300, 1_500_000));
}

#[test]
fn a_line_that_comes_too_late_proves_nothing() {
    let mut t = Trace::new();
    let s = t.socket(0);
    let mut written = Written::new();
    for n in 0..6000 {
        message(&mut t, s, &mut written, (n, 10.0 + n as f64), 100);
    }
    let (all, _) = judge(&t, 4000, |i| if i == 100 { 5_500.0 } else { 0.3 });
    let late = all.sends.iter().find(|s| s.id.as_deref() == Some("m100")).unwrap();
    assert_eq!((late.verdict, late.confidence), (Verdict::Unknown, Confidence::Gap));
    assert!(late.why.starts_with("its line came when"), "{}", late.why);
    let expected =
        BTreeMap::from([(Verdict::Unknown, 1), (Verdict::Delivered, 5999), (Verdict::Unlogged, 1)]);
    assert_eq!(totals(&all.sends), expected);
}

#[test]
fn lost_events_make_unknown_what_they_may_be_about() {
    let mut t = Trace::new();
    let s = t.socket(0);
    let mut written = Written::new();
    for n in 0..6000 {
        message(&mut t, s, &mut written, (n, 10.0 + n as f64), 100);
    }
    t.gap(s, 1000.05, 1200.0);
    let (all, _) = same(&t, 2000);
    assert_eq!(totals(&all.sends)[&Verdict::Unknown], 201);
}

#[test]
fn a_broken_law_is_found_in_parts_too() {
    let mut t = Trace::new();
    let s = t.socket(0);
    let mut written = Written::new();
    for n in 0..3000 {
        message(&mut t, s, &mut written, (n, 10.0 + n as f64), 100);
    }
    let from = written[&s.cookie];
    t.lost(s, 3_500.0, from, from + 80).send(s, 3_500.1, 80).ack(s, 3_500.3, from + 80);
    written.insert(s.cookie, from + 80);
    for n in 4000..7000 {
        message(&mut t, s, &mut written, (n, 10.0 + n as f64), 100);
    }
    let (_, rest) = judge(&t, 1500, |_| 0.3);
    assert_eq!(rest.broken, BTreeMap::from([(s.cookie, from..from + 80)]));
    assert!(ns(0.0) > 0);
}

/// Counts, and looks at the process's own memory now and then.
#[derive(Default)]
struct Weighed {
    verdicts: BTreeMap<Verdict, u64>,
    most_kb: u64,
    sends: u64,
}

impl Watch for Weighed {
    fn stretch(&mut self, _: &Lookup<'_>, _: u64) {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap();
        self.most_kb = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    }
    fn send(&mut self, send: SendReport) {
        self.sends += 1;
        *self.verdicts.entry(send.verdict).or_default() += 1;
    }
}

/// Records of `sends` sends on eight sockets, in pieces that are made as they are wanted.
fn weigh(sends: u64, every: u64) -> Weighed {
    const PIECE: u64 = 10_000;
    let mut base = Trace::new();
    let socks: Vec<Sock> = (0..8).map(|n| base.socket(n % 2)).collect();
    base.facts.end = ns(sends as f64 / 100.0 + 1_000.0);
    // One packet of each: that there are any is all that heads tell of them.
    for s in &socks {
        base.tx(*s, 1.0, 0, 100);
    }
    let heads = Heads::of(&base.entries);
    let (mut weighed, mut written) = (Weighed::default(), Written::new());
    let mut history = History::new(&heads, base.facts.clone(), fault_user::history::HELD);
    base.entries.iter().for_each(|e| history.entry(*e, &mut weighed));
    for piece in 0..sends / PIECE {
        let mut t = Trace::new();
        for _ in &socks {
            t.open_socket(0, 1_000);
        }
        for n in piece * PIECE..(piece + 1) * PIECE {
            // A hundred a millisecond.
            let (ms, s) = (10.0 + n as f64 / 100.0, socks[(n % 8) as usize]);
            let from = *written.entry(s.cookie).or_default();
            let to = from + 100;
            t.resume(s, from);
            t.tx(s, ms, from, to).send(s, ms + 0.002, 100).ack(s, ms + 0.05, to);
            written.insert(s.cookie, to);
            if n.is_multiple_of(every) {
                t.message(&format!("m{n}"), Fine, ms - 0.0005, ms + 0.0025).bytes = Some(100);
            }
        }
        let mut lines = t.messages.into_iter().peekable();
        for entry in t.entries {
            while let Some(line) = lines.next_if(|m| m.t1 < entry.ts) {
                history.message(line, &mut weighed);
            }
            history.entry(entry, &mut weighed);
        }
        lines.for_each(|line| history.message(line, &mut weighed));
    }
    history.finish(&mut weighed);
    weighed
}

#[test]
#[ignore = "a measurement: ten million sends take minutes (docs/benchmarks.md)"]
fn ten_million_sends_stay_below_a_gibibyte() {
    for every in [1, u64::MAX] {
        let weighed = weigh(10_000_000, every);
        println!("every {every}: {} KiB, {:?}", weighed.most_kb, weighed.verdicts);
        assert!(weighed.most_kb < 1 << 20, "{} KiB", weighed.most_kb);
        if every == 1 {
            assert_eq!(weighed.verdicts[&Verdict::Delivered], 10_000_000);
        }
    }
}
