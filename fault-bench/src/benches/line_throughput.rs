//! Bulk TCP, from one namespace to the other.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Effort;
use crate::harness::lab::Lab;
use crate::harness::netem::Netem;
use crate::harness::sample;
use crate::harness::scenario::Conditions;
use crate::harness::stats::median;
use crate::harness::table::{Column, Row, Table};
use crate::server::SINK;

pub const WHAT: &str = "bulk TCP over veth: what hooks, the delay line and faults leave of it";

/// Measured for so long, after the warm-up.
const MEASURED: Duration = Duration::from_secs(2);
/// Slow start is over by then: ten packets become 4 MiB in nine round trips, plus one each for the
/// handshake and the first ack.
const WARM_UP_TRIPS: u32 = 12;
const WARM_UP: Duration = Duration::from_millis(300);
/// What Linux has by default. A distribution's own default would be measured otherwise.
const CONGESTION: &str = "cubic";
const DELAYS_MS: [u64; 4] = [5, 20, 50, 200];

const COLUMNS: [Column; 5] = [
    Column { name: "Mbit/s", decimals: 0 },
    Column { name: "of direct", decimals: 3 },
    Column { name: "slowest round", decimals: 0 },
    Column { name: "window/delay, Mbit/s", decimals: 0 },
    Column { name: "of min(direct, window/delay)", decimals: 2 },
];

/// A variant.
struct Variant {
    name: String,
    how: How,
    delay: Duration,
}

enum How {
    Direct,
    Faulted(Conditions),
    Netem,
}

impl Variant {
    fn new(name: &str, how: How) -> Self {
        Self { name: name.into(), how, delay: Duration::ZERO }
    }

    fn delayed(ms: u64, how: How, by: &str) -> Self {
        Self { name: format!("{by} {ms} ms"), how, delay: Duration::from_millis(ms) }
    }

    /// Mbit/s.
    fn measure(&self, lab: &Lab) -> Result<f64> {
        let warm_up = WARM_UP + WARM_UP_TRIPS * self.delay;
        let end = warm_up + MEASURED;
        let work = format!("bulk {SINK} --seconds {} --congestion {CONGESTION}", end.as_secs_f64());
        let sample = match &self.how {
            How::Direct => sample::take(lab, None, &work)?,
            How::Faulted(conditions) => sample::take(lab, Some(conditions), &work)?,
            How::Netem => {
                let _netem = Netem::delay(lab, self.delay)?;
                sample::take(lab, None, &work)?
            }
        };
        lab.servers.sink.of(sample.port()?)?.mbit_s(warm_up, end)
    }
}

/// Measures all of it.
///
/// # Errors
/// A sample failed.
pub fn run(lab: &Lab, effort: Effort) -> Result<Table> {
    let missing = Netem::missing(lab);
    let variants = variants(missing.is_none());
    let mut rates = vec![Vec::new(); variants.len()];
    for _ in effort.rounds() {
        for (variant, rates) in variants.iter().zip(&mut rates) {
            rates.push(variant.measure(lab).with_context(|| variant.name.clone())?);
        }
    }
    let window = lab.near.within(window)?;
    let direct = median(rates.first().cloned().unwrap_or_default());
    let rows = variants.iter().zip(rates).map(|(v, rates)| row(v, rates, direct, window));
    let mut notes = vec![
        format!("Congestion control {CONGESTION}, one connection, {MEASURED:?} after the warm-up."),
        format!(
            "window: {window} bytes, the smaller of net.ipv4.tcp_wmem and half of tcp_rmem (the rest \
             is the kernel's own): what can be in flight in a round trip."
        ),
    ];
    notes.extend(missing);
    Ok(Table {
        name: "line-throughput",
        what: WHAT.into(),
        columns: COLUMNS.into(),
        rows: rows.collect(),
        notes,
    })
}

fn variants(netem: bool) -> Vec<Variant> {
    let on = |fault: &str| How::Faulted(Conditions::on("bulk", fault));
    let mut all = vec![
        Variant::new("direct", How::Direct),
        Variant::new("hooks only (fault on another flow)", How::Faulted(Conditions::elsewhere())),
        Variant::new("fault at the hook, never hits", on("drop = 1.0, when = { tcp = 'rst' }")),
        Variant::new(
            "fault in the line, never hits",
            on("drop = 0.5, when = { size = [9000, 65535] }"),
        ),
        Variant::new("drop = 0.01", on("direction = 'egress', drop = 0.01")),
    ];
    for ms in DELAYS_MS {
        let fault = format!("direction = 'egress', delay = '{ms}ms'");
        all.push(Variant::delayed(ms, on(&fault), "delay"));
        if netem {
            all.push(Variant::delayed(ms, How::Netem, "netem"));
        }
    }
    all
}

/// Bytes that may be in flight.
fn window() -> Result<u64> {
    let greatest = |name: &str| -> Result<u64> {
        let path = format!("/proc/sys/net/ipv4/{name}");
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let last = text.split_whitespace().last();
        Ok(last.with_context(|| format!("{path} is empty"))?.parse()?)
    };
    Ok(greatest("tcp_wmem")?.min(greatest("tcp_rmem")? / 2))
}

fn row(variant: &Variant, rates: Vec<f64>, direct: f64, window: u64) -> Row {
    let slowest = rates.iter().copied().fold(f64::INFINITY, f64::min);
    let rate = median(rates);
    let delay = variant.delay.as_secs_f64();
    let ceiling = (delay > 0.0).then(|| window as f64 * 8e-6 / delay);
    let values = vec![
        Some(rate),
        Some(rate / direct),
        Some(slowest),
        ceiling,
        ceiling.map(|ceiling| rate / ceiling.min(direct)),
    ];
    Row { variant: variant.name.clone(), values }
}
