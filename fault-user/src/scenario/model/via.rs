//! Where a fault is carried out: by the packet programs at the hook, or by the delay line.

use super::{Fault, FaultSpec, Loss, Pulse, Segment, When};

/// `line`: what delays packets, and how much it may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    pub backend: Backend,
    /// Bytes that may wait in it at a time; what finds no room is lost and counted.
    pub hold: u64,
}

impl Line {
    /// `hold` by default: 64 MiB, which is half a second of 1 Gbit/s.
    pub const HOLD: u64 = 64 << 20;
}

impl Default for Line {
    fn default() -> Self {
        Self { backend: Backend::default(), hold: Self::HOLD }
    }
}

/// What a delay line is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backend {
    /// The one that can do what the scenario asks for. The default.
    #[default]
    Auto,
    /// A TAP device and a queue in userspace: every fault.
    Tap,
    /// A veth pair with the fq qdisc: delays, nothing else.
    Fq,
    /// No line: probabilities are judged at the hook, a super-packet as a whole.
    None,
}

/// Who judges a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// The packet programs, where they meet it.
    Hook,
    /// The delay line, wire packet by wire packet.
    Line,
}

impl FaultSpec {
    /// Who carries it out if it is alone in its stack; `None`: it is done to the connection and
    /// concerns no packet.
    pub fn via(&self, backend: Backend) -> Option<Via> {
        let at_hook = match &self.fault {
            Fault::Reset(_) | Fault::Abort => return None,
            Fault::Stall => true,
            Fault::Drop(loss) => {
                // A super-packet is judged as a whole at the hook. That is exact only if all of
                // its segments meet the same fate, or if it cannot be one.
                let exact = backend == Backend::None || never_super(&self.when);
                let judged = certain(loss) || exact && countable(loss);
                judged && hook_sees(&self.when, self.pulse)
            }
            _ => false,
        };
        Some(if at_hook { Via::Hook } else { Via::Line })
    }

    /// Whether it lets no packet of its direction through, ever.
    pub fn is_blackhole(&self) -> bool {
        let ends_all = match &self.fault {
            Fault::Drop(loss) => certain(loss),
            Fault::Reject(_) => true,
            _ => false,
        };
        ends_all && self.when == When::default() && self.pulse.is_none()
    }
}

/// Every packet is lost.
fn certain(loss: &Loss) -> bool {
    match loss {
        Loss::Random(p) => *p >= 1.0,
        Loss::Every(n) => *n == 1,
        _ => false,
    }
}

/// Only packets with payload are merged (GRO) or sent as one (TSO).
fn never_super(when: &When) -> bool {
    use Segment::{AckOnly, Rst, Syn, SynAck};
    matches!(when.segment, Some(Syn | SynAck | AckOnly | Rst))
}

/// What a rule of the packet programs can say.
fn countable(loss: &Loss) -> bool {
    matches!(loss, Loss::Random(_) | Loss::Every(_) | Loss::First(_) | Loss::Nth(_))
}

/// Whether the hook can tell which packets are meant. A FIN stands on the last segment of a
/// super-packet alone, and size and stream position are those of its segments.
fn hook_sees(when: &When, pulse: Option<Pulse>) -> bool {
    let whole = when.size.is_none() && when.stream.is_none() && !when.retransmission;
    whole && pulse.is_none() && when.segment != Some(Segment::Fin)
}

/// Why a line of fq cannot carry a delay; `None`: it can. What fq holds are packets as the stack made
/// them, super-packets as a whole, each for a time that stands in the rules when the step is armed.
pub fn unfit_for_fq(constant: bool, pulsed: bool, when: &When) -> Option<&'static str> {
    if !constant {
        return Some("it has a jitter, and fq gets constant delays only");
    }
    if pulsed {
        return Some("it has a `pulse`, and in fq a delay is on or off for a step");
    }
    if when.segment == Some(Segment::Fin) {
        return Some("a FIN may be the end of a packet that fq holds as a whole");
    }
    let whole = When { segment: when.segment, ..When::default() };
    (*when != whole)
        .then_some("its `when` tells the parts of a packet apart that fq holds as a whole")
}
