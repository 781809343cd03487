//! The line while rules come and go, and when its owner dies.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::lab::process::wait_for;
use crate::lab::run::Run;
use crate::lab::{slow, stretched};
use crate::scene::{Place, Scene, has_fq, numbers};

/// The delay comes and goes while datagrams flow.
#[test]
fn nothing_is_overtaken_when_a_delay_begins_or_ends() {
    if !has_fq() {
        return;
    }
    let scene = Scene::new(Place::Cable4);
    let blink = |n: u32| {
        let at = stretched(150 + 100 * n);
        let faults = "[{ flow = 'datagrams', delay = '20ms' }]";
        let lasts = stretched(40);
        format!("[[step]]\nname = 'blink-{n}'\nat = '{at}'\nfor = '{lasts}'\nfaults = {faults}\n")
    };
    let steps: String = (0..6).map(blink).collect();
    let steps = steps.replace("delay = '20ms'", "delay = '20ms', may_miss = true");
    let report = scene.run(&format!("line = 'fq'\n{}", scene.scenario(200, 0, &steps)));
    let arrivals = scene.noted("server", "datagrams");
    let arrivals = arrivals["arrivals"].as_array().expect("a list");
    let (order, times): (Vec<f64>, Vec<f64>) =
        arrivals.iter().map(numbers).map(|n| (n[0], n[1])).unzip();
    assert_eq!(order.len(), 2000, "datagrams are missing");
    assert!(order.is_sorted(), "reordered: {order:?}");
    let held = times.iter().filter(|t| **t >= 20.0).count();
    println!("{held} of {} held", times.len());
    assert!(held > 0 && times.iter().any(|t| *t < 20.0), "{report:#?}");
    let answers = numbers(&scene.noted("client", "answers")["numbers"]);
    assert!(answers.len() == order.len() && answers.is_sorted(), "the way back: {answers:?}");
    scene.close();
}

#[test]
fn when_the_owner_is_killed_packets_pass_and_nothing_is_left() {
    if !has_fq() {
        return;
    }
    let scene = Scene::new(Place::Cable4);
    // Each round trip takes half a second: the client is done long after the kill.
    let scenario = scene.held(40, 0, "both", 250);
    let mut run = Run::start(&scene.lab, "out", &scenario, &[]);
    let links = || scene.lab.near.links();
    run.until("the step", |_| scene.lab.path().join("go").exists());
    assert!(links().contains("ffline"), "the eye sees the pair: {}", links());
    std::thread::sleep(Duration::from_secs(1));
    run.signal(Signal::SIGKILL);
    wait_for("death of the controller", Duration::from_secs(5), || run.process.ended());
    wait_for("end of the pair", Duration::from_secs(5), || {
        (!links().contains("ffline")).then_some(())
    });
    // The one in flight is lost with the line and comes again; the others take no time.
    wait_for("the end of the pings", Duration::from_secs(10), || {
        let text = std::fs::read_to_string(scene.lab.path().join("client.notes"));
        text.is_ok_and(|t| t.contains("trips")).then_some(())
    });
    let trips = numbers(&scene.noted("client", "trips")["trips"]);
    let slow_ones = trips.iter().filter(|t| **t >= 250.0).count();
    println!("{slow_ones} of {} round trips were held: {trips:?}", trips.len());
    assert!(slow_ones > 0 && slow_ones < 10 + slow() as usize, "{trips:?}");
    run.is_gone(Duration::from_secs(5));
}
