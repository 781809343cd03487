//! How old a connection is at least. The kernel keeps no time of opening: an inode of sockfs has no times, and
//! those of /proc/PID/fd/N are of the first look at it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{Flow, Socket};

/// The kernel's clock for these numbers moves once in a jiffy, of 10 ms at most (HZ=100): so much they may be too large.
const JIFFY: Duration = Duration::from_millis(10);

/// The least age that the connection's own numbers prove: it has been busy for so long in all, and its last events, or
/// else its handshake, were so long ago. `None`: nothing is known.
pub fn at_least(socket: &Socket) -> Option<Duration> {
    let info = socket.tcp.as_ref().filter(|_| socket.state.is_synchronized())?;
    let longest = info.last.into_iter().chain(info.busy).max()?;
    longest.checked_sub(JIFFY).filter(|age| !age.is_zero())
}

/// Remembers since when each socket has been seen, for as long as it is looked at again and again.
#[derive(Debug, Default)]
pub struct Memory {
    /// Cookie to an instant at which the socket existed already.
    since: HashMap<u64, Instant>,
}

impl Memory {
    /// Raises the ages of these flows to what earlier looks have shown, and remembers them. `now`: after the look.
    pub fn recall(&mut self, flows: &mut [Flow], now: Instant) {
        let known = std::mem::take(&mut self.since);
        for flow in flows {
            let proven = flow.age.and_then(|age| now.checked_sub(age)).unwrap_or(now);
            let since = known.get(&flow.socket.cookie).map_or(proven, |seen| proven.min(*seen));
            flow.age = Some(now - since).filter(|age| flow.age.is_some() || !age.is_zero());
            self.since.insert(flow.socket.cookie, since);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sockets::{State, TcpInfo, inventory, selector};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_longest_proof_counts_and_none_before_the_handshake() {
        let info = TcpInfo {
            last: [SECOND, 3 * SECOND, 2 * SECOND],
            busy: Some(SECOND),
            ..TcpInfo::default()
        };
        let mut socket = Socket { tcp: Some(info), ..selector::sample() };
        assert_eq!(at_least(&socket), Some(3 * SECOND - JIFFY));
        socket.state = State::SynSent;
        assert_eq!(at_least(&socket), None);
        socket.tcp = None;
        assert_eq!(at_least(&socket), None);
    }

    #[test]
    fn what_was_seen_before_is_at_least_as_old() {
        let mut flows = [inventory::testing::flow(selector::sample(), 1)];
        let mut memory = Memory::default();
        let start = Instant::now() + 100 * SECOND;
        memory.recall(&mut flows, start);
        assert_eq!(flows[0].age, None);
        flows[0].age = Some(SECOND / 2);
        memory.recall(&mut flows, start + 4 * SECOND);
        assert_eq!(flows[0].age, Some(4 * SECOND));
        flows[0].age = Some(9 * SECOND);
        memory.recall(&mut flows, start + 5 * SECOND);
        assert_eq!(flows[0].age, Some(9 * SECOND));
        // A look without it, and it is forgotten.
        memory.recall(&mut [], start + 6 * SECOND);
        flows[0].age = None;
        memory.recall(&mut flows, start + 7 * SECOND);
        assert_eq!(flows[0].age, None);
    }
}
