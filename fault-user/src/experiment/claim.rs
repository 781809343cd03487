//! Runs that use the settings of `lo` and do not share a journal (another /run, in a container with the host's network)
//! cannot know of each other from it, and the first to end would take from the other what it needs. Each says by the
//! name of an abstract socket which journal it has: those names are a network namespace's, as `lo` is, and go with
//! their process (unix(7)).

use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the names begin with.
const PREFIX: &str = "flowfault/lo/";
/// Sockets of this network namespace; a name without a file begins with `@` (proc_pid_net(5)).
const SOCKETS: &str = "/proc/thread-self/net/unix";

/// The settings of `lo` are in use by the runs of one journal, as long as this lives.
#[derive(Debug)]
#[must_use = "dropping it lets others change them"]
pub struct Claim {
    _socket: UnixDatagram,
}

impl Claim {
    /// Says so for the journal in that directory, in the network namespace of this thread.
    ///
    /// # Errors
    /// A run with another journal does; or there can be no such socket.
    pub fn take(journal: &Path) -> io::Result<Self> {
        let place = fs::metadata(journal)?;
        claim(PREFIX, &format!("{}:{}", place.dev(), place.ino()))
    }
}

fn claim(prefix: &str, journal: &str) -> io::Result<Claim> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let (pid, n) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    // Two pid namespaces may have the same number.
    let unique = fault_common::rng::mix(crate::clock::monotonic_ns() ^ u64::from(pid)) ^ n;
    let name = format!("{prefix}{journal}/{pid}-{unique:x}");
    // First the name, then the look: of two at a time at least one sees the other.
    let _socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
    let sockets = fs::read_to_string(SOCKETS)?;
    let mut others = sockets.lines().filter_map(|line| {
        let name = line.rsplit(' ').next()?.strip_prefix('@')?.strip_prefix(prefix)?;
        name.split_once('/').filter(|(other, _)| *other != journal)
    });
    match others.next() {
        None => Ok(Claim { _socket }),
        Some((_, whose)) => Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            format!(
                "a run of flowfault with another /run ({whose}, process and number) uses the delay line on `lo` of \
                 this network namespace: wait for its end, or give both the same /run/flowfault"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_one_journal_may_and_those_of_another_may_not() {
        let prefix = format!("flowfault-test/{}/", std::process::id());
        let take = |journal| claim(&prefix, journal);
        let (first, second) = (take("1:7").unwrap(), take("1:7").unwrap());
        let refused = take("1:70").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
        assert!(refused.to_string().contains("another /run"), "{refused}");
        drop(first);
        assert!(take("2:7").is_err());
        drop(second);
        drop(take("2:7").unwrap());
    }

    #[test]
    fn a_directory_that_is_not_there_is_no_journal() {
        assert!(Claim::take(Path::new("/nowhere/flowfault")).is_err());
    }
}
