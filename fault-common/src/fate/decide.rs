//! The pipeline: a packet goes through the stack, fault by fault.

use super::draws::{Draws, Use};
use super::limit::Passes;
use super::model::{Limit, Model, Rate, Reorder, Replay, Then};
use super::{
    Corruption, End, Fate, Fault, Hold, Key, Packet, State, Tables, corrupt, delay, limit, loss,
    rate, replay,
};
use crate::event::tcp;

/// Faults that a stack may have: as many as [`Fate::judged`] has bits.
pub const MAX_STACK: usize = 32;

/// The fate of `packet` under `stack`, in stacking order. `states[i]` belongs to `stack[i]`, for one
/// connection and direction; packets are given in the order in which they came.
///
/// # Panics
/// `states` is shorter than `stack`, `stack` is longer than [`MAX_STACK`], or a fault names a
/// table that `tables` lacks or a distribution that is empty. (To go on would be to leave out a fault.)
pub fn decide(
    stack: &[Fault],
    tables: &Tables<'_>,
    key: &Key,
    packet: &Packet,
    states: &mut [State],
) -> Fate {
    assert!(stack.len() <= MAX_STACK && states.len() >= stack.len(), "a state for each fault");
    let mut passage = Passage::new(packet, tables);
    for (i, (fault, state)) in (0_u32..).zip(stack.iter().zip(states)) {
        if !passage.is_meant(fault) {
            passage.follow(fault, state);
            continue;
        }
        passage.fate.judged |= 1 << i;
        let draws = Draws::new(key, fault.id, packet);
        if passage.meet(&fault.model, &draws, state) {
            passage.fate.acted |= 1 << i;
        }
        state.seen += 1;
        if passage.fate.end.is_some() {
            passage.fate.by = i;
            break;
        }
    }
    passage.finish()
}

/// A packet on its way through the stack.
struct Passage<'a> {
    /// As the next fault sees it: when it gets there, and what is left of it.
    packet: Packet,
    fate: Fate,
    /// Packets to be overtaken by, and ns to wait for them at most.
    hold: Option<(u32, u64)>,
    tables: &'a Tables<'a>,
}

impl<'a> Passage<'a> {
    fn new(packet: &Packet, tables: &'a Tables<'a>) -> Self {
        Self { packet: *packet, fate: Fate::untouched(packet.now), hold: None, tables }
    }

    /// Whether the fault judges the packet: it is on, means such packets, and there is
    /// something that it could act on.
    fn is_meant(&self, fault: &Fault) -> bool {
        let there_is = match &fault.model {
            Model::Corrupt(model) => corrupt::range(model, &self.packet).is_some(),
            _ => true,
        };
        there_is
            && fault.when.means(&self.packet)
            && fault.pulse.is_none_or(|pulse| pulse.is_on(self.packet.now))
    }

    /// A pulse that is off holds nothing back, but what it has held before is not overtaken,
    /// where the fault keeps the order.
    fn follow(&mut self, fault: &Fault, state: &State) {
        let keeps_order = match fault.model {
            Model::Delay(delay) => delay.keep_order,
            Model::Rate(_) | Model::Replay(_) => true,
            _ => false,
        };
        let off = fault.pulse.is_some_and(|pulse| !pulse.is_on(self.packet.now));
        if off && keeps_order && fault.when.means(&self.packet) {
            self.packet.now = self.packet.now.max(state.until);
        }
    }

    /// Whether the fault acted.
    fn meet(&mut self, model: &Model, draws: &Draws, state: &mut State) -> bool {
        match model {
            Model::Loss(model) => loss::lost(model, draws, state) && self.end(End::Lost),
            Model::Delay(model) => {
                let now = self.packet.now;
                self.move_to(delay::release(model, self.tables, draws, now, state))
            }
            Model::Rate(model) => self.queue(model, state),
            Model::Replay(model) => self.replay(model, draws, state),
            Model::Corrupt(model) => {
                draws.chance(Use::Hit, model.p)
                    && corrupt::range(model, &self.packet)
                        .is_some_and(|range| self.flip(corrupt::corruption(model, range, draws)))
            }
            Model::Duplicate(model) => {
                let hit = draws.chance(Use::Hit, model.p);
                if hit {
                    self.fate.copies = self.fate.copies.saturating_add(model.copies);
                }
                hit
            }
            Model::Reorder(model) => draws.chance(Use::Hit, model.p) && self.hold(model),
            Model::MarkCe(p) => {
                let hit = draws.chance(Use::Hit, *p);
                self.fate.mark_ce |= hit;
                hit
            }
            Model::Reject(kind) => self.end(End::Rejected(*kind)),
            Model::Limit(model) => self.limit(model, state),
        }
    }

    fn end(&mut self, end: End) -> bool {
        self.fate.end = Some(end);
        true
    }

    fn move_to(&mut self, release: u64) -> bool {
        let moved = release > self.packet.now;
        self.packet.now = release;
        moved
    }

    /// Copies take room and time like the packet itself, and share its fate.
    fn packets(&self) -> u64 {
        1 + u64::from(self.fate.copies)
    }

    fn bytes(&self) -> u64 {
        u64::from(self.packet.wire).saturating_mul(self.packets())
    }

    fn queue(&mut self, model: &Rate, state: &mut State) -> bool {
        match rate::release(model, self.bytes(), self.packet.now, state) {
            Some(release) => self.move_to(release),
            None => self.end(End::QueueFull),
        }
    }

    fn replay(&mut self, model: &Replay, draws: &Draws, state: &mut State) -> bool {
        let now = self.packet.now;
        match *model {
            Replay::Deliveries { table, queue } => {
                let table = self.tables.deliveries[table as usize];
                match replay::delivery(table, queue, self.bytes(), self.packets(), now, state) {
                    Some(release) => self.move_to(release),
                    None => self.end(End::QueueFull),
                }
            }
            Replay::Samples { table, period } => {
                let table = self.tables.samples[table as usize];
                let Some(sample) = replay::sample(table, period, now, state) else {
                    return false;
                };
                if draws.chance(Use::Hit, sample.loss) {
                    return self.end(End::Lost);
                }
                self.move_to(delay::in_order(true, now.saturating_add(sample.delay), state))
            }
        }
    }

    /// A packet that is corrupt already stays as it is: two sets of bits could undo each other.
    fn flip(&mut self, corruption: Corruption) -> bool {
        let first = self.fate.corrupt.is_none();
        if first {
            self.fate.corrupt = Some(corruption);
        }
        first
    }

    /// Of several, the longest hold counts.
    fn hold(&mut self, model: &Reorder) -> bool {
        let (gap, delay) = self.hold.unwrap_or_default();
        self.hold = Some((gap.max(model.gap), delay.max(model.delay)));
        true
    }

    fn limit(&mut self, model: &Limit, state: &mut State) -> bool {
        match limit::passes(model, &self.packet, state) {
            Passes::All => false,
            Passes::First(keep) => {
                self.fate.keep = Some(keep);
                self.packet.wire -= self.packet.payload - keep;
                self.packet.payload = keep;
                self.packet.flags &= !tcp::FIN;
                true
            }
            Passes::Nothing => self.end(match model.then {
                Then::Drop => End::Cut,
                Then::Reset => End::Reset,
            }),
        }
    }

    /// Packets are held at the end of the stack: only there is it known who overtakes whom.
    fn finish(self) -> Fate {
        let release = self.packet.now;
        let hold = self.hold.filter(|_| self.fate.end.is_none());
        let hold = hold.map(|(gap, delay)| Hold { gap, until: release.saturating_add(delay) });
        Fate { release, hold, ..self.fate }
    }
}
