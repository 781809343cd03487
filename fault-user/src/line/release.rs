//! What is due goes on, and with it what waited to be overtaken.

use super::engine::{ConnKey, Engine, Item, Parcel};
use super::{Answer, Outlet, Reached, told};

/// A reset that follows the last bytes of a stream.
#[derive(Debug)]
pub struct Farewell {
    /// Parcels of lower numbers go before it, and so many of them have not gone on.
    pub before: u64,
    pub left: u64,
    pub reached: Reached,
    /// The limit.
    pub rule: Option<u32>,
}

impl Engine {
    /// Sends on whatever is due.
    pub fn due(&mut self, now: u64, outlet: &mut impl Outlet) {
        while let Some((at, item)) = self.queue.pop(now) {
            match item {
                Item::Parcel(parcel) => self.go(*parcel, at, outlet),
                Item::Alarm(key) => self.time_is_up(key, now),
            }
        }
        for key in self.touched.drain() {
            if let Some(conn) = self.conns.get(&key).filter(|c| c.outstanding == 0) {
                outlet.done(key, conn.accepted);
            }
        }
    }

    fn go(&mut self, mut parcel: Parcel, due: u64, outlet: &mut impl Outlet) {
        let key = parcel.key;
        let wire = parcel.piece.wire_packets();
        self.held = self.held.saturating_sub(parcel.cost());
        let taken = outlet.write(&mut parcel.piece, &parcel.back);
        let left = outlet.now();
        if parcel.delayed {
            self.tally.late(left.saturating_sub(due));
        }
        let conn = self.conns.entry(key).or_default();
        conn.outstanding = conn.outstanding.saturating_sub(1);
        if let Some(farewell) = conn.farewell.as_mut().filter(|f| parcel.order < f.before) {
            farewell.left = farewell.left.saturating_sub(1);
        }
        self.touched.insert(key);
        let event = match (taken, parcel.copy) {
            (true, false) => told::went(parcel.event, parcel.came, left, &mut conn.last_ack),
            (true, true) => None,
            (false, _) => Some(told::overflowed(parcel.event)),
        };
        self.tell(event, outlet);
        if !taken {
            self.tally.sockets.entry(key).or_default().overflowed += u64::from(wire);
        }
        self.passed_by(key, parcel.order, wire);
        self.bid_farewell(key, outlet);
    }

    /// Asks for the reset once nothing is left that it must not overtake.
    pub(super) fn bid_farewell(&mut self, key: ConnKey, outlet: &mut impl Outlet) {
        let Some(conn) = self.conns.get_mut(&key) else { return };
        if let Some(Farewell { reached, rule, .. }) = conn.farewell.take_if(|f| f.left == 0) {
            outlet.answer(Answer::Reset { reached, rule });
        }
    }
}
