//! In which order connections were opened, as far as that can be told afterwards.
//!
//! The kernel has no record of it. Descriptors are used again, cookies are given when somebody first asks
//! for one, ports are drawn at random. Inodes come closest: they are numbered when socket(2) or accept(2)
//! is called, but from batches of 1024 per CPU (get_next_ino), so that a process that moves between CPUs
//! mixes them up. That is a guess, and called so.

use std::collections::HashMap;

use super::{Flow, Opened};

/// Which of the connections that a process now has to one remote this is, from the oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub nth: u32,
    /// How many there are. Those that are closed already are not counted: nothing is known of them.
    pub of: u32,
}

impl Place {
    /// The only one is the first of those that there are; the order of several is a guess by inode.
    pub fn is_guess(self) -> bool {
        self.of > 1
    }
}

/// Gives each connection that its process opened, or may have opened, its place.
pub fn assign(flows: &mut [Flow]) {
    let mut groups: HashMap<_, Vec<usize>> = HashMap::new();
    for (index, flow) in flows.iter().enumerate() {
        let opener = flow.holders.first().map(|holder| holder.process.pid);
        if let (Some(pid), Some(remote), Some(_)) = (opener, flow.socket.remote, flow.socket.inode)
            && flow.opened != Opened::Accept
            && flow.socket.is_live()
        {
            groups.entry((pid, flow.socket.protocol, remote)).or_default().push(index);
        }
    }
    for mut group in groups.into_values() {
        group.sort_by_key(|index| flows[*index].socket.inode);
        let of = group.len() as u32;
        for (nth, index) in (1..).zip(group) {
            flows[index].place = Some(Place { nth, of });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sockets::{Holders, Socket, inventory::testing::flow, selector};

    #[test]
    fn only_the_only_one_is_certain() {
        let socket = |inode, remote: &str| Socket {
            inode: Some(inode),
            remote: Some(remote.parse().unwrap()),
            ..selector::sample()
        };
        let mut flows = [
            flow(socket(20, "10.0.0.2:443"), 1),
            flow(socket(10, "10.0.0.2:443"), 1),
            flow(socket(15, "10.0.0.2:443"), 2),
            flow(socket(5, "10.0.0.2:444"), 1),
        ];
        assign(&mut flows);
        let places: Vec<_> =
            flows.iter().map(|f| f.place.map(|p| (p.nth, p.of, p.is_guess()))).collect();
        assert_eq!(
            places,
            [Some((2, 2, true)), Some((1, 2, true)), Some((1, 1, false)), Some((1, 1, false))]
        );
    }

    #[test]
    fn what_nobody_opened_has_no_place() {
        let mut accepted = flow(selector::sample(), 1);
        accepted.opened = Opened::Accept;
        let mut orphan = flow(selector::sample(), 1);
        orphan.holders = Holders::Orphan;
        let mut flows = [accepted, orphan, flow(Socket { remote: None, ..selector::sample() }, 1)];
        assign(&mut flows);
        assert!(flows.iter().all(|f| f.place.is_none()));
    }
}
