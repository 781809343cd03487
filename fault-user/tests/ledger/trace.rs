//! Builds event traces by hand, in milliseconds and stream offsets.

use std::net::IpAddr;

use fault_common::event::tcp;
use fault_user::correlate::names::{Names, RuleName};
use fault_user::correlate::{Facts, Gap};
use fault_user::ledger::entry::{Entry, Packet, Standing, What};
use fault_user::outcome::AppMessage;
use fault_user::verdict::Outcome;

/// t = 0 of the run on the kernel's clock.
const T0: u64 = 5_000_000_000;
const RUN_MS: f64 = 60_000.0;

pub const EGRESS_RULE: u32 = 0;
pub const INGRESS_RULE: u32 = 1;

pub fn ns(ms: f64) -> u64 {
    (T0 as f64 + ms * 1e6) as u64
}

#[derive(Debug, Clone, Copy)]
pub struct Sock {
    pub cookie: u64,
    app: u32,
    flow: Option<u32>,
    isn: u32,
}

pub struct Trace {
    pub entries: Vec<Entry>,
    pub messages: Vec<AppMessage>,
    pub facts: Facts,
    written: Vec<i64>,
    sender: Option<u32>,
}

impl Trace {
    pub fn new() -> Self {
        let rule = |step: &str, what: &str| RuleName {
            step: step.into(),
            what: what.into(),
            fault: what.into(),
        };
        let names = Names {
            apps: vec!["sender".into(), "receiver".into()],
            flows: vec!["first".into(), "second".into()],
            rules: vec![
                rule("outage", "first egress drop = 1"),
                rule("outage", "first ingress drop = 1"),
            ],
        };
        let facts = Facts { t0: ns(0.0), end: ns(RUN_MS), names, ..Facts::default() };
        Self { entries: vec![], messages: vec![], facts, written: vec![], sender: None }
    }

    /// A connected socket of the sender.
    pub fn socket(&mut self, flow: impl Into<Option<u32>>) -> Sock {
        self.socket_from(flow, 1_000)
    }

    /// The same with a sequence number of its own choice for the first payload byte.
    pub fn socket_from(&mut self, flow: impl Into<Option<u32>>, isn: u32) -> Sock {
        let s = self.open_socket(flow, isn);
        let ip: IpAddr = "127.0.0.1".parse().unwrap();
        self.push(s, 0.0, What::Opened { nth: 1, attempt: 1, later: 0, local: ip, remote: ip });
        let syn = Packet { flags: tcp::SYN, ..packet(isn, 0) };
        self.push(s, 0.1, What::Tx(syn));
        self.push(s, 0.2, What::Established { accepted: false, local: ip, remote: ip });
        s
    }

    /// A socket that was open before the run, of which is known where its stream stood.
    pub fn standing(&mut self, isn: u32, written: u64, unacked: u32, unsent: u32) -> Sock {
        let s = self.open_socket(0, isn);
        self.written[s.cookie as usize - 1] = written as i64;
        let ip: IpAddr = "127.0.0.1".parse().unwrap();
        let stream = Some(Standing { first: isn, written, unacked, unsent });
        self.push(s, 0.0, What::Found { accepted: false, local: ip, remote: ip, stream });
        s
    }

    /// A socket that was open before the run: nothing of its handshake is on record.
    pub fn open_socket(&mut self, flow: impl Into<Option<u32>>, isn: u32) -> Sock {
        self.written.push(0);
        Sock { cookie: self.written.len() as u64, app: 0, flow: flow.into(), isn }
    }

    pub fn push(&mut self, s: Sock, ms: f64, what: What) -> &mut Self {
        self.entries.push(Entry {
            ts: ns(ms),
            cookie: s.cookie,
            pid: 100,
            tid: 100,
            app: s.app,
            flow: s.flow,
            slot: s.cookie as u32,
            proto: 6,
            passive: false,
            lport: 4000 + s.cookie as u16,
            rport: 443,
            retrans: 0,
            what,
        });
        self
    }

    /// Another app makes the send calls from here on.
    pub fn sender(&mut self, app: impl Into<Option<u32>>) -> &mut Self {
        self.sender = app.into();
        self
    }

    /// Goes on where another trace ended.
    pub fn resume(&mut self, s: Sock, written: i64) {
        self.written[s.cookie as usize - 1] = written;
    }

    /// A send call that returns at `ms`.
    pub fn send(&mut self, s: Sock, ms: f64, len: i64) -> &mut Self {
        let end = &mut self.written[s.cookie as usize - 1];
        *end += len;
        let end_seq = s.isn.wrapping_add(*end as u32);
        self.push(
            s,
            ms,
            What::Send {
                ret: len as i32,
                end_seq,
                start_seq: None,
                layered: false,
                sender: self.sender,
                sent: None,
                acked: None,
            },
        );
        self
    }

    pub fn failed_send(&mut self, s: Sock, ms: f64, errno: i32) -> &mut Self {
        let end_seq = s.isn.wrapping_add(self.written[s.cookie as usize - 1] as u32);
        self.push(
            s,
            ms,
            What::Send {
                ret: -errno,
                end_seq,
                start_seq: None,
                layered: false,
                sender: self.sender,
                sent: None,
                acked: None,
            },
        );
        self
    }

    /// A copy that goes out.
    pub fn tx(&mut self, s: Sock, ms: f64, from: i64, to: i64) -> &mut Self {
        self.push(s, ms, What::Tx(packet(s.isn.wrapping_add(from as u32), (to - from) as u32)));
        self
    }

    /// A copy that the egress rule drops.
    pub fn lost(&mut self, s: Sock, ms: f64, from: i64, to: i64) -> &mut Self {
        let p = packet(s.isn.wrapping_add(from as u32), (to - from) as u32);
        self.push(
            s,
            ms,
            What::Tx(Packet {
                dropped: true,
                discarded: false,
                held_us: 0,
                judged: None,
                rule: Some(EGRESS_RULE),
                ..p
            }),
        );
        self
    }

    pub fn fin(&mut self, s: Sock, ms: f64, at: i64) -> &mut Self {
        let p = packet(s.isn.wrapping_add(at as u32), 0);
        self.push(s, ms, What::Tx(Packet { flags: tcp::ACK | tcp::FIN, ..p }));
        self
    }

    fn ack_packet(s: Sock, upto: i64) -> Packet {
        Packet { ack: s.isn.wrapping_add(upto as u32), ..packet(77, 0) }
    }

    pub fn ack(&mut self, s: Sock, ms: f64, upto: i64) -> &mut Self {
        self.push(s, ms, What::Rx(Self::ack_packet(s, upto)));
        self
    }

    /// An ack that the ingress rule drops.
    pub fn lost_ack(&mut self, s: Sock, ms: f64, upto: i64) -> &mut Self {
        let p = Packet {
            dropped: true,
            discarded: false,
            held_us: 0,
            judged: None,
            rule: Some(INGRESS_RULE),
            ..Self::ack_packet(s, upto)
        };
        self.push(s, ms, What::Rx(p));
        self
    }

    pub fn close(&mut self, s: Sock, ms: f64) -> &mut Self {
        self.push(s, ms, What::Closed { snd_una: 0, snd_nxt: 0 });
        self
    }

    /// A send that goes through: call, packet, ack a millisecond later.
    pub fn delivered(&mut self, s: Sock, ms: f64, len: i64) -> &mut Self {
        let from = self.written[s.cookie as usize - 1];
        self.tx(s, ms, from, from + len).send(s, ms + 0.01, len).ack(s, ms + 1.0, from + len)
    }

    pub fn message(&mut self, id: &str, outcome: Outcome, from: f64, to: f64) -> &mut AppMessage {
        self.messages.push(AppMessage {
            app: 0,
            id: id.into(),
            outcome,
            raw_status: format!("{outcome:?}"),
            t0: ns(from),
            t1: ns(to),
            bytes: None,
            timing_given: true,
            resolution: 0,
            retry_of: None,
        });
        self.messages.last_mut().unwrap()
    }

    pub fn gap(&mut self, s: impl Into<Option<Sock>>, from: f64, to: f64) -> &mut Self {
        let cookie = s.into().map(|s: Sock| s.cookie);
        self.facts.gaps.push(Gap { cookie, from: ns(from), to: ns(to) });
        self
    }
}

fn packet(seq: u32, len: u32) -> Packet {
    Packet {
        dropped: false,
        discarded: false,
        held_us: 0,
        judged: None,
        rule: None,
        flags: tcp::ACK,
        segs: 1,
        seq,
        len,
        ack: 0,
        ifindex: 1,
    }
}
