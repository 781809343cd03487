//! Which messages the packets of a run are about that is judged a stretch of time after the other.

use std::collections::BTreeMap;
use std::ops::Range;

use fault_common::rule::Direction;

use super::comment::NAMED;
use super::packet::Packet;
use crate::history::Lookup;
use crate::ledger::stream::RangeIndex;
use crate::report::model::SendReport;

/// The packets, and what is known of each.
pub struct Marks<'p> {
    packets: &'p [Packet],
    /// How many of them have found their bytes.
    found: usize,
    sockets: BTreeMap<(u64, Direction), Places>,
    named: Vec<Named>,
}

/// Messages of one packet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// The first of them.
    pub ids: Vec<String>,
    /// How many there are.
    pub all: usize,
}

/// Bytes that packets of a socket carry, or acknowledge for the first time.
#[derive(Default)]
struct Places {
    ranges: Vec<Range<i64>>,
    packets: Vec<usize>,
    index: RangeIndex,
    stale: bool,
}

impl<'p> Marks<'p> {
    /// `packets` in order of time.
    pub fn new(packets: &'p [Packet]) -> Self {
        let named = vec![Named::default(); packets.len()];
        Self { packets, found: 0, sockets: BTreeMap::new(), named }
    }

    /// Finds the bytes of the packets up to `until` (ns).
    pub fn stretch(&mut self, flow: &Lookup<'_>, until: u64) {
        while let Some(packet) = self.packets.get(self.found).filter(|p| p.ts <= until) {
            let number = self.found;
            self.found += 1;
            let Some(flow) = flow(packet.cookie) else { continue };
            let range = match packet.direction {
                Direction::Egress => {
                    let start = flow.offset_near(packet.seq, packet.ts);
                    start..start + i64::from(packet.payload)
                }
                Direction::Ingress => {
                    let Some(ack) = packet.ack else { continue };
                    flow.una_at(packet.ts)..flow.offset_near(ack, packet.ts)
                }
            };
            let places = self.sockets.entry((packet.cookie, packet.direction)).or_default();
            places.ranges.push(range);
            places.packets.push(number);
            places.stale = true;
        }
        for places in self.sockets.values_mut().filter(|p| p.stale) {
            places.index = RangeIndex::new(places.ranges.iter().cloned());
            places.stale = false;
        }
    }

    /// Gives the packets of a message its name.
    pub fn send(&mut self, send: &SendReport) {
        let (Some(cookie), Some([from, to]), Some(id)) = (send.cookie, send.stream, &send.id)
        else {
            return;
        };
        let (from, to) = (from as i64, to as i64);
        // What is acknowledged is its last byte.
        for (direction, range) in
            [(Direction::Egress, from..to), (Direction::Ingress, (to - 1).max(from)..to)]
        {
            let Some(places) = self.sockets.get(&(cookie, direction)) else { continue };
            for at in places.index.meeting(&range) {
                let named = &mut self.named[places.packets[at]];
                named.all += 1;
                if named.ids.len() < NAMED {
                    named.ids.push(id.clone());
                }
            }
        }
    }

    /// Of each packet, its messages.
    pub fn finish(self) -> Vec<Named> {
        self.named
    }
}
