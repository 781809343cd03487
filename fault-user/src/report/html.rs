//! report.html: one page that needs nothing but itself, in light and dark, without a script.
//!
//! Its content policy forbids scripts and every fetch, so that an id that slips through the
//! escaping still could not act; the filters work with style rules alone.

mod chart;
mod escape;
mod lanes;
mod mark;
mod tables;

use super::model::{AuditReport, CaptureReport, Report};
use super::view;
use super::words;
use crate::verdict::Verdict;
use escape::Esc;

const STYLE: &str = include_str!("html/style.css");

/// The whole page.
pub fn render(report: &Report) -> String {
    let mut out = head(report);
    out += &headline(report);
    section(&mut out, "Expectations", !report.expectations.is_empty(), || {
        tables::expectations(report)
    });
    section(&mut out, "Warnings", !report.warnings.is_empty(), || warnings(report));
    section(&mut out, "Timeline", true, || timeline(report));
    section(&mut out, "Messages", !report.sends.is_empty(), || tables::messages(report));
    section(&mut out, "Flows", !report.flows.is_empty(), || tables::flows(report));
    section(&mut out, "Evidence", true, || evidence(report));
    out += "</body>\n</html>\n";
    out
}

fn section(out: &mut String, title: &str, wanted: bool, body: impl FnOnce() -> String) {
    if wanted {
        *out += &format!("<section>\n<h2>{title}</h2>\n{}</section>\n", body());
    }
}

fn head(report: &Report) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{} {}</title>\n<style>\n{STYLE}{}</style>\n</head>\n<body>\n",
        view::result_word(report.result),
        Esc(&report.name),
        filter_rules(report),
    )
}

fn filter_rules(report: &Report) -> String {
    let rule = |(verdict, _): (Verdict, u64)| {
        let name = verdict.name();
        format!("body:has(#show-{name}:not(:checked)) .v-{name} {{ display: none; }}\n")
    };
    shown_verdicts(report).into_iter().map(rule).collect()
}

/// Those that messages bear; sends without an id have neither a sign nor a row.
fn shown_verdicts(report: &Report) -> Vec<(Verdict, u64)> {
    let count = |v: Verdict| {
        report.sends.iter().filter(|s| s.verdict == v && s.id.is_some()).count() as u64
    };
    view::BY_SEVERITY.into_iter().map(|v| (v, count(v))).filter(|(_, n)| *n > 0).collect()
}

fn headline(report: &Report) -> String {
    format!(
        "<header class=\"{}\">\n<h1><span class=\"result\">{}</span> {}</h1>\n<p class=\"note\">{}</p>\n\
         <p class=\"note\">{}, started {}, kernel {}, hook {}, line {}</p>\n\
         <p class=\"note\">Replay: <code>{}</code></p>\n</header>\n",
        mark::class(view::result_grade(report.result)),
        view::result_word(report.result),
        Esc(&report.name),
        Esc(&view::reason(report)),
        words::time(report.duration_ms),
        Esc(&report.started),
        Esc(&report.kernel),
        Esc(&report.backends.hook),
        Esc(&report.backends.line),
        Esc(&view::replay(report)),
    )
}

fn timeline(report: &Report) -> String {
    let filter = |(verdict, n): (Verdict, u64)| {
        let name = verdict.name();
        let sign = mark::inline(verdict);
        format!(
            "<label><input type=\"checkbox\" id=\"show-{name}\" checked>{sign} {n} {name}</label>\n"
        )
    };
    let filters: String = shown_verdicts(report).into_iter().map(filter).collect();
    let mut out = String::new();
    if !filters.is_empty() {
        out += &format!(
            "<div class=\"filters\" role=\"group\" aria-label=\"Messages to show\">\n{filters}</div>\n"
        );
    }
    out += &chart::render(report);
    let unclaimed = report.sends.iter().filter(|send| send.id.is_none()).count() as u64;
    if unclaimed > 0 {
        out += &format!(
            "<p class=\"note\">{} without an id, counted only.</p>\n",
            words::count(unclaimed, "send")
        );
    }
    let lost = view::losses(report).into_iter();
    let omitted = (report.sends_omitted > 0).then(|| view::omitted(report));
    for note in lost.chain(omitted) {
        out += &format!("<p class=\"note\">{}</p>\n", Esc(&note));
    }
    if !report.steps.is_empty() {
        out += &tables::steps(report);
    }
    out
}

fn warnings(report: &Report) -> String {
    let items: String = report.warnings.iter().map(|w| format!("<li>{}</li>\n", Esc(w))).collect();
    format!("<ul>\n{items}</ul>\n")
}

fn evidence(report: &Report) -> String {
    let blind = match report.evidence.blind_spots.as_slice() {
        [] => "none known".to_owned(),
        spots => spots.join(", "),
    };
    let lost = match report.events.lost {
        0 => "none lost".to_owned(),
        n => format!("<strong class=\"bad\">{n} lost</strong>: verdicts around them are unknown"),
    };
    let app = |a: &super::model::AppReport| {
        let end = a.exited_ms.map_or(String::new(), |at| format!(" at {}", words::time(at)));
        format!("<li>App {}: {}{end}</li>\n", Esc(&a.name), Esc(&a.status))
    };
    let apps: String = report.apps.iter().map(app).collect();
    format!(
        "<ul>\n<li>Byte ranges of sends from {}; blind spots: {}</li>\n<li>{} recorded, {lost}</li>\n{}{}{apps}</ul>\n",
        Esc(&report.evidence.tier),
        Esc(&blind),
        words::count(report.events.recorded, "event"),
        report.audit.as_ref().map_or_else(String::new, audited),
        report.capture.as_ref().map_or_else(String::new, captured),
    )
}

fn audited(audit: &AuditReport) -> String {
    let outcome = match audit.findings.as_slice() {
        [] => "everything adds up".to_owned(),
        findings => {
            let all: String = findings.iter().map(|f| format!("<li>{}</li>\n", Esc(f))).collect();
            format!("<strong class=\"bad\">something does not add up</strong>:<ul>\n{all}</ul>\n")
        }
    };
    format!(
        "<li>Audit: {} and {} of rules looked at again; {outcome}</li>\n",
        words::count(audit.events, "event"),
        words::count(audit.decisions, "decision"),
    )
}

fn captured(capture: &CaptureReport) -> String {
    let missing = match capture.beyond + capture.lost {
        0 => String::new(),
        n => format!("; {} not in it", words::count(n, "faulted packet")),
    };
    format!("<li>{} in dropped.pcapng{missing}</li>\n", words::count(capture.packets, "packet"))
}

#[cfg(test)]
mod tests;
