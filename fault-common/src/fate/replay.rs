//! Recorded links: mahimahi's delivery opportunities, and delay and loss over time.

use super::Sample;
use super::State;
use super::model::Replay;

/// When the last byte of `bytes` in `packets` packets that came at `now` has been carried (ns);
/// `None` if they found no room.
///
/// As mahimahi's link queue: an opportunity carries [`Replay::MTU`] bytes, of one packet or of
/// several; a packet that does not fit goes on with the next one; one that passes while nothing waits
/// is wasted, and so is what is left of it. A packet uses opportunities after its arrival,
/// not one of the same instant.
///
/// `state.cursor` counts opportunities through all rounds: the one in which the queue ends;
/// `state.chain` is what of it is used; `state.last` the latest arrival. A table that is empty or
/// ends at 0 has no opportunity at all.
pub fn delivery(
    table: &[u64],
    queue: u64,
    bytes: u64,
    packets: u64,
    now: u64,
    state: &mut State,
) -> Option<u64> {
    // In the order in which they came to the stack: see rate.rs.
    let now = now.max(state.last);
    state.last = now;
    start(now, state);
    let period = table.last().copied().filter(|end| *end > 0)?;
    let mtu = u64::from(Replay::MTU);
    let bytes = bytes.saturating_add(packets.saturating_mul(u64::from(Replay::OVERHEAD)));

    let next = first_after(table, period, now - state.since);
    let waiting = if state.cursor >= next {
        (state.cursor - next).saturating_mul(mtu).saturating_add(u64::from(state.chain))
    } else {
        0
    };
    let total = waiting.saturating_add(bytes);
    if waiting > 0 && total > queue {
        return None;
    }
    let more = total.saturating_sub(1) / mtu;
    state.cursor = next.saturating_add(more);
    state.chain = (total - more * mtu) as u32;
    Some(state.since.saturating_add(time_of(table, period, state.cursor)))
}

/// The number of the first opportunity later than `elapsed`.
fn first_after(table: &[u64], period: u64, elapsed: u64) -> u64 {
    let (round, within) = (elapsed / period, elapsed % period);
    let index = table.partition_point(|at| *at <= within);
    round.saturating_mul(table.len() as u64).saturating_add(index as u64)
}

fn time_of(table: &[u64], period: u64, number: u64) -> u64 {
    let len = table.len() as u64;
    let index = (number % len) as usize;
    (number / len).saturating_mul(period).saturating_add(table[index])
}

/// The line of a trace that holds at `now`. `None`: there is none.
pub fn sample<'a>(
    table: &'a [Sample],
    period: u64,
    now: u64,
    state: &mut State,
) -> Option<&'a Sample> {
    start(now, state);
    let elapsed = now.saturating_sub(state.since);
    let within = elapsed.checked_rem(period).unwrap_or(elapsed);
    let after = table.partition_point(|sample| sample.at <= within);
    table.get(after.saturating_sub(1))
}

/// A trace starts when the connection first meets the fault, not when the fault is armed: what
/// it does must not depend on how long an app takes to start.
fn start(now: u64, state: &mut State) {
    if state.seen == 0 {
        state.since = now;
    }
}
