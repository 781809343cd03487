//! The tables of the page: messages, steps, flows, expectations.

use super::escape::Esc;
use super::mark;
use crate::report::model::{Counters, FlowReport, Report, SendReport, StepReport};
use crate::report::view;
use crate::report::words;
use crate::verdict::{Confidence, Outcome};

/// Rows beyond this make the page slow; the worst verdicts come first.
const ROWS: usize = 2000;

/// A table in a box that scrolls sideways; `n` in a heading marks a column of numbers.
fn table(headings: &[(&str, bool)], rows: &str) -> String {
    let head: String = headings
        .iter()
        .map(|(text, number)| {
            format!("<th scope=\"col\"{}>{text}</th>", if *number { " class=\"n\"" } else { "" })
        })
        .collect();
    format!(
        "<div class=\"wide\"><table><thead><tr>{head}</tr></thead><tbody>\n{rows}</tbody></table></div>\n"
    )
}

pub(super) fn messages(report: &Report) -> String {
    let all = view::messages(report);
    if all.is_empty() {
        return "<p class=\"note\">No send has an id: no outcome line claims one.</p>\n".to_owned();
    }
    let rows: String = all.iter().take(ROWS).map(|send| message(send)).collect();
    let headings = [
        ("Verdict", false),
        ("Id", false),
        ("Flow", false),
        ("App said", false),
        ("Began", true),
        ("Acked", true),
        ("Drops", true),
        ("Retransmits", true),
        ("Why", false),
    ];
    let mut out = table(&headings, &rows);
    if all.len() > ROWS {
        out +=
            &format!("<p class=\"note\">... and {} more: see report.json.</p>\n", all.len() - ROWS);
    }
    out
}

fn message(send: &SendReport) -> String {
    let verdict = send.verdict.name();
    let class = mark::class(view::grade(send.verdict));
    let said = match send.outcome {
        Outcome::Ok => "ok",
        Outcome::Failed => "failed",
        Outcome::None => "nothing",
    };
    let flow = if send.via.len() > 1 {
        send.via.join(" → ")
    } else {
        send.flow.clone().unwrap_or("none".to_owned())
    };
    format!(
        "<tr class=\"v-{verdict}\"><td class=\"k\">{} <span class=\"{class}\">{verdict}</span></td>\
         <td class=\"id\"><code>{}</code></td><td>{}</td><td>{said}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
         <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"w\">{}</td></tr>\n",
        mark::inline(send.verdict),
        Esc(send.id.as_deref().unwrap_or_default()),
        Esc(&flow),
        words::time(send.started_ms),
        send.acked_ms.map_or("never".to_owned(), words::time),
        send.drops,
        send.retransmits,
        Esc(&why(send)),
    )
}

fn why(send: &SendReport) -> String {
    let doubt = match send.confidence {
        Confidence::Exact => "",
        Confidence::Overlap => " (byte range shared with other sends)",
        Confidence::Gap => " (events were lost around it)",
    };
    format!("{}{doubt}", send.why)
}

pub(super) fn steps(report: &Report) -> String {
    let rows: String =
        report.steps.iter().enumerate().map(|(i, step)| step_row(report, i + 1, step)).collect();
    let headings = [
        ("#", true),
        ("Step", false),
        ("At", true),
        ("Lifted", true),
        ("What", false),
        ("Hit", false),
    ];
    table(&headings, &rows)
}

fn step_row(report: &Report, number: usize, step: &StepReport) -> String {
    let faults: Vec<_> = report.faults.iter().filter(|f| f.step == step.name).collect();
    let hits: Vec<String> = faults
        .iter()
        .map(|f| {
            format!(
                "{} {}: {} of {}",
                f.direction,
                f.fault,
                f.acted,
                words::count(f.matched, "packet")
            )
        })
        .collect();
    let lifted = match step.lifted_ms {
        Some(at) => words::time(at),
        None if step.armed_ms.is_some() && !faults.is_empty() => "at the end".to_owned(),
        None => String::new(),
    };
    let at = step.armed_ms.map_or("<span class=\"doubtful\">never</span>".to_owned(), words::time);
    format!(
        "<tr><td class=\"n\">{number}</td><td>{}</td><td class=\"n\">{at}</td><td class=\"n\">{lifted}</td>\
         <td class=\"w\">{}</td><td class=\"w\">{}</td></tr>\n",
        Esc(&step.name),
        Esc(&step.what),
        Esc(&hits.join("; ")),
    )
}

pub(super) fn flows(report: &Report) -> String {
    let rows: String = report.flows.iter().map(flow_row).collect();
    let headings = [
        ("Flow", false),
        ("App", false),
        ("Local → remote", false),
        ("Opened", true),
        ("Closed", true),
        ("Out", false),
        ("In", false),
        ("Retransmits", true),
    ];
    table(&headings, &rows)
}

fn flow_row(flow: &FlowReport) -> String {
    let kind = match (flow.selected, view::touched_bystander(flow)) {
        (true, _) => "",
        (false, false) => " <span class=\"quiet\">bystander</span>",
        (false, true) => " <strong class=\"bad\">bystander, yet touched</strong>",
    };
    let [out, back] = view::fault_counts(flow);
    format!(
        "<tr><td>{}{kind}</td><td>{}</td><td><code>{} → {}</code></td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
         <td class=\"k\">{}</td><td class=\"k\">{}</td><td class=\"n\">{}</td></tr>\n",
        Esc(&flow.name),
        Esc(&flow.app),
        Esc(&flow.local),
        Esc(&flow.remote),
        flow.opened_ms.map_or("before".to_owned(), words::time),
        flow.closed_ms.map_or("open".to_owned(), words::time),
        counters(&flow.egress, &out),
        counters(&flow.ingress, &back),
        flow.retransmits,
    )
}

fn counters(c: &Counters, faults: &[String]) -> String {
    let total = format!("{}, {}", words::count(c.packets, "packet"), words::size(c.bytes));
    if faults.is_empty() {
        total
    } else {
        format!("{total}<br><strong>{}</strong>", faults.join(", "))
    }
}

pub(super) fn expectations(report: &Report) -> String {
    let row = |e: &crate::report::model::ExpectationReport| {
        let (sign, word, class) =
            if e.held { ("✓", "held", "good") } else { ("✗", "FAILED", "bad") };
        let (text, observed) = (Esc(&e.text), Esc(&e.observed));
        format!(
            "<tr><td class=\"k {class}\">{sign} {word}</td><td class=\"w\">{text}</td><td class=\"w\">{observed}</td></tr>\n"
        )
    };
    let rows: String = report.expectations.iter().map(row).collect();
    table(&[("Result", false), ("Expected", false), ("Observed", false)], &rows)
}
