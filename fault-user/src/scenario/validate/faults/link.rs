//! `rate` and `trace`: links.

use std::path::Path;
use std::time::Duration;

use fault_common::fate::Sample;

use super::files;
use crate::scenario::diagnostic::Problem;
use crate::scenario::model::{Rate, Replay, Trace};
use crate::scenario::quantities::{self, MAX_DELAY};
use crate::scenario::reader::{Field, Fields, Item, wrong_value};
use crate::scenario::tree::Value;
use crate::scenario::units::{format_duration, format_rate, format_size};
use crate::scenario::values;

type Problems = Vec<Problem>;

/// The wire packet that every queue must have room for (Ethernet's MTU).
const PACKET: u64 = 1500;

/// Reads the value of `rate`.
pub fn rate(problems: &mut Problems, item: Item<'_>) -> Option<Rate> {
    const EXAMPLE: &str = "rate = { rate = \"2mbit\", queue = \"64KiB\" }";
    let rate = if let Value::Table(_) = item.node.value {
        let mut fields = Fields::of(problems, item, "`rate`", EXAMPLE)?;
        let rate = fields.field("rate", |i| quantities::rate(problems, i));
        if !rate.is_present() {
            fields.missing(problems, "rate", "rate = \"2mbit\"");
        }
        let queue = fields.field("queue", |i| queue(problems, i));
        fields.finish(problems);
        Rate { bits_per_s: rate.good()?, queue: queue.or(Rate::QUEUE)? }
    } else {
        Rate { bits_per_s: quantities::rate(problems, item)?, queue: Rate::QUEUE }
    };
    drains(problems, item, rate).then_some(rate)
}

/// What waits at the end of a full queue is held until all of it has been sent.
fn drains(problems: &mut Problems, item: Item<'_>, rate: Rate) -> bool {
    let bits = u128::from(rate.queue) * 8;
    let fits = MAX_DELAY.as_secs() as u128 * u128::from(rate.bits_per_s);
    if bits <= fits {
        return true;
    }
    let seconds = (bits / u128::from(rate.bits_per_s)).min(u128::from(u64::MAX)) as u64;
    let why = format!(
        "at {} a full queue of {} takes {} to drain; a packet is held for {} at most",
        format_rate(rate.bits_per_s),
        format_size(rate.queue),
        format_duration(Duration::from_secs(seconds)),
        format_duration(MAX_DELAY),
    );
    let most = u64::try_from(fits / 8).unwrap_or(u64::MAX);
    let help = match most {
        0..PACKET => {
            let least = (PACKET * 8).div_ceil(MAX_DELAY.as_secs());
            format!("a rate of at least {} (and a queue of 1500B)", format_rate(least))
        }
        _ => format!("a queue of at most {}, or a higher rate", format_size(most)),
    };
    wrong_value(problems, item, &why, &help);
    false
}

fn queue(problems: &mut Problems, item: Item<'_>) -> Option<u64> {
    let queue = quantities::size(problems, item)?;
    if queue >= PACKET {
        return Some(queue);
    }
    let why = format!("a queue of {} has no room for one packet", format_size(queue));
    wrong_value(problems, item, &why, "at least 1500 bytes, for example `queue = \"64KiB\"`");
    None
}

#[derive(Clone, Copy)]
enum Format {
    Mahimahi,
    Csv,
}

/// Reads the value of `trace`; its file is taken from `base_dir`.
pub fn trace(problems: &mut Problems, item: Item<'_>, base_dir: &Path) -> Option<Trace> {
    const EXAMPLE: &str = "trace = { file = \"lte.trace\", format = \"mahimahi\" }";
    const FORMATS: [(&str, Format); 2] = [("mahimahi", Format::Mahimahi), ("csv", Format::Csv)];
    let mut fields = Fields::of(problems, item, "`trace`", EXAMPLE)?;
    let format = fields.field("format", |i| values::choice(problems, i, &FORMATS));
    if !format.is_present() {
        fields.missing(problems, "format", "format = \"mahimahi\"");
    }
    let queue = fields.field("queue", |i| queue(problems, i));
    if let (Some(Format::Csv), Some(entry)) = (format.good_ref(), fields.entry("queue")) {
        let help = "a trace of delay and loss has no queue: leave it out, or put a `rate` with a \
                    queue before it";
        let message = "`queue` contradicts `format = \"csv\"`";
        problems.push(Problem::new(entry.key_at, message, help));
    }
    let format = format.good();
    let read = fields.field("file", |i| replay(problems, i, base_dir, format, &queue));
    if !read.is_present() {
        fields.missing(problems, "file", "file = \"lte.trace\"");
    }
    fields.finish(problems);
    let (file, replay) = read.good()?;
    queue.optional()?;
    Some(Trace { file, replay })
}

fn replay(
    problems: &mut Problems,
    item: Item<'_>,
    base_dir: &Path,
    format: Option<Format>,
    queue: &Field<u64>,
) -> Option<(String, Replay)> {
    match format? {
        Format::Mahimahi => {
            let (file, deliveries) = files::deliveries(problems, item, base_dir)?;
            let queue = queue.good_ref().copied().unwrap_or(Rate::QUEUE);
            Some((file, Replay::Mahimahi { deliveries, queue }))
        }
        Format::Csv => {
            let (file, (samples, period)) = files::samples(problems, item, base_dir)?;
            held_briefly(problems, item, &samples)?;
            Some((file, Replay::Csv { samples, period }))
        }
    }
}

/// No sample may delay for longer than a `delay`.
fn held_briefly(problems: &mut Problems, item: Item<'_>, samples: &[Sample]) -> Option<()> {
    let longest = Duration::from_nanos(samples.iter().map(|s| s.delay).max().unwrap_or(0));
    if longest <= MAX_DELAY {
        return Some(());
    }
    let max = format_duration(MAX_DELAY);
    let why = format!("a packet is held for {max} at most, here for {}", format_duration(longest));
    wrong_value(problems, item, &why, "shorten the delays; a loss of 1 lets nothing through");
    None
}
