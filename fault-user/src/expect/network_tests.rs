use super::super::testing::*;
use super::*;

const CHAT: FlowId = FlowId(0);
/// Armed at 10 s.
const OUTAGE: StepId = StepId(0);
const NEVER: StepId = StepId(1);

fn judged(sockets: impl IntoIterator<Item = FlowReport>, within: u64) -> Finding {
    closed(&Run::new().flows(sockets).facts(), CHAT, secs(within), OUTAGE)
}

#[test]
fn the_time_to_close_counts_from_the_step() {
    let one = || [socket(5.0, Some(40_000.0))];
    assert_held(&judged(one(), 30), "closed at 40.0 s, 30.0 s after step \"outage\"");
    assert_failed(
        &judged(one(), 29),
        "closed at 40.0 s, 30.0 s after step \"outage\" (expected within 29.0 s)",
    );
}

#[test]
fn an_open_socket_has_not_closed() {
    let found = judged([socket(5.0, None)], 110);
    assert_failed(&found, "still open at the end of the run (expected within 110.0 s)");
}

#[test]
fn closing_before_the_step_does_not_count() {
    let found = judged([socket(5.0, Some(8_000.0))], 110);
    assert_failed(&found, "closed at 8.0 s, 2.0 s before step \"outage\": that was not its doing");
}

#[test]
fn without_the_step_or_the_flow_nothing_holds() {
    let run = Run::new().flows([socket(5.0, Some(40_000.0))]);
    assert_failed(
        &closed(&run.facts(), CHAT, secs(110), NEVER),
        "step \"recovery\" never happened",
    );
    assert_failed(&judged([], 110), "flow \"chat\" never appeared");
    let bystander = FlowReport { selected: false, ..socket(5.0, Some(20_000.0)) };
    assert_failed(&judged([bystander], 110), "flow \"chat\" never appeared");
}

#[test]
fn every_socket_of_the_flow_must_close_in_time() {
    let both_in_time = judged([socket(5.0, Some(20_000.0)), socket(6.0, Some(30_000.0))], 20);
    assert!(both_in_time.held, "{both_in_time:?}");
    let found = judged([socket(5.0, Some(20_000.0)), socket(6.0, None)], 20);
    assert_failed(
        &found,
        "127.0.0.1:5: closed at 20.0 s, 10.0 s after step \"outage\"; \
         127.0.0.1:6: still open at the end of the run (expected within 20.0 s)",
    );
    let beside = judged([socket(5.0, Some(8_000.0)), socket(6.0, Some(20_000.0))], 20);
    assert!(!beside.held, "the first closed early while the second was already open: {beside:?}");
}

#[test]
fn when_a_role_is_passed_on_only_the_socket_that_met_the_step_is_judged() {
    let chain = |closed_ms| {
        [socket(5.0, Some(8_000.0)), socket(9_000.0, Some(closed_ms)), socket(61_000.0, None)]
    };
    let in_time = judged(chain(20_000.0), 20);
    assert_held(&in_time, "127.0.0.1:9000: closed at 20.0 s, 10.0 s after step \"outage\"");
    let late = judged(chain(60_000.0), 20);
    assert!(!late.held, "{late:?}");
}

#[test]
fn a_socket_opened_under_the_fault_is_judged() {
    let after_another = judged([socket(5.0, Some(8_000.0)), socket(12_000.0, None)], 20);
    assert!(!after_another.held, "{after_another:?}");
    let alone = judged([socket(12_000.0, Some(15_000.0))], 20);
    assert!(alone.held, "{alone:?}");
    let in_one_instant = judged([socket(12_000.0, Some(12_000.0)), socket(12_000.5, None)], 20);
    assert!(in_one_instant.held, "the second took over: {in_one_instant:?}");
}

#[test]
fn sockets_that_lived_for_an_instant_do_not_excuse_one_another() {
    let mut twins = [socket(12_000.0, Some(12_000.0)), socket(12_000.0, Some(12_000.0))];
    twins[1].cookie += 1;
    let found = judged(twins, 1);
    assert!(!found.held && found.observed.contains("12.0 s"), "{found:?}");
}

fn counted(counter_of: Counter, direction: DirectionSpec, bounds: Bounds) -> Finding {
    let numbers = |base: u64| Counters {
        packets: base,
        bytes: base + 1,
        dropped: base + 2,
        delayed: base + 3,
        corrupted: base + 4,
        duplicated: base + 5,
        reordered: base + 6,
        reset: base + 7,
    };
    let flow = FlowReport {
        egress: numbers(10),
        ingress: numbers(100),
        retransmits: 7,
        ..socket(5.0, None)
    };
    counter(&Run::new().flows([flow]).facts(), CHAT, counter_of, direction, bounds)
}

#[test]
fn each_counter_is_read_in_each_direction() {
    let all = [
        Counter::Packets,
        Counter::Bytes,
        Counter::Dropped,
        Counter::Delayed,
        Counter::Corrupted,
        Counter::Duplicated,
        Counter::Reordered,
        Counter::Reset,
    ];
    for (i, which) in all.into_iter().enumerate() {
        let read = |direction| counted(which, direction, at_least(0.0)).observed;
        assert_eq!(read(DirectionSpec::Egress), (10 + i).to_string(), "{which:?}");
        assert_eq!(read(DirectionSpec::Ingress), (100 + i).to_string(), "{which:?}");
        assert_eq!(read(DirectionSpec::Both), (110 + 2 * i).to_string(), "{which:?}");
    }
    assert_eq!(counted(Counter::Retransmits, DirectionSpec::Both, at_least(7.0)).observed, "7");
}

#[test]
fn counters_hold_within_their_bounds_only() {
    assert_held(&counted(Counter::Dropped, DirectionSpec::Egress, at_least(12.0)), "12");
    let found = counted(Counter::Dropped, DirectionSpec::Egress, at_least(13.0));
    assert_failed(&found, "12 (expected at least 13)");
}

#[test]
fn counters_are_summed_over_the_sockets_of_the_flow() {
    let with = |n| FlowReport { retransmits: n, ..socket(n as f64, None) };
    let run = Run::new().flows([with(3), with(4)]);
    let judged =
        |bounds| counter(&run.facts(), CHAT, Counter::Retransmits, DirectionSpec::Both, bounds);
    assert_held(&judged(at_most(7.0)), "7 over 2 sockets (3 + 4)");
    assert_failed(&judged(at_most(6.0)), "7 over 2 sockets (3 + 4) (expected at most 6)");
}

#[test]
fn a_flow_that_never_appeared_has_no_counters() {
    let found =
        counter(&Run::new().facts(), CHAT, Counter::Dropped, DirectionSpec::Both, at_most(0.0));
    assert_failed(&found, "flow \"chat\" never appeared");
}
