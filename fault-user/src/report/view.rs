//! What every format for people derives from a report: when faults were on, which messages
//! deserve a line, the order of verdicts, the reason behind the result.

use super::model::{FlowReport, Report, RunResult, SendReport, StepReport};
use super::words;
use super::write::SENDS;
use crate::verdict::Verdict;

/// How worried a reader should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grade {
    /// The app was told something that is not so.
    Bad,
    /// Lost, late or undecided, but nobody was deceived.
    Doubtful,
    Good,
    /// Nothing to say about it.
    Quiet,
}

/// Verdicts as reports list them: the bad ones first.
pub(super) const BY_SEVERITY: [Verdict; 11] = [
    Verdict::SilentLoss,
    Verdict::FalseFailure,
    Verdict::Unconfirmed,
    Verdict::AmbiguousFailure,
    Verdict::CleanFailure,
    Verdict::Unknown,
    Verdict::Pending,
    Verdict::Late,
    Verdict::Rerouted,
    Verdict::Delivered,
    Verdict::Unlogged,
];

pub(super) fn grade(verdict: Verdict) -> Grade {
    match verdict {
        Verdict::SilentLoss | Verdict::FalseFailure => Grade::Bad,
        Verdict::Unconfirmed
        | Verdict::AmbiguousFailure
        | Verdict::CleanFailure
        | Verdict::Unknown
        | Verdict::Pending
        | Verdict::Late => Grade::Doubtful,
        Verdict::Rerouted | Verdict::Delivered => Grade::Good,
        Verdict::Unlogged => Grade::Quiet,
    }
}

fn severity(verdict: Verdict) -> usize {
    BY_SEVERITY.iter().position(|v| *v == verdict).unwrap_or(BY_SEVERITY.len())
}

/// The verdicts that occurred, the bad ones first.
pub(super) fn totals(report: &Report) -> Vec<(Verdict, u64)> {
    let count = |v: Verdict| report.verdicts.get(v.name()).copied().unwrap_or(0);
    BY_SEVERITY.into_iter().map(|v| (v, count(v))).filter(|(_, n)| *n > 0).collect()
}

/// Sends that an outcome line claims, worst verdict first, then in order of time.
pub(super) fn messages(report: &Report) -> Vec<&SendReport> {
    let mut messages: Vec<&SendReport> =
        report.sends.iter().filter(|send| send.id.is_some()).collect();
    messages.sort_by(|a, b| {
        severity(a.verdict).cmp(&severity(b.verdict)).then(a.started_ms.total_cmp(&b.started_ms))
    });
    messages
}

/// Events lost, flow by flow.
pub(super) fn losses(report: &Report) -> Vec<String> {
    let flows = report.flows.iter().filter_map(|f| Some((f, f.lost?)));
    let told = flows.map(|(flow, lost)| {
        format!(
            "{} {} (cookie {}): {} events lost between {} and {}",
            words::visible(&flow.app),
            words::visible(&flow.name),
            flow.cookie,
            lost.events,
            words::time(lost.first_ms),
            words::time(lost.last_ms)
        )
    });
    told.collect()
}

/// Which sends are not in the report.
pub(super) fn omitted(report: &Report) -> String {
    format!(
        "{} that no fault had a part in (or beyond those that a report holds) are in {SENDS} alone",
        words::count(report.sends_omitted, "send")
    )
}

/// A stretch of time in which a step's faults were on.
pub(super) struct Period<'a> {
    pub(super) step: &'a StepReport,
    pub(super) from_ms: f64,
    pub(super) to_ms: f64,
    /// Names of the flows that it faulted.
    pub(super) flows: Vec<&'a str>,
}

/// Only steps with faults have one; faults that were never lifted stayed on to the end.
pub(super) fn periods(report: &Report) -> Vec<Period<'_>> {
    let period = |step| {
        let flows = flows_of(report, step);
        let from_ms = step.armed_ms?;
        let faulted = !flows.is_empty() || step.lifted_ms.is_some();
        let to_ms = step.lifted_ms.unwrap_or(report.duration_ms).max(from_ms);
        faulted.then_some(Period { step, from_ms, to_ms, flows })
    };
    report.steps.iter().filter_map(period).collect()
}

fn flows_of<'a>(report: &'a Report, step: &StepReport) -> Vec<&'a str> {
    let mut flows: Vec<&str> =
        report.faults.iter().filter(|f| f.step == step.name).map(|f| f.flow.as_str()).collect();
    flows.sort_unstable();
    flows.dedup();
    flows
}

/// The word at the very top.
pub(super) fn result_word(result: RunResult) -> &'static str {
    match result {
        RunResult::Passed => "PASSED",
        RunResult::Failed => "FAILED",
        RunResult::Error => "ERROR",
        RunResult::Interrupted => "INTERRUPTED",
    }
}

pub(super) fn result_grade(result: RunResult) -> Grade {
    match result {
        RunResult::Passed => Grade::Good,
        RunResult::Failed | RunResult::Error => Grade::Bad,
        RunResult::Interrupted => Grade::Doubtful,
    }
}

/// What stands behind the result, in one line.
pub(super) fn reason(report: &Report) -> String {
    let total = report.expectations.len() as u64;
    let failed = report.expectations.iter().filter(|e| !e.held).count();
    let expectations = match (total, failed) {
        (0, _) => "nothing was expected, so nothing could fail".to_owned(),
        (1, 0) => "the one expectation held".to_owned(),
        (n, 0) => format!("all {n} expectations held"),
        (n, failed) => format!("{failed} of {} failed", words::count(n, "expectation")),
    };
    match report.result {
        RunResult::Passed | RunResult::Failed => expectations,
        RunResult::Error => match report.warnings.first() {
            Some(first) => words::visible(first),
            None => "the run itself failed".to_owned(),
        },
        RunResult::Interrupted => format!("stopped before its end; {expectations} so far"),
    }
}

/// Every fault that acted on the flow's packets, as `3 dropped`; only those that occurred.
pub(super) fn fault_counts(flow: &FlowReport) -> [Vec<String>; 2] {
    [flow.egress, flow.ingress].map(|c| {
        let counts = [
            (c.dropped, "dropped"),
            (c.delayed, "delayed"),
            (c.corrupted, "corrupted"),
            (c.duplicated, "duplicated"),
            (c.reordered, "reordered"),
            (c.reset, "reset"),
        ];
        counts.into_iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect()
    })
}

/// Whether a socket that no `[[flow]]` selects was faulted nevertheless: never supposed to be.
pub(super) fn touched_bystander(flow: &FlowReport) -> bool {
    !flow.selected && fault_counts(flow).iter().any(|counts| !counts.is_empty())
}

/// The command that replays the run, as a shell takes it.
pub(super) fn replay(report: &Report) -> String {
    format!("flowfault run {} --seed {}", shell_quoted(&report.scenario), report.seed)
}

fn shell_quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:=@,".contains(c);
    if !word.is_empty() && word.chars().all(plain) && !word.starts_with('-') {
        return word.to_owned();
    }
    // "./" keeps a leading dash from being read as an option.
    let word = if word.starts_with('-') { format!("./{word}") } else { word.to_owned() };
    format!("'{}'", words::visible(&word).replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn every_verdict_has_its_place_in_the_order() {
        for verdict in Verdict::ALL {
            assert!(severity(verdict) < BY_SEVERITY.len(), "{verdict:?} is missing");
        }
    }

    #[test]
    fn faults_that_were_not_lifted_stay_on_to_the_end() {
        let mut report = sample::outage();
        report.steps[0].lifted_ms = None;
        let found = periods(&report);
        assert_eq!(found.len(), 1, "only the outage has faults");
        assert_eq!((found[0].from_ms, found[0].to_ms), (10_000.2, 180_000.0));
        assert_eq!(found[0].flows, ["unidentified"]);
        report.steps[0].lifted_ms = Some(5.0);
        assert_eq!(periods(&report)[0].to_ms, 10_000.2, "no period ends before it begins");
    }

    #[test]
    fn the_replay_command_survives_a_shell() {
        let mut report = sample::quiet();
        assert_eq!(replay(&report), "flowfault run scenarios/demo.toml --seed 7");
        report.scenario = "it's mine.toml".to_owned();
        assert_eq!(replay(&report), "flowfault run 'it'\\''s mine.toml' --seed 7");
        report.scenario = "-x.toml".to_owned();
        assert_eq!(replay(&report), "flowfault run './-x.toml' --seed 7");
    }

    #[test]
    fn the_reason_fits_the_result() {
        let mut report = sample::quiet();
        assert_eq!(reason(&report), "the one expectation held");
        report.expectations.clear();
        assert_eq!(reason(&report), "nothing was expected, so nothing could fail");
        report.result = RunResult::Error;
        report.warnings = vec!["flow \"chat\" never appeared".to_owned()];
        assert_eq!(reason(&report), "flow \"chat\" never appeared");
    }
}
