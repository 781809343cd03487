//! How many events reach the ledger: the real packet program, ring, reader and ledger, without the price of sending.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Effort;
use crate::harness::flood;
use crate::harness::stats::median;
use crate::harness::table::{Column, Row, Table};

pub const WHAT: &str = "events per second into the ledger on two processors, and what each costs";

const COLUMNS: [Column; 5] = [
    Column { name: "events/s", decimals: 0 },
    Column { name: "events lost", decimals: 0 },
    Column { name: "program, ns", decimals: 0 },
    Column { name: "reader, ns", decimals: 0 },
    Column { name: "ledger, ns", decimals: 0 },
];

/// Packets per second that are tried; 0 is as many as there can be.
const RATES: [u32; 5] = [500_000, 1_000_000, 1_250_000, 1_500_000, 0];
const LENGTH: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Found {
    rate: Vec<f64>,
    /// Of all rounds.
    lost: u64,
    program: Vec<f64>,
    reader: Vec<f64>,
    ledger: Vec<f64>,
}

/// Measures all of it.
///
/// # Errors
/// A sample failed.
pub fn run(effort: Effort) -> Result<Table> {
    let mut found: Vec<Found> = RATES.iter().map(|_| Found::default()).collect();
    for _ in effort.rounds() {
        for (rate, found) in RATES.iter().zip(&mut found) {
            let told = flood::run(*rate, LENGTH).with_context(|| name(*rate))?;
            found.rate.push(told.events as f64 / told.took.as_secs_f64());
            found.lost += told.lost;
            found.program.push(told.program_ns);
            found.reader.push(told.reader_ns);
            found.ledger.push(told.ledger_ns);
        }
    }
    flood::stay_anywhere()?;
    let rows = RATES.iter().zip(found).map(|(rate, found)| {
        let [events, program, reader, ledger] =
            [found.rate, found.program, found.reader, found.ledger].map(median);
        let values = [events, found.lost as f64, program, reader, ledger];
        Row { variant: name(*rate), values: values.map(Some).into() }
    });
    let rows = rows.collect();
    let notes = vec![
        "The packets are shown to the ingress program by the kernel (BPF_PROG_TEST_RUN) on one processor; the \
         other has the reader of the ring and the ledger. Events lost are those of all rounds."
            .to_owned(),
    ];
    Ok(Table { name: "ledger", what: WHAT.into(), columns: COLUMNS.into(), rows, notes })
}

fn name(rate: u32) -> String {
    if rate == 0 { "as many as possible".into() } else { format!("{rate} packets/s") }
}
