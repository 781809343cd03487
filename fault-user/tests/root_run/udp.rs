//! Single UDP flows: of two sockets to one server, of one socket to two servers. The server at the
//! far end of the cable says what came over.

use std::collections::BTreeSet;
use std::time::Duration;

use fault_user::report::model::{FlowReport, Report, SendReport};
use fault_user::verdict::{Outcome, Verdict};

use crate::support::process::{Process, wait_for};
use crate::support::run::Run;
use crate::support::scenarios::{OUTCOMES, quoted};
use crate::support::truth::{Receipt, messages, receipts};
use crate::support::{Lab, command, python, script};

/// A client of `mode` with these flows, of which `dark` meets drop = 1.0.
struct Case<'a> {
    mode: &'a str,
    rounds: u32,
    /// HOST:PORT, one or two.
    remotes: &'a [&'a str],
    /// Keys of the flows `lit` and `dark`.
    flows: [String; 2],
    at: &'a str,
    direction: &'a str,
    options: &'a [&'a str],
}

struct Outcomes {
    report: Report,
    arrived: Vec<Receipt>,
}

impl Case<'_> {
    fn run(&self, lab: &Lab) -> Outcomes {
        let far = lab.far.as_ref().expect("a pair");
        let (host, _) = self.remotes[0].rsplit_once(':').expect("HOST:PORT");
        let ports: Vec<&str> =
            self.remotes.iter().map(|r| r.rsplit_once(':').expect("HOST:PORT").1).collect();
        let args = format!(
            "{} {} {} {}",
            script("udp_echo.py"),
            lab.file("receipts"),
            host.trim_matches(['[', ']']),
            ports.join(" ")
        );
        let server = Process::start(command(python(), &args), far, &lab.path().join("server"));
        server.says("listening");
        reachable(lab, self.remotes[0]);
        let finished = Run::start(lab, "out", &self.text(), self.options).finish();
        let report = finished.expect(0);
        drop(server);
        let arrived = receipts(&lab.path().join("receipts"));
        Outcomes { report, arrived }
    }

    fn text(&self) -> String {
        let Self { mode, rounds, flows: [lit, dark], at, direction, .. } = self;
        let args =
            format!("{} {mode} {rounds} {}", script("udp_client.py"), self.remotes.join(" "));
        let client = quoted(python(), &args);
        let flow = |name: &str, keys: &str| match keys {
            "" => String::new(),
            _ => format!("[[flow]]\nname = '{name}'\nprotocol = 'udp'\napp = 'client'\n{keys}\n"),
        };
        format!(
            "schema = 1\nname = 'udp'\nseed = 7\nduration = '20s'\n\
             [[app]]\nname = 'client'\nready = {{ log = 'connected' }}\ncommand = {client}\n\
             {OUTCOMES}{}{}\
             [[step]]\nname = 'outage'\nat = '{at}'\n\
             faults = [{{ flow = 'dark', direction = '{direction}', drop = 1.0 }}]\n",
            flow("lit", lit),
            flow("dark", dark),
        )
    }
}

impl Outcomes {
    fn flow(&self, name: &str) -> &FlowReport {
        let of_name = |f: &&FlowReport| f.selected && f.name == name;
        self.report.flows.iter().find(of_name).unwrap_or_else(|| panic!("{:#?}", self.report.flows))
    }

    /// Numbers of the sends of that kind that came over the cable.
    fn arrived(&self, kind: &str) -> BTreeSet<u32> {
        let number = |id: &str| id.strip_prefix(kind)?.strip_prefix('-')?.parse().ok();
        self.arrived.iter().filter_map(|r| number(&r.id)).collect()
    }

    /// Each send of the flow `lit` went through, and the server saw its socket.
    fn lit_is_whole(&self, rounds: u32) {
        assert_eq!(self.arrived("lit"), (1..=rounds).collect(), "{:#?}", self.arrived);
        let (lit, dark) = (self.flow("lit"), self.flow("dark"));
        assert_eq!((lit.egress.dropped, lit.ingress.dropped), (0, 0), "{lit:#?}");
        let count = u64::from(rounds);
        assert_eq!((lit.egress.packets, lit.ingress.packets), (count, count), "{lit:#?}");
        for flow in [lit, dark] {
            assert_eq!(flow.protocol, "udp");
            assert!(flow.opened_ms.is_some() && flow.closed_ms.is_some(), "{flow:#?}");
        }
        let peers = |flow: &FlowReport| self.arrived.iter().any(|r| r.peer == flow.local);
        assert!(peers(lit) && peers(dark), "{:#?}\n{:#?}", self.report.flows, self.arrived);
        for (id, send) in messages(&self.report) {
            if id.starts_with("lit") {
                // It arrived, but UDP does not say so.
                assert_eq!(send.verdict, Verdict::Unconfirmed, "{send:#?}");
                assert_eq!((send.outcome, send.flow.as_deref()), (Outcome::Ok, Some("lit")));
            }
        }
    }

    fn dark_sends(&self) -> Vec<&SendReport> {
        let all = messages(&self.report);
        all.into_iter().filter(|(id, _)| id.starts_with("dark")).map(|(_, s)| s).collect()
    }

    /// Some sends of the flow `dark` got their echo and some did not; each verdict is what
    /// `failed` says, and true.
    fn dark_is_told(&self, failed: Verdict) {
        let arrived = self.arrived("dark");
        let (mut ok, mut lost) = (0, 0);
        for send in self.dark_sends() {
            let id = send.id.as_deref().expect("it is a message");
            let number = id["dark-".len()..].parse().expect("a number");
            let should = match send.outcome {
                Outcome::Ok => Verdict::Unconfirmed,
                _ => failed,
            };
            assert_eq!(send.verdict, should, "{send:#?}");
            assert_eq!(send.flow.as_deref(), Some("dark"), "{send:#?}");
            let there = send.outcome == Outcome::Ok || failed == Verdict::AmbiguousFailure;
            assert_eq!(arrived.contains(&number), there, "{send:#?}\n{arrived:?}");
            *if send.outcome == Outcome::Ok { &mut ok } else { &mut lost } += 1;
        }
        assert!(ok >= 3 && lost >= 3, "{ok} with an echo, {lost} without");
        let dark = self.flow("dark");
        let dropped = (dark.egress.dropped, dark.ingress.dropped);
        match failed {
            Verdict::AmbiguousFailure => assert_eq!(dropped, (0, lost), "{dark:#?}"),
            _ => assert_eq!(dropped, (lost, 0), "{dark:#?}"),
        }
    }
}

/// The second of two sockets to one server.
fn second_of_two(remote: &str, direction: &str, failed: Verdict) {
    let lab = Lab::pair();
    let keys = |nth: u32| format!("remote = '{remote}'\nnth = {nth}");
    let case = Case {
        mode: "connected",
        rounds: 12,
        remotes: &[remote],
        flows: [keys(1), keys(2)],
        at: "625ms",
        direction,
        options: &[],
    };
    let outcomes = case.run(&lab);
    outcomes.lit_is_whole(12);
    outcomes.dark_is_told(failed);
    lab.close();
}

#[test]
fn what_the_second_of_two_udp_sockets_sends_is_lost() {
    second_of_two("10.77.0.2:7700", "egress", Verdict::CleanFailure);
}

#[test]
fn what_the_second_of_two_udp_sockets_would_receive_is_lost() {
    second_of_two("10.77.0.2:7700", "ingress", Verdict::AmbiguousFailure);
}

#[test]
fn the_second_of_two_udp_sockets_is_dark_both_ways_over_ipv6() {
    second_of_two("[fd77::2]:7700", "both", Verdict::CleanFailure);
}

#[test]
fn of_one_udp_socket_that_talks_to_two_servers_one_way_is_dark() {
    let lab = Lab::pair();
    let remotes = ["10.77.0.2:7700", "10.77.0.2:7701"];
    let case = Case {
        mode: "sendto",
        rounds: 12,
        remotes: &remotes,
        flows: remotes.map(|r| format!("remote = '{r}'")),
        at: "625ms",
        direction: "both",
        options: &[],
    };
    let outcomes = case.run(&lab);
    outcomes.lit_is_whole(12);
    outcomes.dark_is_told(Verdict::CleanFailure);
    let local = outcomes.flow("lit").local.as_str();
    assert_eq!(local, outcomes.flow("dark").local, "it is one socket");
    lab.close();
}

/// Which rounds of three sockets in turn came over the cable, five rounds each.
fn in_turn(follow: bool) -> BTreeSet<u32> {
    let lab = Lab::pair();
    let case = Case {
        mode: "in-turn",
        rounds: 15,
        remotes: &["10.77.0.2:7700"],
        flows: [String::new(), format!("remote = '10.77.0.2:7700'\nfollow = {follow}")],
        at: "0s",
        direction: "egress",
        options: &[],
    };
    let arrived = case.run(&lab).arrived("dark");
    lab.close();
    // The first round may have been over before t = 0.
    arrived.into_iter().filter(|n| *n > 2).collect()
}

#[test]
fn a_closed_udp_socket_gives_its_role_to_the_next() {
    assert_eq!(in_turn(true), BTreeSet::new());
}

#[test]
fn without_follow_the_role_ends_with_the_udp_socket() {
    assert_eq!(in_turn(false), (6..=15).collect());
}

/// Waits until neighbours have found each other: a datagram may get lost before that.
fn reachable(lab: &Lab, address: &str) {
    let bind = if address.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
    let echo = || {
        let socket = std::net::UdpSocket::bind(bind).ok()?;
        socket.set_read_timeout(Some(Duration::from_millis(100))).ok()?;
        socket.send_to(b"hello ", address).ok()?;
        socket.recv(&mut [0; 16]).ok()
    };
    wait_for("way to the server", Duration::from_secs(10), || lab.near.within(echo));
}
