//! What flowfault costs a connection that it does nothing to.

use anyhow::{Context as _, Result};

use super::Effort;
use crate::harness::lab::Lab;
use crate::harness::sample::{self, Sample};
use crate::harness::scenario::Conditions;
use crate::harness::stats::median;
use crate::harness::table::{Column, Row, Table};
use crate::server::ECHO;

pub const WHAT: &str = "round trip of 64 bytes, us, on connections to which nothing is done";

const COLUMNS: [Column; 5] = [
    Column { name: "p50, us", decimals: 1 },
    Column { name: "p99, us", decimals: 1 },
    Column { name: "mean, us", decimals: 1 },
    Column { name: "p50 of direct", decimals: 3 },
    Column { name: "p99 of direct", decimals: 3 },
];

#[derive(Debug, Clone, Copy)]
enum Variant {
    Direct,
    /// Of a process that is no app of the run.
    Outsider,
    /// Another connection of the app.
    Sibling,
    /// Selected, with a fault that never hits.
    Selected,
    /// As above, through the delay line.
    ThroughLine,
}

const ALL: [Variant; 5] =
    [Variant::Direct, Variant::Outsider, Variant::Sibling, Variant::Selected, Variant::ThroughLine];

impl Variant {
    fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Outsider => "bystander, another process",
            Self::Sibling => "bystander, the same process",
            Self::Selected => "selected, fault at the hook never hits",
            Self::ThroughLine => "selected, fault in the line never hits",
        }
    }

    fn measure(self, lab: &Lab) -> Result<Sample> {
        let work = &format!("ping {ECHO} --seconds 1.5");
        let on = |fault| Conditions::on("ping", fault);
        match self {
            Self::Direct => sample::take(lab, None, work),
            Self::Outsider => sample::beside(lab, &Conditions::elsewhere(), work),
            Self::Sibling => sample::take(lab, Some(&Conditions::elsewhere()), work),
            Self::Selected => {
                sample::take(lab, Some(&on("drop = 1.0, when = { tcp = 'rst' }")), work)
            }
            Self::ThroughLine => {
                sample::take(lab, Some(&on("drop = 0.5, when = { size = [9000, 65535] }")), work)
            }
        }
    }
}

/// Measures all of it.
///
/// # Errors
/// A sample failed.
pub fn run(lab: &Lab, effort: Effort) -> Result<Table> {
    let mut found = vec![[const { Vec::new() }; 3]; ALL.len()];
    for _ in effort.rounds() {
        for (variant, found) in ALL.iter().zip(&mut found) {
            let sample = variant.measure(lab).with_context(|| variant.name())?;
            for (key, values) in ["p50_us", "p99_us", "mean_us"].into_iter().zip(found) {
                values.push(sample.number(key)?);
            }
        }
    }
    let medians: Vec<[f64; 3]> = found.into_iter().map(|values| values.map(median)).collect();
    let direct = medians.first().copied().unwrap_or_default();
    let row = |(variant, [p50, p99, mean]): (&Variant, &[f64; 3])| {
        let values = vec![*p50, *p99, *mean, p50 / direct[0], p99 / direct[1]];
        Row { variant: variant.name().into(), values: values.into_iter().map(Some).collect() }
    };
    let rows = ALL.iter().zip(&medians).map(row).collect();
    let notes = vec!["TCP_NODELAY, one request at a time.".to_owned()];
    Ok(Table { name: "idle-cost", what: WHAT.into(), columns: COLUMNS.into(), rows, notes })
}
