//! The real programs, packet by packet, against a model on the host (BPF_PROG_TEST_RUN).

#![expect(clippy::unwrap_used, reason = "a test may panic, and so may its helpers")]

mod budget;
mod captures;
mod dissect;
mod egress;
mod epochs;
mod generate;
mod known;
mod late;
mod lease;
mod marks;
mod model;
mod object;
mod oracle;
mod packet;
mod positions;
mod rig;
mod ring;
mod stack;
mod thinned;
