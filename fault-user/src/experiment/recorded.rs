//! `events.jsonl` of a run: every event, and all else that its verdicts were made from.

use std::fs::File;
use std::io::BufWriter;

use super::counted::Counted;
use super::state::State;
use crate::clock;
use crate::correlate::Facts;
use crate::ledger::lines::{End, FlowDirection, Line, LostEvents};
use crate::ledger::store::{Header, JsonlWriter};
use crate::report::{OutDir, write};

/// The first line.
pub fn header(facts: &Facts, seed: u64) -> Header {
    Header::new(facts.t0, clock::realtime_offset_ns(), seed, &facts.names)
}

/// The last line.
pub fn end(facts: &Facts, counted: &Counted) -> End {
    let armed = facts.armed_at_end.iter();
    let gaps = facts.gaps.iter();
    End {
        ts: facts.end,
        late_after_ns: facts.late_after.map(|d| d.as_nanos() as u64),
        armed: armed.map(|&(flow, direction)| FlowDirection { flow, direction }).collect(),
        gaps: gaps.map(|g| LostEvents { cookie: g.cookie, from: g.from, to: g.to }).collect(),
        recorded: counted.recorded,
        counters: counted.audit.clone(),
    }
}

/// Writes it.
pub fn write(state: &State<'_>, header: &Header, end: &End, out: &OutDir) -> std::io::Result<()> {
    let file = BufWriter::new(File::create(out.path().join(write::EVENTS))?);
    let mut writer = JsonlWriter::new(file, header)?;
    for armed in &state.armed {
        writer.write_line(&Line::Armed(armed.clone()))?;
    }
    for entry in state.ledger.entries() {
        writer.write(entry)?;
    }
    for message in &state.messages {
        writer.write_line(&Line::Message(message.clone()))?;
    }
    writer.write_line(&Line::End(end.clone()))?;
    writer.finish().map(drop)
}
