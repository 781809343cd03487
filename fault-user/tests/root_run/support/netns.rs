//! Network namespaces and the cables between them.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::process::{run, wait_for};

/// A network namespace with `lo` up; removed on drop, with all that is in it.
pub struct Netns {
    pub name: String,
    file: File,
}

impl Netns {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // The process id keeps two test programs on one machine apart.
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ffe2e-{}-{count}", std::process::id());
        run("ip", &["netns", "add", &name]);
        run("ip", &["-n", &name, "link", "set", "lo", "up"]);
        let file = File::open(format!("/run/netns/{name}")).expect("the namespace was just made");
        Self { name, file }
    }

    /// Makes `command` run in here. Only the network changes: /sys stays the host's, with its
    /// cgroup hierarchy.
    pub fn put(&self, command: &mut Command) {
        let fd = self.file.try_clone().expect("a descriptor is free");
        // SAFETY: between fork and exec only setns is called, on a descriptor the closure owns.
        unsafe {
            command.pre_exec(move || enter(&fd));
        }
    }

    /// Runs `work` on a thread of its own in here.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                enter(&self.file).expect("root may enter a namespace");
                work()
            });
            inside.join().expect("work in the namespace succeeds")
        })
    }

    /// Its interfaces, one line each, without their counters.
    pub fn links(&self) -> String {
        run("ip", &["-n", &self.name, "-o", "link"])
    }

    /// `ip` in here.
    pub fn ip(&self, args: &str) {
        let args: Vec<&str> = ["-n", &self.name].into_iter().chain(args.split(' ')).collect();
        run("ip", &args);
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        run("ip", &["netns", "del", &self.name]);
    }
}

fn enter(namespace: &File) -> std::io::Result<()> {
    // SAFETY: an open descriptor; the kernel checks that it is a network namespace.
    let result = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// The interface of a cable, in both namespaces.
pub const CABLE: &str = "cable0";

/// A veth pair of MTU 1500: 10.77.0.1 and fd77::1 here, .2 and ::2 there. Goes with either end.
pub fn cable(near: &Netns, far: &Netns) {
    near.ip(&format!(
        "link add {CABLE} mtu 1500 type veth peer name {CABLE} mtu 1500 netns {}",
        far.name
    ));
    for (netns, host) in [(near, 1), (far, 2)] {
        netns.ip(&format!("addr add 10.77.0.{host}/24 dev {CABLE}"));
        // Without nodad the address is of no use for the first second.
        netns.ip(&format!("addr add fd77::{host}/64 dev {CABLE} nodad"));
        netns.ip(&format!("link set {CABLE} up"));
    }
    // The carrier comes when the kernel gets to it (linkwatch): up to a second later on a busy
    // machine.
    for netns in [near, far] {
        let up = || (!netns.links().contains("state DOWN")).then_some(());
        wait_for("carrier of the cable", Duration::from_secs(5), up);
    }
}
