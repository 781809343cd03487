//! UDP flows. The kernel side numbers the bytes of their datagrams as they come to the egress hook,
//! as if they were a stream, so that everything that is said of ranges holds for them, too.

use std::collections::BTreeSet;

use super::entry::{Entry, What};
use super::flow::SendCall;
use super::stream::Unwrapper;

/// The IP protocol number of UDP.
pub const UDP: u8 = 17;

/// The sends of a UDP flow. One send is one datagram (or one batch, with UDP_SEGMENT), and it
/// passes the hook inside of the call: the datagram is the evidence of its send. One that never
/// comes there (a firewall of this host, no neighbour) is not seen.
pub(super) fn sends(
    list: &[Entry],
    seq: &mut Unwrapper,
    seen: &mut BTreeSet<i64>,
) -> Vec<SendCall> {
    let mut sends = Vec::new();
    for e in list {
        let What::Tx(packet) = e.what else { continue };
        let start = seq.offset(packet.seq);
        let range = start..start + i64::from(packet.len);
        // Not sent: a copy that a fault made.
        if range.is_empty() || !seen.insert(start) {
            continue;
        }
        seq.advance(range.end);
        let written = u64::from(packet.len);
        sends.push(SendCall {
            ts: e.ts,
            tid: e.tid,
            range,
            written,
            exact: true,
            loose: false,
            sender: None,
            error: None,
        });
    }
    sends
}

#[cfg(test)]
#[path = "datagrams_tests.rs"]
mod tests;
