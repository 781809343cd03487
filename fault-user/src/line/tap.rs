//! The line's device: a TAP with segmentation offload, so that a super-packet comes and goes as
//! one frame. It lives as long as its descriptor; nothing of it outlives this process.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;

use bytes::{BufMut as _, Bytes, BytesMut};

use super::device::{self, PREFIX, Request, control};

/// Frames that may wait for the line. A UDP burst meets no back pressure here, and what finds no
/// room is lost (and counted); a longer queue only holds more memory while the line is stuck.
const QUEUE_LEN: i32 = 10_000;
/// Column of "drop" of what was sent, in /proc/net/dev (dev_seq_printf_stats).
const TX_DROPPED: usize = 11;
/// The largest that such a device can have (tun_net_initialize: 65535 less an Ethernet header). A
/// redirect does not ask for it.
const MTU: i32 = 65_521;
/// Longest frame: virtio header, Ethernet header, tag, IP packet. BIG TCP goes beyond 64 KiB, and
/// the kernel cuts such packets up for a device that does not offer it.
const FRAME: usize = 10 + 14 + 4 + 65_536;
/// Frames are read into pieces of this size.
const CHUNK: usize = 1 << 20;

const IFF_TAP: i16 = 0x0002;
const IFF_NO_PI: i16 = 0x1000;
const IFF_VNET_HDR: i16 = 0x4000;
// linux/if_tun.h: TUN_F_CSUM, TSO4, TSO6, TSO_ECN; USO4, USO6 (Linux 6.2).
const OFFLOADS: u32 = 0x01 | 0x02 | 0x04 | 0x08;
const OFFLOADS_UDP: u32 = 0x20 | 0x40;

nix::ioctl_write_int!(tun_set_offload, b'T', 208);

/// The device.
#[derive(Debug)]
pub struct Tap {
    file: File,
    name: String,
    ifindex: u32,
    udp_offload: bool,
    chunk: BytesMut,
}

impl Tap {
    /// Makes a device in this network namespace and brings it up.
    ///
    /// # Errors
    /// No /dev/net/tun (the module `tun` is missing), no privilege, or the kernel refuses the
    /// offloads, without which a bulk transfer would crawl.
    pub fn open() -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open("/dev/net/tun")?;
        let mut request = Request::named(&format!("{PREFIX}%d"));
        request.value.flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
        // SAFETY: TUNSETIFF reads and writes an ifreq.
        unsafe { control(file.as_fd(), libc::TUNSETIFF, &mut request) }?;
        let name = request.name();
        let udp_offload = offloads(&file)?;
        let ifindex = nix::net::if_::if_nametoindex(name.as_str()).map_err(io::Error::from)?;
        device::configure(&name, MTU, QUEUE_LEN)?;
        Ok(Self { file, name, ifindex, udp_offload, chunk: BytesMut::new() })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its index.
    pub fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// Whether UDP super-packets stay whole (Linux 6.2).
    pub fn udp_offload(&self) -> bool {
        self.udp_offload
    }

    /// Frames that found its queue full.
    ///
    /// # Errors
    /// The kernel's table of devices cannot be read, or does not have it.
    pub fn overflowed(&self) -> io::Result<u64> {
        // Not /sys/class/net: that shows the network namespace in which sysfs was mounted, which
        // need not be this one (setns(2), `nsenter --net`).
        let table = fs::read_to_string("/proc/thread-self/net/dev")?;
        tx_dropped(&table, &self.name)
            .ok_or_else(|| io::Error::other(format!("no {} in /proc/net/dev", self.name)))
    }

    /// The next frame, if one waits.
    ///
    /// # Errors
    /// The device is gone.
    pub fn read(&mut self) -> io::Result<Option<Bytes>> {
        if self.chunk.capacity() < FRAME {
            self.chunk = BytesMut::with_capacity(CHUNK);
        }
        let space = self.chunk.chunk_mut();
        // SAFETY: read(2) writes at most `len` bytes there, and all of them belong to the chunk.
        let read =
            unsafe { libc::read(self.file.as_raw_fd(), space.as_mut_ptr().cast(), space.len()) };
        let Ok(read) = usize::try_from(read) else {
            let e = io::Error::last_os_error();
            let none = matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted);
            return if none { Ok(None) } else { Err(e) };
        };
        // SAFETY: so many bytes have just been written.
        unsafe { self.chunk.advance_mut(read) };
        Ok(Some(self.chunk.split().freeze()))
    }

    /// Gives a frame to the kernel; the programs have sent it on when this returns.
    ///
    /// # Errors
    /// The kernel does not take it.
    pub fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<()> {
        (&self.file).write_vectored(parts).map(drop)
    }
}

/// Packets that the device could not take, as /proc/net/dev has it.
fn tx_dropped(table: &str, name: &str) -> Option<u64> {
    let mut lines = table.lines().filter_map(|l| l.trim_start().split_once(':'));
    let (_, columns) = lines.find(|(device, _)| *device == name)?;
    columns.split_ascii_whitespace().nth(TX_DROPPED)?.parse().ok()
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Asks for all offloads, or (before Linux 6.2) for those of TCP. Whether UDP's were granted.
fn offloads(file: &File) -> io::Result<bool> {
    let ask = |flags: u32| {
        // SAFETY: TUNSETOFFLOAD takes a number.
        unsafe { tun_set_offload(file.as_raw_fd(), flags.into()) }
    };
    if ask(OFFLOADS | OFFLOADS_UDP).is_ok() {
        return Ok(true);
    }
    ask(OFFLOADS)?;
    Ok(false)
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_those_of_the_device_on_its_way_out() {
        let table = "Inter-|   Receive                |  Transmit\n face |bytes packets|bytes\n    \
            lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\nffline1: 0 0 0 40 0 0 0 0 9 10 11 77 0 0 0 0\n";
        assert_eq!(tx_dropped(table, "ffline1"), Some(77));
        assert_eq!(tx_dropped(table, "lo"), Some(12));
        assert_eq!(tx_dropped(table, "ffline"), None);
    }
}
