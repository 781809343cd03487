//! From lines to messages.

use std::collections::BTreeSet;

use super::scalar::Scalar;
use super::{AppMessage, OutcomeWarning, Parsed, json, regex, time};
use crate::clock::{History, Reading};
use crate::scenario::model::{OutcomeFields, OutcomeFormat, OutcomeTiming, Outcomes};
use crate::verdict::Outcome;

const NS_PER_MS: f64 = 1e6;

/// A message, and a complaint that does not cost it its place.
type Read = Result<Option<(AppMessage, Option<OutcomeWarning>)>, OutcomeWarning>;

/// Reads the outcome lines of one app, in the order in which it wrote them.
#[derive(Debug)]
pub struct OutcomeParser {
    app: u32,
    spec: Outcomes,
    clock: History,
    previous: u64,
    unknown: BTreeSet<String>,
    /// Fields that a line was without, which has been said.
    missing: BTreeSet<String>,
}

impl OutcomeParser {
    /// `started`: when the app started, CLOCK_MONOTONIC ns. `clock`: the clocks so far, for apps that tell wall-clock
    /// times.
    pub fn new(app: u32, spec: &Outcomes, started: u64, clock: History) -> Self {
        let (unknown, missing) = (BTreeSet::new(), BTreeSet::new());
        Self { app, spec: spec.clone(), clock, previous: started, unknown, missing }
    }

    /// Takes a reading of the clocks; without any for some time, stamps are mapped as if nobody had set them.
    pub fn read_clock(&mut self, now: Reading) {
        self.clock.read(now);
    }

    /// Reads one line (without its end); `written_at` is the moment of the app's own write,
    /// CLOCK_MONOTONIC ns.
    pub fn parse(&mut self, line: &[u8], written_at: u64) -> Parsed {
        match self.read(line, written_at) {
            Ok(None) => Parsed::default(),
            Ok(Some((message, warning))) => {
                self.previous = written_at;
                let warning = warning.filter(|w| self.is_news(w));
                let warning = self.status_warning(&message).or(warning);
                Parsed { message: Some(message), warning }
            }
            Err(warning) => {
                Parsed { message: None, warning: Some(warning).filter(|w| self.is_news(w)) }
            }
        }
    }

    fn read(&self, line: &[u8], written_at: u64) -> Read {
        match &self.spec.format {
            OutcomeFormat::Json(fields) => match json::Line::parse(line) {
                Some(line) => self.message(fields, written_at, |name| line.field(name)),
                None => Ok(None),
            },
            OutcomeFormat::Regex { pattern, fields } => {
                match regex::Line::parse(&pattern.0, line) {
                    Some(line) => self.message(fields, written_at, |name| line.field(name)),
                    None => Ok(None),
                }
            }
        }
    }

    fn message(
        &self,
        fields: &OutcomeFields,
        written_at: u64,
        get: impl Fn(&str) -> Option<Scalar>,
    ) -> Read {
        let Some(id) = get(&fields.id).map(|v| v.text()) else {
            return Ok(None);
        };
        let need = |field: &str| {
            let missing = OutcomeWarning::Missing { id: id.clone(), field: field.to_owned() };
            get(field).ok_or(missing)
        };
        let raw_status = need(&fields.status)?.text();
        let span = self.span(&id, written_at, &need)?;
        let (bytes, warning) = match &fields.bytes {
            Some(field) => size(&id, field, need(field)),
            None => (None, None),
        };
        let retry_of = fields.retry_of.as_ref().and_then(|field| get(field)).map(|v| v.text());
        let message = AppMessage {
            app: self.app,
            outcome: self.outcome(&raw_status),
            raw_status,
            t0: span.t0,
            t1: span.t1,
            bytes,
            timing_given: !matches!(self.spec.timing, OutcomeTiming::LineOnly),
            resolution: span.resolution,
            // Of a first try it is empty, or its own.
            retry_of: retry_of.filter(|of| !of.is_empty() && *of != id),
            id,
        };
        Ok(Some((message, warning)))
    }

    fn span(
        &self,
        id: &str,
        written_at: u64,
        need: &impl Fn(&str) -> Result<Scalar, OutcomeWarning>,
    ) -> Result<Span, OutcomeWarning> {
        match &self.spec.timing {
            OutcomeTiming::LineOnly => {
                Ok(Span { t0: self.previous.min(written_at), t1: written_at, resolution: 0 })
            }
            OutcomeTiming::ElapsedMs(field) => elapsed(id, field, written_at, &need(field)?),
            OutcomeTiming::Stamps { started, finished } => {
                let stamp = |field: &str| {
                    let value = need(field)?;
                    time::stamp(&value, &self.clock, written_at).ok_or_else(|| {
                        bad(id, field, &value, "time (RFC 3339, s or ms since 1970)")
                    })
                };
                let (t0, r0) = stamp(started)?;
                let (t1, r1) = finished.as_deref().map_or(Ok((written_at, 0)), stamp)?;
                if t0 > t1.saturating_add(r0) {
                    return Err(OutcomeWarning::Backwards { id: id.to_owned() });
                }
                Ok(Span { t0: t0.min(t1), t1, resolution: r0.max(r1) })
            }
        }
    }

    fn outcome(&self, status: &str) -> Outcome {
        if self.spec.ok.iter().any(|s| s == status) {
            Outcome::Ok
        } else if self.spec.failed.iter().any(|s| s == status) {
            Outcome::Failed
        } else {
            Outcome::None
        }
    }

    /// A field that is missing is told once: apps that log in spans have the id in lines that are no outcomes.
    fn is_news(&mut self, warning: &OutcomeWarning) -> bool {
        match warning {
            OutcomeWarning::Missing { field, .. } => self.missing.insert(field.clone()),
            _ => true,
        }
    }

    /// Once per value: an app may say the same thousands of times.
    fn status_warning(&mut self, message: &AppMessage) -> Option<OutcomeWarning> {
        let AppMessage { outcome, raw_status, id, .. } = message;
        let news = *outcome == Outcome::None && self.unknown.insert(raw_status.clone());
        news.then(|| OutcomeWarning::UnknownStatus { id: id.clone(), status: raw_status.clone() })
    }
}

struct Span {
    t0: u64,
    t1: u64,
    resolution: u64,
}

fn elapsed(id: &str, field: &str, written_at: u64, value: &Scalar) -> Result<Span, OutcomeWarning> {
    let ms = value.number().filter(|ms| *ms >= 0.0);
    let ms = ms.ok_or_else(|| bad(id, field, value, "duration in milliseconds"))?;
    let resolution = if value.is_whole() { NS_PER_MS as u64 } else { 0 };
    let t0 = written_at.saturating_sub((ms * NS_PER_MS) as u64);
    Ok(Span { t0, t1: written_at, resolution })
}

fn bad(id: &str, field: &str, value: &Scalar, want: &'static str) -> OutcomeWarning {
    let (id, field, value) = (id.to_owned(), field.to_owned(), value.text());
    OutcomeWarning::Bad { id, field, value, want }
}

/// A message without a usable size still counts, it only is harder to match.
fn size(
    id: &str,
    field: &str,
    value: Result<Scalar, OutcomeWarning>,
) -> (Option<u64>, Option<OutcomeWarning>) {
    match value {
        Err(warning) => (None, Some(warning)),
        Ok(value) => match value.number().filter(|n| *n >= 0.0 && n.fract() == 0.0) {
            Some(n) => (Some(n as u64), None),
            None => (None, Some(bad(id, field, &value, "size in bytes"))),
        },
    }
}
