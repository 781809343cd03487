//! A connection to which nothing is done: few events, and the same is known of it.

use std::fs::File;
use std::io::BufReader;

use fault_user::ledger::build::build;
use fault_user::ledger::flow::FlowRecord;
use fault_user::ledger::store;

use crate::support::run::Run;
use crate::support::scenarios::quoted;
use crate::support::{Lab, python, script, stretched};

const SENDS: i64 = 3000;
const SIZE: i64 = 100;

/// The record of the connection, and how many events there were in all.
fn watched(options: &[&str]) -> (FlowRecord, u64) {
    let lab = Lab::alone();
    let command = quoted(python(), &format!("{} {SENDS} {SIZE}", script("quiet.py")));
    let scenario = format!(
        "schema = 1\nname = 'many'\nseed = 7\nduration = '{}'\n\
         [[app]]\nname = 'many'\nready = {{ log = 'connected' }}\ncommand = {command}\n\
         [[flow]]\nname = 'only'\nremote = '127.0.0.1:*'\napp = 'many'\n",
        stretched(20_000)
    );
    let finished = Run::start(&lab, "out", &scenario, options).finish();
    let report = finished.expect(0);
    assert_eq!(report.audit.expect("there is one").findings, Vec::<String>::new());
    let events = File::open(finished.out.join("events.jsonl")).expect("events");
    let events = store::read(BufReader::new(events)).expect("they can be read");
    assert_eq!((report.events.recorded, report.events.lost), (events.entries.len() as u64, 0));
    let mut flows = build(&events.entries);
    flows.retain(|f| f.flow == Some(0));
    assert_eq!(flows.len(), 1, "{flows:#?}");
    lab.close();
    (flows.remove(0), report.events.recorded)
}

/// All that verdicts are made from is there.
fn is_whole(flow: &FlowRecord) {
    let all = 0..SENDS * SIZE;
    assert_eq!(flow.sends.len() as i64, SENDS);
    assert!(flow.passed(&all).covers(&all), "{:?} have no packet", flow.passed(&all).gaps(&all));
    assert_eq!(flow.una(), all.end, "what is acknowledged");
    for send in &flow.sends {
        let first = flow.copies_of(&send.range).map(|c| c.ts).next().expect("it has a packet");
        let acked = flow.acked_at(send.range.end).expect("it was acknowledged");
        assert!(first <= acked, "{send:?} left at {first} and was acknowledged at {acked}");
    }
}

#[test]
fn what_is_thinned_is_whole_and_makes_one_event_a_send() {
    let (flow, events) = watched(&[]);
    is_whole(&flow);
    assert!(events < (SENDS as u64) * 3 / 2, "{events} events of {SENDS} sends");
    let (flow, each) = watched(&["--every-packet"]);
    is_whole(&flow);
    // How many sends share a packet is for TCP to say.
    assert!(each > events, "{each} events with each packet told, {events} without");
}
