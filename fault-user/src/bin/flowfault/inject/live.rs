//! How it goes while it goes: a line on a terminal that is written again every second, or a line of JSON.

use std::io::IsTerminal as _;

use fault_user::experiment::progress::{Progress, SocketProgress};
use fault_user::report::model::Counters;
use fault_user::report::words;
use serde::Serialize;
use tokio::sync::mpsc::UnboundedReceiver;

use super::args::How;
use crate::out;

/// Where it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// One line on stderr, which is a terminal.
    Terminal,
    /// JSON lines on stdout.
    Json,
    /// Nobody looks.
    Nowhere,
}

impl Where {
    /// As the options and the terminal have it.
    pub fn of(how: &How) -> Self {
        match (how.json, how.quiet) {
            (true, _) => Self::Json,
            (false, false) if std::io::stderr().is_terminal() => Self::Terminal,
            _ => Self::Nowhere,
        }
    }
}

/// Carriage return and "erase to the end of the line" (ECMA-48, EL).
const AGAIN: &str = "\r\u{1b}[K";

#[derive(Serialize)]
struct Line<'a> {
    kind: &'static str,
    #[serde(flatten)]
    progress: &'a Progress,
}

/// Shows all that is told, until there is no more.
pub async fn show(mut told: UnboundedReceiver<Progress>, to: Where) {
    let mut drawn = false;
    while let Some(progress) = told.recv().await {
        match to {
            Where::Nowhere => {}
            Where::Terminal => {
                out::message(&format!("{AGAIN}{}", line(&progress)));
                drawn = true;
            }
            Where::Json => json(&progress),
        }
    }
    if drawn {
        out::message(AGAIN);
    }
}

fn json(progress: &Progress) {
    let line = serde_json::to_string(&Line { kind: "progress", progress }).map_err(Into::into);
    if let Err(e) = line.and_then(|line| out::results(&(line + "\n"))) {
        tracing::warn!("cannot tell how it goes: {e:#}");
    }
}

/// Short enough for a terminal: of several sockets their sum.
fn line(progress: &Progress) -> String {
    let time = words::time(progress.t_ms);
    let open = progress.sockets.iter().filter(|s| s.open).count();
    let which = match &progress.sockets[..] {
        [] => "waiting for a socket".to_owned(),
        [one] if one.open => "1 socket".to_owned(),
        [_] => "1 socket (closed)".to_owned(),
        all => format!("{} sockets ({open} open)", all.len()),
    };
    let sum = |of: fn(&SocketProgress) -> Counters| {
        progress.sockets.iter().map(of).fold(Counters::default(), add)
    };
    let (out, back) = (sum(|s| s.egress), sum(|s| s.ingress));
    format!("{time}  {which}  out {}  in {}", told(&out), told(&back))
}

fn add(a: Counters, b: Counters) -> Counters {
    Counters {
        packets: a.packets + b.packets,
        bytes: a.bytes + b.bytes,
        dropped: a.dropped + b.dropped,
        delayed: a.delayed + b.delayed,
        corrupted: a.corrupted + b.corrupted,
        duplicated: a.duplicated + b.duplicated,
        reordered: a.reordered + b.reordered,
        reset: a.reset + b.reset,
    }
}

/// `27 (7 dropped, 3 delayed)`.
pub fn told(counters: &Counters) -> String {
    format!("{}{}", counters.packets, done(counters))
}

/// ` (7 dropped, 3 delayed)`, or nothing.
pub fn done(counters: &Counters) -> String {
    let done = [
        (counters.dropped, "dropped"),
        (counters.delayed, "delayed"),
        (counters.corrupted, "corrupted"),
        (counters.duplicated, "duplicated"),
        (counters.reordered, "reordered"),
        (counters.reset, "reset"),
    ];
    let done: Vec<String> =
        done.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    if done.is_empty() { String::new() } else { format!(" ({})", done.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(open: bool, dropped: u64) -> SocketProgress {
        let egress = Counters { packets: 9, dropped, ..Counters::default() };
        SocketProgress {
            flow: "flow".into(),
            cookie: 1,
            local: None,
            remote: None,
            open,
            egress,
            ingress: Counters { packets: 1, delayed: 1, ..Counters::default() },
        }
    }

    #[test]
    fn a_line_says_what_was_done() {
        let line = |sockets| line(&Progress { t_ms: 2000.0, sockets });
        assert_eq!(line(vec![]), "2.0 s  waiting for a socket  out 0  in 0");
        assert_eq!(
            line(vec![socket(true, 4)]),
            "2.0 s  1 socket  out 9 (4 dropped)  in 1 (1 delayed)"
        );
        let two = line(vec![socket(true, 4), socket(false, 0)]);
        assert_eq!(two, "2.0 s  2 sockets (1 open)  out 18 (4 dropped)  in 2 (2 delayed)");
    }
}
