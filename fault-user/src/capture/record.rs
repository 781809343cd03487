//! Bytes of the programs' ring, checked and typed.

use fault_common::capture::{DID_DROP, DID_HOLD, DID_STALL, Head};
use fault_common::event::tcp;
use fault_common::rule::Direction;
use thiserror::Error;

use super::packet::{Did, Packet};

const HEAD: usize = size_of::<Head>();

/// Why a record cannot be a packet: the eBPF object and this program are not of the same build.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecordError {
    /// Shorter than its head, or longer than the packet was.
    #[error("captured packet of {0} bytes: rebuild, the eBPF object is of another version")]
    Size(usize),
    /// A number that stands for nothing.
    #[error(
        "captured packet whose {what} is {value}: rebuild, the eBPF object is of another version"
    )]
    Number {
        /// Which.
        what: &'static str,
        /// What it is.
        value: u32,
    },
}

/// Decodes one record.
///
/// # Errors
/// A [`RecordError`] that names what cannot be.
pub fn decode(raw: &[u8]) -> Result<Packet, RecordError> {
    let Some((head, bytes)) = raw.split_at_checked(HEAD) else {
        return Err(RecordError::Size(raw.len()));
    };
    // SAFETY: HEAD bytes; Head is repr(C) and has only integers, so every bit pattern is one.
    let head = unsafe { head.as_ptr().cast::<Head>().read_unaligned() };
    if bytes.is_empty() || bytes.len() > head.len as usize {
        return Err(RecordError::Size(raw.len()));
    }
    let number = |what, value| RecordError::Number { what, value };
    let direction = Direction::from_u8(head.dir);
    Ok(Packet {
        ts: head.ts,
        cookie: head.cookie,
        ifindex: head.ifindex,
        direction: direction.ok_or_else(|| number("direction", head.dir.into()))?,
        rules: vec![head.rule],
        did: match head.did {
            DID_DROP => Did::Lost,
            DID_STALL => Did::Stalled,
            DID_HOLD => Did::Held,
            other => return Err(number("fate", other)),
        },
        segs: head.segs,
        proto: head.proto,
        seq: head.seq,
        payload: head.payload,
        ack: (head.flags & tcp::ACK != 0).then_some(head.ack),
        len: head.len,
        bare: head.bare != 0,
        bytes: bytes.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(did: u32, dir: u8) -> Vec<u8> {
        let head = Head {
            ts: 7,
            cookie: 8,
            slot: 0,
            rule: 3,
            did,
            len: 60,
            segs: 1,
            seq: 5,
            payload: 6,
            ack: 9,
            ifindex: 2,
            dir,
            bare: 0,
            flags: tcp::ACK,
            proto: 6,
            _pad: 0,
        };
        // SAFETY: Head has no padding (asserted in fault_common::layout).
        let head = unsafe { std::slice::from_raw_parts((&raw const head).cast::<u8>(), HEAD) };
        [head, &[1, 2, 3]].concat()
    }

    #[test]
    fn a_record_is_a_packet() {
        let packet = decode(&raw(DID_DROP, 1)).unwrap();
        assert_eq!(
            (packet.direction, packet.did, packet.rules),
            (Direction::Ingress, Did::Lost, vec![3])
        );
        assert_eq!((packet.bytes, packet.len, packet.ack), (vec![1, 2, 3], 60, Some(9)));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert_eq!(decode(&[0; 20]), Err(RecordError::Size(20)));
        assert_eq!(decode(&raw(0, 0)[..HEAD]), Err(RecordError::Size(HEAD)));
        assert!(matches!(decode(&raw(0, 2)), Err(RecordError::Number { what: "direction", .. })));
        assert!(matches!(decode(&raw(9, 0)), Err(RecordError::Number { what: "fate", value: 9 })));
    }
}
