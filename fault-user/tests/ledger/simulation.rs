//! Random traces of a simulated TCP, judged against what the simulated receiver really got.

use fault_common::rule::Direction;
use fault_user::correlate::Gap;
use fault_user::ledger::audit::{Counters, audit};
use fault_user::report::model::SendReport;
use fault_user::verdict::Confidence;
use fault_user::verdict::Outcome::{Failed, Ok as Fine};
use fault_user::verdict::Verdict::{self, *};
use proptest::prelude::*;

use crate::trace::{Sock, Trace, ns};

const MSS: usize = 100;
const RTO_MS: u32 = 200;
const ACK_DELAY_MS: f64 = 0.5;
const RTT_MS: f64 = 1.0;
const LATE_MS: f64 = 1_000.0;

/// What the network does with one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Luck {
    Pass,
    /// Dropped by our rule: on record.
    Faulted,
    /// Lost somewhere on the way: on record as passed.
    Vanished,
}

/// What is known of every single byte; the oracle, free of ranges.
#[derive(Debug, Clone, Copy, Default)]
pub struct Byte {
    first_faulted: Option<bool>,
    passed: bool,
    received: bool,
    acked: Option<f64>,
}

struct Tcp<'a> {
    trace: &'a mut Trace,
    sock: Sock,
    bytes: Vec<Byte>,
    una: usize,
    next: usize,
    luck: Box<dyn Iterator<Item = Luck>>,
    ack_luck: Box<dyn Iterator<Item = Luck>>,
}

impl Tcp<'_> {
    fn transmit(&mut self, ms: f64, from: usize, to: usize) {
        let luck = self.luck.next().unwrap();
        let faulted = luck == Luck::Faulted;
        let (a, b) = (from as i64, to as i64);
        let _: &mut Trace = match faulted {
            true => self.trace.lost(self.sock, ms, a, b),
            false => self.trace.tx(self.sock, ms, a, b),
        };
        for byte in &mut self.bytes[from..to] {
            byte.first_faulted.get_or_insert(faulted);
            byte.passed |= !faulted;
            byte.received |= luck == Luck::Pass;
        }
        if luck == Luck::Pass {
            self.acknowledge(ms + ACK_DELAY_MS);
        }
    }

    fn acknowledge(&mut self, ms: f64) {
        let upto = self.bytes.iter().position(|b| !b.received).unwrap_or(self.bytes.len());
        match self.ack_luck.next().unwrap() {
            Luck::Pass if upto > self.una => {
                self.trace.ack(self.sock, ms, upto as i64);
                self.bytes[self.una..upto].iter_mut().for_each(|b| b.acked = Some(ms));
                self.una = upto;
            }
            Luck::Faulted => {
                self.trace.lost_ack(self.sock, ms, upto as i64);
            }
            _ => {}
        }
    }
}

#[derive(Debug, Clone)]
pub struct Plan {
    isn: u32,
    /// Size, milliseconds until the next one, and whether the app says ok.
    messages: Vec<(usize, u32, bool)>,
    luck: Vec<Luck>,
    ack_luck: Vec<Luck>,
    /// Segments that a retransmission merges.
    merge: usize,
    closes: bool,
}

fn luck() -> impl Strategy<Value = Luck> {
    prop_oneof![4 => Just(Luck::Pass), 3 => Just(Luck::Faulted), 1 => Just(Luck::Vanished)]
}

pub fn plan() -> impl Strategy<Value = Plan> {
    (
        any::<u32>(),
        prop::collection::vec((1usize..350, 2u32..400, any::<bool>()), 1..12),
        prop::collection::vec(luck(), 1..40),
        prop::collection::vec(luck(), 1..40),
        1usize..4,
        any::<bool>(),
    )
        .prop_map(|(isn, messages, luck, ack_luck, merge, closes)| Plan {
            isn,
            messages,
            luck,
            ack_luck,
            merge,
            closes,
        })
}

/// A message: byte range, moment of sending, whether the app says ok.
pub type Sent = (std::ops::Range<usize>, u32, bool);

pub fn play(plan: &Plan, trace: &mut Trace) -> (Vec<Byte>, Vec<Sent>) {
    let sock = trace.socket_from(0, plan.isn);
    let cycle = |v: &Vec<Luck>| Box::new(v.clone().into_iter().cycle());
    let (luck, ack_luck) = (cycle(&plan.luck), cycle(&plan.ack_luck));
    let mut tcp = Tcp { trace, sock, bytes: vec![], una: 0, next: 0, luck, ack_luck };
    let mut sent: Vec<Sent> = Vec::new();
    let mut queue = plan.messages.iter();
    let (mut due, mut rto, mut timer) = (10, RTO_MS, 0);
    for tick in 0..4_000u32 {
        let ms = f64::from(tick);
        if tick == due
            && let Some(&(len, pause, ok)) = queue.next()
        {
            let from = tcp.bytes.len();
            tcp.bytes.extend(vec![Byte::default(); len]);
            sent.push((from..from + len, tick, ok));
            tcp.trace.send(sock, ms + 0.2, len as i64);
            due = tick + pause;
        }
        let una = tcp.una;
        // A window of three segments: what is behind it waits, and may never have a packet.
        while tcp.next < tcp.bytes.len() && tcp.next < tcp.una + 3 * MSS {
            let to = tcp.bytes.len().min(tcp.next + MSS).min(tcp.una + 3 * MSS);
            let from = std::mem::replace(&mut tcp.next, to);
            tcp.transmit(ms, from, to);
        }
        timer = if tcp.una == tcp.next || tcp.una > una { 0 } else { timer + 1 };
        rto = if tcp.una > una { RTO_MS } else { rto };
        if timer >= rto {
            (timer, rto) = (0, rto * 2);
            let to = tcp.next.min(tcp.una + plan.merge * MSS);
            tcp.transmit(ms + 0.1, tcp.una, to);
        }
    }
    let bytes = tcp.bytes;
    if plan.closes {
        trace.close(sock, 4_000.0);
    } else {
        trace.facts.armed_at_end = vec![(0, Direction::Egress)];
    }
    (bytes, sent)
}

/// The verdict of someone who saw every byte.
fn truth(own: &[Byte], sent: u32, ok: bool, closes: bool) -> Verdict {
    let acked = own.iter().map(|b| b.acked).collect::<Option<Vec<f64>>>();
    if let Some(at) = acked.map(|a| a.into_iter().fold(0.0, f64::max)) {
        let again = own.iter().any(|b| b.first_faulted == Some(true));
        let late = again || at - f64::from(sent) > LATE_MS.max(4.0 * RTT_MS);
        return match (ok, late) {
            (true, true) => Late,
            (true, false) => Delivered,
            (false, _) => FalseFailure,
        };
    }
    let never = own.iter().any(|b| b.acked.is_none() && !b.passed);
    match (never, closes, ok) {
        (true, _, true) => SilentLoss,
        (true, _, false) => CleanFailure,
        (false, true, true) => Unconfirmed,
        (false, true, false) => AmbiguousFailure,
        (false, false, _) => Pending,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn the_verdict_is_what_really_happened(plan in plan()) {
        let mut trace = Trace::new();
        let (bytes, sent) = play(&plan, &mut trace);
        for (i, (_, tick, ok)) in sent.iter().enumerate() {
            let from = f64::from(*tick);
            trace.message(&i.to_string(), if *ok { Fine } else { Failed }, from, from + 1.0);
        }
        let result = trace.run();
        prop_assert_eq!(result.sends.len(), sent.len(), "every send belongs to its message");
        for (send, (range, tick, ok)) in result.sends.iter().zip(&sent) {
            let expected = truth(&bytes[range.clone()], *tick, *ok, plan.closes);
            prop_assert_eq!(send.verdict, expected, "{:?}", send);
            prop_assert_eq!(send.stream, Some([range.start as u64, range.end as u64]));
        }
        let found = audit(&trace.flows(), &Counters::default(), &result.sends, &result.verdicts);
        prop_assert_eq!(found, []);
    }
}

/// Which events of a time are lost: from when, for how long (ms), and which of them (cyclic).
fn hole() -> impl Strategy<Value = (u32, u32, Vec<bool>)> {
    (1u32..3_900, 1u32..400, prop::collection::vec(any::<bool>(), 1..9))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// A verdict that lost events have changed is `unknown`, and one that they had no part in is what it was.
    #[test]
    fn what_rests_on_lost_events_is_unknown_and_nothing_else_is(plan in plan(), hole in hole()) {
        let mut trace = Trace::new();
        let (_, sent) = play(&plan, &mut trace);
        for (i, (_, tick, ok)) in sent.iter().enumerate() {
            let from = f64::from(*tick);
            trace.message(&i.to_string(), if *ok { Fine } else { Failed }, from, from + 1.0);
        }
        let whole = trace.run();
        let (from, to) = (ns(f64::from(hole.0)), ns(f64::from(hole.0 + hole.1)));
        let mut lose = hole.2.iter().cycle();
        let mut lost = Vec::new();
        trace.entries.retain(|e| {
            let gone = (from..=to).contains(&e.ts) && lose.next() == Some(&true);
            if gone {
                lost.push(e.ts);
            }
            !gone
        });
        // As the kernel counts them: the first and the last.
        let ends = lost.iter().min().zip(lost.iter().max());
        trace.facts.gaps.extend(ends.map(|(&from, &to)| Gap { cookie: Some(1), from, to }));
        let holed = trace.run();
        for (i, (_, tick, _)) in sent.iter().enumerate() {
            let of = |sends: &[SendReport]| {
                sends.iter().find(|s| s.id == Some(i.to_string())).cloned().unwrap()
            };
            let (before, after) = (of(&whole.sends), of(&holed.sends));
            // Until its ack, or until nothing could come any more.
            let settled = before.acked_ms.unwrap_or(if plan.closes { 4_000.0 } else { 60_000.0 });
            let touched = ends.is_some_and(|(&from, &to)| {
                ns(f64::from(*tick)) <= to && from <= ns(settled)
            });
            match after.verdict {
                Unknown => prop_assert!(touched, "{after:?}, it was {before:?}"),
                verdict => prop_assert_eq!(verdict, before.verdict, "{:?} {:?}", &after, &before),
            }
            prop_assert_eq!(after.verdict == Unknown, after.confidence == Confidence::Gap);
        }
    }
}
