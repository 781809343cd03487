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
    /// Theirs, if it is not that of this process.
    there: Option<Netns>,
    /// That of this process, if theirs is another.
    pub home: Option<Arc<Netns>>,
    /// Apps that the run starts there are watched as well.
    pub started: bool,
}

impl Reach {
    /// Finds all that a scenario attaches to. Nothing is changed.
    ///
    /// # Errors
    /// [`AttachError`]: one that is not there, not unique, or out of reach, or several that are not in one network
    /// namespace.
    pub fn find(scenario: &Scenario, plan: &Plan) -> Result<Self, AttachError> {
        let targets = targets::find(scenario)?;
        let home = Netns::current().map_err(|source| AttachError::Home { source })?;
        let mut there: Option<(Netns, usize)> = None;
        for target in &targets {
            for netns in namespaces(scenario, target)? {
                match &there {
                    Some((known, first)) if known.inode() != netns.inode() => {
                        return Err(apart(scenario, *first, target.app));
                    }
                    Some(_) => {}
                    None => there = Some((netns, target.app)),
                }
            }
        }
        let Some((there, app)) = there.filter(|(there, _)| there.inode() != home.inode()) else {
            return Ok(Self { targets, there: None, home: None, started: false });
        };
        let is_started = |app: usize| scenario.apps[app].attach.is_none();
        let started = (0..scenario.apps.len()).any(|app| is_started(app) && plan.observed[app]);
        if started && let Some(flow) = delayed_at_home(scenario, plan) {
            let app = scenario.apps[app].name.clone();
            return Err(AttachError::LineElsewhere { flow, app });
        }
        Ok(Self { targets, there: Some(there), home: Some(Arc::new(home)), started })
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

/// A flow that needs the delay line, which is where the attached apps are, and may be an app's that the run starts.
fn delayed_at_home(scenario: &Scenario, plan: &Plan) -> Option<String> {
    let on_line = plan.rules.iter().filter(|rule| rule.via() == Some(Via::Line));
    let mut flows = on_line.filter_map(|rule| scenario.flows.get(rule.flow));
    let may_be = |app: Option<AppId>| app.is_none_or(|app| scenario.apps[app.0].attach.is_none());
    flows.find(|flow| may_be(flow.app)).map(|flow| flow.name.clone())
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

fn apart(scenario: &Scenario, first: usize, second: usize) -> AttachError {
    let name = |app: usize| scenario.apps[app].name.clone();
    if first == second {
        return AttachError::Spread { app: name(first) };
    }
    AttachError::Apart { app: name(first), other: name(second) }
}
