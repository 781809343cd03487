//! Faults in plain sentences.

use std::time::Duration;

use crate::scenario::model::{
    Corrupt, Delay, DirectionSpec, Fault, FaultSpec, Jitter, Loss, Pulse, Rate, Reject, Replay,
    Segment, Shape, Side, Then, Trace, When,
};
use crate::scenario::units::{format_duration, format_rate, format_size};
use crate::scenario::written::shape;

/// Which packets of the flow, if it is about packets.
pub fn direction(spec: &FaultSpec) -> &'static str {
    match (&spec.fault, spec.direction) {
        (Fault::Reset(_) | Fault::Abort, _) => "",
        (_, DirectionSpec::Egress) => ", sent",
        (_, DirectionSpec::Ingress) => ", received",
        (_, DirectionSpec::Both) => ", sent and received",
    }
}

/// What it does, to which packets and when.
pub fn sentence(spec: &FaultSpec) -> String {
    let mut text = deed(&spec.fault);
    if spec.when != When::default() {
        text.push_str(&format!("; only {}", narrowed(&spec.when)));
    }
    if let Some(Pulse { on, off }) = spec.pulse {
        let [on, off] = [on, off].map(format_duration);
        text.push_str(&format!("; {on} on and {off} off in turn"));
    }
    if spec.may_miss {
        text.push_str(" (may meet none)");
    }
    text
}

fn deed(fault: &Fault) -> String {
    match fault {
        Fault::Drop(loss) => format!("drops {}", lost(loss)),
        Fault::Delay(delay) => delayed(delay),
        Fault::Rate(rate) => link(rate),
        Fault::Trace(trace) => replayed(trace),
        Fault::Corrupt(corrupt) => corrupted(corrupt),
        Fault::Duplicate(d) => {
            let copies =
                if d.copies == 1 { "one more".into() } else { format!("{} more", d.copies) };
            format!("sends {copies} of {}", each(d.p))
        }
        Fault::Reorder(r) => format!(
            "holds {} back until {} later ones have passed, at most {}",
            each(r.p),
            r.gap,
            format_duration(r.delay)
        ),
        Fault::Reset(Side::Local) => "resets the connection: RST to the app's socket".into(),
        Fault::Reset(Side::Peer) => "resets the connection: RST to the peer".into(),
        Fault::Reset(Side::Both) => "resets the connection: RST to both sides".into(),
        Fault::Abort => "destroys the socket (ECONNABORTED)".into(),
        Fault::Reject(kind) => format!("answers every packet with {}", answer(*kind)),
        Fault::Stall => "sets the receive window to zero".into(),
        Fault::Limit(limit) => {
            let then = match limit.then {
                Then::Drop => "drops the rest",
                Then::Reset => "resets the connection",
            };
            format!("lets {} of payload pass, then {then}", format_size(limit.bytes))
        }
        Fault::MarkCe(p) => format!("marks {} \"congestion experienced\" (ECN)", each(*p)),
    }
}

fn each(p: f64) -> String {
    match p {
        1.0.. => "every packet".into(),
        p => format!("each packet with probability {p}"),
    }
}

fn lost(loss: &Loss) -> String {
    match loss {
        Loss::Random(p) => each(*p),
        Loss::Every(1) => "every packet".into(),
        Loss::Every(n) => format!("one packet in {n}"),
        Loss::Nth(numbers) => {
            let list: Vec<_> = numbers.iter().map(u64::to_string).collect();
            format!("packet {}", list.join(", "))
        }
        Loss::First(1) => "the first packet".into(),
        Loss::First(n) => format!("the first {n} packets"),
        Loss::Burst { p, len } => {
            format!("{len} packets in a row, beginning at any packet with probability {p}")
        }
        Loss::GilbertElliott { p, r, good, bad } => format!(
            "{bad} of the packets in a bad state and {good} in a good one (Gilbert-Elliott; per \
             packet {p} to bad, {r} back): {} on average",
            percent((r * good + p * bad) / (p + r))
        ),
        Loss::Markov { p13, p31, p32, p23, p14 } => format!(
            "packets by netem's four states (p13 {p13}, p31 {p31}, p32 {p32}, p23 {p23}, p14 {p14})"
        ),
    }
}

fn percent(share: f64) -> String {
    let text = format!("{:.3}", share * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

fn delayed(delay: &Delay) -> String {
    let mean = format_duration(delay.mean);
    let Some(Jitter { spread, shape: form, correlation }) = &delay.jitter else {
        return format!("delays by {mean}, keeps the order");
    };
    let kind = match form {
        Shape::Table { file, .. } => format!("distributed as in {file}"),
        named => shape(named).to_owned(),
    };
    let mut text = format!("delays by {mean} +- {} ({kind})", format_duration(*spread));
    if *correlation > 0.0 {
        text.push_str(&format!(", {correlation} of it as for the packet before"));
    }
    // Only a uniform distribution has bounds that lie within its jitter.
    if *spread > delay.mean {
        text.push_str(", where that is below zero not at all");
    }
    text.push_str(match delay.keep_order {
        true => ", keeps the order",
        false => ", packets may overtake each other",
    });
    text
}

fn link(rate: &Rate) -> String {
    let us = u128::from(rate.queue) * 8_000_000 / u128::from(rate.bits_per_s);
    let full = match u64::try_from(us).unwrap_or(u64::MAX) {
        us @ 0..1000 => Duration::from_micros(us),
        us => Duration::from_millis(us / 1000),
    };
    format!(
        "limits the rate to {} with a queue of {} ({} when full)",
        format_rate(rate.bits_per_s),
        format_size(rate.queue),
        format_duration(full)
    )
}

fn replayed(trace: &Trace) -> String {
    match &trace.replay {
        Replay::Mahimahi { deliveries, queue } => {
            let count = deliveries.len();
            let length = deliveries.last().map_or(Duration::ZERO, |ns| Duration::from_nanos(*ns));
            format!(
                "lets packets through as {} says ({count} deliveries in {}, over and over), with \
                 a queue of {}",
                trace.file,
                format_duration(length),
                format_size(*queue)
            )
        }
        Replay::Csv { period: Duration::ZERO, .. } => {
            format!("delays and drops as {} says (one sample, which holds for ever)", trace.file)
        }
        Replay::Csv { samples, period } => format!(
            "delays and drops as {} says ({} samples in {}, over and over)",
            trace.file,
            samples.len(),
            format_duration(*period)
        ),
    }
}

fn corrupted(corrupt: &Corrupt) -> String {
    let bits = if corrupt.bits == 1 { "1 bit".into() } else { format!("{} bits", corrupt.bits) };
    let part = match (corrupt.offset, corrupt.headers) {
        (None, false) => "of the payload".into(),
        (None, true) => "of headers or payload".into(),
        (Some((from, to)), false) => format!("in payload bytes {from} to {}", to - 1),
        (Some((from, to)), true) => format!("in bytes {from} to {} from the IP header", to - 1),
    };
    let who = match corrupt.valid {
        true => "the checksum is mended, so the application sees it",
        false => "the checksum is wrong, so the receiver's stack discards it",
    };
    format!("flips {bits} {part} of {}; {who}", each(corrupt.p))
}

fn answer(kind: Reject) -> &'static str {
    match kind {
        Reject::Reset => "RST",
        Reject::Port => "ICMP port unreachable",
        Reject::Host => "ICMP host unreachable",
        Reject::Net => "ICMP network unreachable",
        Reject::Admin => "ICMP administratively prohibited",
    }
}

fn narrowed(when: &When) -> String {
    let mut parts: Vec<String> = Vec::new();
    parts.extend(when.segment.map(|segment| {
        match segment {
            Segment::Syn => "SYN",
            Segment::SynAck => "SYN-ACK",
            Segment::Data => "segments with payload",
            Segment::AckOnly => "pure acknowledgements",
            Segment::Fin => "FIN",
            Segment::Rst => "RST",
        }
        .into()
    }));
    parts.extend(when.size.map(|(min, max)| format!("packets of {min} to {max} bytes")));
    parts.extend(when.stream.map(|(from, to)| {
        let last = to - 1;
        format!("what carries bytes {from} to {last} of the stream")
    }));
    if when.retransmission {
        parts.push("retransmissions".into());
    }
    parts.join(", ")
}
