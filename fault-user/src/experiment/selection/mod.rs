//! What flows are selected by and only this machine knows: the addresses of names, the ids of cgroups.

mod cgroups;
mod names;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::RunError;
use super::attach::Known;
use crate::netns::Netns;
use crate::plan::Plan;
use crate::plan::condition::{Addresses, Condition, Prefix, Tables};
use crate::scenario::Scenario;
use crate::scenario::model::{Host, Remote};
use crate::sockets::Process;

pub use cgroups::Place;
pub use names::Lookup;

/// The conditions of a run, with what they depend on.
pub struct Selection {
    seed: u64,
    conditions: BTreeMap<u32, Condition>,
    cgroups: BTreeMap<String, Place>,
    addresses: Addresses,
    pub tables: Tables,
    /// What names are found to mean while the run goes on.
    pub lookups: mpsc::UnboundedReceiver<Lookup>,
}

impl Selection {
    /// Resolves everything, and begins to look again for names. `home` is where flowfault was started, if this is
    /// another network namespace.
    pub async fn new(
        scenario: &Scenario,
        plan: &Plan,
        home: Option<&Arc<Netns>>,
    ) -> Result<Self, RunError> {
        let system = names::System { home: home.cloned() };
        let conditions = plan.conditions.clone();
        let cgroups = cgroups::find(&scenario.flows)?;
        let mut addresses = Addresses::new();
        for (name, flow) in named(scenario) {
            addresses.insert(name.to_owned(), names::first(system.clone(), name, flow).await?);
        }
        let tables = tables(&conditions, &addresses, &cgroups);
        let names = addresses.keys().cloned().collect();
        let lookups = names::watch(system, names, names::EVERY);
        Ok(Self { seed: plan.seed, conditions, cgroups, addresses, tables, lookups })
    }

    /// Which conditions a user and a process do not contradict.
    pub fn allowed(&self, uid: u32, process: &Process) -> u64 {
        let around = self.cgroups.values().filter(|place| place.holds(&process.cgroup));
        self.tables.allowed(uid, around.map(|place| place.id))
    }

    /// Takes in further addresses of a name; returns what of the tables is new. None is ever taken out: connections
    /// to an address that a name had go on.
    pub fn add(&mut self, name: &str, found: Vec<IpAddr>) -> Vec<Prefix> {
        let known = self.addresses.entry(name.to_owned()).or_default();
        let before = known.len();
        known.extend(found);
        known.sort();
        known.dedup();
        if known.len() == before {
            return Vec::new();
        }
        let tables = tables(&self.conditions, &self.addresses, &self.cgroups);
        let mut rows = tables.addresses.clone();
        rows.retain(|row| !self.tables.addresses.contains(row));
        self.tables = tables;
        rows
    }
}

impl Known for Selection {
    fn addresses(&self, name: &str) -> &[IpAddr] {
        self.addresses.get(name).map_or(&[], Vec::as_slice)
    }

    fn is_in(&self, cgroup: &str, process: &Process) -> bool {
        self.cgroups.get(cgroup).is_some_and(|place| place.holds(&process.cgroup))
    }

    fn seed(&self) -> u64 {
        self.seed
    }
}

fn tables(
    conditions: &BTreeMap<u32, Condition>,
    addresses: &Addresses,
    cgroups: &BTreeMap<String, Place>,
) -> Tables {
    let ids = cgroups.iter().map(|(name, place)| (name.clone(), place.id)).collect();
    Tables::new(conditions, addresses, &ids)
}

/// The host names of a scenario, each with a flow that needs it.
fn named(scenario: &Scenario) -> BTreeMap<&str, &str> {
    let flows = scenario.flows.iter();
    let remotes = flows.flat_map(|flow| {
        let excluded = flow.exclude.iter().filter_map(|e| e.remote.as_ref());
        flow.remote.iter().chain(excluded).map(|remote| (remote, flow.name.as_str()))
    });
    let name = |(remote, flow): (_, _)| match remote {
        &Remote { host: Host::Name(ref name), .. } => Some((name.as_str(), flow)),
        _ => None,
    };
    remotes.filter_map(name).collect()
}
