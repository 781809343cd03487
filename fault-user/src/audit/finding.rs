//! What does not add up.

use thiserror::Error;

use crate::ledger::audit;

/// Something that cannot be if run and files are what they say.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it all")]
pub enum Finding {
    #[error("events.jsonl has no end line: the run was killed, or the end of the file is missing")]
    NoEnd,
    #[error("events.jsonl has {found} events, the run has told of {recorded}")]
    Events { recorded: u64, found: u64 },
    #[error(transparent)]
    Law(#[from] audit::Finding),
    #[error(
        "the packet of socket {cookie} at {ts} ns was {was}, and by the rules of epoch {epoch} it should \
         have been {should}"
    )]
    Decision { cookie: u64, ts: u64, epoch: u32, was: String, should: String },
    #[error(
        "the packet of socket {cookie} at {ts} ns was judged by the rules of epoch {epoch}, which nobody armed"
    )]
    Epoch { cookie: u64, ts: u64, epoch: u32 },
    #[error("report.json says {report} for {what}, events.jsonl {record}")]
    Report { what: String, report: String, record: String },
    #[error(
        "report.json says {report} for send `{send}`, its events and the app's words say {record}"
    )]
    Verdict { send: String, report: String, record: String },
}
