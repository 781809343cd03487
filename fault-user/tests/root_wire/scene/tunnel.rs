//! A tunnel between two network namespaces: an interface at each end whose packets have no Ethernet
//! header, as those of WireGuard.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use nix::poll::{PollFd, PollFlags, poll};

use crate::lab::netns::Netns;

/// The interface at both ends.
const NAME: &str = "tunnel0";

/// Goes with it, at both ends.
pub struct Tunnel {
    stop: Arc<AtomicBool>,
    carrier: Option<JoinHandle<()>>,
}

impl Tunnel {
    /// 10.78.0.1 and fd78::1 in the first namespace, .2 and ::2 in the second.
    pub fn new(near: &Netns, far: &Netns) -> Self {
        let ends = [(near, 1), (far, 2)].map(|(netns, host)| {
            let end = netns.within(open).expect("root may make a TUN device");
            netns.ip(&format!("addr add 10.78.0.{host}/24 dev {NAME}"));
            netns.ip(&format!("addr add fd78::{host}/64 dev {NAME} nodad"));
            netns.ip(&format!("link set {NAME} up"));
            end
        });
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        Self { stop, carrier: Some(std::thread::spawn(move || carry(ends, &flag))) }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.carrier.take().map(JoinHandle::join);
        assert!(matches!(ended, Some(Ok(()))), "the carrier does not panic");
    }
}

fn open() -> std::io::Result<File> {
    let file = File::options().read(true).write(true).open("/dev/net/tun")?;
    let mut request = [0u8; 40];
    request[..NAME.len()].copy_from_slice(NAME.as_bytes());
    let flags = (libc::IFF_TUN | libc::IFF_NO_PI) as u16;
    request[16..18].copy_from_slice(&flags.to_ne_bytes());
    // SAFETY: the request reads and writes a struct ifreq, which is 40 bytes long.
    let made = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, request.as_mut_ptr()) };
    if made < 0 { Err(std::io::Error::last_os_error()) } else { Ok(file) }
}

/// Each packet that one end sends, the other one receives.
fn carry(ends: [File; 2], stop: &AtomicBool) {
    let mut packet = vec![0; 1 << 16];
    while !stop.load(Ordering::Relaxed) {
        let mut ready = ends.each_ref().map(|end| PollFd::new(end.as_fd(), PollFlags::POLLIN));
        poll(&mut ready, 20u16).expect("they are open");
        let ready = ready.map(|r| r.any().unwrap_or_default());
        for (at, mut from) in ends.iter().enumerate().filter(|(at, _)| ready[*at]) {
            let length = from.read(&mut packet).expect("a packet");
            let mut to = &ends[1 - at];
            assert_eq!(to.write(&packet[..length]).expect("it is up"), length);
        }
    }
}
