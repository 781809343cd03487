//! The delay line of a run: made when some fault of the plan needs it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::RunError;
use crate::act::{ActError, RawSender};
use crate::capture::Limits;
use crate::clock;
use crate::kernel::{Batch, Kernel};
use crate::line::fq::Fq;
use crate::line::frame::{Frame, Reject, reset_answer, unreachable};
use crate::line::tally::Tally;
use crate::line::{Answer, Backend, Device, Line, LineError, Reached, Settings, Start, choose};
use crate::plan::Plan;
use crate::scenario::model::Capture;

/// A line that has not moved for so long is stuck.
const STUCK: Duration = Duration::from_secs(1);

/// How long the end of a run waits for packets that are still held: by then no rule is live, and the
/// apps have ended.
const DRAIN: Duration = Duration::from_secs(1);

/// The line.
pub struct Running {
    pub line: Box<dyn Backend>,
}

impl Running {
    /// Waits for what is still held, but not for long.
    pub fn drain(&self) {
        self.line.drain(DRAIN);
    }

    /// Lets go of everything that is held.
    ///
    /// # Errors
    /// The thread had ended early, and why.
    pub fn finish(self) -> Result<Tally, LineError> {
        self.line.finish()
    }

    /// Whether its thread moves.
    pub fn is_alive(&self) -> bool {
        clock::monotonic_ns().saturating_sub(self.line.last_beat()) < STUCK.as_nanos() as u64
    }
}

/// Who answers for the line.
pub type Answers = Box<dyn FnMut(Answer) + Send>;

/// Makes the device of the line that the plan asks for, if it needs one.
pub fn device(plan: &Plan) -> Result<Option<Device>, RunError> {
    plan.needs_line().then(|| choose(plan)).transpose().map_err(|e| for_fault(plan, e))
}

fn for_fault(plan: &Plan, source: LineError) -> RunError {
    let fault = plan.first_on_line().map_or_else(String::new, |r| r.text.clone());
    RunError::Line { fault, source }
}

/// Makes the line on its device. The settings that it needs the [journal](super::journal) has
/// changed.
pub fn open(
    kernel: &mut Kernel,
    plan: &Plan,
    capture: Capture,
    device: Device,
    events: UnboundedSender<Batch>,
    answers: Answers,
) -> Result<Running, RunError> {
    let line: Box<dyn Backend> = match device {
        Device::Tap(tap) => {
            let shared = kernel.open_line(tap.name(), tap.ifindex())?;
            let (seed, tables, hold) = (plan.seed, plan.tables.clone(), plan.line.hold);
            let Capture { snaplen, max } = capture;
            let settings = Settings { seed, tables, hold, capture: Limits { snaplen, max } };
            Box::new(
                Line::start(Start { tap, shared, settings, events, answers })
                    .map_err(|e| for_fault(plan, e))?,
            )
        }
        Device::Fq(pair) => {
            let enter = RunError::io("enter the network namespace of the delay line's far end");
            pair.beyond(|far| kernel.attach_bounce(far)).map_err(enter)??;
            let waits = kernel.open_fq(pair.name(), pair.ifindex(), plan.line.hold)?;
            Box::new(Fq::new(pair, waits))
        }
    };
    tracing::debug!("the delay line is {} on interface {}", line.name(), line.ifindex());
    Ok(Running { line })
}

/// Refusals are answered at once, from the line's own thread; resets need to know more of the
/// connection than the line does.
pub fn answers(sender: Arc<RawSender>, resets: UnboundedSender<Reached>) -> Answers {
    Box::new(move |answer| match answer {
        Answer::Reset { reached, .. } => {
            // The receiver goes only when the run is over.
            let _ = resets.send(reached);
        }
        Answer::Reject { kind, frame, handed } => {
            if let Err(e) = reject(&sender, kind, &frame, handed.ifindex) {
                tracing::warn!("a packet was refused without an answer: {e}");
            }
        }
    })
}

/// The kinds of unreachable, by the number of [`fault_common::fate::Model::Reject`]; 0 is a reset.
const KINDS: [Option<Reject>; 5] =
    [None, Some(Reject::Port), Some(Reject::Host), Some(Reject::Net), Some(Reject::Admin)];

fn link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

fn reject(sender: &RawSender, kind: u8, frame: &Frame, ifindex: u32) -> Result<(), ActError> {
    let by = if frame.source().is_some_and(|s| link_local(s.ip())) { ifindex } else { 0 };
    match KINDS.get(usize::from(kind)).copied().flatten() {
        None => match reset_answer(frame) {
            Some(packet) => sender.send_ip(&packet, by),
            None => Ok(()),
        },
        Some(kind) => match unreachable(frame, kind) {
            // Eight bytes of header, then the quote.
            Some(m) => match m.bytes.split_at_checked(8) {
                Some((&[kind, code, ..], quote)) => {
                    sender.send_icmp(m.to, m.unreachable, (kind, code), quote)
                }
                _ => Ok(()),
            },
            None => Ok(()),
        },
    }
}
