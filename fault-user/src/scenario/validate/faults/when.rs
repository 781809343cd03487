//! `when` and `pulse`: which packets a fault means, and at which times.

use crate::scenario::diagnostic::Problem;
use crate::scenario::model::{Pulse, Segment, When};
use crate::scenario::quantities::{MAX_PACKET, range};
use crate::scenario::reader::{Field, Fields, Item, wrong_value};
use crate::scenario::values;

type Problems = Vec<Problem>;

/// The values of `tcp`.
pub const SEGMENTS: [(&str, Segment); 6] = [
    ("syn", Segment::Syn),
    ("syn_ack", Segment::SynAck),
    ("data", Segment::Data),
    ("ack_only", Segment::AckOnly),
    ("fin", Segment::Fin),
    ("rst", Segment::Rst),
];

/// The smallest IP packet of a flow: IPv4 with an empty UDP datagram.
const MIN_PACKET: u64 = 28;

/// Reads the value of `when`.
pub fn when(problems: &mut Problems, item: Item<'_>) -> Option<When> {
    const EXAMPLE: &str = "when = { tcp = \"data\" }";
    let mut fields = Fields::of(problems, item, "`when`", EXAMPLE)?;
    let segment = fields.field("tcp", |i| values::choice(problems, i, &SEGMENTS));
    let size = fields.field("size", |i| size(problems, i));
    let stream = fields.field("stream", |i| range(problems, i, u64::MAX, true));
    let again = fields.field("retransmission", |i| only_true(problems, i));
    if fields.present(&["tcp", "size", "stream", "retransmission"]).is_empty() {
        let help =
            format!("a condition, for example `{EXAMPLE}`; without `when` it is every packet");
        problems.push(Problem::new(item.at(), "`when` does not say which packets", help));
    }
    let fits = combination(problems, &mut fields, &segment);
    fields.finish(problems);
    let when = When {
        segment: segment.optional()?,
        size: size.optional()?,
        stream: stream.optional()?,
        retransmission: again.or(false)?,
    };
    (fits && when != When::default()).then_some(when)
}

/// What no packet can be at the same time.
fn combination(problems: &mut Problems, fields: &mut Fields<'_>, segment: &Field<Segment>) -> bool {
    let Field::Good(segment, at) = segment else { return true };
    let bare = match segment {
        Segment::Syn | Segment::SynAck => "a SYN carries no byte of the stream",
        Segment::AckOnly => "a pure acknowledgement carries no byte of the stream",
        Segment::Rst => "a RST carries no byte of the stream",
        Segment::Data | Segment::Fin => return true,
    };
    let mut conflicts = fields.present(&["stream"]);
    // A SYN takes a place in the sequence space, and is sent again if it is lost.
    if matches!(segment, Segment::AckOnly | Segment::Rst) {
        conflicts.extend(fields.present(&["retransmission"]));
    }
    for entry in &conflicts {
        let message = format!("`{}` contradicts `tcp`: {bare}", entry.key);
        let help = "leave one of the two out: together no packet ever is both";
        problems.push(Problem::new(entry.key_at, message, help).also(*at, "the other condition"));
    }
    conflicts.is_empty()
}

fn size(problems: &mut Problems, item: Item<'_>) -> Option<(u32, u32)> {
    let (min, max) = range(problems, item, u64::from(MAX_PACKET), false)?;
    if max < MIN_PACKET {
        let help = "sizes are those of IP packets, headers included: `size = [1000, 1500]`";
        wrong_value(problems, item, &format!("no packet has {max} bytes or less"), help);
        return None;
    }
    Some((u32::try_from(min).ok()?, u32::try_from(max).ok()?))
}

fn only_true(problems: &mut Problems, item: Item<'_>) -> Option<bool> {
    let value = values::boolean(problems, item)?;
    if !value {
        let help = "`retransmission = true`, or leave it out: then it is first transmissions, too";
        wrong_value(problems, item, "false would do nothing", help);
    }
    value.then_some(true)
}

/// Reads the value of `pulse`.
pub fn pulse(problems: &mut Problems, item: Item<'_>) -> Option<Pulse> {
    const EXAMPLE: &str = "pulse = { on = \"1s\", off = \"4s\" }";
    let mut fields = Fields::of(problems, item, "`pulse`", EXAMPLE)?;
    let [on, off] =
        ["on", "off"].map(|key| fields.field(key, |i| values::positive_duration(problems, i)));
    for (key, example, there) in
        [("on", "on = \"1s\"", on.is_present()), ("off", "off = \"4s\"", off.is_present())]
    {
        if !there {
            fields.missing(problems, key, example);
        }
    }
    fields.finish(problems);
    Some(Pulse { on: on.good()?, off: off.good()? })
}
