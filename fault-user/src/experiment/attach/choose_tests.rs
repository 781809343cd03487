use std::sync::Arc;

use super::*;
use crate::sockets::{Holder, Process, State};

/// A connection of process 7, called `app`, from 10.0.0.1:PORT to 10.0.0.2:443; descriptor and cookie follow
/// from the port.
fn socket(port: u16) -> Socket {
    Socket {
        protocol: Protocol::Tcp,
        state: State::Established,
        local: SocketAddr::from(([10, 0, 0, 1], port)),
        remote: Some(SocketAddr::from(([10, 0, 0, 2], 443))),
        cookie: u64::from(port) + 1000,
        inode: Some(9),
        uid: 33,
        interface: 0,
        mark: None,
        cgroup: None,
        receive_queue: 0,
        send_queue: 0,
        tcp: None,
    }
}

/// `one.example` is where the connections lead; the process is in the cgroup `its`.
struct Machine;

impl Known for Machine {
    fn addresses(&self, name: &str) -> &[IpAddr] {
        const THERE: &[IpAddr] = &[IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2))];
        if name == "one.example" { THERE } else { &[] }
    }

    fn is_in(&self, cgroup: &str, _: &Process) -> bool {
        cgroup == "its"
    }

    fn seed(&self) -> u64 {
        7
    }
}

fn holder(comm: &str, fd: i32) -> Holder {
    Holder { process: Arc::new(Process { pid: 7, comm: comm.into(), ..Process::default() }), fd }
}

/// Runs `choose` for flows with these keys on connections from the ports 1, 2 and 3, the third accepted.
fn chosen(comm: &str, flows: &[&str]) -> Result<Vec<Option<usize>>, AttachError> {
    let flow = |(i, keys): (usize, &&str)| format!("[[flow]]\nname = 'f{i}'\n{keys}\n");
    let flows: String = flows.iter().enumerate().map(flow).collect();
    let text = format!("schema = 1\n[[app]]\nname = 'a'\npid = 7\n{flows}");
    let scenario = crate::scenario::parse("t.toml", &text, std::path::Path::new("/"), &[]);
    let scenario = scenario.unwrap_or_else(|e| panic!("{}", e.for_stderr()));
    let sockets = [1, 2, 3].map(socket);
    let holders = [1, 2, 3].map(|fd| holder(comm, fd));
    let candidates: Vec<Candidate<'_>> = sockets
        .iter()
        .zip(&holders)
        .map(|(socket, holder)| Candidate {
            app: 0,
            holder,
            socket,
            remote: SocketAddr::from(([10, 0, 0, 2], 443)),
            accepted: socket.local.port() == 3,
            network: 0,
        })
        .collect();
    choose(&scenario, &Machine, &candidates)
}

#[test]
fn each_selector_picks_its_socket() {
    let second = [None, Some(0), None];
    for keys in [
        "cookie = 1002",
        "fd = 2",
        "local = ':2'",
        "local = '10.0.0.1:2'\nuid = 33",
        "remote = '10.0.0.0/24:*'\nlocal = '10.0.0.0/8:2-9'",
        "remote = 'one.example:440-450'\nlocal = ':2-3'\nopened = 'connect'",
    ] {
        assert_eq!(chosen("app", &[keys]).unwrap(), second, "{keys}");
    }
    let third = [None, None, Some(0)];
    for keys in [
        "opened = 'accept'",
        "cookie = 1003",
        "remote = '10.0.0.2:443'\nlocal = ':3'",
        "fd = 3\nopened = 'accept'",
    ] {
        assert_eq!(chosen("app", &[keys]).unwrap(), third, "{keys}");
    }
    for keys in [
        "local = ':4'",
        "remote = '10.0.0.2:444'",
        "uid = 34",
        "local = ':3'",
        "remote = '10.0.1.0/24:*'",
        "remote = 'two.example:443'",
        "local = ':4-9'",
    ] {
        assert_eq!(chosen("app", &[keys]).unwrap(), [None; 3], "{keys}: a later one may match");
    }
}

#[test]
fn the_first_flow_that_matches_has_it() {
    let roles = chosen("app", &["local = ':2'", "remote = '10.0.0.2:443'"]).unwrap();
    assert_eq!(roles, [Some(1), Some(0), None]);
    let roles = chosen("app", &["remote = '10.0.0.2:443'\nmax_flows = 2"]).unwrap();
    assert_eq!(roles, [Some(0), Some(0), None]);
}

#[test]
fn what_is_not_one_socket_is_refused_with_what_picks_each() {
    let error = chosen("app", &["remote = '10.0.0.2:443'"]).unwrap_err();
    assert!(matches!(&error, AttachError::TooMany { max: 1, sockets, .. } if sockets.len() == 2));
    let text = error.to_string();
    assert!(text.contains("cookie = 1001   # app[7] fd 1: 10.0.0.1:1 -> 10.0.0.2:443\n"), "{text}");
    let error = chosen("app", &["remote = '10.0.0.2:443'\nnth = 2"]).unwrap_err();
    assert!(matches!(&error, AttachError::NotCounted { sockets, .. } if sockets.len() == 2));
    let later = chosen("app", &["remote = '10.0.0.2:444'\nnth = 2"]).unwrap();
    assert_eq!(later, [None; 3], "none is open: those that open are counted exactly");
    for keys in ["cookie = 5", "fd = 9", "cookie = 1001\nfd = 2", "fd = 1\nopened = 'accept'"] {
        let error = chosen("app", &[keys]).unwrap_err();
        assert!(
            matches!(&error, AttachError::NoMatch { sockets, .. } if sockets.len() == 3),
            "{keys}: {error}"
        );
    }
}

#[test]
fn a_login_is_hit_only_by_cookie() {
    for comm in ["sshd", "sshd-session"] {
        for keys in ["local = ':2'", "fd = 2"] {
            let error = chosen(comm, &[keys]).unwrap_err();
            assert!(matches!(error, AttachError::Protected { .. }), "{comm}, {keys}: {error}");
        }
        assert_eq!(chosen(comm, &["cookie = 1002"]).unwrap(), [None, Some(0), None]);
    }
}

#[test]
fn what_is_excluded_is_no_candidate() {
    let all = "remote = 'one.example:443'";
    for exclude in [
        "exclude = { cookie = 1002 }",
        "exclude = [{ fd = 2 }, { uid = 34 }, { cgroup = 'other' }]",
        "exclude = { local = ':2', cgroup = 'its', remote = 'one.example:443' }",
    ] {
        let roles = chosen("app", &[&format!("{all}\n{exclude}")]).unwrap();
        assert_eq!(roles, [Some(0), None, None], "{exclude}: and so it is one socket");
    }
    let roles = chosen("app", &[&format!("{all}\nexclude = {{ uid = 33 }}")]).unwrap();
    assert_eq!(roles, [None; 3]);
}

#[test]
fn a_cgroup_and_a_share_narrow() {
    assert_eq!(chosen("app", &["cgroup = 'its'\nlocal = ':1'"]).unwrap(), [Some(0), None, None]);
    assert_eq!(chosen("app", &["cgroup = 'other'"]).unwrap(), [None; 3]);
    // By inode, which all have in common here, so in their order: the first two draw under seed 7.
    let picked =
        |n| in_share(7, OPEN_ALREADY, n, fault_common::condition::WHOLE_SHARE / 2).then_some(0);
    let roles = chosen("app", &["remote = 'one.example:443'\nshare = 0.5"]).unwrap();
    assert_eq!(roles, [picked(1), picked(2), None]);
    assert_eq!(chosen("app", &["share = 1.0"]).unwrap(), [Some(0), Some(0), None]);
}
