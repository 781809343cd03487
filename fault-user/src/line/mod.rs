//! The delay line: everything that takes more than a verdict. The packet programs hand it the
//! packets of a flow, and it gives them back: later, less of them, changed, more than once.
//!
//! There are two [`Backend`]s: a TAP device with a thread of ours behind it, which can do
//! everything, and the qdisc fq on a veth pair, which can wait and nothing else, in the kernel.
//!
//! | file | responsibility |
//! |---|---|
//! | `backend`, `choice` | what the two have in common, and which of them it is |
//! | `fq` | the veth pair with fq |
//! | `tap`, `device` | the device through which packets come and go |
//! | `frame` | what a frame is, and what can be done to it |
//! | `conn`, `attempts` | what is known of a connection |
//! | `engine` | takes packets and rules in |
//! | `judge` | decides ([`fault_common::fate::decide`]) |
//! | `carry`, `flip` | carries the fates out |
//! | `keep` | keeps what faults touch, for `dropped.pcapng` |
//! | `release`, `overtaking` | sends on what is due, and what waited to be overtaken |
//! | `settle` | packets that never came |
//! | `queue` | what waits |
//! | `told`, `count`, `tally` | events and counters |
//! | `worker` | the thread that has all of it |
//! | `plumbing` | the engine's way out |
//!
//! Only `tap`, `device`, `worker`, `plumbing` and `fq` touch the machine.

mod attempts;
mod backend;
mod carry;
mod choice;
mod conn;
mod count;
mod device;
pub mod engine;
mod error;
mod flip;
pub mod fq;
pub mod frame;
mod judge;
mod keep;
mod overtaking;
mod plumbing;
mod queue;
mod release;
mod settle;
pub mod tally;
mod tap;
mod told;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;

use fault_common::event::Event;
use fault_common::fate::Fault;
use fault_common::line::{Back, Handed};
use fault_common::rule::Direction;

pub use backend::Backend;
pub use choice::{Device, choose};
pub use device::PREFIX;
pub use error::LineError;
pub use tap::Tap;
pub use worker::{Line, Start};

use crate::capture::Limits;
use crate::plan::Tables;
use engine::ConnKey;
use frame::{Frame, Piece};

/// The faults of flows and directions, in stacking order.
pub type Stacks = BTreeMap<(u32, Direction), Arc<[Fault]>>;

/// What is fixed for a run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Seed of every random decision.
    pub seed: u64,
    /// Distributions and traces that faults name.
    pub tables: Tables,
    /// Bytes that may be held at a time.
    pub hold: u64,
    /// How much of faulted packets is kept.
    pub capture: Limits,
}

/// What the engine needs of the world.
pub trait Outlet {
    /// Gives a frame back to the kernel. False if it did not take it.
    fn write(&mut self, piece: &mut Piece, back: &Back) -> bool;
    /// Tells what became of packets.
    fn tell(&mut self, event: Event);
    /// Has somebody answered.
    fn answer(&mut self, answer: Answer);
    /// Nothing of the connection is in the line any more; so many packets of the stack came.
    fn done(&mut self, key: ConnKey, accepted: u64);
    /// CLOCK_MONOTONIC, ns.
    fn now(&self) -> u64;
}

/// Somebody is to be answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The sender of a packet learns that it was refused.
    Reject { kind: u8, frame: Frame, handed: Handed },
    /// Both ends of the connection are to be reset: what its limit lets through has gone on.
    Reset { reached: Reached, rule: Option<u32> },
}

/// A limit that a stream has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// Of the socket.
    pub cookie: u64,
    /// Of the stream.
    pub direction: Direction,
    /// Sequence number after the last byte that passes: what its receiver expects once it has
    /// all of them.
    pub end_seq: u32,
}
