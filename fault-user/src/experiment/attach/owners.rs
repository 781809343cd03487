//! Whose sockets are looked at.

use std::collections::BTreeMap;

use super::Target;

/// Which app a process is of.
#[derive(Debug)]
pub enum Owners {
    /// By process id, the first app that has it.
    Apps(BTreeMap<i32, usize>),
    /// As if all processes in sight were this app.
    Everybody(usize),
}

impl Owners {
    /// The processes of the apps.
    pub fn of(targets: &[Target]) -> Self {
        let mut owners = BTreeMap::new();
        for target in targets {
            for pid in target.pids() {
                owners.entry(pid).or_insert(target.app);
            }
        }
        Self::Apps(owners)
    }

    /// The app of a process.
    pub fn app(&self, pid: i32) -> Option<usize> {
        match self {
            Self::Apps(owners) => owners.get(&pid).copied(),
            Self::Everybody(app) => Some(*app),
        }
    }
}
