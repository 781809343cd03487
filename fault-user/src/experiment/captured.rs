//! `dropped.pcapng` of a run.

use std::fs::File;
use std::io::BufWriter;

use fault_common::stats::Global;

use super::prepare::Stage;
use super::state::State;
use crate::capture::{self, CaptureError, Kept, Limits, Page};
use crate::chain::told;
use crate::clock;
use crate::correlate::names::Names;
use crate::ledger::flow::FlowRecord;
use crate::report::model::{CaptureReport, SendReport};
use crate::report::{OutDir, write};

/// Flows, their sends and what to call them.
type Known<'a> = (&'a [FlowRecord], &'a [SendReport], &'a Names);

/// Writes it. What is not in it is a warning; that it could not be written fails the run.
pub fn write(
    stage: &Stage,
    state: &mut State<'_>,
    known: Known<'_>,
    out: &OutDir,
) -> Option<CaptureReport> {
    let limits =
        Limits { snaplen: state.scenario.capture.snaplen, max: state.scenario.capture.max };
    let (of_line, beyond_line) = match &mut state.tally {
        Some(tally) => (std::mem::take(&mut tally.captured), tally.captured_beyond),
        None => (Vec::new(), 0),
    };
    let of_hook = std::mem::take(&mut state.captured);
    let kept = Kept::gather(limits, of_hook.into_iter().chain(of_line));
    let totals = match stage.kernel.totals() {
        Ok(totals) => totals,
        Err(e) => {
            state.fail(told(&e));
            return None;
        }
    };
    let report = CaptureReport {
        packets: kept.packets.len() as u64,
        snaplen: limits.snaplen,
        beyond: kept.beyond + beyond_line + totals.get(Global::CaptureBeyond),
        lost: totals.get(Global::CaptureLost),
    };
    if let Err(e) = to_file(stage, &kept, limits, known, out) {
        state.fail(told(&e));
        return None;
    }
    note(state, report, limits);
    Some(report)
}

fn to_file(
    stage: &Stage,
    kept: &Kept,
    limits: Limits,
    (flows, sends, names): Known<'_>,
    out: &OutDir,
) -> Result<(), CaptureError> {
    let file = BufWriter::new(File::create(out.path().join(write::CAPTURE))?);
    let page = Page {
        packets: &kept.packets,
        links: &stage.links,
        snaplen: limits.snaplen,
        flows,
        sends,
        names,
        clock: clock::realtime_offset_ns(),
    };
    capture::write(file, &page)
}

fn note(state: &mut State<'_>, report: CaptureReport, limits: Limits) {
    if report.lost > 0 {
        state.warnings.push(format!(
            "{} faulted packets are missing in {}: they came faster than they could be copied (a smaller \
             `capture.snaplen` leaves room for more)",
            report.lost,
            write::CAPTURE
        ));
    }
    if report.beyond > 0 && limits.max > 0 {
        state.warnings.push(format!(
            "{} faulted packets are not in {}: `capture.max` is {}",
            report.beyond,
            write::CAPTURE,
            limits.max
        ));
    }
}
