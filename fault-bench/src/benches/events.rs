//! How many sends flowfault can follow, and what it tells of them.

use anyhow::{Context as _, Result};

use super::Effort;
use crate::harness::lab::Lab;
use crate::harness::sample;
use crate::harness::scenario::Conditions;
use crate::harness::stats::median;
use crate::harness::table::{Column, Row, Table};
use crate::server::SINK;

pub const WHAT: &str = "small sends that are watched: how many, and how many events they make";

const COLUMNS: [Column; 7] = [
    Column { name: "sends/s direct", decimals: 0 },
    Column { name: "of direct", decimals: 3 },
    Column { name: "events a send", decimals: 2 },
    Column { name: "each packet told: of direct", decimals: 3 },
    Column { name: "events a send", decimals: 2 },
    Column { name: "events/s", decimals: 0 },
    Column { name: "events lost", decimals: 0 },
];

/// Connections, and sends per second of all of them; 0 is as many as there can be.
const LOADS: [(u32, u32); 5] = [(1, 10_000), (1, 50_000), (1, 0), (2, 0), (4, 0)];
const SECONDS: f64 = 2.0;

/// Of one way to watch.
#[derive(Default)]
struct Watched {
    of_direct: Vec<f64>,
    per_send: Vec<f64>,
    events: Vec<f64>,
}

#[derive(Default)]
struct Found {
    direct: Vec<f64>,
    /// As a run does it, and with each packet told by itself.
    watched: [Watched; 2],
    /// Of all rounds and both ways.
    lost: u64,
}

impl Found {
    fn measure(&mut self, lab: &Lab, (connections, rate): (u32, u32)) -> Result<()> {
        let work = format!(
            "sends {SINK} --seconds {SECONDS} --per-second {rate} --connections {connections}"
        );
        let direct = sample::take(lab, None, &work)?.number("per_second")?;
        self.direct.push(direct);
        for (watched, every_packet) in self.watched.iter_mut().zip([false, true]) {
            // The fault is on another connection of the app; the sends of this one are told as all are.
            let conditions = Conditions { every_packet, ..Conditions::elsewhere() };
            let sample = sample::take(lab, Some(&conditions), &work)?;
            let report = sample.report.as_ref().context("flowfault left no report")?;
            let events = report.events.recorded as f64;
            watched.of_direct.push(sample.number("per_second")? / direct);
            watched.per_send.push(events / sample.number("sends")?);
            watched.events.push(events / SECONDS);
            self.lost += report.events.lost;
        }
        Ok(())
    }
}

/// Measures all of it.
///
/// # Errors
/// A sample failed.
pub fn run(lab: &Lab, effort: Effort) -> Result<Table> {
    let mut found: Vec<Found> = LOADS.iter().map(|_| Found::default()).collect();
    for _ in effort.rounds() {
        for (load, found) in LOADS.iter().zip(&mut found) {
            found.measure(lab, *load).with_context(|| name(*load))?;
        }
    }
    let rows = LOADS.iter().zip(found).map(|(load, found)| {
        let [thinned, each] = found.watched;
        let values = vec![
            median(found.direct),
            median(thinned.of_direct),
            median(thinned.per_send),
            median(each.of_direct),
            median(each.per_send),
            median(each.events),
            found.lost as f64,
        ];
        Row { variant: name(*load), values: values.into_iter().map(Some).collect() }
    });
    let rows = rows.collect();
    let notes = vec![
        "64 bytes each, TCP_NODELAY, no fault on these connections. First as a run does it, then with \
         `--every-packet`; events/s are of the latter, events lost of both and of all rounds."
            .to_owned(),
    ];
    Ok(Table { name: "events", what: WHAT.into(), columns: COLUMNS.into(), rows, notes })
}

fn name((connections, rate): (u32, u32)) -> String {
    let rate = if rate == 0 { "as many as possible".into() } else { format!("{rate} asked for") };
    format!("{rate}, {connections} at a time")
}
