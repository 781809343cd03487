//! The kernel's end of the delay line: the program on its device, and the memory shared with it.

use aya::maps::{Map, MapData};
use aya::programs::tc::TcAttachType;
use fault_common::line::{Back, Handed, TAGS, Transit};

use super::error::KernelError;
use super::mapped::Mapped;
use super::{Kernel, Waits};

/// Index of the line's interface in CONTROL.
const LINE: u32 = 2;
/// Index of what it may hold.
const HOLD: u32 = 3;

/// What kernel and line tell each other.
#[derive(Debug)]
pub struct Shared {
    handed: Mapped<Handed>,
    back: Mapped<Back>,
    transit: Mapped<Transit>,
}

impl Shared {
    /// What is known of the packet with that tag.
    pub fn handed(&self, tag: u16) -> Handed {
        self.handed.get(tag.into()).unwrap_or_default()
    }

    /// Says where the packet goes that is given back under that tag.
    pub fn set_back(&self, tag: u16, back: Back) {
        self.back.set(tag.into(), back);
    }

    /// How many packets of `slot * 2 + direction` were handed over so far.
    pub fn handed_over(&self, at: u32) -> u64 {
        self.transit.get(at).map_or(0, |t| t.handed)
    }

    /// Says with how many of them the line is done.
    pub fn set_done(&self, at: u32, done: u64) {
        if self.transit.get(at).is_some() {
            // SAFETY: the entry exists. Only this word: the programs count the other one up at
            // the same time.
            unsafe { (&raw mut (*self.transit.at(at)).done).write_volatile(done) }
        }
    }
}

impl Kernel {
    /// Makes the device the delay line of this run: what it gives back finds its way from now
    /// on, and rules that need a line have one.
    ///
    /// # Errors
    /// The program cannot be attached, or the maps not be shared.
    pub fn open_line(&mut self, name: &str, ifindex: u32) -> Result<Shared, KernelError> {
        let shared = Shared {
            handed: Mapped::new(self.array("HANDED")?.fd(), TAGS, "HANDED")?,
            back: Mapped::new(self.array("BACK")?.fd(), TAGS, "BACK")?,
            transit: Mapped::new(self.array("TRANSIT")?.fd(), self.slots * 2, "TRANSIT")?,
        };
        self.lay_line(name, ifindex)?;
        Ok(shared)
    }

    /// Makes fq on a veth pair the delay line of this run; `name` is the near end. Before it,
    /// [`Kernel::attach_bounce`]. The kernel was loaded with [`super::Setup::fq`].
    ///
    /// # Errors
    /// The program cannot be attached, or the maps not be shared.
    pub fn open_fq(&mut self, name: &str, ifindex: u32, hold: u64) -> Result<Waits, KernelError> {
        let waits = Waits::new(self.array("WAITS")?)?;
        self.control.set(HOLD, hold, 0).map_err(KernelError::map("limit the delay line"))?;
        self.lay_line(name, ifindex)?;
        Ok(waits)
    }

    fn lay_line(&mut self, name: &str, ifindex: u32) -> Result<(), KernelError> {
        let link = self.attach_to("line_return", name, ifindex, TcAttachType::Ingress)?;
        self.line = Some((ifindex, link));
        self.control
            .set(LINE, u64::from(ifindex), 0)
            .map_err(KernelError::map("name the delay line's device"))
    }

    /// Lets packets pass that would go through the line.
    ///
    /// # Errors
    /// The map update fails.
    pub fn close_line(&mut self) -> Result<(), KernelError> {
        self.control.set(LINE, 0, 0).map_err(KernelError::map("take the delay line out"))
    }

    fn array(&self, name: &'static str) -> Result<&MapData, KernelError> {
        match self.ebpf.map(name) {
            Some(Map::Array(map)) => Ok(map),
            _ => Err(KernelError::Object { what: "without one of its maps" }),
        }
    }
}
