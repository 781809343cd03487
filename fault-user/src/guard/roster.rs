//! Which stream has which of the kernel's few flows. Pure: the caller tells the kernel.
//!
//! A stream keeps its flow when its last guard goes, for the next guard may be on the same; it loses it when another
//! stream needs one, the longest idle first.

use std::collections::HashMap;

use fault_common::rule::MAX_FLOWS;

use super::stream::Stream;

/// A stream that the kernel knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    pub stream: Stream,
    pub flow: u32,
    /// Index of its counters.
    pub slot: u32,
    /// Armed on it.
    guards: u32,
    /// When its last guard went; they are numbered.
    idle: u64,
}

/// All of them, by cookie.
#[derive(Debug, Default)]
pub struct Roster {
    known: HashMap<u64, Known>,
    /// Guards that have gone.
    gone: u64,
}

/// Where a stream that is not known may get its flow.
#[derive(Debug, PartialEq, Eq)]
pub enum Room {
    Free(u32),
    /// Once this one is forgotten.
    Of(Known),
}

impl Roster {
    /// What is known of a stream.
    pub fn get(&self, cookie: u64) -> Option<Known> {
        self.known.get(&cookie).copied()
    }

    /// A place for another; `None`: all have guards.
    pub fn room(&self) -> Option<Room> {
        let taken = |flow: &u32| self.known.values().any(|known| known.flow == *flow);
        if let Some(flow) = (0..MAX_FLOWS).find(|flow| !taken(flow)) {
            return Some(Room::Free(flow));
        }
        let idle = self.known.values().filter(|known| known.guards == 0);
        idle.min_by_key(|known| known.idle).map(|known| Room::Of(*known))
    }

    /// It is known now.
    pub fn add(&mut self, stream: Stream, flow: u32, slot: u32) -> Known {
        let known = Known { stream, flow, slot, guards: 0, idle: 0 };
        self.known.insert(stream.cookie, known);
        known
    }

    /// It is not known any more.
    pub fn remove(&mut self, cookie: u64) {
        self.known.remove(&cookie);
    }

    /// A guard was armed on it.
    pub fn enter(&mut self, cookie: u64) {
        if let Some(known) = self.known.get_mut(&cookie) {
            known.guards += 1;
        }
    }

    /// A guard of it has gone.
    pub fn leave(&mut self, cookie: u64) {
        self.gone += 1;
        if let Some(known) = self.known.get_mut(&cookie) {
            known.guards = known.guards.saturating_sub(1);
            known.idle = self.gone;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(cookie: u64) -> Stream {
        let any = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let protocol = crate::act::Protocol::Tcp;
        Stream { cookie, netns: 1, protocol, local: any, remote: Some(any), dual: false }
    }

    #[test]
    fn the_longest_idle_stream_makes_room() {
        let mut roster = Roster::default();
        for cookie in 0..u64::from(MAX_FLOWS) {
            let Some(Room::Free(flow)) = roster.room() else {
                panic!("there is room for {cookie}")
            };
            roster.add(stream(cookie), flow, cookie as u32);
            roster.enter(cookie);
        }
        assert_eq!(roster.room(), None, "all have guards");
        roster.enter(5);
        for cookie in [5, 9, 3] {
            roster.leave(cookie);
        }
        let Some(Room::Of(idle)) = roster.room() else { panic!("two are idle") };
        assert_eq!(idle.stream.cookie, 9, "5 has another guard, 3 went later");
        roster.enter(9);
        let Some(Room::Of(idle)) = roster.room() else { panic!("one is idle") };
        assert_eq!(idle.stream.cookie, 3);
        roster.remove(3);
        assert_eq!(roster.room(), Some(Room::Free(idle.flow)));
        assert!(roster.get(3).is_none() && roster.get(9).is_some());
    }
}
