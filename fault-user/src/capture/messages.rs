//! Which messages a packet is about.

use std::collections::BTreeMap;
use std::ops::Range;

use fault_common::rule::Direction;

use super::comment::NAMED;
use super::marks::Named;
use super::packet::Packet;
use crate::ledger::flow::FlowRecord;
use crate::report::model::SendReport;

/// Flows and messages by socket.
pub struct Messages<'a> {
    flows: BTreeMap<u64, &'a FlowRecord>,
    /// Byte range and id of what a message is on a socket, by the range's start.
    sends: BTreeMap<u64, Vec<(Range<i64>, &'a str)>>,
}

impl<'a> Messages<'a> {
    /// `sends` as [`crate::correlate::correlate`] gives them.
    pub fn new(flows: &'a [FlowRecord], sends: &'a [SendReport]) -> Self {
        let mut by_socket: BTreeMap<u64, Vec<_>> = BTreeMap::new();
        for send in sends {
            if let (Some(cookie), Some([from, to]), Some(id)) = (send.cookie, send.stream, &send.id)
            {
                by_socket.entry(cookie).or_default().push((from as i64..to as i64, id.as_str()));
            }
        }
        by_socket.values_mut().for_each(|list| list.sort_by_key(|(range, _)| range.start));
        Self { flows: flows.iter().map(|f| (f.cookie, f)).collect(), sends: by_socket }
    }

    /// The flow of a packet.
    pub fn flow(&self, packet: &Packet) -> Option<&'a FlowRecord> {
        self.flows.get(&packet.cookie).copied()
    }

    /// The first of [`Messages::of`], and how many there are.
    pub fn named(&self, packet: &Packet) -> Named {
        let of = self.of(packet);
        let ids = of.iter().take(NAMED).map(|id| (*id).to_owned()).collect();
        Named { ids, all: of.len() }
    }

    /// Ids of the messages of which it carries a byte, or (coming in) whose last byte it is the first to
    /// acknowledge.
    pub fn of(&self, packet: &Packet) -> Vec<&'a str> {
        let Some(flow) = self.flow(packet) else { return Vec::new() };
        let sends = self.sends.get(&packet.cookie).map_or(&[][..], Vec::as_slice);
        let list = |is: &dyn Fn(&Range<i64>) -> bool| {
            sends.iter().filter(|(range, _)| is(range)).map(|(_, id)| *id).collect()
        };
        match packet.direction {
            Direction::Egress => {
                let start = flow.offset_near(packet.seq, packet.ts);
                let end = start + i64::from(packet.payload);
                list(&|range| range.start < end && start < range.end)
            }
            Direction::Ingress => {
                let Some(ack) = packet.ack else { return Vec::new() };
                let (una, upto) = (flow.una_at(packet.ts), flow.offset_near(ack, packet.ts));
                list(&|range| una < range.end && range.end <= upto)
            }
        }
    }
}
