//! `dropped.pcapng`: the packets that faults touched, as they came to the fault. Pure; where the bytes
//! come from is `kernel`'s and `line`'s matter.
//!
//! | file | responsibility |
//! |---|---|
//! | `packet` | one of them, and how many are kept |
//! | `record` | what the packet programs put into their ring |
//! | `messages` | which message a packet carried or acknowledged |
//! | `marks` | the same in a run that is too long to be held whole |
//! | `comment` | what is said of it |
//! | `file` | the file |

mod comment;
mod file;
mod marks;
mod messages;
mod packet;
mod record;

pub use file::{CaptureError, Link, Page, write, write_named};
pub use marks::{Marks, Named};
pub use packet::{Did, Kept, Limits, Packet};
pub use record::{RecordError, decode};
