//! The lines of a scenario that pick just one socket.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::{Flow, Opened, Protocol, Socket, State};

/// How a scenario names a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// A whole `[[flow]]` table, which picks this socket and no other.
    Lines(String),
    /// Why there is none.
    None(&'static str),
}

/// Gives each flow its selector.
pub fn assign(flows: &mut [Flow]) {
    let key = |socket: &Socket| (socket.protocol, socket.local, socket.remote);
    let mut count: HashMap<_, u32> = HashMap::new();
    for flow in flows.iter().filter(|flow| flow.socket.is_live()) {
        *count.entry(key(&flow.socket)).or_default() += 1;
    }
    for flow in flows {
        let unique = count.get(&key(&flow.socket)).is_none_or(|n| *n == 1);
        flow.selector = of(flow, unique);
    }
}

/// The selector of one flow. `unique`: no other socket in sight has its addresses.
fn of(flow: &Flow, unique: bool) -> Selector {
    let socket = &flow.socket;
    // A UDP socket is known by its datagrams, whose addresses tell.
    let cookie = socket.protocol == Protocol::Tcp;
    let remote = match remote_of(socket) {
        Ok(remote) => remote,
        Err(why) => return Selector::None(why),
    };
    if !unique && !cookie {
        return Selector::None("another socket has the same addresses");
    }
    let mut lines = vec!["[[flow]]".to_owned(), format!("name = \"{}\"", name(flow))];
    if socket.protocol != Protocol::Tcp {
        lines.push(format!("protocol = \"{}\"", socket.protocol.name()));
    }
    lines.push(format!("remote = \"{}\"", plain(remote)));
    lines.push(format!("local = \"{}\"", plain(socket.local)));
    match flow.opened {
        Opened::Accept => lines.push("opened = \"accept\"".into()),
        Opened::Connect => {}
        Opened::Unknown => {
            lines.push("# not known at the moment: whether the app opened it, or the peer".into())
        }
    }
    if cookie {
        lines.push(format!("cookie = {}", socket.cookie));
    }
    Selector::Lines(lines.join("\n") + "\n")
}

/// The remote of a socket whose packets a fault could meet.
fn remote_of(socket: &Socket) -> Result<SocketAddr, &'static str> {
    match (socket.protocol, socket.state, socket.remote) {
        (_, State::Listen, _) => Err("it listens: connections have sockets of their own"),
        (_, State::TimeWait, _) => Err("it is closed"),
        (Protocol::Udp, _, None) => Err(
            "it is not connected: give `remote` of the peer that is meant, and its port as `local`",
        ),
        (Protocol::Tcp, State::Close, _) | (_, _, None) => Err("it is not connected"),
        (_, _, Some(remote)) => Ok(remote),
    }
}

/// Unique on this machine by the cookie, and telling by the name.
fn name(flow: &Flow) -> String {
    let comm = flow.holders.first().map_or("socket", |holder| &holder.process.comm);
    let fits = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' };
    format!("{}-{}", comm.chars().map(fits).collect::<String>(), flow.socket.cookie)
}

/// Scope and flow label are no part of a scenario's addresses.
fn plain(address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) => format!("{ip}:{}", address.port()),
        IpAddr::V6(ip) => format!("[{ip}]:{}", address.port()),
    }
}

/// A connection, for tests.
#[cfg(test)]
pub fn sample() -> Socket {
    Socket {
        protocol: Protocol::Tcp,
        state: State::Established,
        local: SocketAddr::from(([10, 0, 0, 1], 5000)),
        remote: Some(SocketAddr::from(([10, 0, 0, 2], 443))),
        cookie: 4711,
        inode: Some(9),
        uid: 0,
        interface: 0,
        mark: None,
        cgroup: None,
        receive_queue: 0,
        send_queue: 0,
        tcp: None,
    }
}

#[cfg(test)]
#[path = "tests/selector.rs"]
mod tests;
