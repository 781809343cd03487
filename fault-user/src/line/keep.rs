//! What faults touch, for `dropped.pcapng`: wire packets as they came, before anything is changed in them.

use fault_common::event::tcp;
use fault_common::line::Handed;

use super::engine::{ConnKey, Engine};
use super::frame::Frame;
use super::judge::Run;
use crate::capture::{Did, Packet};

impl Engine {
    /// Keeps the packets of a run if some fault acted on them.
    pub(super) fn keep(&mut self, key: ConnKey, handed: &Handed, frame: &Frame, run: &Run) {
        let fate = &run.fate;
        if fate.acted == 0 && fate.end.is_none() {
            return;
        }
        let Some(conn) = self.conns.get(&key) else { return };
        let by =
            |i: usize| fate.acted >> i & 1 != 0 || (fate.end.is_some() && fate.by as usize == i);
        let acted = conn.stack.iter().enumerate().filter(|(i, _)| by(*i));
        let rules: Vec<u32> = acted.map(|(_, fault)| fault.id).collect();
        // Some of its bytes are lost if a limit cuts it.
        let did = match (fate.end.is_some() || fate.keep.is_some(), fate.corrupt) {
            (true, _) => Did::Lost,
            (false, Some(corruption)) if !corruption.valid => Did::Spoilt,
            (false, _) => Did::Changed,
        };
        if rules.is_empty() || !self.kept.has_room(did) {
            return;
        }
        let Ok(piece) = frame.run(run.from, run.to, 0) else { return };
        let (seq, payload) = match frame.segment(run.from).zip(frame.segment(run.to - 1)) {
            Some((first, last)) => {
                let syn = u32::from(first.flags & tcp::SYN != 0);
                let len = last.payload.end - first.payload.start;
                (first.seq.wrapping_add(syn), len as u32)
            }
            None => (0, handed.payload),
        };
        let header = frame.tcp();
        let ack = header.filter(|t| t.flags & tcp::ACK != 0).map(|t| t.ack);
        self.kept.keep(did, |snaplen| {
            let (bytes, len) = piece.captured(snaplen);
            Packet {
                ts: handed.ts,
                cookie: handed.cookie,
                ifindex: handed.ifindex,
                direction: key.1,
                rules,
                did,
                segs: run.to - run.from,
                proto: frame.ip_protocol().unwrap_or(0),
                // A datagram has no number; its place is in the base.
                seq: if header.is_some() { seq } else { handed.base.wrapping_neg() },
                payload,
                ack,
                len,
                bare: false,
                bytes,
            }
        });
    }
}
