//! The real programs, packet by packet, against a model on the host (BPF_PROG_TEST_RUN).

#![expect(clippy::unwrap_used, reason = "a test may panic, and so may its helpers")]

mod dissect;
mod generate;
mod model;
mod oracle;
mod packet;
mod rig;
