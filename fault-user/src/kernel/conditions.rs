//! The tables by which the programs find out which conditions of the scenario a socket fulfils.

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap};
use fault_common::condition::{AddressKey, HelloKey, PortKey};
use fault_common::hello::KEY;

use super::Kernel;
use super::error::KernelError;
use crate::plan::condition::{Prefix, Tables};

impl Kernel {
    /// Writes them all. Before the first socket opens.
    ///
    /// # Errors
    /// A table is full (4096 addresses).
    pub fn write_conditions(&mut self, tables: &Tables) -> Result<(), KernelError> {
        self.write_addresses(&tables.addresses)?;
        let mut ports: LpmTrie<_, PortKey, u64> = LpmTrie::try_from(self.map_mut("BY_PORT")?)
            .map_err(KernelError::map("use the map BY_PORT"))?;
        for row in &tables.ports {
            let port = [row.bytes[2], row.bytes[3]];
            let key = Key::new(row.bits, PortKey { end: end(row), port });
            ports.insert(&key, row.set, 0).map_err(KernelError::map("write a range of ports"))?;
        }
        let mut hellos: LpmTrie<_, HelloKey, u64> = LpmTrie::try_from(self.map_mut("BY_HELLO")?)
            .map_err(KernelError::map("use the map BY_HELLO"))?;
        for row in &tables.hellos {
            let mut key = HelloKey([0; KEY]);
            key.0.iter_mut().zip(&row.bytes).for_each(|(to, byte)| *to = *byte);
            let written = hellos.insert(&Key::new(row.bits, key), row.set, 0);
            written.map_err(KernelError::map("write the conditions of first bytes"))?;
        }
        let mut kinds: Array<_, u64> = Array::try_from(self.map_mut("BY_KIND")?)
            .map_err(KernelError::map("use the map BY_KIND"))?;
        for (i, set) in (0..).zip(&tables.kinds) {
            kinds.set(i, set, 0).map_err(KernelError::map("write the conditions of an app"))?;
        }
        let mut users: HashMap<_, u32, u64> = HashMap::try_from(self.map_mut("BY_USER")?)
            .map_err(KernelError::map("use the map BY_USER"))?;
        for (uid, set) in &tables.users {
            users
                .insert(uid, set, 0)
                .map_err(KernelError::map("write the conditions of a user"))?;
        }
        let mut cgroups: HashMap<_, u64, u64> = HashMap::try_from(self.map_mut("BY_CGROUP")?)
            .map_err(KernelError::map("use the map BY_CGROUP"))?;
        for (id, set) in &tables.cgroups {
            let written = cgroups.insert(id, set, 0);
            written.map_err(KernelError::map("write the conditions of a cgroup"))?;
        }
        Ok(())
    }

    /// Writes these networks and addresses; others stay as they are. A socket that opens meanwhile meets either the
    /// old set of an address or the new.
    ///
    /// # Errors
    /// The table is full (4096 addresses).
    pub fn write_addresses(&mut self, rows: &[Prefix]) -> Result<(), KernelError> {
        let mut map: LpmTrie<_, AddressKey, u64> =
            LpmTrie::try_from(self.map_mut("BY_ADDRESS")?)
                .map_err(KernelError::map("use the map BY_ADDRESS"))?;
        for row in rows {
            let half = |i: usize| u16::from_ne_bytes([row.bytes[2 + 2 * i], row.bytes[3 + 2 * i]]);
            let address = std::array::from_fn(half);
            let key = Key::new(row.bits, AddressKey { end: end(row), address });
            map.insert(&key, row.set, 0).map_err(KernelError::map("write a remote address"))?;
        }
        Ok(())
    }
}

fn end(row: &Prefix) -> [u8; 2] {
    [row.bytes[0], row.bytes[1]]
}
