use proptest::prelude::*;

use super::*;
use crate::scenario;
use crate::sockets::inventory::testing::flow;

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
        "schema = 1\nduration = \"5s\"\n[[app]]\nname = \"app\"\npid = 1\n{lines}\
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
fn addresses_and_cookie_pick_it() {
    let text = lines(of(&flow(sample(), 1), true));
    assert_eq!(
        text,
        "[[flow]]\nname = \"app-4711\"\nremote = \"10.0.0.2:443\"\nlocal = \"10.0.0.1:5000\"\ncookie = 4711\n"
    );
    let read = accepted(&text);
    assert_eq!(read.local, Some(scenario::parse_local("10.0.0.1:5000").unwrap()));
    assert_eq!(read.cookie, Some(4711));
}

#[test]
fn the_cookie_tells_two_of_the_same_addresses_apart_but_not_in_udp() {
    assert!(lines(of(&flow(sample(), 1), false)).ends_with("cookie = 4711\n"));
    let udp = flow(Socket { protocol: Protocol::Udp, ..sample() }, 1);
    assert!(!lines(of(&udp, true)).contains("cookie"));
    assert!(matches!(of(&udp, false), Selector::None(_)));
}

#[test]
fn what_an_app_accepted_says_so() {
    let mut server = flow(sample(), 1);
    server.opened = Opened::Accept;
    let text = lines(of(&server, true));
    assert_eq!(accepted(&text).opened, Some(scenario::model::Opened::Accept), "{text}");
    server.opened = Opened::Unknown;
    let text = lines(of(&server, true));
    assert!(text.contains("# not known"), "{text}");
    assert_eq!(accepted(&text).opened, None);
}

#[test]
fn what_is_no_connection_has_no_selector() {
    let with = |change: &dyn Fn(&mut Socket)| {
        let mut socket = sample();
        change(&mut socket);
        of(&flow(socket, 1), true)
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
    let udp = Socket { protocol: Protocol::Udp, ..sample() };
    let twice = [flow(udp.clone(), 1), flow(Socket { cookie: 2, ..udp }, 1)];
    let mut flows = twice.clone();
    assign(&mut flows);
    assert!(flows.iter().all(|f| matches!(f.selector, Selector::None(_))));
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
        let socket = Socket { protocol, local, remote: Some(remote), cookie: (cookie >> 1).max(1), ..sample() };
        let mut flow = flow(socket, 1);
        if let crate::sockets::Holders::Known(holders) = &mut flow.holders {
            std::sync::Arc::make_mut(&mut holders[0].process).comm = comm;
        }
        let read = accepted(&lines(of(&flow, true)));
        let host = scenario::model::Host::Net(scenario::model::Net::host(remote.ip()));
        let ports = scenario::model::Ports::one(remote.port());
        prop_assert_eq!(read.remote, Some(scenario::model::Remote { host, ports }));
        let net = Some(scenario::model::Net::host(local.ip()));
        let ports = Some(scenario::model::Ports::one(local.port()));
        let expected = scenario::model::Local { net, ports };
        prop_assert_eq!(read.local, Some(expected));
        prop_assert_eq!(read.protocol == scenario::model::Protocol::Udp, udp);
    }
}
