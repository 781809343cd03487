use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::report::sample;

fn send(id: &str, outcome: Outcome, verdict: Verdict, from: f64, to: f64) -> SendReport {
    let send = sample::send(id, verdict, from, "");
    SendReport { outcome, finished_ms: to, ..send }
}

fn report(sends: Vec<SendReport>) -> Report {
    Report { sends, ..sample::quiet() }
}

#[test]
fn a_send_is_invoked_and_ends_as_it_is_proven() {
    use Outcome::{Failed, None, Ok};
    use Verdict::{AmbiguousFailure, CleanFailure, FalseFailure, SilentLoss, Unlogged};
    let sends = vec![
        send("a", Ok, SilentLoss, 0.0, 1.0),
        send("b", Failed, CleanFailure, 1.0, 2.0),
        send("c", Failed, AmbiguousFailure, 2.0, 3.0),
        send("d", Failed, FalseFailure, 3.0, 4.0),
        send("e", None, Unlogged, 4.0, 5.5),
        SendReport { id: Option::None, ..send("", None, Unlogged, 6.0, 7.0) },
    ];
    let kinds: Vec<(String, &str, Option<u32>)> = history(&report(sends))
        .iter()
        .map(|op| (op.value.to_owned(), op.kind, op.process))
        .collect();
    let expected = [
        ("a", "invoke", 0),
        ("a", "ok", 0),
        ("b", "invoke", 0),
        ("b", "fail", 0),
        ("c", "invoke", 0),
        ("c", "info", 0),
        // What is open may yet happen: its process is gone.
        ("d", "invoke", 1),
        ("d", "info", 1),
        ("e", "invoke", 2),
        ("e", "info", 2),
    ];
    assert_eq!(kinds, expected.map(|(v, k, p)| (v.to_owned(), k, Some(p))));
}

#[test]
fn the_nemesis_starts_and_stops() {
    let report = sample::outage();
    let history = history(&report);
    let nemesis: Vec<_> = history.iter().filter(|op| op.process.is_none()).collect();
    assert!(!nemesis.is_empty() && nemesis.iter().all(|op| op.kind == "info"), "{nemesis:?}");
    assert_eq!((nemesis[0].f, nemesis[0].value), ("start", "outage"));
    assert_eq!(
        nemesis[0].time,
        ns(report.steps.iter().find(|s| s.name == "outage").unwrap().armed_ms.unwrap())
    );
}

#[test]
fn a_line_is_a_map_of_edn() {
    let ops = report(vec![send("say \"\\\u{1}\n\"", Outcome::Ok, Verdict::Delivered, 0.5, 1.25)]);
    let text = render(&ops);
    let mut lines = text.lines();
    let want = "{:index 0, :time 500000, :type :invoke, :process 0, :f :send, \
                :value \"say \\\"\\\\\\u0001\\n\\\"\", :app \"sender\"}";
    assert_eq!(lines.next(), Some(want));
    let end = lines.next().unwrap();
    assert!(end.contains(":type :ok") && end.contains(":verdict \"delivered\""), "{end}");
    assert_eq!((lines.next(), text.ends_with('\n')), (None, true));
}

/// Whatever the sends: each invocation has one completion by its process, later, with nothing of that
/// process between the two.
fn is_balanced(ops: &[Op<'_>], sends: usize) {
    let mut open: BTreeMap<u32, &Op<'_>> = BTreeMap::new();
    let mut gone = BTreeSet::new();
    let mut completed = 0;
    for op in ops {
        let Some(process) = op.process else { continue };
        assert!(!gone.contains(&process), "{op:?} is of a process that is gone");
        if op.kind == "invoke" {
            assert!(open.insert(process, op).is_none(), "{op:?} overlaps");
            continue;
        }
        let begun = open.remove(&process).unwrap_or_else(|| panic!("{op:?} was never invoked"));
        assert_eq!((begun.value, begun.time <= op.time), (op.value, true), "{op:?}");
        completed += 1;
        if op.kind == "info" {
            gone.insert(process);
        }
    }
    assert!(open.is_empty(), "{open:?}");
    assert_eq!(completed, sends);
    assert!(ops.is_sorted_by_key(|op| op.time));
}

proptest! {
    #[test]
    fn every_history_is_balanced(
        sends in prop::collection::vec((0u8..12, 0u8..6, 0usize..3, any::<bool>()), 0..40),
    ) {
        let outcomes = [
            (Outcome::Ok, Verdict::Delivered),
            (Outcome::Failed, Verdict::CleanFailure),
            (Outcome::Failed, Verdict::Pending),
        ];
        let sends: Vec<SendReport> = sends
            .iter()
            .enumerate()
            .map(|(n, (from, lasts, how, other))| {
                let (outcome, verdict) = outcomes[*how];
                let (from, to) = (f64::from(*from), f64::from(from + lasts));
                let app = if *other { "other" } else { "sender" };
                SendReport { app: app.into(), ..send(&format!("m{n}"), outcome, verdict, from, to) }
            })
            .collect();
        let n = sends.len();
        let report = report(sends);
        is_balanced(&history(&report), n);
    }
}
