//! Fates carried out: what goes on becomes a parcel, what does not is told of and answered.

use fault_common::event::Event;
use fault_common::fate::{End, Fate, Fault};
use fault_common::line::{Back, Handed};

use super::count::{ended_by, first_acted};
use super::engine::{ConnKey, Engine, Item, Parcel, dir_of};
use super::flip::flip;
use super::frame::{CeMark, Frame, Piece, Refused};
use super::judge::Run;
use super::overtaking::HeldBack;
use super::release::Farewell;
use super::{Answer, Outlet, Reached, told};

impl Engine {
    pub(super) fn execute(
        &mut self,
        handed: &Handed,
        frame: &Frame,
        run: &Run,
        outlet: &mut impl Outlet,
    ) {
        let (key, fate) = ((handed.slot, dir_of(handed)), &run.fate);
        self.keep(key, handed, frame, run);
        if let Some(end) = fate.end {
            return self.end(key, handed, frame, run, end, outlet);
        }
        let mut piece = match piece_of(frame, run) {
            Ok(piece) => piece,
            Err(why) => return self.uncut(key, handed, frame, run, why, outlet),
        };
        if let Some(keep) = fate.keep {
            let rule = self.rule(key, |stack| ended_by(stack, fate));
            self.tell(Some(told::beyond(handed, frame, run.from, keep, rule)), outlet);
        }
        let spoilt = self.alter(key, &mut piece, fate, run.to - run.from);
        let rule = self.rule(key, |stack| first_acted(stack, fate));
        let event = told::passed(handed, frame, run.from..run.to, fate.keep, rule, spoilt);
        let delayed = fate.release > handed.ts;
        if delayed || fate.hold.is_some() {
            piece.leave_neighbours();
        }
        let (back, came) = (back(handed), handed.ts);
        let parcel = Parcel { key, piece, back, order: 0, event, copy: false, delayed, came };
        let copy = |_| Parcel { copy: true, ..parcel.clone() };
        let copies: Vec<Parcel> = (0..fate.copies).map(copy).collect();
        self.send(fate, parcel, outlet);
        for copy in copies {
            self.send(fate, copy, outlet);
        }
    }

    /// Puts a parcel where it waits.
    fn send(&mut self, fate: &Fate, mut parcel: Parcel, outlet: &mut impl Outlet) {
        let key = parcel.key;
        let waits = parcel.delayed || fate.hold.is_some();
        if waits && self.held + parcel.cost() > self.settings.hold {
            let tally = self.tally.sockets.entry(key).or_default();
            tally.overflowed += u64::from(parcel.piece.wire_packets());
            return self.tell(Some(told::overflowed(parcel.event)), outlet);
        }
        let Some(conn) = self.conns.get_mut(&key) else { return };
        self.held += parcel.cost();
        self.tally.most_held = self.tally.most_held.max(self.held);
        conn.outstanding += 1;
        parcel.order = conn.next_order;
        conn.next_order += 1;
        match fate.hold {
            Some(hold) => {
                let (due, until) = (fate.release, hold.until.max(fate.release));
                self.queue.push(until, Item::Alarm(key));
                // When it goes is decided by others: no measure of how exact the line is.
                parcel.delayed = false;
                conn.held_back.push(HeldBack { gap: hold.gap, until, due, parcel });
            }
            None => self.queue.push(fate.release, Item::Parcel(Box::new(parcel))),
        }
    }

    /// Changes the piece as its fate says; true if the receiver's stack will discard it.
    fn alter(&mut self, key: ConnKey, piece: &mut Piece, fate: &Fate, wire: u32) -> bool {
        let tally = self.tally.sockets.entry(key).or_default();
        let wire = u64::from(wire);
        if fate.mark_ce {
            match piece.mark_ce() {
                CeMark::Marked => tally.marked += wire,
                CeMark::AlreadyCe => {}
                CeMark::NotEct => tally.unmarkable += wire,
            }
        }
        let flipped = fate.corrupt.filter(|corruption| flip(piece, corruption));
        tally.corrupted += if flipped.is_some() { wire } else { 0 };
        flipped.is_some_and(|corruption| !corruption.valid)
    }

    /// A limit lies within a packet that cannot be cut (signed, or with a wrong checksum): better
    /// no byte of it than one beyond the limit.
    fn uncut(
        &mut self,
        key: ConnKey,
        handed: &Handed,
        frame: &Frame,
        run: &Run,
        why: Refused,
        outlet: &mut impl Outlet,
    ) {
        tracing::debug!("a packet that a limit should cut is lost whole: {why}");
        let rule = self.rule(key, |stack| ended_by(stack, &run.fate));
        self.tell(Some(told::ended(handed, frame, run.from..run.to, rule)), outlet);
    }

    /// The packets of a run go no further.
    fn end(
        &mut self,
        key: ConnKey,
        handed: &Handed,
        frame: &Frame,
        run: &Run,
        end: End,
        outlet: &mut impl Outlet,
    ) {
        let rule = self.rule(key, |stack| ended_by(stack, &run.fate));
        self.tell(Some(told::ended(handed, frame, run.from..run.to, rule)), outlet);
        let Some(conn) = self.conns.get_mut(&key) else { return };
        match end {
            End::Rejected(kind) => {
                outlet.answer(Answer::Reject { kind, frame: frame.clone(), handed: *handed });
            }
            End::Reset if !conn.reset => {
                conn.reset = true;
                let end_seq = conn.end_of_limit(&run.fate);
                let reached = Reached { cookie: handed.cookie, direction: key.1, end_seq };
                let (before, left) = (conn.next_order, conn.outstanding);
                conn.farewell = Some(Farewell { before, left, reached, rule });
                self.bid_farewell(key, outlet);
            }
            End::Reset | End::Lost | End::QueueFull | End::Cut => {}
        }
    }

    pub(super) fn tell(&mut self, event: Option<Event>, outlet: &mut impl Outlet) {
        if let Some(event) = event {
            self.tally.events += 1;
            outlet.tell(event);
        }
    }

    /// Id of a fault of the connection's stack.
    fn rule(&self, key: ConnKey, which: impl Fn(&[Fault]) -> Option<usize>) -> Option<u32> {
        let stack = &self.conns.get(&key)?.stack;
        stack.get(which(stack)?).map(|fault| fault.id)
    }
}

/// What goes on of a run.
fn piece_of(frame: &Frame, run: &Run) -> Result<Piece, Refused> {
    let kept = run.fate.keep.and_then(|keep| Some((frame.segment(run.from)?.payload.start, keep)));
    match kept {
        Some((from, keep)) => frame.part(from, from + keep as usize, 0),
        None => frame.run(run.from, run.to, 0),
    }
}

fn back(handed: &Handed) -> Back {
    Back {
        ifindex: handed.ifindex,
        dir: handed.dir,
        mark: handed.mark,
        tc_index: handed.tc_index,
        priority: handed.priority,
        _pad: 0,
    }
}
