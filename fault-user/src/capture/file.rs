//! The file itself (draft-ietf-opsawg-pcapng).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{self, Write};
use std::time::Duration;

use fault_common::rule::Direction;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
};
use pcap_file::pcapng::blocks::opt_common::CommonOption;
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::{PcapNgWriteError, PcapNgWriter};
use pcap_file::{DataLink, Endianness};

use super::comment::comment;
use super::marks::Named;
use super::messages::Messages;
use super::packet::Packet;
use crate::correlate::names::{self, Names};
use crate::ledger::flow::FlowRecord;
use crate::report::model::SendReport;

/// An Ethernet header, which a packet of the delay line has even where its interface has none.
const ETHERNET: usize = 14;
/// epb_flags, bits 0 and 1.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// An interface of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Whether its packets begin with an Ethernet header (those of `lo` do); else with IP.
    pub ethernet: bool,
}

impl Link {
    /// The interfaces of a run in two network namespaces. A packet tells the index alone, and each
    /// namespace counts for itself: an index that both have bears both names.
    pub fn of_two(first: BTreeMap<u32, Self>, second: BTreeMap<u32, Self>) -> BTreeMap<u32, Self> {
        let mut all = first;
        for (index, link) in second {
            match all.entry(index) {
                Entry::Vacant(free) => drop(free.insert(link)),
                Entry::Occupied(mut taken) if taken.get().name != link.name => {
                    let name = &mut taken.get_mut().name;
                    *name = format!("{name} or {}", link.name);
                }
                Entry::Occupied(_) => {}
            }
        }
        all
    }
}

/// What stands in a file.
pub struct Page<'a> {
    /// In order of time.
    pub packets: &'a [Packet],
    /// By index.
    pub links: &'a BTreeMap<u32, Link>,
    /// Bytes of a packet that were kept.
    pub snaplen: u32,
    /// In order of opening, as [`crate::ledger::build::build`] gives them.
    pub flows: &'a [FlowRecord],
    /// As [`crate::correlate::correlate`] gives them.
    pub sends: &'a [SendReport],
    /// What to call flows and rules.
    pub names: &'a Names,
    /// CLOCK_REALTIME minus CLOCK_MONOTONIC, ns.
    pub clock: i64,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file system.
    #[error("cannot write the captured packets")]
    Io(#[from] io::Error),
    /// The format.
    #[error("cannot write the captured packets as pcapng; please report this")]
    Format(#[from] PcapNgWriteError),
}

/// Writes it; without packets it is valid, too. Give it something buffered.
///
/// # Errors
/// What the writer says.
pub fn write<W: Write>(out: W, page: &Page<'_>) -> Result<(), CaptureError> {
    let messages = Messages::new(page.flows, page.sends);
    let named: Vec<Named> = page.packets.iter().map(|p| messages.named(p)).collect();
    write_named(out, page, &named)
}

/// The same where it is known already which messages each packet is about; `sends` of the page do not matter.
///
/// # Errors
/// What the writer says.
pub fn write_named<W: Write>(out: W, page: &Page<'_>, named: &[Named]) -> Result<(), CaptureError> {
    let told = "packets as they came to the fault that touched them; segmentation offload makes some longer \
                than the wire takes, checksum offload leaves checksums open";
    let options = vec![
        SectionHeaderOption::UserApplication(
            concat!("flowfault ", env!("CARGO_PKG_VERSION")).into(),
        ),
        SectionHeaderOption::Common(CommonOption::Comment(told.into())),
    ];
    let endianness = Endianness::native();
    let section = SectionHeaderBlock { endianness, options, ..SectionHeaderBlock::default() };
    let mut writer = PcapNgWriter::with_section_header(out, section)?;
    let mut links = page.links.clone();
    for packet in page.packets {
        // It came and went before it could be told of.
        let unknown = || Link { name: format!("if{}", packet.ifindex), ethernet: !packet.bare };
        links.entry(packet.ifindex).or_insert_with(unknown);
    }
    for link in links.values() {
        writer.write_pcapng_block(interface(link, page.snaplen))?;
    }
    let sockets = names::sockets(page.flows, page.names);
    for (packet, named) in page.packets.iter().zip(named) {
        let socket = sockets.get(&packet.cookie).map(String::as_str);
        let said = comment(packet, named, page.names, socket);
        let id = links.range(..packet.ifindex).count() as u32;
        let ethernet = links.get(&packet.ifindex).is_some_and(|l| l.ethernet);
        writer.write_pcapng_block(block(packet, id, ethernet, page.clock, said))?;
    }
    Ok(writer.into_inner().flush()?)
}

fn interface(link: &Link, snaplen: u32) -> InterfaceDescriptionBlock<'_> {
    InterfaceDescriptionBlock {
        linktype: if link.ethernet { DataLink::ETHERNET } else { DataLink::RAW },
        snaplen,
        options: vec![
            InterfaceDescriptionOption::IfName(Cow::Borrowed(&link.name)),
            InterfaceDescriptionOption::IfTsResol(InterfaceTsResolution::NANO),
        ],
    }
}

fn block(
    packet: &Packet,
    id: u32,
    ethernet: bool,
    clock: i64,
    said: String,
) -> EnhancedPacketBlock<'_> {
    let skip = if ethernet || packet.bare { 0 } else { ETHERNET.min(packet.bytes.len()) };
    let direction = match packet.direction {
        Direction::Egress => OUTBOUND,
        Direction::Ingress => INBOUND,
    };
    EnhancedPacketBlock {
        interface_id: id,
        timestamp: Duration::from_nanos(packet.ts.saturating_add_signed(clock)),
        original_len: packet.len.saturating_sub(skip as u32),
        data: Cow::Borrowed(&packet.bytes[skip..]),
        options: vec![
            EnhancedPacketOption::Common(CommonOption::Comment(said.into())),
            EnhancedPacketOption::Flags(direction),
        ],
    }
}
