//! Conditions -> the tables by which the programs find out which of them hold.

use std::collections::BTreeMap;

use fault_common::condition::{ANY_CGROUP, ANY_USER, KINDS, LOCAL, REMOTE, kind};
use fault_common::hello::{PATH, SERVER_NAME};
use fault_common::table::MAX_APPS;

use super::prefixes::{Prefix, inherit};
use super::{Addresses, Condition};
use crate::scenario::model::{Hello, Host, Net, Ports, Text};

/// Which conditions each property of a socket does not contradict.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tables {
    pub addresses: Vec<Prefix>,
    pub ports: Vec<Prefix>,
    pub users: BTreeMap<u32, u64>,
    /// By id: what needs that cgroup; under [`ANY_CGROUP`] what needs none.
    pub cgroups: BTreeMap<u64, u64>,
    /// By what is said first; see `fault_common::hello`.
    pub hellos: Vec<Prefix>,
    /// By [`kind`].
    pub kinds: Vec<u64>,
}

impl Tables {
    /// Makes them; `cgroups` are the ids of the cgroups that conditions name.
    pub fn new(
        conditions: &BTreeMap<u32, Condition>,
        addresses: &Addresses,
        cgroups: &BTreeMap<String, u64>,
    ) -> Self {
        let mut tables = Self { kinds: vec![0; KINDS as usize], ..Self::default() };
        let mut hellos = Vec::new();
        let (mut nets, mut ports) =
            (vec![Prefix::mapped(REMOTE), Prefix::mapped(LOCAL)], Vec::new());
        for (bit, condition) in conditions {
            let set = 1u64 << bit;
            nets.extend(remote_nets(condition, addresses, set));
            nets.push(match condition.local.and_then(|local| local.net) {
                Some(net) => Prefix::net(LOCAL, net, set),
                None => Prefix::any_address(LOCAL, set),
            });
            let remote = condition.remote.as_ref().map_or(Ports::ALL, |remote| remote.ports);
            let local = condition.local.and_then(|local| local.ports).unwrap_or(Ports::ALL);
            ports.extend(Prefix::ports(REMOTE, remote, set));
            ports.extend(Prefix::ports(LOCAL, local, set));
            hellos.push(Prefix::text(condition.hello.as_ref().map_or(Vec::new(), said), set));
            *tables.users.entry(condition.uid.unwrap_or(ANY_USER)).or_default() |= set;
            // One whose cgroup is not there holds nowhere.
            let cgroup = match &condition.cgroup {
                None => Some(ANY_CGROUP),
                Some(name) => cgroups.get(name).copied(),
            };
            if let Some(id) = cgroup {
                *tables.cgroups.entry(id).or_default() |= set;
            }
            tables.add_kind(condition, set);
        }
        let anybody = tables.users.get(&ANY_USER).copied().unwrap_or(0);
        tables.users.values_mut().for_each(|set| *set |= anybody);
        tables.addresses = inherit(&nets);
        tables.ports = inherit(&ports);
        tables.hellos = inherit(&hellos);
        tables
    }

    fn add_kind(&mut self, condition: &Condition, set: u64) {
        for app in (0..MAX_APPS).filter(|app| condition.app.is_none_or(|a| a == *app as usize)) {
            for (udp, accepted) in [(false, false), (false, true), (true, false), (true, true)] {
                let fits = condition.udp.is_none_or(|u| u == udp)
                    && condition.accepted.is_none_or(|a| a == accepted);
                if let Some(entry) = self.kinds.get_mut(kind(app, udp, accepted) as usize) {
                    *entry |= if fits { set } else { 0 };
                }
            }
        }
    }

    /// Which conditions a user and the cgroups (by id) that a process is in do not contradict.
    pub fn allowed(&self, uid: u32, cgroups: impl IntoIterator<Item = u64>) -> u64 {
        let users = self.users.get(&uid).or_else(|| self.users.get(&ANY_USER)).copied();
        let ids = cgroups.into_iter().chain([ANY_CGROUP]);
        let cgroups = ids.filter_map(|id| self.cgroups.get(&id)).fold(0, |all, set| all | set);
        users.unwrap_or(0) & cgroups
    }
}

/// The key of it, or how such keys begin. A whole text ends with the zeros behind it.
fn said(hello: &Hello) -> Vec<u8> {
    let (kind, text): (u8, Vec<u8>) = match hello {
        Hello::Sni(name) => (SERVER_NAME, name.text.bytes().rev().collect()),
        Hello::Path(path) => (PATH, path.text.bytes().collect()),
    };
    let (Hello::Sni(Text { open, .. }) | Hello::Path(Text { open, .. })) = hello;
    [&[kind][..], &text, if *open { &[] } else { &[0] }].concat()
}

fn remote_nets(condition: &Condition, addresses: &Addresses, set: u64) -> Vec<Prefix> {
    match condition.remote.as_ref().map(|remote| &remote.host) {
        None | Some(Host::Any) => vec![Prefix::any_address(REMOTE, set)],
        Some(Host::Net(net)) => vec![Prefix::net(REMOTE, *net, set)],
        Some(Host::Name(name)) => {
            let known = addresses.get(name).into_iter().flatten();
            known.map(|ip| Prefix::net(REMOTE, Net::host(*ip), set)).collect()
        }
    }
}
