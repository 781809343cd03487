//! The delay line's engine, without clock, device or kernel: frames in, pieces out. What was
//! written is put together again, per connection: bytes, order, times. Counters and events are
//! only compared to that.

#![expect(clippy::unwrap_used, reason = "a test may panic, and so may its helpers")]

#[allow(dead_code, reason = "made for the frame tests; some of it is of no use here")]
#[path = "../frame/card.rs"]
mod card;
#[allow(dead_code, reason = "made for the frame tests; some of it is of no use here")]
#[path = "../frame/spec.rs"]
mod spec;
#[allow(dead_code, reason = "made for the frame tests; some of it is of no use here")]
#[path = "../frame/wire.rs"]
mod wire;

mod banks;
mod bounds;
mod changes;
mod conservation;
mod kept;
mod limits;
mod losses;
mod overtaking;
mod passing;
mod rig;
mod timing;
