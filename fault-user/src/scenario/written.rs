//! A fault as the file writes it, in the shortest form: for reports, and to read it again.

use super::model::{
    Corrupt, Delay, Fault, FaultSpec, Loss, Pulse, Rate, Replay, Segment, Shape, Trace, When,
};
use super::units::{format_duration, format_rate, format_size};
use super::validate::{REJECTS, SEGMENTS, SIDES, THENS};

/// What the fault does, to which packets and when, without flow and direction: `drop = 0.1`,
/// `delay = { mean = "100ms", jitter = "20ms" }, when = { tcp = "data" }`.
pub fn written(spec: &FaultSpec) -> String {
    let mut text = fault(&spec.fault);
    if spec.when != When::default() {
        text.push_str(&format!(", when = {}", when(&spec.when)));
    }
    if let Some(Pulse { on, off }) = spec.pulse {
        let [on, off] = [on, off].map(format_duration);
        text.push_str(&format!(", pulse = {{ on = \"{on}\", off = \"{off}\" }}"));
    }
    text
}

fn fault(fault: &Fault) -> String {
    match fault {
        Fault::Drop(loss) => format!("drop = {}", drop(loss)),
        Fault::Delay(delay) => format!("delay = {}", delayed(delay)),
        Fault::Rate(rate) => format!("rate = {}", link(rate)),
        Fault::Trace(trace) => format!("trace = {}", recorded(trace)),
        Fault::Corrupt(corrupt) => format!("corrupt = {}", corrupted(corrupt)),
        Fault::Duplicate(d) if d.copies == 1 => format!("duplicate = {}", d.p),
        Fault::Duplicate(d) => format!("duplicate = {{ p = {}, copies = {} }}", d.p, d.copies),
        Fault::Reorder(r) => format!(
            "reorder = {{ p = {}, gap = {}, delay = \"{}\" }}",
            r.p,
            r.gap,
            format_duration(r.delay)
        ),
        Fault::Reset(side) => format!("reset = \"{}\"", word(&SIDES, side)),
        Fault::Abort => "abort = true".into(),
        Fault::Reject(kind) => format!("reject = \"{}\"", word(&REJECTS, kind)),
        Fault::Stall => "stall = true".into(),
        Fault::Limit(limit) => {
            let then = word(&THENS, &limit.then);
            format!("limit = {{ bytes = {}, then = \"{then}\" }}", limit.bytes)
        }
        Fault::MarkCe(p) => format!("mark_ce = {p}"),
    }
}

fn drop(loss: &Loss) -> String {
    match loss {
        Loss::Random(p) => p.to_string(),
        Loss::Every(n) => format!("{{ every = {n} }}"),
        Loss::Nth(list) => format!("{{ nth = {list:?} }}"),
        Loss::First(n) => format!("{{ first = {n} }}"),
        Loss::Burst { p, len } => format!("{{ burst = {{ p = {p}, len = {len} }} }}"),
        Loss::GilbertElliott { p, r, good, bad } => {
            let mut inner = format!("p = {p}, r = {r}");
            if (*good, *bad) != (0.0, 1.0) {
                inner.push_str(&format!(", good = {good}, bad = {bad}"));
            }
            format!("{{ gilbert_elliott = {{ {inner} }} }}")
        }
        Loss::Markov { p13, p31, p32, p23, p14 } => format!(
            "{{ markov = {{ p13 = {p13}, p31 = {p31}, p32 = {p32}, p23 = {p23}, p14 = {p14} }} }}"
        ),
    }
}

fn delayed(delay: &Delay) -> String {
    let mean = format_duration(delay.mean);
    let Some(jitter) = &delay.jitter else {
        return format!("\"{mean}\"");
    };
    let mut text = format!("{{ mean = \"{mean}\", jitter = \"{}\"", format_duration(jitter.spread));
    match &jitter.shape {
        Shape::Uniform => {}
        Shape::Table { file, .. } => {
            text.push_str(&format!(", distribution = {{ file = {} }}", quoted(file)));
        }
        named => text.push_str(&format!(", distribution = \"{}\"", shape(named))),
    }
    if jitter.correlation > 0.0 {
        text.push_str(&format!(", correlation = {}", jitter.correlation));
    }
    text.push_str(if delay.keep_order { " }" } else { ", keep_order = false }" });
    text
}

/// The name of a shape that has one; a table's is its file.
pub fn shape(shape: &Shape) -> &str {
    match shape {
        Shape::Uniform => "uniform",
        Shape::Normal => "normal",
        Shape::Pareto => "pareto",
        Shape::ParetoNormal => "paretonormal",
        Shape::Table { file, .. } => file,
    }
}

fn link(rate: &Rate) -> String {
    let text = format_rate(rate.bits_per_s);
    match rate.queue {
        Rate::QUEUE => format!("\"{text}\""),
        queue => format!("{{ rate = \"{text}\", queue = \"{}\" }}", format_size(queue)),
    }
}

fn recorded(trace: &Trace) -> String {
    let file = quoted(&trace.file);
    match trace.replay {
        Replay::Mahimahi { queue: Rate::QUEUE, .. } => {
            format!("{{ file = {file}, format = \"mahimahi\" }}")
        }
        Replay::Mahimahi { queue, .. } => {
            let queue = format_size(queue);
            format!("{{ file = {file}, format = \"mahimahi\", queue = \"{queue}\" }}")
        }
        Replay::Csv { .. } => format!("{{ file = {file}, format = \"csv\" }}"),
    }
}

fn corrupted(corrupt: &Corrupt) -> String {
    let mut more = String::new();
    if corrupt.bits != 1 {
        more.push_str(&format!(", bits = {}", corrupt.bits));
    }
    if !corrupt.valid {
        more.push_str(", checksum = \"bad\"");
    }
    if let Some((from, to)) = corrupt.offset {
        more.push_str(&format!(", offset = [{from}, {to}]"));
    }
    if corrupt.headers {
        more.push_str(", headers = true");
    }
    match more.as_str() {
        "" => corrupt.p.to_string(),
        more => format!("{{ p = {}{more} }}", corrupt.p),
    }
}

fn when(when: &When) -> String {
    let mut parts = Vec::new();
    if let Some(segment) = when.segment {
        parts.push(format!("tcp = \"{}\"", segment_word(segment)));
    }
    if let Some((min, max)) = when.size {
        parts.push(format!("size = [{min}, {max}]"));
    }
    if let Some((from, to)) = when.stream {
        parts.push(format!("stream = [{from}, {to}]"));
    }
    if when.retransmission {
        parts.push("retransmission = true".into());
    }
    format!("{{ {} }}", parts.join(", "))
}

/// How `when` calls a kind of segment.
pub fn segment_word(segment: Segment) -> &'static str {
    word(&SEGMENTS, &segment)
}

fn word<T: PartialEq>(words: &[(&'static str, T)], meant: &T) -> &'static str {
    // Each table has all values of its type; the round trip in the tests would show a gap.
    words.iter().find(|(_, value)| value == meant).map_or("?", |(word, _)| word)
}

/// A TOML basic string; its escapes are those of JSON for what a path can hold.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
