use proptest::prelude::*;

use super::*;

/// Moments in units of a tenth of the span.
const STEP: u64 = SPAN / 10;
const T0: u64 = 1 << 40;

fn open(end: u32) -> Quiet {
    let mut quiet = Quiet::default();
    quiet.restart(end);
    quiet
}

#[test]
fn bytes_that_follow_each_other_are_one_run() {
    let mut q = open(1000);
    assert_eq!(q.run(T0, 1000, 100, 1), Keep::Kept);
    assert_eq!(q.run(T0 + STEP, 1100, 300, 3), Keep::Kept);
    assert_eq!((q.seq, q.len, q.segs, q.sent_at, q.end), (1000, 400, 4, T0, 1400));
}

#[test]
fn a_run_ends_at_a_gap_and_after_its_span() {
    let mut q = open(0);
    q.run(T0, 0, 10, 1);
    assert_eq!(q.run(T0, 20, 10, 1), Keep::Full, "a gap");
    let mut q = open(0);
    q.run(T0, 0, 10, 1);
    assert_eq!(q.run(T0 + SPAN - 1, 10, 10, 1), Keep::Kept);
    assert_eq!(q.run(T0 + SPAN, 20, 10, 1), Keep::Full, "too long");
    assert_eq!((q.seq, q.len, q.end), (0, 20, 30), "what was kept is still to be told");
}

#[test]
fn bytes_that_were_sent_before_are_told_by_themselves() {
    let mut q = open(u32::MAX - 9);
    assert_eq!(q.run(T0, u32::MAX - 9, 30, 1), Keep::Kept, "across the end of the numbers");
    assert_eq!(q.end, 20);
    for seq in [u32::MAX - 9, 0, 19] {
        assert_eq!(q.run(T0 + 1, seq, 5, 1), Keep::Told, "{seq}");
    }
    assert_eq!(q.run(T0 + 1, 20, 5, 1), Keep::Kept);
}

#[test]
fn what_leaves_nothing_in_flight_is_told_but_not_many_times_a_span() {
    let mut q = open(0);
    q.run(T0, 0, 10, 1);
    assert_eq!(q.acknowledged(T0, 10), Keep::Told);
    q.run(T0 + 1, 10, 10, 1);
    assert_eq!(q.acknowledged(T0 + STEP, 20), Keep::Kept);
    assert!(q.has_ack());
    q.run(T0 + STEP, 20, 10, 1);
    assert_eq!(q.acknowledged(T0 + SPAN, 30), Keep::Told, "it says what those before it say");
    assert!(!q.has_ack());
}

#[test]
fn what_leaves_something_in_flight_waits_for_a_span() {
    let mut q = open(1000);
    for (step, ack) in [(0, 100), (3, 200), (9, 300)] {
        assert_eq!(q.acknowledged(T0 + step * STEP, ack), Keep::Kept);
    }
    assert_eq!((q.ack, q.acked_at), (300, T0 + 9 * STEP));
    assert_eq!(q.acknowledged(T0 + SPAN, 400), Keep::Full);
    assert_eq!(q.ack, 300, "what was kept is still to be told");
    q.begin_ack(T0 + SPAN, 400);
    assert_eq!(q.acknowledged(T0 + SPAN, 350), Keep::Told, "an old one");
}

/// A sender, packet by packet: what is told must say of each byte when it left and was acknowledged, but for a span.
#[derive(Debug, Clone, Copy)]
enum Step {
    Send {
        len: u32,
        segs: u32,
    },
    /// So much of what is in flight, in sixteenths.
    Ack {
        share: u32,
    },
    /// All is told, as in a send call.
    Tell,
    Wait {
        ns: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u32..3000, 1u32..4).prop_map(|(len, segs)| Step::Send { len, segs }),
        4 => (1u32..17).prop_map(|share| Step::Ack { share }),
        1 => Just(Step::Tell),
        4 => (0..2 * SPAN).prop_map(|ns| Step::Wait { ns }),
    ]
}

/// What was told: (first byte, bytes, when), (bytes acknowledged, when). As positions, not numbers.
#[derive(Default)]
struct Record {
    runs: Vec<(u64, u64, u64)>,
    acks: Vec<(u64, u64)>,
}

impl Record {
    fn tell(&mut self, q: &mut Quiet, base: u32, run: bool, ack: bool) {
        if run && q.has_run() {
            let at = q.seq.wrapping_sub(base);
            self.runs.push((at.into(), q.len.into(), q.sent_at));
            q.clear_run();
        }
        if ack && q.has_ack() {
            self.acks.push((q.ack.wrapping_sub(base).into(), q.acked_at));
            q.clear_ack();
        }
    }
}

proptest! {
    #[test]
    fn what_is_told_is_what_happened(
        base in any::<u32>(),
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut q = open(base);
        let (mut told, mut truth) = (Record::default(), Record::default());
        let (mut now, mut sent, mut acked, mut packets) = (T0, 0u64, 0u64, 0);
        for step in steps {
            match step {
                Step::Send { len, segs } => {
                    truth.runs.push((sent, len.into(), now));
                    packets += segs;
                    let seq = base.wrapping_add(sent as u32);
                    let keep = q.run(now, seq, len, segs);
                    prop_assert_ne!(keep, Keep::Told, "all bytes are new");
                    if keep == Keep::Full {
                        told.tell(&mut q, base, true, false);
                        q.begin_run(now, seq, len, segs);
                    }
                    sent += u64::from(len);
                }
                Step::Ack { share } if acked < sent => {
                    acked += ((sent - acked) * u64::from(share)).div_ceil(16);
                    truth.acks.push((acked, now));
                    let ack = base.wrapping_add(acked as u32);
                    match q.acknowledged(now, ack) {
                        Keep::Kept => {}
                        Keep::Told => told.acks.push((acked, now)),
                        Keep::Full => {
                            told.tell(&mut q, base, false, true);
                            q.begin_ack(now, ack);
                        }
                    }
                }
                Step::Ack { .. } => {}
                Step::Tell => told.tell(&mut q, base, true, true),
                Step::Wait { ns } => now += ns,
            }
        }
        told.tell(&mut q, base, true, true);
        told.runs.sort_unstable();
        told.acks.sort_by_key(|(_, at)| *at);

        // Each byte once, in order, and not much too early.
        let mut end = 0;
        for (at, len, _) in &told.runs {
            prop_assert_eq!(*at, end);
            end += len;
        }
        prop_assert_eq!(end, sent);
        for (at, _, when) in &truth.runs {
            let run = told.runs.iter().rfind(|r| r.0 <= *at).unwrap();
            prop_assert!(run.2 <= *when && *when - run.2 < SPAN, "{at} left at {when}, told {run:?}");
        }
        // Each acknowledgement, and not much too late.
        for (upto, when) in &truth.acks {
            let ack = told.acks.iter().find(|a| a.0 >= *upto);
            prop_assert!(
                ack.is_some_and(|a| a.1 >= *when && a.1 - when < SPAN),
                "{upto} acknowledged at {when}, told {ack:?}"
            );
        }
        prop_assert!(told.runs.len() <= truth.runs.len() && packets as usize >= truth.runs.len());
    }
}
