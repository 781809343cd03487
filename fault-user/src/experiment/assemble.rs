//! Everything a run has found out -> the report.

use fault_common::rule::Direction;
use fault_common::table::MAX_PROCESSES;

use super::Options;
use super::captured;
use super::counted::Counted;
use super::judged::{self, Judged};
use super::missed;
use super::prepare::Stage;
use super::recorded;
use super::state::State;
use crate::audit::{Decisions, Finding, Record, of_run};
use crate::capture::Packet;
use crate::chain::told;
use crate::correlate::Facts;
use crate::correlate::names::{self, Names, RuleName};
use crate::expect::{self, AppFacts};
use crate::kernel::Hook;
use crate::ledger::audit::{self, Account, Severity};
use crate::ledger::datagrams::UDP;
use crate::ledger::flow::FlowRecord;
use crate::ledger::lines::End;
use crate::line::tally::Tally;
use crate::plan::Plan;
use crate::report::OutDir;
use crate::report::model::{
    AppReport, Backends, EventTotals, Evidence, FaultReport, FlowReport, LineReport, LostReport,
    Report, RunResult, SCHEMA, StepReport,
};
use crate::scenario::Scenario;
use crate::scenario::model::{App, Trigger};

/// Judges the run and writes `events.jsonl`.
pub fn report(
    stage: Stage,
    mut state: State<'_>,
    options: &Options,
    out: Option<&OutDir>,
) -> Report {
    let names = names(state.scenario, &stage.plan);
    let t0 = state.t0.unwrap_or_else(|| state.end.unwrap_or_default());
    let sockets = state.recorded.ledger.heads().flows();
    let counted = Counted::read(&stage.kernel, &stage.plan, &sockets, &names, &state);
    let counted = counted.unwrap_or_else(|e| {
        state.failures.push(format!("the counters cannot be read: {}", told(&e)));
        Counted::default()
    });
    let facts = Facts {
        t0,
        end: state.end.unwrap_or(t0),
        late_after: state.scenario.late_after,
        armed_at_end: armed(&state, &stage.plan),
        gaps: counted.gaps.clone(),
        names: names.clone(),
    };
    let header = recorded::header(&facts, stage.plan.seed, &names);
    let end = recorded::end(&facts, &counted);
    let kept = captured::gather(&mut state);
    let judged = judge_sends(&mut state, (&stage, options), (&facts, &end), &kept.0.packets, out);
    if !state.recorded.is_long()
        && let Some(out) = out
        && let Err(e) = recorded::write(&mut state, &header, &end, out)
    {
        state.failures.push(format!("cannot write events.jsonl: {e}"));
    }
    let known = (judged.flows.as_slice(), judged.named.as_slice(), &names);
    let capture = out.and_then(|out| captured::write(&stage, &mut state, kept, known, out));
    let all = (judged.sends.sends.as_slice(), judged.sends.omitted);
    let findings =
        audit::audit_accounts(&judged.accounts, &counted.audit, all, &judged.sends.verdicts);
    // First: a fault that met no packet because its step or its flow never came is not what went
    // wrong.
    state.note_cut();
    state.note_blocks();
    missed::note(&mut state);
    note_absent(&mut state);
    note_findings(&mut state, &findings, &counted);

    let Judged { flows, sends, accounts, decisions, .. } = judged;
    let mut report = Report {
        schema: SCHEMA,
        name: state.scenario.name.clone(),
        scenario: options.scenario.clone(),
        seed: stage.plan.seed,
        result: RunResult::Passed,
        started: started(t0),
        duration_ms: ms(facts.end, t0),
        kernel: kernel_release(),
        backends: Backends {
            hook: stage.kernel.hook().map_or("none", Hook::name).into(),
            line: state.line.into(),
        },
        line: state.tally.as_ref().map(line_report),
        steps: steps(&state),
        flows: flow_reports(&flows, &names, &state, &counted, t0),
        sends: sends.sends,
        sends_omitted: sends.omitted,
        verdicts: sends.verdicts,
        evidence: Evidence {
            tier: stage.tier.name().into(),
            blind_spots: blind_spots(&stage, &flows),
        },
        expectations: Vec::new(),
        capture,
        audit: None,
        events: EventTotals { recorded: counted.recorded, lost: counted.audit.lost },
        apps: app_reports(&state, t0),
        faults: fault_reports(state.scenario, &stage.plan, &counted),
        warnings: Vec::new(),
    };
    let record =
        Record { t0, seed: header.seed, names: &names, events: decisions.events(), end: &end };
    audit_of(&mut state, &mut report, &record, &accounts, decisions);
    judge(&mut report, &state, &sends.tally, t0);
    report
}

/// The verdicts; that there are none fails the run.
fn judge_sends<'a>(
    state: &mut State<'_>,
    (stage, options): (&Stage, &Options),
    (facts, end): (&'a Facts, &End),
    packets: &[Packet],
    out: Option<&OutDir>,
) -> Judged<'a> {
    let seed = stage.plan.seed;
    let judged = if state.recorded.is_long() {
        judged::long(state, (facts, options), (seed, end), packets, out)
    } else {
        judged::whole(state, facts, seed, packets, out)
    };
    if let Some(e) = state.recorded.failure() {
        state.failures.push(format!("the run's events found no place on disk: {e}"));
    }
    judged.unwrap_or_else(|e| {
        state.failures.push(told(&e));
        Judged::nothing(facts, seed)
    })
}

/// The audit that `report --audit` repeats. What breaks the laws has failed the run already.
fn audit_of(
    state: &mut State<'_>,
    report: &mut Report,
    record: &Record<'_>,
    accounts: &[Account],
    decisions: Decisions<'_>,
) {
    let audit = of_run(record, accounts, decisions, report);
    let new = audit.findings.iter().filter(|f| !matches!(f, Finding::Law(_)));
    let new: Vec<String> =
        new.map(|f| format!("evidence error: {f}: please report this")).collect();
    report.audit = Some(audit.report());
    state.failures.extend(new);
}

pub(super) fn names(scenario: &Scenario, plan: &Plan) -> Names {
    let rule = |r: &crate::plan::RulePlan| RuleName {
        step: scenario.steps[r.step].name.clone(),
        what: format!("{} {} {}", scenario.flows[r.flow].name, word(r.direction), r.text),
        fault: r.text.clone(),
    };
    Names {
        apps: scenario.apps.iter().map(|a| a.name.clone()).collect(),
        flows: scenario.flows.iter().map(|f| f.name.clone()).collect(),
        rules: plan.rules.iter().map(rule).collect(),
    }
}

fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Egress => "egress",
        Direction::Ingress => "ingress",
    }
}

fn armed(state: &State<'_>, plan: &Plan) -> Vec<(u32, Direction)> {
    let rules = state.armed_at_end.iter().map(|id| plan.rule(*id));
    rules.map(|r| (r.flow as u32, r.direction)).collect()
}

fn ms(at: u64, t0: u64) -> f64 {
    (at as f64 - t0 as f64) / 1e6
}

fn started(t0: u64) -> String {
    let real = t0 as i64 + crate::clock::realtime_offset_ns();
    jiff::Timestamp::from_nanosecond(real.into()).map_or_else(|_| String::new(), |t| t.to_string())
}

fn kernel_release() -> String {
    let uname = nix::sys::utsname::uname();
    uname.map_or_else(|_| String::new(), |u| u.release().to_string_lossy().into_owned())
}

fn blind_spots(stage: &Stage, flows: &[FlowRecord]) -> Vec<String> {
    let mut spots: Vec<_> = stage.kernel.blind_spots().into_iter().map(str::to_owned).collect();
    let unplaced = flows.iter().filter(|f| f.proto != UDP && f.found.is_some_and(|f| !f.placed));
    let count = unplaced.count();
    if count > 0 {
        let why = stage.unplaced.as_deref().unwrap_or("iter/tcp did not show them");
        spots.push(format!(
            "stream positions of {count} sockets that were open before count from the first byte seen: {why}"
        ));
    }
    spots
}

fn note_findings(state: &mut State<'_>, findings: &[audit::Finding], counted: &Counted) {
    for finding in findings {
        // A run that was cut short says nothing about faults that would have come.
        let cut = state.broken() && matches!(finding, audit::Finding::FaultMissed { .. });
        match finding.severity() {
            Severity::Error if !cut => state.failures.push(finding.to_string()),
            _ => state.warnings.push(finding.to_string()),
        }
    }
    if counted.lease_expired > 0 {
        state.failures.push(format!(
            "{} packets passed although a fault was armed: this process was stopped or starved for \
             more than 2 s and its lease ran out",
            counted.lease_expired
        ));
    }
    if counted.sockets_full > 0 {
        state.failures.push(format!(
            "{} sockets were opened that there was no room to observe",
            counted.sockets_full
        ));
    }
    if counted.processes_full > 0 {
        state.failures.push(format!(
            "{} children of attached processes were forked that there was no room to follow (at most {MAX_PROCESSES}): \
             attach by `cgroup`",
            counted.processes_full
        ));
    }
    note_line(state, counted);
    for (rule, n) in &counted.whole {
        state.warnings.push(format!(
            "fault `{rule}` judged {n} super-packets (segmentation offload) as a whole: losses come \
             in bursts of up to 45 segments"
        ));
    }
}

fn note_line(state: &mut State<'_>, counted: &Counted) {
    if counted.line_gone > 0 {
        state.failures.push(format!(
            "{} packets passed without the faults of the delay line: its device was gone, or it is \
             fq and their interface has no Ethernet header (tun, WireGuard): use the TAP, `line = \
             \"tap\"`",
            counted.line_gone
        ));
    }
    if counted.unstalled > 0 {
        state.failures.push(format!(
            "the window of {} packets could not be rewritten: the stall leaked",
            counted.unstalled
        ));
    }
    let missed = state.tally.as_ref().map_or(0, |t| t.missed);
    if missed > 0 {
        state.warnings.push(format!(
            "{missed} packets found the delay line's queue full and were lost, by no fault: the \
             flow sends faster than this machine can hold it"
        ));
    }
    let (early, left) = state.tally.as_ref().map_or((0, 0), |t| (t.early, t.left));
    if early > 0 {
        state
            .failures
            .push(format!("{early} packets came out of the delay line before their time"));
    }
    if left > 0 {
        state.warnings.push(format!(
            "{left} packets were still in the delay line when the run ended, and were lost with it"
        ));
    }
    if counted.overflowed > 0 {
        state.warnings.push(format!(
            "{} packets were lost by no fault: the delay line held all that it may (`line.hold`)",
            counted.overflowed
        ));
    }
    if counted.unmarkable > 0 {
        state.warnings.push(format!(
            "{} packets that `mark_ce` chose could not be marked: they were not ECN capable \
             (net.ipv4.tcp_ecn; SYNs, pure acknowledgements and retransmissions never are)",
            counted.unmarkable
        ));
    }
}

fn line_report(tally: &Tally) -> LineReport {
    let us = |q: f64| tally.lateness.value_at_quantile(q) as f64 / 1e3;
    LineReport {
        released: tally.lateness.len(),
        late_p50_us: us(0.5),
        late_p99_us: us(0.99),
        late_max_us: tally.lateness.max() as f64 / 1e3,
        most_held_bytes: tally.most_held,
        missed: tally.missed,
    }
}

/// A flow of the scenario that never appeared makes the run worthless.
fn note_absent(state: &mut State<'_>) {
    if state.broken() {
        return;
    }
    for (flow, appeared) in state.scenario.flows.iter().zip(&state.appeared) {
        if !appeared {
            state.failures.push(format!(
                "flow `{}` never appeared: no connection matched its selectors",
                flow.name
            ));
        }
    }
}

fn steps(state: &State<'_>) -> Vec<StepReport> {
    let states = state.steps.iter().copied().map(Some).chain(std::iter::repeat(None));
    let to_ms = |ns: u64| ns as f64 / 1e6;
    let step = |(step, at): (&crate::scenario::model::Step, Option<crate::timeline::StepState>)| {
        let at = at.unwrap_or_default();
        StepReport {
            name: step.name.clone(),
            planned_ms: match &step.trigger {
                Trigger::At(at) => Some(at.as_secs_f64() * 1e3),
                _ => None,
            },
            armed_ms: at.happened.map(to_ms),
            lifted_ms: at.lifted.map(to_ms),
            what: crate::scenario::describe_step(state.scenario, step),
        }
    };
    state.scenario.steps.iter().zip(states).map(step).collect()
}

fn flow_reports(
    flows: &[FlowRecord],
    names: &Names,
    state: &State<'_>,
    counted: &Counted,
    t0: u64,
) -> Vec<FlowReport> {
    let called = names::sockets(flows, names);
    let address = |a: Option<std::net::SocketAddr>| a.map_or_else(|| "?".into(), |a| a.to_string());
    let report = |f: &FlowRecord| {
        let [egress, ingress] = counted.slots.get(&f.slot).copied().unwrap_or_default();
        FlowReport {
            name: called.get(&f.cookie).cloned().unwrap_or_default(),
            selected: f.flow.is_some(),
            app: names.app(f.app),
            pid: f.pid,
            comm: state.comms.get(&f.pid).cloned().unwrap_or_default(),
            cookie: f.cookie,
            protocol: if f.proto == UDP { "udp" } else { "tcp" }.into(),
            local: address(f.local),
            remote: address(f.remote),
            opened_ms: f.opened.map(|t| ms(t, t0)),
            closed_ms: f.closed.map(|t| ms(t, t0)),
            egress,
            ingress,
            retransmits: f.retransmits.into(),
            min_rtt_ms: f.min_rtt.map(|t| t as f64 / 1e6),
            lost: counted.lost.get(&f.slot).map(|lost| LostReport {
                events: lost.events,
                first_ms: ms(lost.first, t0),
                last_ms: ms(lost.last, t0),
            }),
        }
    };
    flows.iter().map(report).collect()
}

fn app_reports(state: &State<'_>, t0: u64) -> Vec<AppReport> {
    let apps = state.apps.iter().zip(&state.scenario.apps);
    apps.map(|(a, spec)| AppReport {
        name: spec.name.clone(),
        pid: a.pid,
        ready_ms: a.ready.map(|t| ms(t, t0)),
        exited_ms: a.exited.map(|t| ms(t, t0)),
        status: status(a, spec),
    })
    .collect()
}

fn status(app: &super::state::AppState, spec: &App) -> String {
    match (&app.status, app.started) {
        (None, Some(_)) if spec.attach.is_some() => "attached".into(),
        (Some(status), _) if app.asked_to_end => format!("ended by the run ({status})"),
        (Some(status), _) => status.clone(),
        (None, Some(_)) => "running".into(),
        (None, None) => "not started".into(),
    }
}

fn fault_reports(scenario: &Scenario, plan: &Plan, counted: &Counted) -> Vec<FaultReport> {
    let counters = counted.audit.rules.iter().map(|c| (c.matched, c.acted));
    let counters = counters.chain(std::iter::repeat((0, 0)));
    plan.rules
        .iter()
        .zip(counters)
        .map(|(rule, (matched, acted))| FaultReport {
            step: scenario.steps[rule.step].name.clone(),
            flow: scenario.flows[rule.flow].name.clone(),
            direction: word(rule.direction).into(),
            fault: rule.text.clone(),
            matched,
            acted,
        })
        .collect()
}

/// The expectations, and from them and all failures the result.
fn judge(report: &mut Report, state: &State<'_>, sends: &expect::Tally, t0: u64) {
    let end = state.end.unwrap_or(t0);
    let apps: Vec<AppFacts> = state
        .apps
        .iter()
        .zip(&report.apps)
        .zip(&state.scenario.apps)
        .map(|((a, r), spec)| AppFacts {
            name: r.name.clone(),
            // What the run itself ended says nothing about the app.
            exit_code: a.exit_code.filter(|_| a.exited.is_some_and(|t| t <= end)),
            exited_ms: r.exited_ms,
            // How a process ended that was attached to, only its parent knows: it has not failed.
            asked_to_end: a.asked_to_end || spec.attach.is_some(),
            status: r.status.clone(),
        })
        .collect();
    let flow_names: Vec<String> = state.scenario.flows.iter().map(|f| f.name.clone()).collect();
    let log = state.log(t0);
    let facts = expect::Facts {
        apps: &apps,
        flow_names: &flow_names,
        flows: &report.flows,
        steps: &report.steps,
        sends,
        duration_ms: report.duration_ms,
        log: &log,
    };
    let expectations = expect::evaluate(&state.scenario.expects, &facts);
    report.result = if state.interrupted.is_some() {
        RunResult::Interrupted
    } else if !state.failures.is_empty() {
        RunResult::Error
    } else if expectations.iter().all(|e| e.held) {
        RunResult::Passed
    } else {
        RunResult::Failed
    };
    report.expectations = expectations;
    report.warnings = state.failures.iter().chain(&state.warnings).cloned().collect();
}
