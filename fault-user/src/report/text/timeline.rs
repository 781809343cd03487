//! The timeline: a bar of when faults were on, then each step.

use super::page::{Page, widest};
use crate::report::model::{Report, StepReport};
use crate::report::view::{self, Grade, Period};
use crate::report::words;

/// Columns of the bar itself; with its two labels it fits in 80.
const BAR: usize = 44;

pub(super) fn write(page: &mut Page, report: &Report) {
    if report.steps.is_empty() {
        return;
    }
    page.heading("Timeline");
    let periods = view::periods(report);
    if !periods.is_empty() && report.duration_ms > 0.0 && page.width() >= BAR + 36 {
        let bar = bar(&periods, report.duration_ms);
        page.line(&format!("  0 s {bar} {}   (# = faults on)", words::time(report.duration_ms)));
    }
    let times: Vec<String> = report.steps.iter().map(began).collect();
    let time_width = widest(times.iter().map(String::as_str));
    let names: Vec<String> = report.steps.iter().map(|s| words::visible(&s.name)).collect();
    let name_width = widest(names.iter().map(String::as_str));
    for ((step, time), name) in report.steps.iter().zip(&times).zip(&names) {
        let grade = if step.armed_ms.is_some() { Grade::Quiet } else { Grade::Doubtful };
        let mark = format!("{time:>time_width$}  {name}");
        page.item((&mark, grade), 2, time_width + name_width + 6, &told(report, step));
    }
}

fn began(step: &StepReport) -> String {
    step.armed_ms.map_or("never".to_owned(), words::time)
}

/// What it did, until when, and how often its faults acted.
fn told(report: &Report, step: &StepReport) -> String {
    let mut text = words::visible(&step.what);
    if step.armed_ms.is_none() {
        return format!("did not happen: {text}");
    }
    if let Some(at) = step.lifted_ms {
        text += &format!("; lifted at {}", words::time(at));
    } else if report.faults.iter().any(|f| f.step == step.name) {
        text += "; on to the end";
    }
    let hits: Vec<String> = report
        .faults
        .iter()
        .filter(|f| f.step == step.name)
        .map(|f| {
            format!(
                "{} {} of {}",
                words::visible(&f.direction),
                f.acted,
                words::count(f.matched, "packet")
            )
        })
        .collect();
    if !hits.is_empty() {
        text += &format!("; hit {}", hits.join(", "));
    }
    text
}

/// A period shows in at least one column, however short it was.
fn bar(periods: &[Period<'_>], duration_ms: f64) -> String {
    let column = |ms: f64| (ms.clamp(0.0, duration_ms) / duration_ms * BAR as f64) as usize;
    let on = |i: usize| {
        periods.iter().any(|p| {
            let from = column(p.from_ms).min(BAR - 1);
            let to = column(p.to_ms).max(from + 1);
            (from..to).contains(&i)
        })
    };
    let cells: String = (0..BAR).map(|i| if on(i) { '#' } else { '-' }).collect();
    format!("|{cells}|")
}
