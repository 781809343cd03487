//! A bottleneck: one server with a drop-tail queue in bytes, store and forward.
//!
//! It saves up no credit: a packet that finds the link idle takes its own transmission time, and
//! of a burst each packet goes when the one before it is through. (In terms of a token bucket: its
//! depth is one packet. What a deeper bucket would let through at once, the queue spreads out.)

use super::State;
use super::model::Rate;

/// Work is counted in units of 1/rate ns, so that nothing is lost to rounding: a byte is
/// 8 * 10^9 of them at any rate.
const BYTE: u128 = 8_000_000_000;

/// When the last bit of `bytes` that came at `now` has left (ns, rounded up); `None` if they found
/// no room in the queue.
///
/// `state.until` and `state.cursor` (a fraction, in units of 1/rate ns) say until when the link is
/// busy; `state.last` is the latest arrival.
pub fn release(rate: &Rate, bytes: u64, now: u64, state: &mut State) -> Option<u64> {
    // An earlier fault may have turned two packets round; a queue serves them as they came to
    // the stack, so a later one cannot find an earlier link.
    let now = now.max(state.last);
    state.last = now;
    let speed = u128::from(rate.bits_per_s);
    if speed == 0 {
        return None;
    }
    let busy = state.until >= now;
    let waiting =
        if busy { u128::from(state.until - now) * speed + u128::from(state.cursor) } else { 0 };
    let work = waiting + u128::from(bytes) * BYTE;
    if waiting > 0 && work > u128::from(rate.queue) * BYTE {
        return None;
    }
    let (whole, fraction) = (work / speed, work % speed);
    state.until = now.saturating_add(u64::try_from(whole).unwrap_or(u64::MAX));
    state.cursor = fraction as u64;
    Some(state.until.saturating_add(u64::from(fraction > 0)))
}
