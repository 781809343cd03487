//! A scenario as a timeline, for `flowfault check`.

mod faults;
mod line;
mod narrowed;
mod steps;

pub use steps::in_one_line as describe_step;

use std::fmt::Write as _;

use super::model::{
    App, AppId, Attach, Capture, Flow, Hello, Marker, Opened, OutcomeFormat, OutcomeSource, Same,
    Scenario, Stdio,
};
use super::units::{format_duration, format_size};

/// The resolved scenario in text: apps, flows and how exactly each is picked, steps in the order
/// of time, expectations.
pub fn explain(scenario: &Scenario) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}", scenario.name);
    let seed = scenario.seed.map_or("drawn at the start".into(), |s| s.to_string());
    let _ = writeln!(out, "  seed      {seed}");
    let end = scenario.duration.map_or("when all is done".into(), |d| {
        format!("{} after t = 0 at the latest", format_duration(d))
    });
    let _ = writeln!(out, "  ends      {end}");
    let late = scenario
        .late_after
        .map_or("4 x the flow's smallest rtt, at least 1s".into(), format_duration);
    let _ = writeln!(out, "  late      after {late}");
    let _ = writeln!(out, "  line      {}", line::of_scenario(scenario));
    let _ = writeln!(out, "  capture   {}", capture(scenario.capture));
    section(&mut out, "apps", scenario.apps.iter().map(app));
    section(&mut out, "flows", scenario.flows.iter().map(|f| flow(scenario, f)));
    section(&mut out, "steps", steps::in_time_order(scenario).map(|(_, text)| text));
    let expectations = scenario.expects.iter().map(|e| vec![e.text.clone()]);
    section(&mut out, "expectations", expectations);
    out
}

fn capture(capture: Capture) -> String {
    match capture.max {
        0 => "no packets are kept".into(),
        max => format!(
            "the first {} of faulted packets, {max} at most that are lost and {max} others",
            format_size(capture.snaplen.into())
        ),
    }
}

/// A head line, then the lines that belong to it further in.
type Entry = Vec<String>;

fn section(out: &mut String, title: &str, entries: impl Iterator<Item = Entry>) {
    let mut entries = entries.peekable();
    let none = if entries.peek().is_none() { " none" } else { "" };
    let _ = writeln!(out, "\n{title}:{none}");
    for entry in entries {
        for (i, line) in entry.iter().enumerate() {
            let _ = writeln!(out, "{}{line}", if i == 0 { "  " } else { "      " });
        }
    }
}

fn app(app: &App) -> Entry {
    let what = app.attach.as_ref().map_or_else(|| command(&app.command), running);
    let mut lines = vec![format!("{}: {what}", app.name)];
    lines.push(match (&app.ready, app.autostart) {
        _ if app.children => {
            "runs already, with its children; neither started, waited for nor ended".into()
        }
        _ if app.attach.is_some() => "runs already; neither started, waited for nor ended".into(),
        (Some(ready), true) => format!(
            "started before t = 0; ready with the line \"{}\" within {}",
            ready.log.0.as_str(),
            format_duration(ready.within)
        ),
        (None, true) => "started before t = 0; ready at once".into(),
        (_, false) => "started by a step".into(),
    });
    if let Some(outcomes) = &app.outcomes {
        let from = match &outcomes.from {
            OutcomeSource::Stdout => "stdout".into(),
            OutcomeSource::Stderr => "stderr".into(),
            OutcomeSource::File(path) => {
                path.file_name().map_or("a file".into(), |n| n.to_string_lossy().into_owned())
            }
        };
        let format = match outcomes.format {
            OutcomeFormat::Json(_) => "JSON lines",
            OutcomeFormat::Regex { .. } => "lines that match a pattern",
        };
        lines.push(format!("tells the outcome of sends: {format} in {from}"));
    }
    if app.main {
        lines.push("the run waits for its exit".into());
    }
    lines
}

fn running(attach: &Attach) -> String {
    match attach {
        Attach::Pid(pid) => format!("process {pid}"),
        Attach::Process(name) => format!("the process `{name}`"),
        Attach::Container(id) => format!("the processes of the container or pod `{id}`"),
        Attach::Cgroup(path) => format!("the processes of the cgroup `{path}`"),
    }
}

/// A command as a shell would show it.
fn command(words: &[String]) -> String {
    let plain = |w: &str| {
        !w.is_empty() && w.chars().all(|c| c.is_alphanumeric() || "-_./=:,+@%".contains(c))
    };
    let quoted = |w: &String| {
        if plain(w) { w.clone() } else { format!("{w:?}") }
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

fn flow(scenario: &Scenario, flow: &Flow) -> Entry {
    let who = match flow.app {
        Some(AppId(i)) => format!("app {}", scenario.apps[i].name),
        None => "any app".into(),
    };
    let mut lines = vec![format!("{}: {}", flow.name, picked(flow, &who))];
    let (exact, why) = exactness(scenario, flow);
    lines.push(format!("{}: {why}", if exact { "exact" } else { "not exact" }));
    let sockets = match flow.max_flows {
        1 => "one socket at a time".into(),
        n => format!("up to {n} sockets at a time"),
    };
    let then = if flow.follow { "the next one that matches follows" } else { "not replaced" };
    let within = format_duration(flow.within);
    lines.extend(narrowed::lines(scenario, flow));
    lines.push(format!("{sockets}, {then}; must appear within {within} of its first use"));
    lines
}

fn picked(flow: &Flow, who: &str) -> String {
    let what = match (flow.nth, flow.max_flows) {
        (Some(n), _) => format!("connection {n}"),
        (None, 1) => "the connection".into(),
        (None, _) => "connections".into(),
    };
    let mut text = format!("{what} of {who}");
    if let Some(remote) = &flow.remote {
        let _ = write!(text, " to {remote}");
    }
    if let Some(local) = flow.local {
        let ip = local.net.map_or("any address".into(), |net| net.to_string());
        let port = local.ports.map_or(String::new(), |ports| format!(" port {ports}"));
        let _ = write!(text, " from {ip}{port}");
    }
    if flow.opened == Some(Opened::Accept) {
        text += ", accepted by it";
    }
    let numbers = [
        ("cookie", flow.cookie),
        ("descriptor", flow.fd.map(|fd| u64::from(fd.unsigned_abs()))),
        ("user id", flow.uid.map(u64::from)),
    ];
    for (what, number) in numbers {
        if let Some(number) = number {
            let _ = write!(text, ", {what} {number}");
        }
    }
    if let Some(cgroup) = &flow.cgroup {
        let _ = write!(text, ", of processes in the cgroup `{cgroup}` or below it");
    }
    match &flow.hello {
        Some(hello @ Hello::Sni(_)) => {
            let _ = write!(text, " for the server name {hello}");
        }
        Some(hello @ Hello::Path(_)) => {
            let _ = write!(text, " that begins with a request for {hello}");
        }
        None => {}
    }
    if let Some(after) = &flow.opened_after {
        let log = match &after.log {
            Marker::Literal(text) => text.as_str(),
            Marker::Regex(pattern) => pattern.0.as_str(),
        };
        let by = match after.same {
            Same::Process => "process",
            Same::Thread => "thread",
        };
        let _ = write!(text, ", opened by the {by} that wrote \"{log}\"");
    }
    text
}

/// Whether the socket is known before its first packet, and why.
fn exactness(scenario: &Scenario, flow: &Flow) -> (bool, &'static str) {
    if flow.is_open_already() {
        return (true, "the socket that is open when the run starts");
    }
    if flow.opened == Some(Opened::Accept) {
        return (true, "picked when its handshake is complete, before its data");
    }
    if flow.waits_for_hello() {
        return (
            true,
            "picked when its first bytes have been said, before the packet that completes them leaves",
        );
    }
    let piped = flow.app.is_some_and(|AppId(i)| scenario.apps[i].stdio == Stdio::Pipe);
    match flow.opened_after.as_ref().map(|after| &after.log) {
        Some(Marker::Regex(_)) => (false, "its SYN has left when the line is read"),
        Some(Marker::Literal(_)) if piped => {
            (false, "stdio is a pipe, so its SYN has left when the line is read")
        }
        Some(Marker::Literal(_)) => (true, "the kernel sees the line inside the app's own write"),
        None => (true, "picked when the socket connects, before its SYN"),
    }
}
