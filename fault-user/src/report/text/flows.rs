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
    let shown: Vec<&FlowReport> =
        report.flows.iter().filter(|f| !(collapse && untouched(f))).collect();
    rows(page, &shown);
    if collapse {
        let packets: u64 = bystanders.iter().map(|f| f.egress.packets + f.ingress.packets).sum();
        let (n, packets) = (bystanders.len(), words::count(packets, "packet"));
        page.indented(2, &format!("{n} bystanders, none of them touched: {packets}"));
    }
}

fn rows(page: &mut Page, shown: &[&FlowReport]) {
    let cell = |text: &str, max| words::shorten(&words::visible(text), max);
    let names: Vec<String> = shown.iter().map(|f| cell(&f.name, 24)).collect();
    let apps: Vec<String> = shown.iter().map(|f| cell(&f.app, 16)).collect();
    let ends: Vec<String> = shown.iter().map(|f| ends(f)).collect();
    let [name_width, app_width, end_width] =
        [&names, &apps, &ends].map(|texts| widest(texts.iter().map(String::as_str)));
    let hang = name_width + 4;
    for (i, flow) in shown.iter().enumerate() {
        let mark = format!("{:name_width$}", names[i]);
        let who = format!("{:app_width$}  {:end_width$}", apps[i], ends[i]);
        let text = told(flow);
        let fits = hang + who.chars().count() + 2 + text.chars().count() <= page.width();
        let grade = if flow.selected { Grade::Good } else { Grade::Quiet };
        let first = if fits { format!("{who}  {text}") } else { who };
        columns(page, (&mark, grade), hang, &first);
        if !fits {
            page.indented(6, &text);
        }
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
    format!("{} -> {}", words::visible(&flow.local), words::visible(&flow.remote))
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
    let mut parts =
        vec![way("out", flow.egress.packets, out), way("in", flow.ingress.packets, back)];
    if flow.retransmits > 0 {
        parts.push(words::count(flow.retransmits, "retransmit"));
    }
    parts
        .push(flow.closed_ms.map_or("open".to_owned(), |at| format!("closed {}", words::time(at))));
    let mark = match (flow.selected, view::touched_bystander(flow)) {
        (true, _) => "",
        (false, false) => "bystander: ",
        (false, true) => "BYSTANDER, YET TOUCHED: ",
    };
    format!("{mark}{}", parts.join(", "))
}
