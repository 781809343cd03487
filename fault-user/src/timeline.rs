//! The steps of a scenario against the clock and what happens: a pure state machine.
//!
//! Times are nanoseconds since t = 0. The experiment feeds it events and asks what is due; it
//! answers with acts and never does anything itself.

use crate::plan::{Plan, RuleId};
use crate::scenario::model::{Clear, FlowState, Scenario, Step, Trigger};

/// Something to do now, in the order given.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// These rules, in this stacking order, are to be the armed ones.
    Rules(Vec<RuleId>),
    /// Run the step's command.
    Exec(usize),
    /// Send the step's signal.
    Signal(usize),
    /// Start the step's app.
    Start(usize),
    /// Stop the step's app.
    Stop(usize),
}

/// What has become of one step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StepState {
    /// When it is to happen, once that is known.
    pub due: Option<u64>,
    /// When it happened.
    pub happened: Option<u64>,
    /// When its faults are to be lifted by `for`.
    pub lifts: Option<u64>,
    /// When the last of its faults was lifted.
    pub lifted: Option<u64>,
}

/// The steps and the armed rules.
pub struct Timeline<'a> {
    plan: &'a Plan,
    steps: &'a [Step],
    states: Vec<StepState>,
    active: Vec<RuleId>,
}

impl<'a> Timeline<'a> {
    /// At t = 0: nothing has happened yet.
    pub fn new(scenario: &'a Scenario, plan: &'a Plan) -> Self {
        let due = |step: &Step| match &step.trigger {
            Trigger::At(at) => Some(at.as_nanos() as u64),
            _ => None,
        };
        let states =
            scenario.steps.iter().map(|s| StepState { due: due(s), ..StepState::default() });
        Self { plan, steps: &scenario.steps, states: states.collect(), active: Vec::new() }
    }

    /// States by index of the step.
    pub fn states(&self) -> &[StepState] {
        &self.states
    }

    /// Rules that are armed now, in stacking order.
    pub fn active(&self) -> &[RuleId] {
        &self.active
    }

    /// A line of output (`app` is its index) at `now`.
    pub fn line(&mut self, now: u64, app: usize, text: &str) {
        self.trigger(now, |t| {
            matches!(t, Trigger::Log { log, app: of }
                if of.is_none_or(|a| a.0 == app) && log.0.is_match(text))
        });
    }

    /// A flow came to a state at `now`.
    pub fn flow(&mut self, now: u64, flow: usize, state: FlowState) {
        self.trigger(
            now,
            |t| matches!(t, Trigger::Flow { flow: f, state: s } if f.0 == flow && *s == state),
        );
    }

    /// An app has now told of `count` outcomes.
    pub fn outcomes(&mut self, now: u64, app: usize, count: u64) {
        self.trigger(
            now,
            |t| matches!(t, Trigger::Outcomes { app: a, count: n } if a.0 == app && count >= *n),
        );
    }

    fn trigger(&mut self, now: u64, matches: impl Fn(&Trigger) -> bool) {
        for (step, state) in self.steps.iter().zip(&mut self.states) {
            if state.due.is_none() && matches(&step.trigger) {
                state.due = Some(now);
            }
        }
    }

    /// When something is due next.
    pub fn next(&self) -> Option<u64> {
        self.moments().map(|(at, ..)| at).min()
    }

    /// Moments to come: (time, 0 for a lift and 1 for a step, index).
    fn moments(&self) -> impl Iterator<Item = (u64, u8, usize)> + '_ {
        self.states.iter().enumerate().flat_map(|(i, s)| {
            let lift = s.lifts.filter(|_| s.lifted.is_none()).map(|at| (at, 0, i));
            let step = s.due.filter(|_| s.happened.is_none()).map(|at| (at, 1, i));
            lift.into_iter().chain(step)
        })
    }

    /// Does everything that is due at `now`, in order of time; lifts come before steps of the
    /// same moment.
    pub fn advance(&mut self, now: u64) -> Vec<Act> {
        let mut acts = Vec::new();
        while let Some((at, kind, i)) = self.moments().filter(|m| m.0 <= now).min() {
            // What happens late (a busy machine) counts from when it happens: `for` is a length.
            let at = at.max(now);
            if kind == 0 {
                self.states[i].lifts = None;
                self.remove(at, |plan, id| plan.rule(id).step == i);
                acts.push(Act::Rules(self.active.clone()));
            } else {
                self.happen(i, at, &mut acts);
            }
        }
        acts
    }

    fn happen(&mut self, i: usize, at: u64, acts: &mut Vec<Act>) {
        let step = &self.steps[i];
        let state = &mut self.states[i];
        state.happened = Some(at);
        state.lifts = step.lasts.map(|d| at + d.as_nanos() as u64);
        let before = self.active.len();
        match &step.clear {
            Clear::Nothing => {}
            Clear::All => self.remove(at, |_, _| true),
            Clear::Flows(flows) => {
                self.remove(at, |plan, id| flows.iter().any(|f| f.0 == plan.rule(id).flow));
            }
        }
        self.active.extend(self.plan.rules_of(i));
        if step.clear != Clear::Nothing || self.active.len() != before {
            acts.push(Act::Rules(self.active.clone()));
        }
        let also = [
            (step.stop.is_some(), Act::Stop(i)),
            (step.signal.is_some(), Act::Signal(i)),
            (step.start.is_some(), Act::Start(i)),
            (step.exec.is_some(), Act::Exec(i)),
        ];
        acts.extend(also.into_iter().filter(|(is, _)| *is).map(|(_, act)| act));
        self.follow_ups(i, at);
    }

    /// Steps that were to come so long after this one.
    fn follow_ups(&mut self, i: usize, at: u64) {
        for (step, state) in self.steps.iter().zip(&mut self.states) {
            if let Trigger::After { step: after, plus } = &step.trigger
                && after.0 == i
            {
                state.due = Some(at + plus.as_nanos() as u64);
            }
        }
    }

    fn remove(&mut self, at: u64, gone: impl Fn(&Plan, RuleId) -> bool) {
        let (plan, active) = (self.plan, &mut self.active);
        let steps: Vec<usize> = active.iter().map(|id| plan.rule(*id).step).collect();
        active.retain(|id| !gone(plan, *id));
        for i in steps {
            let still = self.active.iter().any(|id| plan.rule(*id).step == i);
            if !still && self.states[i].lifted.is_none() {
                self.states[i].lifted = Some(at);
            }
        }
    }

    /// Lifts everything: the end of the run.
    pub fn lift_all(&mut self, at: u64) {
        self.remove(at, |_, _| true);
    }

    /// Whether a step is left that can still happen, or a `for` that has not run out. Steps that
    /// wait for something an app does can only happen while one runs.
    pub fn anything_left(&self, apps_run: bool) -> bool {
        self.moments().next().is_some() || (apps_run && self.states.iter().any(|s| s.due.is_none()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::parse;

    const HEAD: &str = r#"
        schema = 1
        name = "t"
        duration = "60s"
        [[app]]
        name = "a"
        command = ["true"]
        [[flow]]
        name = "x"
        remote = "127.0.0.1:1"
        nth = 1
        [[flow]]
        name = "y"
        remote = "127.0.0.1:1"
        nth = 2
    "#;
    const S: u64 = 1_000_000_000;

    fn with(steps: &str, check: impl FnOnce(&mut Timeline<'_>)) {
        let text = format!("{HEAD}{steps}");
        let scenario = parse("t.toml", &text, std::path::Path::new("/"), &[]).unwrap();
        let plan = crate::plan::compile(&scenario, 1).unwrap();
        check(&mut Timeline::new(&scenario, &plan));
    }

    fn rules(ids: &[u32]) -> Act {
        Act::Rules(ids.iter().map(|i| RuleId(*i)).collect())
    }

    const OUTAGE: &str = r#"
        [[step]]
        name = "outage"
        at = "5s"
        for = "10s"
        faults = [{ flow = "x", drop = 1.0 }]
    "#;

    #[test]
    fn a_step_arms_at_its_time_and_lifts_by_itself() {
        with(OUTAGE, |t| {
            assert_eq!(t.next(), Some(5 * S));
            assert_eq!(t.advance(5 * S - 1), []);
            assert_eq!(t.advance(5 * S), [rules(&[0, 1])]);
            assert_eq!((t.next(), t.anything_left(false)), (Some(15 * S), true));
            assert_eq!(t.advance(15 * S), [rules(&[])]);
            assert_eq!(t.states()[0].lifted, Some(15 * S));
            assert!(!t.anything_left(true));
        });
    }

    #[test]
    fn a_step_that_comes_late_lasts_as_long() {
        with(OUTAGE, |t| {
            assert_eq!(t.advance(7 * S), [rules(&[0, 1])]);
            assert_eq!(t.next(), Some(17 * S));
        });
    }

    #[test]
    fn clear_lifts_the_named_flows_and_keeps_the_others() {
        let steps = r#"
            [[step]]
            name = "both"
            at = "1s"
            faults = [
              { flow = "x", direction = "egress", drop = 1.0 },
              { flow = "y", direction = "egress", drop = 1.0 },
            ]
            [[step]]
            name = "heal x"
            at = "2s"
            clear = ["x"]
            [[step]]
            name = "heal"
            after = { step = "heal x", plus = "1s" }
            clear = true
        "#;
        with(&steps.replace("heal x", "heal-x"), |t| {
            assert_eq!(t.advance(S), [rules(&[0, 1])]);
            assert_eq!(t.advance(2 * S), [rules(&[1])]);
            assert_eq!(t.states()[0].lifted, None);
            assert_eq!(t.next(), Some(3 * S));
            assert_eq!(t.advance(3 * S), [rules(&[])]);
            assert_eq!(t.states()[0].lifted, Some(3 * S));
        });
    }

    #[test]
    fn triggers_fire_once_and_only_for_what_they_name() {
        let steps = r#"
            [[step]]
            name = "on-log"
            after = { log = "closing \\w+", app = "a" }
            exec = ["true"]
            [[step]]
            name = "on-flow"
            after = { flow = "y", state = "established" }
            exec = ["true"]
        "#;
        with(steps, |t| {
            assert!(t.anything_left(true) && !t.anything_left(false));
            t.line(S, 0, "opening x");
            t.flow(S, 0, FlowState::Established);
            t.flow(S, 1, FlowState::Opened);
            assert_eq!(t.advance(S), []);
            t.line(2 * S, 0, "closing x");
            assert_eq!(t.advance(2 * S), [Act::Exec(0)]);
            t.line(3 * S, 0, "closing x");
            t.flow(3 * S, 1, FlowState::Established);
            assert_eq!(t.advance(3 * S), [Act::Exec(1)]);
            assert!(!t.anything_left(true));
        });
    }
}
