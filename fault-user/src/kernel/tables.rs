//! Typed writers of the maps. A step writes the bank of chains that is not live and then flips
//! the epoch word, so every packet meets either all of the old rules or all of the new ones.

use std::collections::BTreeMap;

use aya::maps::{Array, HashMap, Map, MapError};
use fault_common::event::NO_FLOW;
use fault_common::rule::{Chain, Direction, chain_index};
use fault_common::table::{
    DatagramKey, Datagrams, MarkerSet, SOCKET_LEFT, Selector, SocketEntry, Tuple,
};

use super::Kernel;
use super::error::KernelError;

/// Index of the epoch in CONTROL.
const EPOCH: u32 = 0;
/// Index of the lease in CONTROL.
const LEASE: u32 = 1;

impl Kernel {
    pub(super) fn map_mut(&mut self, name: &'static str) -> Result<&mut Map, KernelError> {
        self.ebpf.map_mut(name).ok_or(KernelError::Object { what: "without one of its maps" })
    }

    pub(super) fn write_selectors(&mut self, selectors: &[Selector]) -> Result<(), KernelError> {
        let mut map: Array<_, Selector> = Array::try_from(self.map_mut("SELECTORS")?)
            .map_err(KernelError::map("use the map SELECTORS"))?;
        for (i, selector) in (0..).zip(selectors) {
            map.set(i, selector, 0).map_err(KernelError::map("write a selector"))?;
        }
        Ok(())
    }

    pub(super) fn write_markers(
        &mut self,
        cookie: u64,
        set: &MarkerSet,
    ) -> Result<(), KernelError> {
        let mut map: HashMap<_, u64, MarkerSet> = HashMap::try_from(self.map_mut("MARKERS")?)
            .map_err(KernelError::map("use the map MARKERS"))?;
        map.insert(cookie, set, 0).map_err(KernelError::map("write the markers of a stream"))
    }

    /// Says that processes of this cgroup (by id) are this app.
    ///
    /// # Errors
    /// The table is full.
    pub fn add_app(&mut self, cgroup_id: u64, app: u32) -> Result<(), KernelError> {
        let mut map: HashMap<_, u64, u32> = HashMap::try_from(self.map_mut("APPS")?)
            .map_err(KernelError::map("use the map APPS"))?;
        map.insert(cgroup_id, app, 0).map_err(KernelError::map("register an app's cgroup"))
    }

    /// The bank that the next [`Kernel::arm`] makes the live one: 0 or 1.
    pub fn next_bank(&self) -> usize {
        ((self.epoch + 1) & 1) as usize
    }

    /// Makes these chains the live ones, all at once. Returns the new epoch.
    ///
    /// # Errors
    /// A map update fails; the old chains then stay live.
    pub fn arm(&mut self, chains: &BTreeMap<(u32, Direction), Chain>) -> Result<u64, KernelError> {
        let epoch = self.epoch + 1;
        let bank = (epoch & 1) as usize;
        let stale = std::mem::take(&mut self.banks[bank]);
        let mut map: Array<_, Chain> = Array::try_from(self.map_mut("CHAIN_TABLE")?)
            .map_err(KernelError::map("use the map CHAIN_TABLE"))?;
        for (flow, dir) in stale {
            map.set(chain_index(epoch, flow, dir), Chain::EMPTY, 0)
                .map_err(KernelError::map("empty a rule chain"))?;
        }
        for ((flow, dir), chain) in chains {
            map.set(chain_index(epoch, *flow, *dir), chain.sealed(), 0)
                .map_err(KernelError::map("write a rule chain"))?;
        }
        self.banks[bank] = chains.keys().copied().collect();
        self.control.set(EPOCH, epoch, 0).map_err(KernelError::map("flip the epoch"))?;
        self.epoch = epoch;
        Ok(epoch)
    }

    /// Lets faults act until then (CLOCK_MONOTONIC ns), and no longer.
    ///
    /// # Errors
    /// The map update fails.
    pub fn renew_lease(&mut self, until_ns: u64) -> Result<(), KernelError> {
        self.control.set(LEASE, until_ns, 0).map_err(KernelError::map("renew the lease"))
    }

    /// Gives an already known socket the role of a flow: for `opened_after` patterns that only
    /// userspace can read. `false` if it is not known or has a role already.
    ///
    /// # Errors
    /// The map update fails.
    pub fn assign(&mut self, cookie: u64, flow: u32) -> Result<bool, KernelError> {
        let Some(entry) = self.socket(cookie)? else { return Ok(false) };
        let mut map: Array<_, u32> = Array::try_from(self.map_mut("LATE_FLOWS")?)
            .map_err(KernelError::map("use the map LATE_FLOWS"))?;
        let late = map.get(&entry.slot, 0).map_err(KernelError::map("look up a socket's flow"))?;
        if entry.flow != NO_FLOW || late != 0 {
            return Ok(false);
        }
        map.set(entry.slot, flow + 1, 0).map_err(KernelError::map("assign a socket to a flow"))?;
        Ok(true)
    }

    /// Whether the app has closed a socket, so that its role is free again; true for one that is
    /// not known.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn has_left(&self, cookie: u64) -> Result<bool, KernelError> {
        Ok(self.socket(cookie)?.is_none_or(|s| s.state & SOCKET_LEFT != 0))
    }

    /// What the kernel side knows of a socket.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn socket(&self, cookie: u64) -> Result<Option<SocketEntry>, KernelError> {
        let map = self
            .ebpf
            .map("SOCKETS")
            .ok_or(KernelError::Object { what: "without one of its maps" })?;
        let map: HashMap<_, u64, SocketEntry> =
            HashMap::try_from(map).map_err(KernelError::map("use the map SOCKETS"))?;
        match map.get(&cookie, 0) {
            Err(MapError::KeyNotFound) => Ok(None),
            other => other.map(Some).map_err(KernelError::map("look up a socket")),
        }
    }

    /// Lets the packets of a raw socket of ours (`act::RawSender`) pass, unjudged and uncounted,
    /// whosesoever addresses they have. The socket must be of the protocol IPPROTO_RAW.
    ///
    /// # Errors
    /// The table is full (8 sockets).
    pub fn exempt(&mut self, cookie: u64) -> Result<(), KernelError> {
        let mut map: HashMap<_, u64, u32> = HashMap::try_from(self.map_mut("EXEMPT")?)
            .map_err(KernelError::map("use the map EXEMPT"))?;
        map.insert(cookie, 0, 0).map_err(KernelError::map("exempt a socket of our own"))
    }

    /// Registers a socket by hand, as the connect hooks would. For packet tests.
    ///
    /// # Errors
    /// The map updates fail.
    pub fn add_socket(
        &mut self,
        cookie: u64,
        entry: SocketEntry,
        tuple: Tuple,
    ) -> Result<(), KernelError> {
        let mut sockets: HashMap<_, u64, SocketEntry> = HashMap::try_from(self.map_mut("SOCKETS")?)
            .map_err(KernelError::map("use the map SOCKETS"))?;
        sockets.insert(cookie, entry, 0).map_err(KernelError::map("register a socket"))?;
        let mut tuples: HashMap<_, Tuple, u64> = HashMap::try_from(self.map_mut("TUPLES")?)
            .map_err(KernelError::map("use the map TUPLES"))?;
        tuples.insert(tuple, cookie, 0).map_err(KernelError::map("register a tuple"))?;
        if tuple.proto == libc::IPPROTO_UDP as u32 {
            let mut datagrams: HashMap<_, DatagramKey, Datagrams> =
                HashMap::try_from(self.map_mut("DATAGRAMS")?)
                    .map_err(KernelError::map("use the map DATAGRAMS"))?;
            let key =
                DatagramKey { cookie, raddr: tuple.saddr, rport: tuple.sport.into(), _pad: 0 };
            let row = Datagrams { id: cookie, ..Datagrams::default() };
            datagrams.insert(key, row, 0).map_err(KernelError::map("register a UDP flow"))?;
        }
        self.open_gate(tuple.dport)
    }

    /// Sets the bit of a port, as the sock_ops program would. Only before packets flow: the
    /// kernel sets bits of the same array.
    pub(super) fn open_gate(&mut self, port: u16) -> Result<(), KernelError> {
        self.set_gate(port, true)
    }

    /// Clears it again; likewise.
    pub(super) fn close_gate(&mut self, port: u16) -> Result<(), KernelError> {
        self.set_gate(port, false)
    }

    fn set_gate(&mut self, port: u16, open: bool) -> Result<(), KernelError> {
        let mut map: Array<_, [u64; 1024]> = Array::try_from(self.map_mut(".bss")?)
            .map_err(KernelError::map("use the port bitmap"))?;
        let mut bits = map.get(&0, 0).map_err(KernelError::map("read the port bitmap"))?;
        let (word, bit) = (&mut bits[usize::from(port >> 6)], 1 << (port & 63));
        *word = if open { *word | bit } else { *word & !bit };
        map.set(0, bits, 0).map_err(KernelError::map("write the port bitmap"))
    }
}
