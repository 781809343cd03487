use proptest::prelude::*;

use super::*;
use crate::sockets::inventory::testing::flow;

fn all(_: &str, _: Option<&str>) -> bool {
    true
}

fn none(_: &str, _: Option<&str>) -> bool {
    false
}

fn lines(selector: Selector) -> String {
    match selector {
        Selector::Lines(lines) => lines,
        Selector::None(why) => panic!("no lines: {why}"),
    }
}

/// A scenario with just this flow, and a fault on it.
fn scenario_with(lines: &str) -> String {
    let name = lines.lines().find_map(|l| l.strip_prefix("name = ")).unwrap();
    format!(
        "schema = 1\nduration = \"5s\"\n[[app]]\nname = \"app\"\ncommand = [\"true\"]\n{lines}\
         [[step]]\nat = \"0s\"\nfaults = [{{ flow = {name}, drop = 1.0 }}]\n"
    )
}

fn accepted(lines: &str) -> scenario::model::Flow {
    let text = scenario_with(lines);
    let parsed = scenario::parse("s.toml", &text, std::path::Path::new("/"), &[]);
    let mut flows = parsed.unwrap_or_else(|e| panic!("{e:?}\n{text}")).flows;
    assert_eq!(flows.len(), 1);
    flows.remove(0)
}

#[test]
fn both_addresses_pick_it() {
    let text = lines(of(&flow(sample(), 1), true, &none));
    assert_eq!(
        text,
        "[[flow]]\nname = \"app-4711\"\nremote = \"10.0.0.2:443\"\nlocal = \"10.0.0.1:5000\"\n"
    );
    assert_eq!(accepted(&text).local, Some(scenario::parse_local("10.0.0.1:5000").unwrap()));
}

#[test]
fn a_version_that_knows_cookies_is_given_one() {
    let text = lines(of(&flow(sample(), 1), false, &all));
    assert!(text.ends_with("cookie = 4711\n"), "{text}");
    assert!(matches!(of(&flow(sample(), 1), false, &none), Selector::None(_)));
}

#[test]
fn what_an_app_accepted_says_so() {
    let mut server = flow(sample(), 1);
    server.opened = Opened::Accept;
    assert!(lines(of(&server, true, &all)).contains("opened = \"accept\"\n"));
    assert!(matches!(of(&server, true, &none), Selector::None(why) if why.contains("peer")));
    server.opened = Opened::Unknown;
    let text = lines(of(&server, true, &none));
    assert!(text.contains("# not known"), "{text}");
    accepted(&text);
}

#[test]
fn what_is_no_connection_has_no_selector() {
    let with = |change: &dyn Fn(&mut Socket)| {
        let mut socket = sample();
        change(&mut socket);
        of(&flow(socket, 1), true, &all)
    };
    let refused = [
        with(&|s| s.state = State::Listen),
        with(&|s| s.state = State::TimeWait),
        with(&|s| s.state = State::Close),
        with(&|s| s.remote = None),
        with(&|s| (s.protocol, s.remote) = (Protocol::Udp, None)),
    ];
    for selector in refused {
        assert!(matches!(selector, Selector::None(_)), "{selector:?}");
    }
}

#[test]
fn two_sockets_of_the_same_addresses_are_not_told_apart_by_them() {
    let twice = [flow(sample(), 1), flow(Socket { cookie: 2, ..sample() }, 1)];
    let mut flows = twice.clone();
    assign(&mut flows);
    let cookies = scenario::flow_key_available("cookie", None);
    assert!(flows.iter().all(|f| matches!(f.selector, Selector::Lines(_)) == cookies));
    // One that is over does not count: its addresses are free.
    let mut flows = twice;
    flows[1].socket.state = State::TimeWait;
    assign(&mut flows);
    assert!(matches!(flows[0].selector, Selector::Lines(_)));
}

proptest! {
    /// Whatever the process is called and wherever the socket leads, `check` takes the lines, and
    /// they mean this socket.
    #[test]
    fn a_scenario_takes_them(
        comm in "\\PC{0,15}",
        local: SocketAddr,
        remote: SocketAddr,
        cookie: u64,
        udp: bool,
    ) {
        prop_assume!(local.port() > 0 && remote.port() > 0);
        let protocol = if udp { Protocol::Udp } else { Protocol::Tcp };
        // What the cookie may be is for the scenario to say; no kernel counts beyond 2^63.
        let socket = Socket { protocol, local, remote: Some(remote), cookie: cookie >> 1, ..sample() };
        let mut flow = flow(socket, 1);
        if let crate::sockets::Holders::Known(holders) = &mut flow.holders {
            std::sync::Arc::make_mut(&mut holders[0].process).comm = comm;
        }
        let read = accepted(&lines(of(&flow, true, &scenario::flow_key_available)));
        let host = scenario::model::Host::Ip(remote.ip());
        prop_assert_eq!(read.remote, Some(scenario::model::Remote { host, port: remote.port() }));
        let expected = scenario::model::Local { ip: Some(local.ip()), port: Some(local.port()) };
        prop_assert_eq!(read.local, Some(expected));
        prop_assert_eq!(read.protocol == scenario::model::Protocol::Udp, udp);
    }
}
