//! The interfaces of this network namespace, now and as they come and go.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _};
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{LinkAttribute, LinkLayerType, LinkMessage};
use rtnetlink::{MulticastGroup, new_multicast_connection};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::netns::Netns;

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether its packets begin with an Ethernet header.
    pub ethernet: bool,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// There is a new one (or an old one changed, which is told likewise).
    New(Interface),
    /// The one with this index is gone.
    Gone(u32),
}

/// Lists what there is in a network namespace (`None`: that of this thread) and begins to watch; a change between the
/// two is not lost.
///
/// # Errors
/// No netlink socket, or the kernel refuses the list, or the way in.
pub async fn watch(
    netns: Option<&Netns>,
) -> std::io::Result<(Vec<Interface>, mpsc::UnboundedReceiver<Change>)> {
    // A netlink socket belongs to where it was made, whoever reads it.
    let runtime = Handle::current();
    let open = || {
        let _on_the_runtime = runtime.enter();
        new_multicast_connection(&[MulticastGroup::Link])
    };
    let (connection, handle, mut messages) = match netns {
        Some(netns) => netns.within(open)??,
        None => open()?,
    };
    tokio::spawn(connection);
    let mut found = BTreeMap::new();
    let mut links = handle.link().get().execute();
    while let Some(link) = links.try_next().await.map_err(std::io::Error::other)? {
        if let Some(interface) = interface(&link) {
            found.insert(interface.index, interface);
        }
    }
    let (tx, rx) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        // The handle keeps the connection alive.
        let _handle = handle;
        while let Some((message, _)) = messages.next().await {
            let NetlinkPayload::InnerMessage(message) = message.payload else { continue };
            let change = match &message {
                RouteNetlinkMessage::NewLink(link) => interface(link).map(Change::New),
                RouteNetlinkMessage::DelLink(link) => Some(Change::Gone(link.header.index)),
                _ => None,
            };
            if let Some(change) = change
                && tx.send(change).is_err()
            {
                return;
            }
        }
    });
    Ok((found.into_values().collect(), rx))
}

fn interface(link: &LinkMessage) -> Option<Interface> {
    let name = link.attributes.iter().find_map(|a| match a {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    })?;
    // Ours, and those of other runs: what comes there was judged on another interface.
    if name.starts_with(crate::line::PREFIX) {
        return None;
    }
    let layer = link.header.link_layer_type;
    let ethernet = matches!(layer, LinkLayerType::Ether | LinkLayerType::Loopback);
    Some(Interface { index: link.header.index, name, ethernet })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reading links needs no privileges, and every namespace has lo.
    #[tokio::test]
    async fn lo_is_there_and_counts_as_ethernet() {
        let (found, _changes) = watch(None).await.unwrap();
        let lo = found.iter().find(|i| i.name == "lo").expect("lo");
        assert!(lo.ethernet && lo.index == 1, "{lo:?}");
    }
}
