//! Which sockets get a lane of the chart, and which messages lie in it.

use crate::report::model::{FlowReport, Report, SendReport};
use crate::report::view;

/// Lanes beyond this make the chart taller than anyone scrolls.
const LANES: usize = 40;
/// Signs beyond this make the page slow. The worst verdicts come first, so they stay.
const SIGNS: usize = 3000;

/// One lane; `flow` is `None` for messages that never reached a socket.
pub(super) struct Lane<'a> {
    pub(super) flow: Option<&'a FlowReport>,
    /// Worst verdict first.
    pub(super) messages: Vec<&'a SendReport>,
}

/// The lanes, and how many sockets and messages were left out.
pub(super) struct Lanes<'a> {
    pub(super) lanes: Vec<Lane<'a>>,
    pub(super) sockets_left_out: usize,
    pub(super) messages_left_out: usize,
}

/// A lane for each selected socket and for each other one that there is something to say about.
pub(super) fn of(report: &Report) -> Lanes<'_> {
    let mut lanes: Vec<Lane<'_>> =
        report.flows.iter().map(|flow| Lane { flow: Some(flow), messages: Vec::new() }).collect();
    let mut nowhere = Lane { flow: None, messages: Vec::new() };
    let messages = view::messages(report);
    let mut messages_left_out = messages.len().saturating_sub(SIGNS);
    for send in messages.into_iter().take(SIGNS) {
        match lane_of(&report.flows, send) {
            Some(i) => lanes[i].messages.push(send),
            None => nowhere.messages.push(send),
        }
    }
    lanes.push(nowhere);
    let silent = lanes.iter().filter(|lane| lane.flow.is_some() && !telling(lane)).count();
    lanes.retain(telling);
    let cut = lanes.split_off(lanes.len().min(LANES));
    messages_left_out += cut.iter().map(|lane| lane.messages.len()).sum::<usize>();
    Lanes {
        lanes,
        sockets_left_out: silent + cut.iter().filter(|l| l.flow.is_some()).count(),
        messages_left_out,
    }
}

/// Whether there is more to say than that the socket existed.
fn telling(lane: &Lane<'_>) -> bool {
    !lane.messages.is_empty() || lane.flow.is_some_and(|f| f.selected || view::touched_bystander(f))
}

/// Sockets that follow one another bear the same name: the one that was open then is meant.
fn lane_of(flows: &[FlowReport], send: &SendReport) -> Option<usize> {
    let name = send.flow.as_deref()?;
    let at = send.first_sent_ms.unwrap_or(send.started_ms);
    let open =
        |f: &FlowReport| f.opened_ms.is_none_or(|o| o <= at) && f.closed_ms.is_none_or(|c| at <= c);
    let named = || flows.iter().enumerate().filter(|(_, f)| f.name == name);
    named().find(|(_, f)| open(f)).or_else(|| named().next()).map(|(i, _)| i)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use crate::verdict::Verdict;

    #[test]
    fn messages_lie_on_the_socket_that_was_open_then() {
        let first =
            FlowReport { closed_ms: Some(1_000.0), ..sample::flow("chat", 1, [1, 0], [1, 0]) };
        let second =
            FlowReport { opened_ms: Some(1_500.0), ..sample::flow("chat", 2, [1, 0], [1, 0]) };
        let sent = |at, flow: Option<&str>| SendReport {
            flow: flow.map(str::to_owned),
            ..sample::send("m", Verdict::Delivered, at, "")
        };
        let mut report = sample::quiet();
        report.flows = vec![first, second];
        report.sends =
            vec![sent(500.0, Some("chat")), sent(1_600.0, Some("chat")), sent(1_700.0, None)];
        let found = of(&report);
        let counts: Vec<usize> = found.lanes.iter().map(|lane| lane.messages.len()).collect();
        assert_eq!(counts, [1, 1, 1]);
        assert_eq!(found.lanes[1].messages[0].started_ms, 1_600.0);
        assert!(found.lanes[2].flow.is_none());
    }

    #[test]
    fn what_is_left_out_is_counted_and_never_the_worst() {
        let mut report = sample::quiet();
        report.sends = (0..SIGNS + 5)
            .map(|i| {
                let verdict = if i == SIGNS + 4 { Verdict::SilentLoss } else { Verdict::Delivered };
                SendReport {
                    flow: Some("chat".to_owned()),
                    ..sample::send("m", verdict, i as f64, "")
                }
            })
            .collect();
        let bystander =
            |port| FlowReport { selected: false, ..sample::flow("x", port, [1, 0], [1, 0]) };
        report.flows.extend([bystander(3), bystander(4)]);
        let found = of(&report);
        assert_eq!((found.sockets_left_out, found.messages_left_out), (2, 5));
        assert_eq!(found.lanes[0].messages[0].verdict, Verdict::SilentLoss);
    }
}
