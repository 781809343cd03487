//! Faults as the kernel sees them: small tables of rules, one chain per flow and direction.

/// Which way a packet goes, seen from the selected socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Direction {
    /// What the socket sends.
    Egress = 0,
    /// What it receives.
    Ingress = 1,
}

impl Direction {
    /// Both, in table order.
    pub const BOTH: [Self; 2] = [Self::Egress, Self::Ingress];

    /// The direction of that number, if there is one.
    pub const fn from_u8(v: u8) -> Option<Self> {
        match v {
            0 => Some(Self::Egress),
            1 => Some(Self::Ingress),
            _ => None,
        }
    }
}

/// Rules that one flow may have per direction.
pub const CHAIN_LEN: usize = 8;
/// Flows that a scenario may name.
pub const MAX_FLOWS: u32 = 16;
/// Packet numbers that an explicit list may hold.
pub const NTH_LEN: usize = 32;

/// [`Rule::kind`]: lose the packet with probability `p32 / 2^32`.
pub const LOSS_RANDOM: u32 = 1;
/// [`Rule::kind`]: lose every `arg`-th packet.
pub const LOSS_EVERY: u32 = 2;
/// [`Rule::kind`]: lose the first `arg` packets.
pub const LOSS_FIRST: u32 = 3;
/// [`Rule::kind`]: lose the packets listed in `nth` (counted from 1).
pub const LOSS_NTH: u32 = 4;

/// [`Rule::kind`]: hold the packet for `arg` ns; only in a chain with [`VIA_FQ`].
pub const DELAY: u32 = 5;

/// [`Rule::when`]: every packet.
pub const WHEN_ANY: u32 = 0;
/// [`Rule::when`]: TCP with the SYN flag.
pub const WHEN_SYN: u32 = 1;
/// [`Rule::when`]: TCP with SYN and ACK.
pub const WHEN_SYN_ACK: u32 = 2;
/// [`Rule::when`]: TCP with payload.
pub const WHEN_DATA: u32 = 3;
/// [`Rule::when`]: TCP without payload, SYN, FIN and RST.
pub const WHEN_ACK_ONLY: u32 = 4;
/// [`Rule::when`]: TCP with the RST flag.
pub const WHEN_RST: u32 = 5;

/// [`Chain::via`]: what no rule of the chain ends goes on.
pub const VIA_HOOK: u32 = 0;
/// [`Chain::via`]: what no rule of the chain ends goes through the delay line, which has the
/// other faults.
pub const VIA_LINE: u32 = 1;
/// [`Chain::via`]: every packet goes through the line, which is the qdisc fq; the rules are
/// [`DELAY`]s.
pub const VIA_FQ: u32 = 2;

/// [`Rule::p32`] that means "always": 2^32, one more than any 32-bit hash.
pub const P_ALWAYS: u64 = 1 << 32;

/// One fault of one flow in one direction.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// One of the `LOSS_*` numbers.
    pub kind: u32,
    /// Index into the plan's list of rules; names the rule in events and reports.
    pub id: u32,
    /// Probability in units of 2^-32; [`P_ALWAYS`] is certainty.
    pub p32: u64,
    /// N of `every` and `first`.
    pub arg: u64,
    /// Used entries of `nth`.
    pub nth_len: u32,
    /// One of the `WHEN_*` numbers: which packets it judges.
    pub when: u32,
    /// Packet numbers, sorted.
    pub nth: [u64; NTH_LEN],
}

impl Rule {
    /// A rule that never fires.
    pub const NONE: Self =
        Self { kind: 0, id: 0, p32: 0, arg: 0, nth_len: 0, when: 0, nth: [0; NTH_LEN] };
}

/// The rules of one flow and direction, in stacking order.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// Used entries of `rules`.
    pub len: u32,
    /// One of the `VIA_*` numbers.
    pub via: u32,
    /// Id of the rule that wants the receive window to be zero, plus 1; 0: none does.
    pub stall: u32,
    /// 1 if any rule draws, so that attempts have to be counted; [`Chain::sealed`] sets it.
    pub chance: u32,
    /// The rules.
    pub rules: [Rule; CHAIN_LEN],
}

impl Chain {
    /// No fault at all.
    pub const EMPTY: Self =
        Self { len: 0, via: VIA_HOOK, stall: 0, chance: 0, rules: [Rule::NONE; CHAIN_LEN] };

    /// The chain as the kernel gets it: what follows from its rules is worked out once, not for
    /// each packet (nor by the verifier, for each way that leads there).
    pub fn sealed(&self) -> Self {
        let mut used = self.rules.iter().take(self.len as usize);
        Self { chance: u32::from(used.any(crate::decide::needs_attempt)), ..*self }
    }
}

/// Where the chain of a flow and direction stands in the table, for the epoch's bank.
///
/// There are two banks: a step writes the one that is not live, then flips the epoch word,
/// so that a packet meets either all of the old rules or all of the new ones.
pub const fn chain_index(epoch: u64, flow: u32, dir: Direction) -> u32 {
    (epoch as u32 & 1) * MAX_FLOWS * 2 + flow * 2 + dir as u32
}

/// Number of entries of the chain table.
pub const CHAINS: u32 = MAX_FLOWS * 2 * 2;
