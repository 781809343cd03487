//! `capture`: how much of the faulted packets `dropped.pcapng` gets.

use crate::scenario::diagnostic::Problem;
use crate::scenario::model::Capture;
use crate::scenario::quantities;
use crate::scenario::reader::{Fields, Item, wrong_value};
use crate::scenario::units::format_size;
use crate::scenario::values;

const EXAMPLE: &str = "capture = { snaplen = \"256B\", max = 10000 }";
/// Ethernet, IPv6 and the ports: less says not even whose packet it is.
const MIN_SNAPLEN: u64 = 64;
const MAX_SNAPLEN: u64 = fault_common::capture::SNAPLEN_MAX as u64;
const MOST: u64 = 1_000_000;
/// What may be kept in memory until the run ends.
const MOST_BYTES: u64 = 1 << 30;

/// Reads it.
pub fn read(problems: &mut Vec<Problem>, item: Item<'_>) -> Option<Capture> {
    let mut fields = Fields::of(problems, item, "`capture`", EXAMPLE)?;
    let snaplen = fields.field("snaplen", |i| snaplen(problems, i));
    let max = fields.field("max", |i| values::integer(problems, i, 0, MOST));
    fields.finish(problems);
    let capture = Capture {
        snaplen: snaplen.or(Capture::default().snaplen)?,
        max: max.or(Capture::default().max.into())? as u32,
    };
    // Losses, and as many other packets.
    let bytes = 2 * u64::from(capture.snaplen) * u64::from(capture.max);
    if bytes > MOST_BYTES {
        let why = format!(
            "twice {} packets of {} are {}",
            capture.max,
            format_size(capture.snaplen.into()),
            format_size(bytes)
        );
        let help = format!("at most {}: a smaller `snaplen` or `max`", format_size(MOST_BYTES));
        wrong_value(problems, item, &why, &help);
        return None;
    }
    Some(capture)
}

fn snaplen(problems: &mut Vec<Problem>, item: Item<'_>) -> Option<u32> {
    let size = quantities::size(problems, item)?;
    if (MIN_SNAPLEN..=MAX_SNAPLEN).contains(&size) {
        return Some(size as u32);
    }
    let range =
        format!("from \"{}\" to \"{}\"", format_size(MIN_SNAPLEN), format_size(MAX_SNAPLEN));
    wrong_value(problems, item, "it is out of range", &range);
    None
}
