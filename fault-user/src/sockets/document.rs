//! The inventory as JSON: what `flowfault flows --json` prints. Durations in milliseconds, sizes in bytes;
//! `null` is what is not known.

use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

use super::{Flow, Holder, Holders, Inventory, Selector};

/// The whole document.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    schema: u32,
    /// Inode of the network namespace that was looked from.
    namespace: u64,
    flows: Vec<FlowDocument<'a>>,
    /// Sockets that were not asked for (`--all` shows them).
    left_out: &'a BTreeMap<&'static str, usize>,
    /// Sockets that were closed while we looked.
    vanished: usize,
    /// What could not be seen, and why.
    missing: &'a [String],
}

#[derive(Debug, Serialize)]
struct FlowDocument<'a> {
    protocol: &'static str,
    state: &'static str,
    local: String,
    remote: Option<String>,
    cookie: u64,
    inode: Option<u64>,
    uid: u32,
    /// Index of the interface that it is bound to.
    interface: Option<u32>,
    mark: Option<u32>,
    /// Of the cgroup in which the socket was made.
    cgroup_id: Option<u64>,
    namespace: u64,
    /// `known`, or why `holders` is empty.
    held: &'static str,
    holders: Vec<HolderDocument<'a>>,
    /// `connect`, `accept` or `unknown`.
    opened: &'static str,
    nth: Option<NthDocument>,
    /// It is this old at least.
    age_at_least_ms: Option<f64>,
    receive_queue: u32,
    send_queue: u32,
    tcp: Option<TcpDocument>,
    /// A `[[flow]]` that picks just this socket.
    selector: Option<&'a str>,
    /// Why there is none.
    no_selector: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct HolderDocument<'a> {
    pid: i32,
    comm: &'a str,
    cmdline: &'a [String],
    fd: i32,
    uid: u32,
    cgroup: &'a str,
}

/// Place among the connections that this process now has to this remote.
#[derive(Debug, Serialize)]
struct NthDocument {
    nth: u32,
    of: u32,
    /// False: an order of inodes, which is a guess.
    exact: bool,
}

#[derive(Debug, Serialize)]
struct TcpDocument {
    /// `null` before the first measurement.
    rtt_ms: Option<f64>,
    /// Segments.
    unacked: u32,
    /// Segments.
    retransmits: u32,
    bytes_sent: Option<u64>,
    bytes_retransmitted: Option<u64>,
    bytes_acked: Option<u64>,
    bytes_received: Option<u64>,
    bytes_not_sent: Option<u32>,
}

impl<'a> Document<'a> {
    /// The document of an inventory.
    pub fn of(inventory: &'a Inventory) -> Self {
        Self {
            schema: 1,
            namespace: inventory.namespace,
            flows: inventory.flows.iter().map(flow).collect(),
            left_out: &inventory.left_out,
            vanished: inventory.vanished,
            missing: &inventory.missing,
        }
    }
}

fn flow(flow: &Flow) -> FlowDocument<'_> {
    let socket = &flow.socket;
    let (selector, no_selector) = match &flow.selector {
        Selector::Lines(lines) => (Some(lines.as_str()), None),
        Selector::None(why) => (None, Some(*why)),
    };
    FlowDocument {
        protocol: socket.protocol.name(),
        state: socket.state.name(),
        local: socket.local.to_string(),
        remote: socket.remote.map(|remote| remote.to_string()),
        cookie: socket.cookie,
        inode: socket.inode,
        uid: socket.uid,
        interface: (socket.interface != 0).then_some(socket.interface),
        mark: socket.mark,
        cgroup_id: socket.cgroup,
        namespace: flow.namespace,
        held: match flow.holders {
            Holders::Known(_) => "known",
            Holders::Orphan => "orphan",
            Holders::NotPermitted => "not permitted",
            Holders::NotFound => "not found",
        },
        holders: flow.holders.known().iter().map(holder).collect(),
        opened: flow.opened.name(),
        nth: flow.place.map(|p| NthDocument { nth: p.nth, of: p.of, exact: !p.is_guess() }),
        age_at_least_ms: flow.age.map(ms),
        receive_queue: socket.receive_queue,
        send_queue: socket.send_queue,
        tcp: socket.tcp.as_ref().map(tcp),
        selector,
        no_selector,
    }
}

fn holder(holder: &Holder) -> HolderDocument<'_> {
    let process = &holder.process;
    HolderDocument {
        pid: process.pid,
        comm: &process.comm,
        cmdline: &process.cmdline,
        fd: holder.fd,
        uid: process.uid,
        cgroup: &process.cgroup,
    }
}

fn tcp(info: &super::TcpInfo) -> TcpDocument {
    TcpDocument {
        rtt_ms: (!info.rtt.is_zero()).then(|| ms(info.rtt)),
        unacked: info.unacked,
        retransmits: info.retransmits,
        bytes_sent: info.bytes_sent,
        bytes_retransmitted: info.bytes_retransmitted,
        bytes_acked: info.bytes_acked,
        bytes_received: info.bytes_received,
        bytes_not_sent: info.not_sent,
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
