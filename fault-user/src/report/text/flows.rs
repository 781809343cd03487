//! One line for each flow; two where the page is too narrow for its addresses.

use super::page::{Page, widest};
use crate::report::model::{FlowReport, Report};
use crate::report::view::{self, Grade};
use crate::report::words;

/// With more bystanders than this, one line stands for all that were left alone.
const BYSTANDERS_SHOWN: usize = 5;

pub(super) fn write(page: &mut Page, report: &Report) {
    if report.flows.is_empty() {
        return;
    }
    page.heading("Flows (in packets)");
    let untouched = |f: &&FlowReport| !f.selected && !view::touched_bystander(f);
    let bystanders: Vec<&FlowReport> = report.flows.iter().filter(untouched).collect();
    let collapse = bystanders.len() > BYSTANDERS_SHOWN;
    let shown: Vec<&FlowReport> = report
        .flows
        .iter()
        .filter(|f| !(collapse && untouched(f)))
        .collect();
    let names: Vec<String> = shown
        .iter()
        .map(|f| words::shorten(&words::visible(&f.name), 24))
        .collect();
    let apps: Vec<String> = shown
        .iter()
        .map(|f| words::shorten(&words::visible(&f.app), 16))
        .collect();
    let widths = [
        widest(names.iter().map(String::as_str)),
        widest(apps.iter().map(String::as_str)),
    ];
    let ends: Vec<String> = shown.iter().map(|f| ends(f)).collect();
    let end_width = widest(ends.iter().map(String::as_str));
    for (((flow, name), app), ends) in shown.iter().zip(&names).zip(&apps).zip(&ends) {
        let mark = format!("{name:w$}", w = widths[0]);
        let who = format!("{app:w$}  {ends:end_width$}", w = widths[1]);
        let hang = widths[0] + 4;
        let text = told(flow);
        let fits = hang + who.chars().count() + 2 + text.chars().count() <= page.width();
        let first = if fits { format!("{who}  {text}") } else { who };
        let grade = if flow.selected {
            Grade::Good
        } else {
            Grade::Quiet
        };
        columns(page, (&mark, grade), hang, &first);
        if !fits {
            page.indented(6, &text);
        }
    }
    if collapse {
        let packets: u64 = bystanders
            .iter()
            .map(|f| f.egress.packets + f.ingress.packets)
            .sum();
        let n = bystanders.len();
        page.indented(
            2,
            &format!(
                "{n} bystanders, none of them touched: {}",
                words::count(packets, "packet")
            ),
        );
    }
}

/// Padded columns stay as they are where they fit; wrapping would close their gaps.
fn columns(page: &mut Page, mark: (&str, Grade), hang: usize, text: &str) {
    if hang + text.trim_end().chars().count() <= page.width() {
        let painted = page.graded(mark.0, mark.1);
        page.line(&format!("  {painted}  {text}"));
    } else {
        page.item(mark, 2, hang, text);
    }
}

fn ends(flow: &FlowReport) -> String {
    format!(
        "{} -> {}",
        words::visible(&flow.local),
        words::visible(&flow.remote)
    )
}

fn told(flow: &FlowReport) -> String {
    let [out, back] = view::fault_counts(flow);
    let way = |word: &str, packets: u64, faults: Vec<String>| {
        if faults.is_empty() {
            format!("{word} {packets}")
        } else {
            format!("{word} {packets} ({})", faults.join(", "))
        }
    };
    let mut parts = vec![
        way("out", flow.egress.packets, out),
        way("in", flow.ingress.packets, back),
    ];
    if flow.retransmits > 0 {
        parts.push(words::count(flow.retransmits, "retransmit"));
    }
    parts.push(flow.closed_ms.map_or("open".to_owned(), |at| {
        format!("closed {}", words::time(at))
    }));
    let mark = match (flow.selected, view::touched_bystander(flow)) {
        (true, _) => "",
        (false, false) => "bystander: ",
        (false, true) => "BYSTANDER, YET TOUCHED: ",
    };
    format!("{mark}{}", parts.join(", "))
}
