//! The run itself: waits for whatever comes next and lets the timeline answer.

use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep_until};

use super::actions;
use super::execs::Execs;
use super::interfaces::Change;
use super::lay::lay;
use super::prepare::Stage;
use super::progress::{self, Teller};
use super::resets;
use super::selection::Lookup;
use super::start;
use super::state::{News, State};
use crate::app::{AppEvent, Supervisor};
use crate::capture::Link;
use crate::chain::told;
use crate::clock;
use crate::kernel::{Batch, Network};
use crate::line::Reached;
use crate::plan::RuleId;
use crate::timeline::{Act, Timeline};

/// A lease lasts this long and is renewed four times as often as it would need to be.
const LEASE: Duration = Duration::from_secs(2);
const RENEW: Duration = Duration::from_millis(500);
/// How long sockets may take to close once their apps are gone. Orphans that retransmit into
/// nothing would take minutes, and their verdict is known by then.
const SETTLE: Duration = Duration::from_millis(200);
/// Lines that are taken in before a batch of events at most.
const LINES: usize = 1024;
/// How soon it is looked again whether the disk has caught up.
const ROOM_AGAIN: Duration = Duration::from_millis(20);
/// How long lines are waited for before a connection is looked at.
const CATCH_UP: Duration = Duration::from_millis(50);
/// What the controller has to lift the faults itself once `duration` is up.
const AFTER_STOP: Duration = Duration::from_millis(500);

/// What can happen next.
pub enum Input {
    App(AppEvent),
    Events(Batch),
    Interface(Network, Change),
    /// A name has been looked up again.
    Lookup(Lookup),
    /// The line wants a connection to be reset.
    Reset(Reached),
    Deadline,
    Stop(i32),
}

/// Waits for the next thing to happen, at most until `deadline`. In fair order: an app that never
/// stops writing must not keep a deadline or the kernel's events waiting.
pub async fn next(stage: &mut Stage, state: &mut State<'_>, deadline: Option<Instant>) -> Input {
    let far = Instant::now() + Duration::from_secs(3600);
    let stopped = state.interrupted.is_some();
    // Without room the ring fills up, and the kernel counts what it cannot tell; the lease is renewed all the same.
    let room = state.recorded.has_room();
    let soon = Instant::now() + ROOM_AGAIN;
    let deadline = if room { deadline } else { Some(deadline.map_or(soon, |d| d.min(soon))) };
    let input = tokio::select! {
        Ok(signal) = state.stop.wait_for(Option::is_some), if !stopped => {
            Input::Stop(signal.unwrap_or(libc::SIGTERM))
        }
        Some(event) = stage.app_events.recv(), if room => Input::App(event),
        Some(batch) = stage.batches.recv(), if room => Input::Events(batch),
        Some(change) = stage.interfaces.recv() => Input::Interface(Network::Run, change),
        Some(change) = stage.home_interfaces.recv() => Input::Interface(Network::Home, change),
        Some(lookup) = stage.selection.lookups.recv() => Input::Lookup(lookup),
        Some(reached) = stage.reset_wanted.recv() => Input::Reset(reached),
        () = sleep_until(deadline.unwrap_or(far)) => Input::Deadline,
    };
    if matches!(input, Input::Events(_)) && !state.late.is_empty() {
        catch_up(stage, state).await;
    } else if matches!(input, Input::Events(_)) {
        lines(stage, state);
    }
    input
}

/// Takes in lines that are there. A batch has thousands of events: lines that came one by one between batches
/// would fall ever further behind those that they are about.
fn lines(stage: &mut Stage, state: &mut State<'_>) {
    for _ in 0..LINES {
        let Ok(event) = stage.app_events.try_recv() else { return };
        state.app_event(event, stage);
    }
}

/// Takes in the lines written until now: a line comes before the connection that it announces,
/// whichever reader was faster. An app that never stops writing is not waited for long.
pub async fn catch_up(stage: &mut Stage, state: &mut State<'_>) {
    let mut read = std::pin::pin!(stage.supervisor.caught_up());
    let mut enough = std::pin::pin!(tokio::time::sleep(CATCH_UP));
    loop {
        tokio::select! {
            () = &mut read => break,
            () = &mut enough => break,
            Some(event) = stage.app_events.recv() => state.app_event(event, stage),
        }
    }
    while let Ok(event) = stage.app_events.try_recv() {
        state.app_event(event, stage);
    }
}

/// Takes it in.
pub fn take(input: Input, stage: &mut Stage, state: &mut State<'_>) {
    state.read_clock();
    match input {
        Input::App(event) => state.app_event(event, stage),
        Input::Events(batch) => state.batch(&batch, stage),
        Input::Interface(network, change) => interface(network, change, stage, state),
        Input::Lookup(lookup) => looked_up(lookup, stage, state),
        Input::Reset(reached) => actions::limit_reached(stage, state, reached),
        Input::Stop(signal) => state.interrupted = Some(signal),
        Input::Deadline => {}
    }
}

fn interface(network: Network, change: Change, stage: &mut Stage, state: &mut State<'_>) {
    match change {
        Change::Gone(index) => stage.kernel.forget_interface(network, index),
        Change::New(i) => {
            let attached = match (network, &stage.second) {
                (Network::Home, Some(home)) => {
                    stage.kernel.attach_at_home(home, &i.name, i.index, i.ethernet)
                }
                _ => stage.kernel.attach_interface(&i.name, i.index, i.ethernet),
            };
            if let Err(e) = attached {
                // It may be gone again by now; if it is not, its packets are not faulted.
                state.warnings.push(format!("interface {}: {}", i.name, told(&e)));
            }
            // The line's own device has no packets of its own.
            if stage.kernel.interfaces().any(|at| at == (network, i.index)) {
                let link = Link { name: i.name, ethernet: i.ethernet };
                let known = std::mem::take(&mut stage.links);
                stage.links = Link::of_two(known, [(i.index, link)].into());
            }
        }
    }
}

/// From now on the addresses that a name has are those of its remote, with those that it had.
fn looked_up(lookup: Lookup, stage: &mut Stage, state: &mut State<'_>) {
    let Lookup { name, found } = lookup;
    let warning = match found {
        Ok(addresses) => {
            let rows = stage.selection.add(&name, addresses);
            let written = stage.kernel.write_addresses(&rows).map_err(|e| told(&e));
            written.err().map(|e| format!("addresses that `{name}` has got are not watched: {e}"))
        }
        Err(e) => Some(format!("`{name}` could not be looked up again, its addresses stay: {e}")),
    };
    if let Some(warning) = warning
        && !state.warnings.contains(&warning)
    {
        state.warnings.push(warning);
    }
}

/// From t = 0 until the run is over.
pub async fn drive(stage: &mut Stage, state: &mut State<'_>) {
    let plan = stage.plan.clone();
    let mut timeline = Timeline::new(state.scenario, &plan);
    let t0 = state.t0.unwrap_or_default();
    let hard_stop = state.scenario.duration.map(|d| t0 + d.as_nanos() as u64);
    let mut execs = Execs::default();
    let mut renew_at = 0;
    loop {
        let now = clock::monotonic_ns();
        if now >= renew_at {
            renew(stage, state, now, hard_stop);
            renew_at = now + RENEW.as_nanos() as u64;
        }
        for act in timeline.advance(now.saturating_sub(t0)) {
            perform(act, stage, state, &mut execs);
        }
        check_flows(state, &timeline, now.saturating_sub(t0));
        execs.check(state);
        resets::check(stage, state, now);
        tend(stage, state);
        state.recorded.tend();
        progress::tell(stage, state, now);
        if over(stage.hold, state, &timeline, &execs, hard_stop, now) {
            break;
        }
        let tend_at = now + Supervisor::TEND_EVERY.as_nanos() as u64;
        let due = [
            timeline.next().map(|at| t0 + at),
            hard_stop,
            Some(renew_at),
            execs.poll_at(now),
            resets::next_at(state),
            stage.progress.as_ref().map(Teller::next_at),
            stage.supervisor.is_stopping().then_some(tend_at),
        ];
        let due = due.into_iter().flatten().min().unwrap_or(renew_at);
        let wait = Duration::from_nanos(due.saturating_sub(clock::monotonic_ns()));
        let input = next(stage, state, Some(Instant::now() + wait)).await;
        take(input, stage, state);
        feed(state, &mut timeline, t0);
    }
    if !state.broken() {
        settle(stage, state).await;
    }
    let end = clock::monotonic_ns();
    state.end = Some(end);
    state.armed_at_end = timeline.active().to_vec();
    arm(stage, state, &[]);
    timeline.lift_all(end.saturating_sub(t0));
    state.steps = timeline.states().to_vec();
    execs.cut_off(state);
}

/// Gives what is on its way when the run ends its time to arrive, with the faults as they are:
/// until every socket is closed, but not for long.
async fn settle(stage: &mut Stage, state: &mut State<'_>) {
    let deadline = Instant::now() + SETTLE;
    while !state.open.is_empty() && !state.broken() {
        match next(stage, state, Some(deadline)).await {
            Input::Deadline => return,
            input => take(input, stage, state),
        }
    }
}

fn renew(stage: &mut Stage, state: &mut State<'_>, now: u64, hard_stop: Option<u64>) {
    let until = now + LEASE.as_nanos() as u64;
    // No lease reaches far beyond the hard stop: the kernel itself ends the faults then.
    let until = hard_stop.map_or(until, |stop| until.min(stop + AFTER_STOP.as_nanos() as u64));
    // A line that is stuck holds what it has: better no fault than a black hole.
    if stage.line.as_ref().is_some_and(|l| !l.is_alive()) {
        state.warnings.push("the delay line's thread did not run for a second".into());
        return;
    }
    if let Err(e) = stage.kernel.renew_lease(until) {
        state.fail(told(&e));
    }
    // So often, so that no event is much later than what it is about.
    if let Err(e) = stage.kernel.tell_rest() {
        state.fail(told(&e));
    }
}

/// Hands the timeline what has happened.
fn feed(state: &mut State<'_>, timeline: &mut Timeline<'_>, t0: u64) {
    for news in state.take_news() {
        let since = |at: u64| at.saturating_sub(t0);
        match news {
            News::Line { app, at, text } if at >= t0 => timeline.line(since(at), app, &text),
            News::Line { .. } => {}
            News::Flow { flow, at, state } => timeline.flow(since(at), flow, state),
            News::Outcomes { app, at, count } => timeline.outcomes(since(at), app, count),
        }
    }
}

fn perform(act: Act, stage: &mut Stage, state: &mut State<'_>, execs: &mut Execs) {
    let scenario = state.scenario;
    match act {
        Act::Rules(rules) => arm(stage, state, &rules),
        Act::Exec(step) => execs.start(step, stage, state),
        Act::Signal(step) => {
            let Some(spec) = scenario.steps[step].signal else { return };
            match Signal::try_from(spec.signal) {
                Ok(signal) => {
                    if stage.supervisor.runs(spec.app.0) {
                        state.apps[spec.app.0].signalled(signal);
                    }
                    if let Err(e) = stage.supervisor.signal(spec.app.0, signal) {
                        state.fail(told(&e));
                    }
                }
                Err(e) => state.fail(format!("signal {}: {e}", spec.signal)),
            }
        }
        Act::Start(step) => {
            if let Some(app) = scenario.steps[step].start {
                start::start(stage, state, app.0);
            }
        }
        Act::Stop(step) => {
            if let Some(app) = scenario.steps[step].stop {
                state.apps[app.0].asked_to_end |= stage.supervisor.runs(app.0);
                stage.supervisor.stop(app.0);
            }
        }
    }
}

/// Goes on with the end of what is being ended.
pub fn tend(stage: &mut Stage, state: &mut State<'_>) {
    for e in stage.supervisor.tend() {
        state.warnings.push(told(&e));
    }
}

/// Makes these rules the armed ones, in one flip.
fn arm(stage: &mut Stage, state: &mut State<'_>, rules: &[RuleId]) {
    match lay(&stage.plan, &mut stage.kernel, stage.line.as_ref(), rules) {
        Ok(armed) => {
            state.recorded.armed(armed);
            actions::arm(stage, state, rules);
        }
        Err(e) => state.fail(told(&e)),
    }
}

/// A flow that a step needs must appear within its time.
fn check_flows(state: &mut State<'_>, timeline: &Timeline<'_>, now: u64) {
    for (step, at) in timeline.states().iter().enumerate() {
        let Some(happened) = at.happened else { continue };
        for fault in &state.scenario.steps[step].faults {
            let flow = &state.scenario.flows[fault.flow.0];
            let late = now.saturating_sub(happened) > flow.within.as_nanos() as u64;
            if late && !fault.may_miss && !state.appeared[fault.flow.0] {
                let why = format!(
                    "flow `{}` did not appear within {:?} of step `{}`: no connection matched it \
                     (flow.within){}",
                    flow.name,
                    flow.within,
                    state.scenario.steps[step].name,
                    open_sockets(state)
                );
                state.fail(why);
                return;
            }
        }
    }
}

/// The open sockets of all apps, for the message that none is the right one.
fn open_sockets(state: &State<'_>) -> String {
    const LISTED: usize = 20;
    let open = state.sockets.iter().filter(|(_, socket)| socket.open);
    let lines: Vec<String> = open
        .filter_map(|(cookie, s)| {
            Some(format!("\n  {} -> {} (cookie {cookie})", s.local?, s.remote?))
        })
        .collect();
    match lines.len() {
        0 => ". The apps have no open connection".into(),
        n if n > LISTED => {
            format!(". Open are:{}\n  and {} more", lines[..LISTED].concat(), n - LISTED)
        }
        _ => format!(". Open are:{}", lines.concat()),
    }
}

fn over(
    hold: bool,
    state: &State<'_>,
    timeline: &Timeline<'_>,
    execs: &Execs,
    hard_stop: Option<u64>,
    now: u64,
) -> bool {
    if state.broken() || hard_stop.is_some_and(|stop| now >= stop) {
        return true;
    }
    let apps = || state.apps.iter().zip(&state.scenario.apps);
    let runs = |a: &super::state::AppState| a.started.is_some() && a.exited.is_none();
    let main_left = apps().any(|(a, spec)| spec.main && runs(a));
    // Nobody waits for the end of what is attached to, but what it does may be waited for.
    let nobody_main = !apps().any(|(_, spec)| spec.main);
    let attached = nobody_main && apps().any(|(a, spec)| spec.attach.is_some() && runs(a));
    let held = hold && attached && awaited(state);
    !main_left && !execs.any() && !held && !timeline.anything_left(main_left || attached)
}

/// Whether some socket is a flow, or may still become one.
fn awaited(state: &State<'_>) -> bool {
    let flows = state.scenario.flows.iter().enumerate();
    let is_open =
        |flow: usize| state.sockets.values().any(|s| s.open && s.flow == Some(flow as u32));
    let mut flows = flows.map(|(i, flow)| flow.follow || !state.appeared[i] || is_open(i));
    flows.any(|awaited| awaited)
}
