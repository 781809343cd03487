//! What the kernel tells of sockets on which no fault is armed, against each packet told by itself: the same
//! verdicts, and times that are off by less than a span.

use fault_common::event::tcp;
use fault_common::quiet::{Keep, Quiet, SPAN};
use fault_user::ledger::audit::{Counters, audit};
use fault_user::ledger::entry::{Acked, Entry, Packet, Sent, What};
use fault_user::report::model::SendReport;
use fault_user::verdict::Outcome::{Failed, Ok as Fine};
use proptest::prelude::*;

use crate::simulation::{plan, play};
use crate::trace::Trace;

/// The eBPF program `quiet::keeps`, event by event of one socket.
struct Thin {
    quiet: Quiet,
    told: Vec<Entry>,
}

impl Thin {
    fn tell(&mut self, of: &Entry, run: bool, ack: bool) {
        let q = &mut self.quiet;
        if run && q.has_run() {
            let what = What::Tx(Packet { segs: q.segs as u16, seq: q.seq, len: q.len, ..NOTHING });
            self.told.push(Entry { ts: q.sent_at, what, ..*of });
            q.clear_run();
        }
        if ack && q.has_ack() {
            let what = What::Rx(Packet { flags: tcp::ACK, ack: q.ack, ..NOTHING });
            self.told.push(Entry { ts: q.acked_at, what, ..*of });
            q.clear_ack();
        }
    }

    fn packet(&mut self, e: &Entry, p: &Packet, egress: bool, armed: bool) {
        let q = &mut self.quiet;
        let syn = p.has(tcp::SYN);
        let apart = armed || syn || p.has(tcp::FIN) || p.dropped || p.rule.is_some();
        let keep = match (apart, egress) {
            (true, _) => Keep::Told,
            (_, true) => q.run(e.ts, p.seq, p.len, p.segs.into()),
            (_, false) => q.acknowledged(e.ts, p.ack),
        };
        let all = apart || (egress && keep == Keep::Told);
        let full = keep == Keep::Full;
        self.tell(e, all || (full && egress), all || (full && !egress));
        let q = &mut self.quiet;
        match (keep, egress) {
            (Keep::Full, true) => q.begin_run(e.ts, p.seq, p.len, p.segs.into()),
            (Keep::Full, false) => q.begin_ack(e.ts, p.ack),
            (_, true) if syn => q.restart(p.seq),
            (_, true) => q.reach(p.seq, p.len),
            (_, false) => {}
        }
        if keep == Keep::Told {
            self.told.push(*e);
        }
    }

    /// A send tells what was kept as well.
    fn send(&mut self, e: &Entry) {
        let mut what = e.what;
        let What::Send { sent, acked, .. } = &mut what else { return };
        let q = &mut self.quiet;
        let before = |at: u64| u32::try_from(e.ts - at).unwrap();
        *sent = q.has_run().then(|| Sent {
            before_ns: before(q.sent_at),
            seq: q.seq,
            len: q.len,
            segs: q.segs as u16,
        });
        *acked = q.has_ack().then(|| Acked { before_ns: before(q.acked_at), ack: q.ack });
        q.clear_run();
        q.clear_ack();
        self.told.push(Entry { what, ..*e });
    }
}

const NOTHING: Packet = Packet {
    dropped: false,
    discarded: false,
    rule: None,
    held_us: 0,
    judged: None,
    flags: 0,
    segs: 1,
    seq: 0,
    len: 0,
    ack: 0,
    ifindex: 0,
};

/// What the kernel would have told of one socket's events. `armed`: whether faults were, at a moment.
fn thin(entries: &[Entry], armed: impl Fn(u64) -> bool) -> Vec<Entry> {
    let mut entries = entries.to_vec();
    entries.sort_by_key(|e| e.ts);
    let mut thin = Thin { quiet: Quiet::default(), told: Vec::new() };
    for e in &entries {
        match &e.what {
            What::Tx(p) => thin.packet(e, p, true, armed(e.ts)),
            What::Rx(p) => thin.packet(e, p, false, armed(e.ts)),
            What::Send { .. } => thin.send(e),
            _ => thin.told.push(*e),
        }
    }
    if let Some(last) = entries.last() {
        thin.tell(last, true, true);
    }
    thin.told
}

/// The same events, so many times faster.
fn faster(trace: &mut Trace, times: u64) {
    let t0 = trace.facts.t0;
    let squeeze = |ts: &mut u64| *ts = t0 + (*ts - t0) / times;
    trace.entries.iter_mut().for_each(|e| squeeze(&mut e.ts));
    for message in &mut trace.messages {
        squeeze(&mut message.t0);
        squeeze(&mut message.t1);
    }
    trace.facts.late_after = Some(std::time::Duration::from_secs(1) / times as u32);
}

const SPAN_MS: f64 = SPAN as f64 / 1e6;
/// Rounding of times in the report.
const ROUND_MS: f64 = 1e-5;

fn near(exact: Option<f64>, thinned: Option<f64>, from: f64, to: f64) -> bool {
    match (exact, thinned) {
        (Some(a), Some(b)) => (from - ROUND_MS..to + ROUND_MS).contains(&(b - a)),
        (a, b) => a == b,
    }
}

fn compare(exact: &SendReport, thinned: &SendReport, late_ms: f64) -> Result<(), TestCaseError> {
    let both = format!("{exact:?}\n{thinned:?}");
    prop_assert!(near(exact.first_sent_ms, thinned.first_sent_ms, -SPAN_MS, 0.0), "{}", both);
    prop_assert!(near(exact.acked_ms, thinned.acked_ms, 0.0, SPAN_MS), "{}", both);
    prop_assert_eq!(exact.drops, thinned.drops, "{}", both);
    prop_assert_eq!(exact.retransmits, thinned.retransmits, "{}", both);
    // What is late by a span, or not, is not told apart.
    let waited = exact.acked_ms.map(|at| at - exact.started_ms);
    if !waited.is_some_and(|ms| (late_ms - 2.0 * SPAN_MS..late_ms).contains(&ms)) {
        prop_assert_eq!(exact.verdict, thinned.verdict, "{}", both);
    }
    prop_assert_eq!((exact.stream, &exact.via), (thinned.stream, &thinned.via));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn a_thinned_stream_gives_the_same_verdicts(
        plan in plan(),
        times in prop::sample::select(vec![1u64, 7, 60, 400]),
        (before_us, after_us) in (0u64..20_000, 0u64..20_000),
    ) {
        let mut trace = Trace::new();
        let (_, sent) = play(&plan, &mut trace);
        for (i, (_, tick, ok)) in sent.iter().enumerate() {
            let from = f64::from(*tick);
            trace.message(&i.to_string(), if *ok { Fine } else { Failed }, from, from + 1.0);
        }
        faster(&mut trace, times);
        // Faults are on around the packets that they hit, and off in between.
        let hits: Vec<u64> = trace.entries.iter().filter_map(|e| match e.what {
            What::Tx(p) | What::Rx(p) => p.dropped.then_some(e.ts),
            _ => None,
        }).collect();
        let armed = |ts: u64| hits.iter().any(|hit| {
            ts + before_us * 1000 >= *hit && ts <= hit + after_us * 1000
        });
        let mut thinned = Trace::new();
        thinned.entries = thin(&trace.entries, armed);
        thinned.messages = trace.messages.clone();
        thinned.facts = trace.facts.clone();
        prop_assert!(thinned.entries.len() <= trace.entries.len());

        let (exact, thin) = (trace.run(), thinned.run());
        prop_assert_eq!(exact.sends.len(), thin.sends.len());
        for (e, t) in exact.sends.iter().zip(&thin.sends) {
            compare(e, t, 1000.0 / times as f64)?;
        }
        let found = audit(&thinned.flows(), &Counters::default(), &thin.sends, &thin.verdicts);
        prop_assert_eq!(found, []);
    }
}

/// A bulk transfer: the sends keep their own times, and packets make few events.
#[test]
fn a_bulk_transfer_without_faults_is_told_with_its_sends() {
    let mut trace = Trace::new();
    let s = trace.socket(0);
    for i in 0..100 {
        let (ms, at) = (10.0 + f64::from(i) * 0.2, i64::from(i) * 10_000);
        for part in 0..10 {
            let from = at + part * 1000;
            trace.tx(s, ms + 0.001 * part as f64, from, from + 1000);
        }
        trace.send(s, ms + 0.015, 10_000);
        trace.ack(s, ms + 0.05, at + 5000).ack(s, ms + 0.1, at + 10_000);
    }
    trace.message("all", Fine, 9.9, 31.0);
    let told = thin(&trace.entries, |_| false);
    // Opened, SYN, established, sends, and now and then an acknowledgement.
    assert!(told.len() < 3 + 100 + 50, "{} events of {}", told.len(), trace.entries.len());
    let firsts = |trace: &Trace| {
        let flow = trace.flows().remove(0);
        let first = |i: i64| flow.copies_of(&(i * 10_000..i * 10_000 + 1)).map(|c| c.ts).next();
        (0..100).map(first).collect::<Vec<_>>()
    };
    let mut thinned = Trace::new();
    thinned.entries = told;
    assert_eq!(firsts(&thinned), firsts(&trace));
}
