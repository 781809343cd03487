//! The comment of a packet: `key=value`, one to a line, so that a filter can look for each.

use fault_common::rule::Direction;

use super::marks::Named;
use super::packet::Packet;
use crate::correlate::names::Names;

/// At most so many messages are named; a delayed super-packet may have hundreds.
pub(super) const NAMED: usize = 20;

/// What is said of a packet.
pub fn comment(packet: &Packet, of: &Named, names: &Names, socket: Option<&str>) -> String {
    let mut lines = vec![format!("fate={}", packet.did.name())];
    for rule in &packet.rules {
        lines.push(format!("rule={}", names.rule(*rule)));
        lines.push(format!("fault={}", names.fault(*rule)));
    }
    if let Some(socket) = socket {
        lines.push(format!("flow={socket}"));
    }
    lines.push(format!("cookie={}", packet.cookie));
    let key = match packet.direction {
        Direction::Egress => "message",
        Direction::Ingress => "acknowledges",
    };
    lines.extend(of.ids.iter().map(|id| format!("{key}={}", printable(id))));
    if of.all > of.ids.len() {
        lines.push(format!("and {} more messages", of.all - of.ids.len()));
    }
    if packet.segs > 1 {
        lines.push(format!("wire packets={}", packet.segs));
    }
    lines.join("\n")
}

/// An app's text must not look like another line of the comment.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
