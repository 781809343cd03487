//! How exactly packets are held: one way, from the client's send to the far end's network stack.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::Effort;
use crate::harness::lab::Lab;
use crate::harness::netem::Netem;
use crate::harness::sample;
use crate::harness::scenario::Conditions;
use crate::harness::stats::quantile;
use crate::harness::table::{Column, Row, Table};
use crate::server::DATAGRAMS;

pub const WHAT: &str =
    "how much more than asked for a datagram takes one way, us, beside a direct path";

const COLUMNS: [Column; 8] = [
    Column { name: "datagrams", decimals: 0 },
    Column { name: "lost", decimals: 0 },
    Column { name: "early", decimals: 0 },
    Column { name: "late p50, us", decimals: 0 },
    Column { name: "p99, us", decimals: 0 },
    Column { name: "max, us", decimals: 0 },
    Column { name: "p50 beyond direct, of the delay", decimals: 4 },
    Column { name: "p50 beyond direct, of netem's", decimals: 2 },
];

/// Datagrams per second, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stream {
    per_second: u32,
    seconds: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Direct,
    Line,
    Netem,
}

struct Variant {
    how: How,
    delay: Duration,
    stream: Stream,
    /// How much more than asked for each took, us.
    late: Vec<f64>,
    sent: u64,
}

impl Variant {
    fn measure(&mut self, lab: &Lab) -> Result<()> {
        let Stream { per_second, seconds } = self.stream;
        let work = format!("datagrams {DATAGRAMS} --seconds {seconds} --per-second {per_second}");
        let sample = match self.how {
            How::Direct => sample::take(lab, None, &work)?,
            How::Line => {
                let fault = format!("direction = 'egress', delay = '{}us'", self.delay.as_micros());
                sample::take(lab, Some(&Conditions::on("datagrams", &fault)), &work)?
            }
            How::Netem => {
                let _netem = Netem::delay(lab, self.delay)?;
                sample::take(lab, None, &work)?
            }
        };
        let arrivals = lab.servers.datagrams.of(sample.port()?)?;
        ensure!(arrivals.is_sorted_by_key(|a| a.number), "the order was not kept");
        let asked = self.delay.as_nanos() as i64;
        self.sent += sample.number("sent")? as u64;
        self.late.extend(arrivals.iter().map(|a| (a.took - asked) as f64 / 1e3));
        Ok(())
    }

    fn name(&self) -> String {
        let (ms, per_second) = (self.delay.as_millis(), self.stream.per_second);
        match self.how {
            How::Direct => format!("direct, {per_second}/s"),
            How::Line => format!("delay {ms} ms, {per_second}/s"),
            How::Netem => format!("netem {ms} ms, {per_second}/s"),
        }
    }

    fn p50(&self) -> f64 {
        quantile(&mut self.late.clone(), 0.5)
    }
}

/// Measures all of it.
///
/// # Errors
/// A sample failed, or datagrams came out of order.
pub fn run(lab: &Lab, effort: Effort) -> Result<Table> {
    let missing = Netem::missing(lab);
    let mut variants = variants(effort.few, missing.is_none());
    for _ in effort.rounds() {
        for variant in &mut variants {
            variant.measure(lab).with_context(|| variant.name())?;
        }
    }
    let rows = variants.iter().map(|v| row(v, &variants)).collect();
    let mut notes = vec![
        "The time of arrival is the receiving kernel's (SO_TIMESTAMPNS), that of sending the \
         client's, before its send call: nothing that is held for long enough can be early."
            .to_owned(),
    ];
    notes.extend(missing);
    Ok(Table { name: "delay-accuracy", what: WHAT.into(), columns: COLUMNS.into(), rows, notes })
}

fn variants(few: bool, netem: bool) -> Vec<Variant> {
    let (streams, delays): (&[Stream], &[u64]) = if few {
        (&[Stream { per_second: 25, seconds: 4.0 }], &[20])
    } else {
        let (slow, fast) =
            (Stream { per_second: 100, seconds: 3.0 }, Stream { per_second: 10_000, seconds: 1.0 });
        (&[slow, fast], &[1, 5, 20, 50])
    };
    let mut all = Vec::new();
    for stream in streams {
        let mut add = |how, ms| {
            let delay = Duration::from_millis(ms);
            all.push(Variant { how, delay, stream: *stream, late: Vec::new(), sent: 0 });
        };
        add(How::Direct, 0);
        for ms in delays {
            add(How::Line, *ms);
            if netem {
                add(How::Netem, *ms);
            }
        }
    }
    all
}

fn row(variant: &Variant, all: &[Variant]) -> Row {
    let peer = |how| {
        let mut like = all.iter().filter(|v| v.how == how && v.stream == variant.stream);
        like.find(|v| how == How::Direct || v.delay == variant.delay).map(Variant::p50)
    };
    let mut late = variant.late.clone();
    let came = late.len() as f64;
    let held = variant.how != How::Direct;
    let early = late.iter().filter(|us| **us < 0.0).count() as f64;
    let beyond = peer(How::Direct).map(|direct| variant.p50() - direct).filter(|_| held);
    let of_netem = peer(How::Netem).zip(peer(How::Direct)).map(|(netem, direct)| netem - direct);
    let values = vec![
        Some(came),
        Some(variant.sent as f64 - came),
        Some(early),
        Some(quantile(&mut late, 0.5)),
        Some(quantile(&mut late, 0.99)),
        Some(quantile(&mut late, 1.0)),
        beyond.map(|us| us / variant.delay.as_micros() as f64),
        beyond.zip(of_netem).map(|(us, netem)| us / netem).filter(|_| variant.how == How::Line),
    ];
    Row { variant: variant.name(), values }
}
