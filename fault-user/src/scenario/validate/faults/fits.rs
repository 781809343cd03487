//! What a fault cannot be together with: the flow's protocol, `direction`, `when`, `pulse`.

use crate::scenario::diagnostic::Problem;
use crate::scenario::model::{Corrupt, Fault, FaultSpec, Limit, Reject, Segment, Then};
use crate::scenario::reader::{Fields, Item};
use crate::scenario::tree::Place;

use super::Context;

/// Reports every contradiction within one entry; `item` is the value of its fault key. Returns
/// whether there is none.
pub fn check(
    cx: &mut Context<'_>,
    fields: &mut Fields<'_>,
    spec: &FaultSpec,
    item: Item<'_>,
) -> bool {
    let mut found = Vec::new();
    scope(&mut found, fields, spec, item);
    payload(&mut found, fields, spec);
    if cx.udp.get(spec.flow.0).is_some_and(|udp| *udp) {
        let flow = cx.flows.name(spec.flow.0).to_owned();
        protocol(&mut found, fields, spec, item, &flow);
    }
    let fits = found.is_empty();
    cx.problems.extend(found);
    fits
}

/// Faults that are not about single packets cannot be narrowed to some.
fn scope(found: &mut Vec<Problem>, fields: &mut Fields<'_>, spec: &FaultSpec, item: Item<'_>) {
    let (refused, why): (&[&'static str], _) = match &spec.fault {
        Fault::Reset(_) => (
            &["direction", "when", "pulse"],
            "it is done once, to the connection: the value says to which side",
        ),
        Fault::Abort => (
            &["direction", "when", "pulse"],
            "it is done once, to the socket; to let packets trigger it, `reject = \"reset\"`",
        ),
        Fault::Stall => (
            &["when", "pulse"],
            "a peer acts on the last window that it saw, so all packets must say zero; to stall \
             again and again, make steps with `for`",
        ),
        Fault::Limit(_) => (
            &["when", "pulse"],
            "it is a place in the stream, whichever packet that comes with, and stays reached",
        ),
        _ => return,
    };
    for entry in fields.present(refused) {
        let message = format!("`{}` does not go with `{}`", entry.key, item.key);
        let help = format!("leave `{}` out: {why}", entry.key);
        found.push(Problem::new(entry.key_at, message, help).also(item.at(), "this fault"));
    }
}

/// Packets without payload have no payload bits.
fn payload(found: &mut Vec<Problem>, fields: &mut Fields<'_>, spec: &FaultSpec) {
    let Fault::Corrupt(Corrupt { headers: false, .. }) = spec.fault else { return };
    let bare = match spec.when.segment {
        Some(Segment::Syn | Segment::SynAck) => "a SYN",
        Some(Segment::AckOnly) => "a pure acknowledgement",
        Some(Segment::Rst) => "a RST",
        _ => return,
    };
    let message = format!("`corrupt` flips payload bits, and {bare} has none");
    let help = "`tcp = \"data\"`, or `headers = true` in `corrupt` to flip bits of headers, too";
    found.push(Problem::new(inner(fields, "when", "tcp"), message, help));
}

/// UDP has no connection, no window and no stream.
fn protocol(
    found: &mut Vec<Problem>,
    fields: &mut Fields<'_>,
    spec: &FaultSpec,
    item: Item<'_>,
    flow: &str,
) {
    let mut refuse = |at: Place, what: &str, help: &str| {
        let message = format!("{what} needs TCP, and the flow `{flow}` is UDP");
        found.push(Problem::new(at, message, help));
    };
    match &spec.fault {
        Fault::Reset(_) => {
            let help = "`abort = true` destroys a UDP socket; `reject = \"port\"` lets its sends \
                        fail with ECONNREFUSED";
            refuse(item.at(), "`reset`", help);
        }
        Fault::Stall => refuse(item.at(), "`stall`", "`drop = 1.0` lets nothing through"),
        Fault::Reject(Reject::Reset) => {
            let help = "ICMP answers a datagram: \"port\", \"host\", \"net\" or \"admin\"";
            refuse(item.at(), "`reject = \"reset\"`", help);
        }
        Fault::Limit(Limit { then: Then::Reset, .. }) => {
            let help = "`then = \"drop\"`: a datagram beyond the limit is lost";
            refuse(item.at(), "`limit` with `then = \"reset\"`", help);
        }
        _ => {}
    }
    let conditions = [
        ("tcp", spec.when.segment.is_some()),
        ("stream", spec.when.stream.is_some()),
        ("retransmission", spec.when.retransmission),
    ];
    for (key, _) in conditions.into_iter().filter(|(_, there)| *there) {
        let help = "of UDP `when` can tell the `size`";
        refuse(inner(fields, "when", key), &format!("`when.{key}`"), help);
    }
}

/// Where a key of an inner table stands.
fn inner(fields: &mut Fields<'_>, table: &'static str, key: &str) -> Place {
    let entry = fields.entry(table);
    let found = entry.and_then(|e| e.node.as_table()).and_then(|t| t.get(key));
    found.map_or(fields.at(), |e| e.key_at)
}
