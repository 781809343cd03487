//! The summary for a terminal: the result first, then why, narrow enough for 80 columns.

mod flows;
mod page;
mod timeline;

use super::model::{AppReport, Report, SendReport};
use super::view::{self, Grade};
use super::words;
use crate::verdict::Verdict;
use page::Page;

/// Messages that get a line of their own; the rest stands in report.json.
const MESSAGES_SHOWN: usize = 20;

/// How the summary is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// ANSI colours; the words alone say the same without them.
    pub colour: bool,
    /// Columns, taken as at least 40.
    pub width: usize,
}

impl Default for Style {
    fn default() -> Self {
        Self { colour: false, width: 80 }
    }
}

/// The whole summary; ends with a line end, no line ends with a space.
pub fn render(report: &Report, style: Style) -> String {
    let mut page = Page::new(style);
    headline(&mut page, report);
    timeline::write(&mut page, report);
    flows::write(&mut page, report);
    messages(&mut page, report);
    expectations(&mut page, report);
    remarks(&mut page, report);
    page.finish()
}

fn headline(page: &mut Page, report: &Report) {
    let word = view::result_word(report.result);
    let hang = word.len() + 2;
    let name = words::visible(&report.name);
    let line = format!("{name} ({})", words::time(report.duration_ms));
    page.item((word, view::result_grade(report.result)), 0, hang, &line);
    page.indented(hang, &view::reason(report));
}

fn messages(page: &mut Page, report: &Report) {
    if report.sends.is_empty() && report.sends_omitted == 0 {
        return;
    }
    page.heading("Messages");
    let totals: Vec<(String, Grade)> = view::totals(report)
        .into_iter()
        .map(|(v, n)| (format!("{n} {}", v.name()), view::grade(v)))
        .collect();
    page.list(2, &totals);
    let listed: Vec<&SendReport> = view::messages(report)
        .into_iter()
        .filter(|send| send.verdict != Verdict::Delivered)
        .collect();
    undelivered(page, &listed);
}

/// The first few of them, ids and verdicts in columns, and how many more there are. A run of
/// messages that fared alike has one line in full and one for the rest.
fn undelivered(page: &mut Page, listed: &[&SendReport]) {
    let alike = |a: &&SendReport, b: &&SendReport| {
        (a.verdict, a.cause, &a.rule, &a.via) == (b.verdict, b.cause, &b.rule, &b.via)
    };
    let groups: Vec<&[&SendReport]> = listed.chunk_by(alike).collect();
    // Three lines are not worth hiding two of.
    let full = |group: &[&SendReport]| if group.len() > 3 { 1 } else { group.len() };
    let shown = groups.iter().flat_map(|g| g.iter().take(full(g))).take(MESSAGES_SHOWN);
    let id_width = shown.clone().map(|send| id(send).chars().count()).max().unwrap_or(0);
    let word_width = page::widest(shown.map(|send| send.verdict.name()));
    let mut left = MESSAGES_SHOWN;
    let mut told = 0;
    for group in groups {
        for send in group.iter().take(full(group).min(left)) {
            let mark = format!("{:id_width$}  {}", id(send), send.verdict.name());
            let hang = id_width + word_width + 6;
            page.item((&mark, view::grade(send.verdict)), 2, hang, &words::visible(&send.why));
            left -= 1;
            told += 1;
        }
        if let [_, second, _, .., last] = group
            && left > 0
        {
            let (from, to, n) = (id(second), id(last), group.len() - 1);
            page.indented(
                2,
                &format!("{from} to {to}: {n} more {}, likewise", last.verdict.name()),
            );
            told += n;
        }
    }
    let more = listed.len() - told;
    if more > 0 {
        page.indented(2, &format!("... and {more} more: see report.json"));
    }
}

fn id(send: &SendReport) -> String {
    words::shorten(&words::visible(send.id.as_deref().unwrap_or_default()), 24)
}

fn expectations(page: &mut Page, report: &Report) {
    if report.expectations.is_empty() {
        return;
    }
    page.heading("Expectations");
    for expectation in &report.expectations {
        let mark = if expectation.held { ("held", Grade::Good) } else { ("FAILED", Grade::Bad) };
        page.item(mark, 2, 10, &words::visible(&expectation.text));
        page.indented(10, &format!("observed: {}", words::visible(&expectation.observed)));
    }
}

fn remarks(page: &mut Page, report: &Report) {
    page.blank();
    let apps: Vec<String> = report.apps.iter().map(app_line).collect();
    if !apps.is_empty() {
        page.item(("Apps", Grade::Quiet), 0, 10, &apps.join("; "));
    }
    page.item(("Evidence", Grade::Quiet), 0, 10, &evidence(report));
    if report.events.lost > 0 {
        let all = report.events.recorded + report.events.lost;
        let text = format!(
            "{} of {} lost: verdicts around them are unknown",
            report.events.lost,
            words::count(all, "event")
        );
        page.item(("Events", Grade::Bad), 0, 10, &text);
        for text in view::losses(report) {
            page.indented(10, &text);
        }
    }
    if report.sends_omitted > 0 {
        page.item(("Sends", Grade::Quiet), 0, 10, &view::omitted(report));
    }
    for warning in &report.warnings {
        page.item(("Warning", Grade::Doubtful), 0, 10, &words::visible(warning));
    }
    // Not wrapped: it is there to be copied.
    page.unbroken("Replay", 10, &view::replay(report));
}

fn evidence(report: &Report) -> String {
    let spots = &report.evidence.blind_spots;
    let blind =
        if spots.is_empty() { "none known".to_owned() } else { words::visible(&spots.join(", ")) };
    format!("{}; blind spots: {blind}", words::visible(&report.evidence.tier))
}

fn app_line(app: &AppReport) -> String {
    let end = app.exited_ms.map_or(String::new(), |at| format!(" at {}", words::time(at)));
    format!("{} {}{end}", words::visible(&app.name), words::visible(&app.status))
}

#[cfg(test)]
mod tests;
