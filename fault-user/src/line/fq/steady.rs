//! Order between the CPUs. fq hands packets out in order, but each time on the CPU that happens to
//! ask; veth puts them into that CPU's backlog (netif_rx), and two backlogs are emptied at the
//! same time. Receive packet steering to one CPU (RPS, Documentation/networking/scaling.rst) puts
//! all of them into one.

use std::fs;
use std::io;
use std::os::fd::AsRawFd as _;

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

use crate::mount;

/// What the far end gets is handled by one CPU, in the order in which it comes. In the network
/// namespace of this thread.
pub fn one_cpu(name: &str) -> io::Result<()> {
    let cpus = sched_getaffinity(Pid::from_raw(0))?;
    let last = (0..CpuSet::count()).rev().find(|cpu| cpus.is_set(*cpu).unwrap_or(false));
    // A mount of our own: /sys shows the network namespace of whoever has mounted it.
    let sysfs = mount::detached(c"sysfs")?;
    let queue = format!("/proc/self/fd/{}/class/net/{name}/queues/rx-0", sysfs.as_raw_fd());
    fs::write(format!("{queue}/rps_cpus"), mask(last.unwrap_or(0))).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => {
            io::Error::other("the kernel cannot steer packets to a CPU (CONFIG_RPS)")
        }
        _ => e,
    })
}

/// The set of this CPU alone, as sysfs has it: groups of 32 bits, the highest first.
fn mask(cpu: usize) -> String {
    let mut mask = format!("{:x}", 1u32 << (cpu % 32));
    for _ in 0..cpu / 32 {
        mask.push_str(",00000000");
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn a_mask_has_groups_of_32_cpus() {
        assert_eq!(mask(0), "1");
        assert_eq!(mask(3), "8");
        assert_eq!(mask(31), "80000000");
        assert_eq!(mask(32), "1,00000000");
        assert_eq!(mask(69), "20,00000000,00000000");
    }
}
