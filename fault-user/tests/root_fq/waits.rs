//! How long packets are held, in which order they come, and how much goes through.

use fault_user::report::model::Report;

use crate::scene::{Place, Scene, has_fq, numbers};

/// Payload of a full segment on the cable.
const MSS: f64 = 1448.0;
/// Round trips measured.
const COUNT: u32 = 30;

/// Both ways held for `ms`: round trips, one-way times, order.
fn both_ways(place: Place, ms: u32) {
    if !has_fq() {
        return;
    }
    let scene = Scene::new(place);
    let report = scene.run(&scene.held(COUNT, 4 << 20, "both", ms));
    let held = f64::from(ms);
    let mut trips = numbers(&scene.noted("client", "trips")["trips"]);
    trips.sort_by(f64::total_cmp);
    println!("{place:?} {ms} ms: round trips p50 {:.2} max {:.2}", trips[15], trips[29]);
    assert!(trips[0] >= 2.0 * held, "a round trip of {} ms is too short", trips[0]);

    let arrivals = scene.noted("server", "datagrams");
    let arrivals = arrivals["arrivals"].as_array().expect("a list");
    let (order, mut times): (Vec<f64>, Vec<f64>) =
        arrivals.iter().map(numbers).map(|n| (n[0], n[1])).unzip();
    assert_eq!(order.len(), 10 * COUNT as usize, "datagrams are missing");
    assert!(order.is_sorted(), "the way out has reordered: {order:?}");
    times.sort_by(f64::total_cmp);
    println!("{place:?}: one way p50 {:.2} p99 {:.2}", times[150], times[296]);
    assert!(times[0] >= held, "after {} ms it was there", times[0]);
    let answers = numbers(&scene.noted("client", "answers")["numbers"]);
    assert!(answers.len() == order.len() && answers.is_sorted(), "the way back: {answers:?}");
    counted(&report, 10 * u64::from(COUNT));
    scene.close();
}

/// The report says what was done: nothing early, nothing lost, every packet of the flows held.
fn counted(report: &Report, datagrams: u64) {
    let line = report.line.as_ref().expect("there was a line");
    println!("{line:?}");
    assert!(line.released > 2 * datagrams, "{line:?}");
    assert!(line.late_p50_us <= line.late_p99_us && line.late_p99_us <= line.late_max_us);
    assert_eq!(line.missed, 0, "{line:?}");
    for flow in report.flows.iter().filter(|f| f.selected) {
        for c in [flow.egress, flow.ingress] {
            let free = c.packets - c.delayed;
            // Its handshake came before the step.
            assert!(c.delayed > 0 && free <= 4 && c.dropped == 0, "{flow:#?}");
        }
    }
    assert!(
        report.faults.iter().all(|f| f.acted > 0 && f.acted == f.matched),
        "{:#?}",
        report.faults
    );
}

#[test]
fn packets_on_a_cable_are_held_in_order_and_never_come_early() {
    both_ways(Place::Cable4, 20);
}

#[test]
fn ipv6_is_held_likewise() {
    both_ways(Place::Cable6, 20);
}

#[test]
fn lo_with_its_addresses_of_ipv4_and_ipv6() {
    both_ways(Place::Lo4, 20);
    both_ways(Place::Lo6, 20);
}

/// A socket whose packets fq holds sends four segments per round trip and no more (TCP small
/// queues). Pings do not show it.
fn bulk(direction: &str, ms: u32) {
    if !has_fq() {
        return;
    }
    let scene = Scene::new(Place::Cable4);
    let report = scene.run(&scene.held(4, 16 << 20, direction, ms));
    let small_queues = 4.0 * MSS / (f64::from(ms) / 1e3);
    for way in ["out", "in"] {
        let note = scene.noted("client", way);
        let rate =
            note["bytes"].as_f64().expect("bytes") / note["seconds"].as_f64().expect("seconds");
        println!(
            "{direction} {ms} ms, {way}: {:.1} Mbit/s; with small queues {:.2}",
            rate * 8e-6,
            small_queues * 8e-6
        );
        assert!(rate > 10.0 * small_queues, "{direction} {ms} ms, {way}: {rate} bytes/s");
    }
    assert_eq!(report.line.map(|l| l.missed), Some(0));
    scene.close();
}

#[test]
fn bulk_reaches_what_the_window_allows_on_the_way_out() {
    [20, 50, 200].into_iter().for_each(|ms| bulk("egress", ms));
}

#[test]
fn bulk_reaches_what_the_window_allows_on_the_way_in() {
    [20, 50, 200].into_iter().for_each(|ms| bulk("ingress", ms));
}
