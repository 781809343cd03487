//! The columns of both tables: what stands in them, and how they are sorted.

use std::cmp::Ordering;
use std::time::Duration;

use fault_user::sockets::{Flow, Holders, Protocol, TcpInfo};

/// One column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    Process,
    Pid,
    Fd,
    Cookie,
    Nth,
    Age,
    Rtt,
    Out,
    In,
    Unacked,
    Retransmits,
    State,
    Local,
    Remote,
}

impl Column {
    /// All of them, from left to right.
    pub const ALL: [Self; 14] = [
        Self::Process,
        Self::Pid,
        Self::Fd,
        Self::Cookie,
        Self::Nth,
        Self::Age,
        Self::Rtt,
        Self::Out,
        Self::In,
        Self::Unacked,
        Self::Retransmits,
        Self::State,
        Self::Local,
        Self::Remote,
    ];

    /// Those that go first where there is no room for all.
    pub const EXPENDABLE: [Self; 11] = [
        Self::Fd,
        Self::Cookie,
        Self::In,
        Self::Nth,
        Self::Local,
        Self::Unacked,
        Self::Out,
        Self::State,
        Self::Age,
        Self::Rtt,
        Self::Retransmits,
    ];

    pub fn title(self) -> &'static str {
        match self {
            Self::Process => "PROCESS",
            Self::Pid => "PID",
            Self::Fd => "FD",
            Self::Cookie => "COOKIE",
            Self::Nth => "NTH",
            Self::Age => "AGE",
            Self::Rtt => "RTT",
            Self::Out => "OUT",
            Self::In => "IN",
            Self::Unacked => "UNACKED",
            Self::Retransmits => "RETR",
            Self::State => "STATE",
            Self::Local => "LOCAL",
            Self::Remote => "REMOTE",
        }
    }

    /// Numbers stand at the right.
    pub fn is_right(self) -> bool {
        !matches!(self, Self::Process | Self::State | Self::Local | Self::Remote)
    }

    /// What stands in it. `-`: not known, or there is no such thing.
    pub fn cell(self, flow: &Flow) -> String {
        let socket = &flow.socket;
        let info = socket.tcp.as_ref();
        let text = match self {
            Self::Process => Some(process(&flow.holders)),
            Self::Pid => flow.holders.first().map(|h| h.process.pid.to_string()),
            Self::Fd => flow.holders.first().map(|h| h.fd.to_string()),
            Self::Cookie => Some(socket.cookie.to_string()),
            Self::Nth => flow.place.map(|place| {
                let guess = if place.is_guess() { "~" } else { "" };
                format!("{guess}{}/{}", place.nth, place.of)
            }),
            Self::Age => flow.age.map(|age| format!(">={}", span(age))),
            Self::Rtt => info.map(|i| i.rtt).filter(|rtt| !rtt.is_zero()).map(span),
            Self::Out => info.and_then(|i| i.bytes_sent).map(size),
            Self::In => info.and_then(|i| i.bytes_received).map(size),
            Self::Unacked => info.map(|i| i.unacked.to_string()),
            Self::Retransmits => info.map(|i| i.retransmits.to_string()),
            Self::State => Some(match socket.protocol {
                Protocol::Tcp => socket.state.name().into(),
                Protocol::Udp => "udp".into(),
            }),
            Self::Local => Some(socket.local.to_string()),
            Self::Remote => socket.remote.map(|remote| remote.to_string()),
        };
        text.unwrap_or_else(|| "-".into())
    }

    /// The order in which a column stands when it is sorted by; what is not known comes first.
    pub fn compare(self, a: &Flow, b: &Flow) -> Ordering {
        let by = |key: fn(&Flow) -> Option<u64>| key(a).cmp(&key(b));
        let info = |key: fn(&TcpInfo) -> Option<u64>| {
            let of = |flow: &Flow| flow.socket.tcp.as_ref().and_then(key);
            of(a).cmp(&of(b))
        };
        match self {
            Self::Process => {
                let name = |flow: &Flow| flow.holders.first().map(|h| h.process.comm.clone());
                name(a).cmp(&name(b))
            }
            Self::Pid => by(|f| f.holders.first().map(|h| h.process.pid as u64)),
            Self::Fd => by(|f| f.holders.first().map(|h| h.fd as u64)),
            Self::Cookie => by(|f| Some(f.socket.cookie)),
            Self::Nth => by(|f| f.place.map(|p| u64::from(p.nth))),
            Self::Age => a.age.cmp(&b.age),
            Self::Rtt => info(|i| Some(i.rtt.as_nanos() as u64)),
            Self::Out => info(|i| i.bytes_sent),
            Self::In => info(|i| i.bytes_received),
            Self::Unacked => info(|i| Some(i.unacked.into())),
            Self::Retransmits => info(|i| Some(i.retransmits.into())),
            Self::State => self.cell(a).cmp(&self.cell(b)),
            Self::Local => a.socket.local.cmp(&b.socket.local),
            Self::Remote => a.socket.remote.cmp(&b.socket.remote),
        }
    }
}

/// The process, and how many more hold the socket; or why none is named.
pub fn process(holders: &Holders) -> String {
    match holders {
        Holders::Known(all) => {
            let name = all.first().map_or("", |h| h.process.comm.as_str());
            // A name may hold anything, also what would move the terminal's cursor.
            let name: String = name.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
            match all.len() {
                0 | 1 => name,
                n => format!("{name} +{}", n - 1),
            }
        }
        Holders::Orphan => "(closed by app)".into(),
        Holders::NotPermitted => "(not permitted)".into(),
        Holders::NotFound => "(not found)".into(),
    }
}

/// A time in three digits or so: `24us`, `1.20ms`, `3.4s`, `12m`, `5h`, `3d`.
fn span(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        s if s < 0.001 => format!("{:.0}us", s * 1e6),
        s if s < 1.0 => format!("{:.1}ms", s * 1e3),
        s if s < 60.0 => format!("{s:.1}s"),
        s if s < 3600.0 => format!("{:.0}m", (s / 60.0).floor()),
        s if s < 86400.0 => format!("{:.0}h", (s / 3600.0).floor()),
        s => format!("{:.0}d", (s / 86400.0).floor()),
    }
}

/// A number of bytes: exact below 10000, then in powers of 1024.
fn size(bytes: u64) -> String {
    if bytes < 10_000 {
        return bytes.to_string();
    }
    let mut value = bytes as f64;
    let mut units = ["K", "M", "G", "T", "P", "E"].into_iter();
    let mut unit = "";
    while value >= 1000.0 {
        let Some(next) = units.next() else { break };
        (value, unit) = (value / 1024.0, next);
    }
    format!("{value:.1}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_are_short() {
        let spans = [24e-6, 0.0012, 3.44, 90.0, 7200.0, 200_000.0].map(Duration::from_secs_f64);
        assert_eq!(spans.map(span), ["24us", "1.2ms", "3.4s", "1m", "2h", "2d"]);
        let sizes = [0, 9999, 10_000, 1_048_576, u64::MAX];
        assert_eq!(sizes.map(size), ["0", "9999", "9.8K", "1.0M", "16.0E"]);
    }

    #[test]
    fn each_column_is_there_once() {
        for (index, column) in Column::ALL.iter().enumerate() {
            assert!(!Column::ALL[index + 1..].contains(column), "{column:?}");
        }
        assert!(Column::EXPENDABLE.iter().all(|column| Column::ALL.contains(column)));
    }
}
