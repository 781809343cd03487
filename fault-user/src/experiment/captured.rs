//! `dropped.pcapng` of a run.

use std::fs::File;
use std::io::BufWriter;

use fault_common::stats::Global;

use super::prepare::Stage;
use super::state::State;
use crate::capture::{self, CaptureError, Kept, Limits, Named, Page};
use crate::chain::told;
use crate::clock;
use crate::correlate::names::Names;
use crate::ledger::flow::FlowRecord;
use crate::report::model::CaptureReport;
use crate::report::{OutDir, write};

/// Flows, which messages each packet is about, and what to call all of them.
type Known<'a> = (&'a [FlowRecord], &'a [Named], &'a Names);

/// The packets that are kept, and how many the delay line had no room for.
pub fn gather(state: &mut State<'_>) -> (Kept, u64) {
    let (of_line, beyond) = match &mut state.tally {
        Some(tally) => (std::mem::take(&mut tally.captured), tally.captured_beyond),
        None => (Vec::new(), 0),
    };
    let of_hook = std::mem::take(&mut state.captured);
    (Kept::gather(limits(state), of_hook.into_iter().chain(of_line)), beyond)
}

fn limits(state: &State<'_>) -> Limits {
    Limits { snaplen: state.scenario.capture.snaplen, max: state.scenario.capture.max }
}

/// Writes it. What is not in it is a warning; that it could not be written fails the run.
pub fn write(
    stage: &Stage,
    state: &mut State<'_>,
    (kept, beyond_line): (Kept, u64),
    known: Known<'_>,
    out: &OutDir,
) -> Option<CaptureReport> {
    let limits = limits(state);
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
    (flows, named, names): Known<'_>,
    out: &OutDir,
) -> Result<(), CaptureError> {
    let file = BufWriter::new(File::create(out.path().join(write::CAPTURE))?);
    let page = Page {
        packets: &kept.packets,
        links: &stage.links,
        snaplen: limits.snaplen,
        flows,
        sends: &[],
        names,
        clock: clock::realtime_offset_ns(),
    };
    capture::write_named(file, &page, named)
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
