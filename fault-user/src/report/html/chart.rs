//! The timeline as SVG: a lane for each socket, shaded while it was faulted, a sign for each
//! message where its send began.

use super::escape::Esc;
use super::lanes::{self, Lane};
use super::mark::{self, Scale};
use crate::report::model::{Report, SendReport};
use crate::report::view::{self, Grade, Period};
use crate::report::words;

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 975.0;
/// Above the lanes: the flags of the steps and the times.
const TOP: f64 = 48.0;
const LANE: f64 = 52.0;
/// More messages than this in a lane would hide one another.
const CROWDED: usize = 60;

/// Where times lie.
struct Axis {
    end_ms: f64,
}

impl Axis {
    /// What was there before t = 0 begins at the left edge.
    fn x(&self, ms: f64) -> f64 {
        LEFT + (ms / self.end_ms).clamp(0.0, 1.0) * (RIGHT - LEFT)
    }

    /// Times for grid lines: 4 to 10 of them, at round numbers.
    fn ticks(&self) -> Vec<f64> {
        const STEPS: [f64; 18] = [
            1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 10e3, 20e3, 30e3,
            60e3, 120e3, 300e3,
        ];
        // Beyond the list, in steps of ten minutes as often as needed.
        let beyond = (self.end_ms / 10.0 / 600e3).ceil() * 600e3;
        let step = STEPS.into_iter().find(|step| self.end_ms / step <= 10.0).unwrap_or(beyond);
        (0..=10).map(|i| f64::from(i) * step).take_while(|ms| *ms <= self.end_ms).collect()
    }
}

/// The chart with the remark what it leaves out; empty if there is nothing to draw.
pub(super) fn render(report: &Report) -> String {
    let shown = lanes::of(report);
    if shown.lanes.is_empty() || report.duration_ms <= 0.0 {
        return String::new();
    }
    let axis = Axis { end_ms: report.duration_ms };
    let height = TOP + LANE * shown.lanes.len() as f64 + 8.0;
    let mut out = format!(
        "<div class=\"wide\"><svg class=\"chart\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"Timeline of flows, faults and messages; the tables below say the same\">\n{HATCH}\n"
    );
    grid(&mut out, &axis, height);
    let periods = view::periods(report);
    for (i, one) in shown.lanes.iter().enumerate() {
        lane(&mut out, &axis, one, &periods, TOP + LANE * i as f64);
    }
    flags(&mut out, &axis, report, height);
    out += "</svg></div>\n";
    out + &left_out(shown.sockets_left_out, shown.messages_left_out)
}

const HATCH: &str = "<defs><pattern id=\"hatch\" width=\"8\" height=\"8\" patternUnits=\"userSpaceOnUse\" \
    patternTransform=\"rotate(45)\"><line class=\"hatch-line\" x1=\"0\" y1=\"0\" x2=\"0\" y2=\"8\"/></pattern></defs>";

fn grid(out: &mut String, axis: &Axis, height: f64) {
    for ms in axis.ticks() {
        let x = axis.x(ms);
        *out += &format!(
            "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{height}\"/>"
        );
        *out += &format!(
            "<text class=\"soft\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
            TOP - 6.0,
            tick(ms)
        );
    }
}

/// Round times need no decimals.
fn tick(ms: f64) -> String {
    if ms == 0.0 { "0".to_owned() } else { words::time(ms).replace(".0 s", " s") }
}

fn flags(out: &mut String, axis: &Axis, report: &Report, height: f64) {
    let mut last_x = f64::NEG_INFINITY;
    for (i, step) in report.steps.iter().enumerate() {
        let Some(armed_ms) = step.armed_ms else {
            continue;
        };
        let x = axis.x(armed_ms);
        // Steps at nearly one time would cover one another's numbers.
        let flag_x = x.max(last_x + 19.0);
        last_x = flag_x;
        let title = format!("{} at {}: {}", step.name, words::time(armed_ms), step.what);
        *out += &format!("<g><title>{}</title>", Esc(&title));
        *out += &format!(
            "<path class=\"step\" fill=\"none\" d=\"M{flag_x:.1} 14L{x:.1} 28V{height}\"/>"
        );
        *out += &format!("<circle class=\"flag\" cx=\"{flag_x:.1}\" cy=\"12\" r=\"9\"/>");
        *out +=
            &format!("<text class=\"flag-text\" x=\"{flag_x:.1}\" y=\"16\">{}</text></g>\n", i + 1);
    }
}

fn lane(out: &mut String, axis: &Axis, lane: &Lane<'_>, periods: &[Period<'_>], y: f64) {
    *out += &format!("<line class=\"grid\" x1=\"0\" y1=\"{y}\" x2=\"{WIDTH}\" y2=\"{y}\"/>");
    label(out, lane, y);
    if let Some(flow) = lane.flow {
        for period in periods.iter().filter(|p| p.flows.contains(&flow.name.as_str())) {
            shade(out, axis, period, y);
        }
        let (from, to) =
            (axis.x(flow.opened_ms.unwrap_or(0.0)), axis.x(flow.closed_ms.unwrap_or(axis.end_ms)));
        let width = (to - from).max(1.0);
        *out += &format!(
            "<rect class=\"bar\" x=\"{from:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"6\" rx=\"2\"/>",
            y + 33.0
        );
        if let Some(at) = flow.closed_ms {
            let (top, bottom) = (y + 28.0, y + 44.0);
            *out += &format!(
                "<line class=\"end\" x1=\"{to:.1}\" y1=\"{top}\" x2=\"{to:.1}\" y2=\"{bottom}\"><title>closed at {}</title></line>",
                words::time(at)
            );
        }
    }
    let scale = if lane.messages.len() > CROWDED { Scale::Small } else { Scale::Full };
    // The last one drawn lies on top: the worst.
    for send in lane.messages.iter().rev() {
        sign(out, axis, send, y, scale);
    }
    out.push('\n');
}

fn label(out: &mut String, lane: &Lane<'_>, y: f64) {
    let (name, below) = match lane.flow {
        Some(flow) if flow.selected => (flow.name.clone(), format!("{} {}", flow.app, flow.remote)),
        Some(flow) => (flow.name.clone(), format!("bystander {}", flow.remote)),
        None => ("no socket".to_owned(), "never sent on any flow".to_owned()),
    };
    let title = lane
        .flow
        .map_or(below.clone(), |flow| format!("{name}: {} -> {}", flow.local, flow.remote));
    *out += &format!(
        "<g><title>{}</title><text x=\"8\" y=\"{}\" font-weight=\"700\">{}</text><text class=\"soft\" x=\"8\" y=\"{}\">{}</text></g>",
        Esc(&title),
        y + 22.0,
        Esc(&words::shorten(&name, 24)),
        y + 39.0,
        Esc(&words::shorten(&below, 27)),
    );
}

fn shade(out: &mut String, axis: &Axis, period: &Period<'_>, y: f64) {
    let (from, to) = (axis.x(period.from_ms), axis.x(period.to_ms));
    let title = format!(
        "{}: {}, from {} to {}",
        period.step.name,
        period.step.what,
        words::time(period.from_ms),
        words::time(period.to_ms)
    );
    let place = format!(
        "x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"",
        y + 1.0,
        (to - from).max(2.0),
        LANE - 2.0
    );
    *out += &format!(
        "<g><title>{}</title><rect class=\"shade\" {place}/><rect class=\"hatch\" {place}/></g>",
        Esc(&title)
    );
}

/// What went wrong lies above the flow's bar, what went well on it.
fn sign(out: &mut String, axis: &Axis, send: &SendReport, y: f64, scale: Scale) {
    let above = !matches!(view::grade(send.verdict), Grade::Good | Grade::Quiet);
    let id = send.id.as_deref().unwrap_or_default();
    let title =
        format!("{id}: {} at {}. {}", send.verdict.name(), words::time(send.started_ms), send.why);
    *out += &format!("<g class=\"v-{}\"><title>{}</title>", send.verdict.name(), Esc(&title));
    *out += &mark::at(
        send.verdict,
        axis.x(send.started_ms),
        y + if above { 14.0 } else { 36.0 },
        scale,
    );
    *out += "</g>";
}

/// Nothing is left out unsaid.
fn left_out(sockets: usize, messages: usize) -> String {
    let parts: Vec<String> = [(sockets, "socket"), (messages, "message")]
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, noun)| words::count(n as u64, noun))
        .collect();
    if parts.is_empty() {
        return String::new();
    }
    format!("<p class=\"note\">Not drawn: {}; report.json has them all.</p>\n", parts.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few_for_every_length() {
        for end_ms in [0.5, 1.0, 37.0, 180_000.0, 3_600_000.0, 86_400_000.0, 1e12] {
            let ticks = Axis { end_ms }.ticks();
            assert!(!ticks.is_empty() && ticks.len() <= 11, "{end_ms}: {ticks:?}");
            assert!(ticks.iter().all(|t| *t <= end_ms), "{end_ms}: {ticks:?}");
        }
        assert_eq!(Axis { end_ms: 180_000.0 }.ticks()[..3], [0.0, 20_000.0, 40_000.0]);
    }

    #[test]
    fn times_outside_of_the_run_stay_in_the_chart() {
        let axis = Axis { end_ms: 100.0 };
        assert_eq!(
            [-5.0, 0.0, 50.0, 500.0].map(|ms| axis.x(ms)),
            [LEFT, LEFT, (LEFT + RIGHT) / 2.0, RIGHT]
        );
    }
}
