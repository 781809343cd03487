//! Cgroups that flows are selected by.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;

use fault_common::condition::CGROUP_DEPTH;

use crate::app::cgroup::Hierarchy;
use crate::experiment::RunError;
use crate::experiment::attach::{AttachError, cgroups_called};
use crate::scenario::model::Flow;

/// A cgroup of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// From the root of the hierarchy on, with a slash at its beginning.
    pub path: String,
    /// The kernel's number of it.
    pub id: u64,
}

impl Place {
    /// Whether a cgroup is this one or below it.
    pub fn holds(&self, path: &str) -> bool {
        let below = path.trim_end_matches('/').strip_prefix(self.path.trim_end_matches('/'));
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// Finds those that flows name.
///
/// # Errors
/// One that is not there, not unique, or too deep.
pub fn find(flows: &[Flow]) -> Result<BTreeMap<String, Place>, RunError> {
    let named = flows.iter().flat_map(|flow| {
        let excluded = flow.exclude.iter().filter_map(|e| e.cgroup.as_ref());
        flow.cgroup.iter().chain(excluded).map(move |name| (name.as_str(), flow))
    });
    let named: BTreeMap<&str, &Flow> = named.collect();
    if named.is_empty() {
        return Ok(BTreeMap::new());
    }
    let hierarchy = Hierarchy::find()?;
    let place = |(name, flow): (&str, &Flow)| {
        place(&hierarchy, &flow.name, name).map(|place| (name.to_owned(), place))
    };
    named.into_iter().map(place).collect()
}

fn place(hierarchy: &Hierarchy, flow: &str, name: &str) -> Result<Place, RunError> {
    let mut found = cgroups_called(hierarchy.root(), name);
    let refuse = |what: String, candidates| AttachError::FlowCgroup {
        flow: flow.to_owned(),
        what,
        candidates,
    };
    let Some(path) = found.pop() else {
        return Err(refuse(format!("there is no cgroup `{name}`"), Vec::new()).into());
    };
    if !found.is_empty() {
        found.push(path);
        let what =
            format!("there are {} cgroups called `{name}`; give the whole path", found.len());
        let candidates = found.iter().map(|path| format!("\n  {path}")).collect();
        return Err(refuse(what, candidates).into());
    }
    let depth = path.split('/').filter(|part| !part.is_empty()).count();
    if depth >= CGROUP_DEPTH as usize {
        let what = format!(
            "`{path}` is {depth} levels deep, {} are seen; name one above",
            CGROUP_DEPTH - 1
        );
        return Err(refuse(what, Vec::new()).into());
    }
    let directory = hierarchy.root().join(path.trim_start_matches('/'));
    let what = format!("look at the cgroup {}", directory.display());
    let id = std::fs::metadata(&directory).map_err(RunError::io(what))?.ino();
    Ok(Place { path, id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_holds_itself_and_what_is_below() {
        let place = |path: &str| Place { path: path.into(), id: 1 };
        assert!(place("/a").holds("/a") && place("/a").holds("/a/b") && place("/").holds("/a"));
        assert!(!place("/a").holds("/ab") && !place("/a/b").holds("/a") && place("/").holds("/"));
    }
}
