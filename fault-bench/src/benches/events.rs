//! How many sends flowfault can follow.

use anyhow::{Context as _, Result};

use super::Effort;
use crate::harness::lab::Lab;
use crate::harness::sample;
use crate::harness::scenario::Conditions;
use crate::harness::stats::median;
use crate::harness::table::{Column, Row, Table};
use crate::server::SINK;

pub const WHAT: &str = "small sends per second, and the events that they make, with none lost";

const COLUMNS: [Column; 5] = [
    Column { name: "sends/s direct", decimals: 0 },
    Column { name: "sends/s", decimals: 0 },
    Column { name: "of direct", decimals: 3 },
    Column { name: "events/s", decimals: 0 },
    Column { name: "events lost", decimals: 0 },
];

/// Sends per second that are tried; 0 is as many as there can be.
const RATES: [u32; 5] = [10_000, 50_000, 100_000, 200_000, 0];
const SECONDS: f64 = 2.0;

#[derive(Default)]
struct Found {
    direct: Vec<f64>,
    sends: Vec<f64>,
    events: Vec<f64>,
    /// Of all rounds.
    lost: u64,
}

impl Found {
    fn measure(&mut self, lab: &Lab, rate: u32) -> Result<()> {
        let work = format!("sends {SINK} --seconds {SECONDS} --per-second {rate}");
        // Selected and watched: every send and every packet is told of.
        let watched = Conditions::on("bulk", "drop = 1.0, when = { tcp = 'rst' }");
        self.direct.push(sample::take(lab, None, &work)?.number("per_second")?);
        let sample = sample::take(lab, Some(&watched), &work)?;
        let report = sample.report.as_ref().context("flowfault left no report")?;
        self.sends.push(sample.number("per_second")?);
        self.events.push(report.events.recorded as f64 / SECONDS);
        self.lost += report.events.lost;
        Ok(())
    }
}

/// Measures all of it.
///
/// # Errors
/// A sample failed.
pub fn run(lab: &Lab, effort: Effort) -> Result<Table> {
    let mut found: Vec<Found> = RATES.iter().map(|_| Found::default()).collect();
    for _ in effort.rounds() {
        for (rate, found) in RATES.iter().zip(&mut found) {
            found.measure(lab, *rate).with_context(|| name(*rate))?;
        }
    }
    let rows = RATES.iter().zip(found).map(|(rate, found)| {
        let (direct, sends) = (median(found.direct), median(found.sends));
        let events = median(found.events);
        let values = [direct, sends, sends / direct, events, found.lost as f64];
        Row { variant: name(*rate), values: values.map(Some).into() }
    });
    let rows = rows.collect();
    let notes = vec!["64 bytes each, TCP_NODELAY; events lost are those of all rounds.".to_owned()];
    Ok(Table { name: "events", what: WHAT.into(), columns: COLUMNS.into(), rows, notes })
}

fn name(rate: u32) -> String {
    if rate == 0 { "as many as possible".into() } else { format!("{rate} asked for") }
}
