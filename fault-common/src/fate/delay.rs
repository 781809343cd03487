//! How long a delay holds a packet.

use super::State;
use super::Tables;
use super::draws::{Draws, Use};
use super::model::{Delay, Distribution};
use crate::rule::P_ALWAYS;

/// When a packet that came at `now` goes on (ns).
///
/// # Panics
/// `tables` lacks the distribution that the model names, or it is empty.
pub fn release(
    delay: &Delay,
    tables: &Tables<'_>,
    draws: &Draws,
    now: u64,
    state: &mut State,
) -> u64 {
    let held = match delay.distribution {
        Distribution::Constant => delay.mean,
        Distribution::Uniform => {
            let x = i128::from(uniform(delay, draws, state));
            // 2x / 2^32 - 1 is uniform on [-1, 1).
            around(delay, (2 * x - i128::from(P_ALWAYS)) * i128::from(delay.jitter), 32)
        }
        Distribution::Table(index) => {
            let table = tables.distributions[index as usize];
            let x = u64::from(uniform(delay, draws, state));
            let value = i128::from(table[((x * table.len() as u64) >> 32) as usize]);
            around(delay, value * i128::from(delay.jitter), Distribution::SCALE.ilog2())
        }
    };
    in_order(delay.keep_order, now.saturating_add(held), state)
}

/// Not before the packet before it, if `keep`.
pub fn in_order(keep: bool, release: u64, state: &mut State) -> u64 {
    if !keep {
        return release;
    }
    state.until = state.until.max(release);
    state.until
}

/// 32 random bits, correlated with the last ones as netem's are: a weighted mean of the new draw
/// and the last result. That narrows the distribution: its standard deviation shrinks to
/// sqrt((1 - c) / (1 + c)) of the uncorrelated one.
fn uniform(delay: &Delay, draws: &Draws, state: &mut State) -> u32 {
    let new = draws.bits(Use::Delay);
    if delay.correlation == 0 {
        return new;
    }
    let share = delay.correlation.min(P_ALWAYS);
    // There is no last draw before the first; a 0 in its place would pull down the beginning.
    let last = if state.seen == 0 { u64::from(new) } else { state.last };
    // At most 2^32 (2^32 - 1).
    let x = ((P_ALWAYS - share) * u64::from(new) + share * last) >> 32;
    state.last = x;
    x as u32
}

/// mean + offset / 2^scale, to the nearest ns, at least 0.
fn around(delay: &Delay, offset: i128, scale: u32) -> u64 {
    let rounded = (offset + (1 << (scale - 1))) >> scale;
    let held = i128::from(delay.mean) + rounded;
    u64::try_from(held.max(0)).unwrap_or(u64::MAX)
}
