//! The independent eye: what the kernel says is loaded, not what flowfault says.

use std::collections::BTreeSet;
use std::fs;

use libbpf_rs::query::{LinkInfoIter, MapInfoIter, ProgInfoIter};

/// BPF objects by id. The kernel hands ids out in turn, so none comes back during a test.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Objects {
    pub programs: BTreeSet<u32>,
    pub maps: BTreeSet<u32>,
    pub links: BTreeSet<u32>,
}

impl Objects {
    /// Adds what process `pid` holds now. Others on this machine may use flowfault too: only
    /// what was seen in the hands of our own process is looked for afterwards.
    pub fn add_those_of(&mut self, pid: u32) {
        let Ok(dir) = fs::read_dir(format!("/proc/{pid}/fdinfo")) else { return };
        for entry in dir.flatten() {
            // It may be closed again by now.
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            for line in text.lines() {
                let Some((key, value)) = line.split_once(':') else { continue };
                let set = match key {
                    "prog_id" => &mut self.programs,
                    "map_id" => &mut self.maps,
                    "link_id" => &mut self.links,
                    _ => continue,
                };
                set.extend(value.trim().parse::<u32>());
            }
        }
    }

    /// Those that the kernel still has.
    pub fn left(&self) -> Self {
        let programs: BTreeSet<u32> = ProgInfoIter::default().map(|p| p.id).collect();
        let maps: BTreeSet<u32> = MapInfoIter::default().map(|m| m.id).collect();
        let links: BTreeSet<u32> = LinkInfoIter::default().map(|l| l.id).collect();
        Self {
            programs: &self.programs & &programs,
            maps: &self.maps & &maps,
            links: &self.links & &links,
        }
    }
}

/// Cgroups and journal entries of the run of process `pid`.
pub fn traces_of(pid: u32) -> Vec<String> {
    let prefix = format!("flowfault-{pid}-");
    let mut found = Vec::new();
    for mount in cgroup_mounts() {
        let names = fs::read_dir(&mount).expect("a mounted hierarchy can be listed").flatten();
        let names = names.map(|e| e.file_name().to_string_lossy().into_owned());
        found.extend(names.filter(|n| n.starts_with(&prefix)).map(|n| format!("{mount}/{n}")));
    }
    let journal = fs::read_dir("/run/flowfault").into_iter().flatten().flatten();
    let names = journal.map(|e| e.file_name().to_string_lossy().into_owned());
    found.extend(
        names.filter(|n| n.starts_with(&format!("{pid}-"))).map(|n| format!("journal {n}")),
    );
    found
}

fn cgroup_mounts() -> Vec<String> {
    let mounts = fs::read_to_string("/proc/mounts").expect("/proc is mounted");
    let lines = mounts.lines().map(|l| l.split(' ').collect::<Vec<_>>());
    let cgroup2 = lines.filter(|f| f.get(2) == Some(&"cgroup2"));
    let found: Vec<String> = cgroup2.map(|f| f[1].to_owned()).collect();
    assert!(!found.is_empty(), "no cgroup2 mounted: these tests could not see what is left there");
    found
}
