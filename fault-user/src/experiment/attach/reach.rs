//! Where a run takes place: in the network namespace of the apps that run already. Interfaces, sockets, the delay line and
//! sysctls are those of the thread that touches them, so the run is a thread in there, and nothing else of it need know.
//! Apps and commands that it starts are put back to where flowfault was started.

use std::io;
use std::sync::Arc;

use super::targets::{self, Target};
use super::{AttachError, RunError};
use crate::netns::{self, Netns};
use crate::plan::{Plan, Via};
use crate::scenario::Scenario;
use crate::scenario::model::AppId;

/// What is attached to, and where that is.
#[derive(Debug)]
pub struct Reach {
    /// The apps that run already.
    pub targets: Vec<Target>,
    /// Where the run takes place, if that is not where this process is.
    there: Option<Netns>,
    /// That of this process, if the run takes place elsewhere.
    pub home: Option<Arc<Netns>>,
    /// The second network namespace that is watched: where other apps that run already are, or those that the run starts.
    pub second: Option<Arc<Netns>>,
}

/// A network namespace, and the apps in it that run already.
struct Space {
    netns: Netns,
    apps: Vec<usize>,
}

impl Reach {
    /// Finds all that a scenario attaches to. Nothing is changed.
    ///
    /// # Errors
    /// [`AttachError`]: one that is not there, not unique, or out of reach, or several that are in more than two network
    /// namespaces.
    pub fn find(scenario: &Scenario, plan: &Plan) -> Result<Self, AttachError> {
        let targets = targets::find(scenario)?;
        let current = || Netns::current().map_err(|source| AttachError::Home { source });
        let home = current()?;
        let mut spaces: Vec<Space> = Vec::new();
        for target in &targets {
            let space = space(scenario, target)?;
            let known = space.and_then(|netns| {
                let known = spaces.iter_mut().find(|s| s.netns.inode() == netns.inode());
                match known {
                    Some(known) => known.apps.push(target.app),
                    None => return Some(Space { netns, apps: vec![target.app] }),
                }
                None
            });
            spaces.extend(known);
        }
        let is_started = |app: usize| scenario.apps[app].attach.is_none();
        let started: Vec<usize> = (0..scenario.apps.len())
            .filter(|app| is_started(*app) && plan.observed[*app])
            .collect();
        match spaces.iter_mut().find(|space| space.netns.inode() == home.inode()) {
            Some(space) => space.apps.extend(&started),
            None if !started.is_empty() => {
                spaces.push(Space { netns: current()?, apps: started });
            }
            None => {}
        }
        let (first, second) = pair(scenario, plan, spaces)?;
        let there = first.map(|s| s.netns).filter(|there| there.inode() != home.inode());
        let home = there.is_some().then(|| Arc::new(home));
        Ok(Self { targets, there, home, second: second.map(|space| Arc::new(space.netns)) })
    }

    /// Does something where the apps are; threads that it starts are there as well.
    ///
    /// # Errors
    /// Their network namespace cannot be entered, or what `act` says.
    pub fn within<T, E>(self, act: impl FnOnce(Self) -> Result<T, E> + Send) -> Result<T, E>
    where
        T: Send,
        E: From<RunError> + Send,
    {
        let Some(there) = &self.there else { return act(self) };
        let enter = RunError::io("enter the network namespace of the apps (CAP_SYS_ADMIN)");
        match there.within(|| ()) {
            Ok(()) => {}
            Err(e) => return Err(enter(e).into()),
        }
        let failed = RunError::io("start a thread in the network namespace of the apps");
        let inside = || {
            self.there.as_ref().map_or(Ok(()), Netns::enter)?;
            Ok(act(self))
        };
        netns::apart(inside).map_err(|e| E::from(failed(e)))?
    }
}

/// Where the run takes place, and the other one. The delay line is in the first.
fn pair(
    scenario: &Scenario,
    plan: &Plan,
    mut spaces: Vec<Space>,
) -> Result<(Option<Space>, Option<Space>), AttachError> {
    if let [first, _, third, ..] = &spaces[..] {
        let name = |space: &Space| scenario.apps[space.apps[0]].name.clone();
        return Err(AttachError::Apart { app: name(first), other: name(third) });
    }
    let [first, second] = &spaces[..] else { return Ok((spaces.pop(), None)) };
    match (delayed(scenario, plan, first), delayed(scenario, plan, second)) {
        (Some(_), Some(flow)) => {
            let name = |space: &Space| scenario.apps[space.apps[0]].name.clone();
            Err(AttachError::LineElsewhere { flow, app: name(first), other: name(second) })
        }
        (None, Some(_)) => Ok((spaces.pop(), spaces.pop())),
        _ => {
            let second = spaces.pop();
            Ok((spaces.pop(), second))
        }
    }
}

/// A flow that needs the delay line, and may be an app's that is in there.
fn delayed(scenario: &Scenario, plan: &Plan, space: &Space) -> Option<String> {
    let on_line = plan.rules.iter().filter(|rule| rule.via() == Some(Via::Line));
    let mut flows = on_line.filter_map(|rule| scenario.flows.get(rule.flow));
    let may_be = |app: Option<AppId>| app.is_none_or(|app| space.apps.contains(&app.0));
    flows.find(|flow| may_be(flow.app)).map(|flow| flow.name.clone())
}

/// The namespace that a target is in; `None` if all its processes have ended.
fn space(scenario: &Scenario, target: &Target) -> Result<Option<Netns>, AttachError> {
    let mut found = namespaces(scenario, target)?;
    if found.len() > 1 {
        return Err(AttachError::Spread { app: scenario.apps[target.app].name.clone() });
    }
    Ok(found.pop())
}

/// The namespaces that a target is in: that of the process, or of all in the cgroup.
fn namespaces(scenario: &Scenario, target: &Target) -> Result<Vec<Netns>, AttachError> {
    let pids = target.process.as_ref().map_or_else(|| target.pids(), |p| vec![p.pid.cast_signed()]);
    let mut found: Vec<Netns> = Vec::new();
    for pid in pids {
        match Netns::of_process(pid) {
            Ok(netns) if found.iter().all(|known| known.inode() != netns.inode()) => {
                found.push(netns);
            }
            Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
                let app = scenario.apps[target.app].name.clone();
                let what = format!("look at the network namespace of process {pid}");
                return Err(AttachError::System { app, what, source });
            }
            // Known, or it has ended.
            _ => {}
        }
    }
    Ok(found)
}
