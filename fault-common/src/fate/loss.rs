//! Which packets a loss model loses.

use super::State;
use super::draws::{Draws, Use};
use super::model::{Burst, GilbertElliott, Loss, Markov};
use crate::rule::NTH_LEN;

/// Whether `loss` loses the packet that `draws` belong to. `state.seen` counts those judged
/// before it.
pub fn lost(loss: &Loss, draws: &Draws, state: &mut State) -> bool {
    match loss {
        Loss::Random(p) => draws.chance(Use::Hit, *p),
        Loss::Every(n) => *n != 0 && (state.seen + 1).is_multiple_of(*n),
        Loss::First(n) => state.seen < *n,
        Loss::Nth(list, len) => listed(list, *len, state.seen + 1),
        Loss::Burst(burst) => in_burst(burst, draws, state),
        Loss::GilbertElliott(model) => gilbert_elliott(model, draws, state),
        Loss::Markov(model) => markov(model, draws, state),
    }
}

fn listed(list: &[u64; NTH_LEN], len: u32, number: u64) -> bool {
    list.iter().take(len as usize).any(|n| *n == number)
}

/// `state.chain`: packets of the burst that are still to come.
fn in_burst(burst: &Burst, draws: &Draws, state: &mut State) -> bool {
    if state.chain > 0 {
        state.chain -= 1;
        return true;
    }
    let starts = burst.len > 0 && draws.chance(Use::Hit, burst.p);
    if starts {
        state.chain = burst.len - 1;
    }
    starts
}

/// `state.chain`: 0 good (where it starts), 1 bad. As netem's: the state in which the packet
/// finds the chain decides on it, the transition counts for the next one.
fn gilbert_elliott(model: &GilbertElliott, draws: &Draws, state: &mut State) -> bool {
    let bad = state.chain != 0;
    let (leave, loss) = if bad { (model.r, model.bad) } else { (model.p, model.good) };
    if draws.chance(Use::Transition, leave) {
        state.chain = u32::from(!bad);
    }
    draws.chance(Use::Hit, loss)
}

/// States of [`Markov`]; [`State::chain`] counts from 0.
const RECEIVED: u32 = 0;
const RECEIVED_IN_BURST: u32 = 1;
const LOST_IN_BURST: u32 = 2;
const LOST_ALONE: u32 = 3;

/// The state that the chain comes to decides on the packet. A lone loss always ends in a gap.
///
/// The ranges of one draw touch: until kernel commit 732b463449fd netem's had a hole of one value
/// between them, in which the chain stood still and nothing was lost.
fn markov(model: &Markov, draws: &Draws, state: &mut State) -> bool {
    let draw = u64::from(draws.bits(Use::Transition));
    state.chain = match state.chain {
        RECEIVED if draw < model.p14 => LOST_ALONE,
        RECEIVED if draw < model.p14.saturating_add(model.p13) => LOST_IN_BURST,
        RECEIVED => RECEIVED,
        RECEIVED_IN_BURST if draw < model.p23 => LOST_IN_BURST,
        RECEIVED_IN_BURST => RECEIVED_IN_BURST,
        LOST_IN_BURST if draw < model.p32 => RECEIVED_IN_BURST,
        LOST_IN_BURST if draw < model.p32.saturating_add(model.p31) => RECEIVED,
        LOST_IN_BURST => LOST_IN_BURST,
        _ => RECEIVED,
    };
    matches!(state.chain, LOST_IN_BURST | LOST_ALONE)
}
