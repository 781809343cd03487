use super::testing::flow;
use super::*;
use crate::sockets::selector::sample;

fn held(by_inode: &[(u64, (i32, i32))]) -> Descriptors {
    let by_inode = by_inode.iter().map(|(inode, holder)| (*inode, vec![*holder])).collect();
    Descriptors { by_inode, hidden: 0, complete: true }
}

fn socket(cookie: u64, inode: Option<u64>) -> (u64, Socket) {
    (1, Socket { cookie, inode, ..sample() })
}

#[test]
fn a_socket_that_closes_between_the_two_looks_is_nobodys_or_gone() {
    let mut seen =
        vec![socket(1, Some(10)), socket(2, Some(20)), socket(3, Some(30)), socket(4, Some(40))];
    // 2 has become an orphan, 3 is gone, 4 was on its way to another process.
    let again = [socket(1, Some(10)), socket(2, None), socket(4, Some(40))];
    let mut descriptors = held(&[(10, (7, 3))]);
    settle(&mut seen, &again, &mut descriptors, held(&[(10, (8, 9)), (40, (8, 4))]));
    assert_eq!(seen, again);
    // What the first look has shown of a socket stands.
    assert_eq!(descriptors.by_inode[&10], [(7, 3)]);
    assert_eq!(descriptors.by_inode[&40], [(8, 4)]);
}

#[test]
fn what_was_not_asked_for_is_counted() {
    let listener = Socket { state: State::Listen, remote: None, ..sample() };
    let over = Socket { state: State::TimeWait, inode: None, ..sample() };
    let all = [flow(sample(), 7), flow(listener, 7), flow(over, 7), flow(sample(), 8)];
    let narrowed = |request: &Request, pids: Option<&BTreeSet<i32>>| {
        let mut inventory = Inventory { flows: all.to_vec(), ..Inventory::default() };
        inventory.narrow(request, pids);
        (inventory.flows.len(), inventory.left_out)
    };
    let (shown, left_out) = narrowed(&Request::default(), Some(&BTreeSet::from([7])));
    assert_eq!((shown, left_out), (1, BTreeMap::from([("listening", 1), ("in TIME_WAIT", 1)])));
    let request = Request { all: true, ..Request::default() };
    assert_eq!(narrowed(&request, None), (4, BTreeMap::new()));
    let to = |ip: &str, port| {
        let name = format!("a.example:{port}");
        let remote = crate::scenario::parse_remote(&name).unwrap();
        let remote = Some((remote, vec![ip.parse().unwrap()]));
        narrowed(&Request { remote, ..Request::default() }, None).0
    };
    assert_eq!((to("10.0.0.2", 443), to("10.0.0.2", 444), to("10.0.0.3", 443)), (2, 0, 0));
    let remote = crate::scenario::parse_remote("*:400-443").unwrap();
    let any = Request { remote: Some((remote, Vec::new())), ..Request::default() };
    assert_eq!(narrowed(&any, None).0, 2);
}

#[test]
fn we_see_our_own_connection_with_both_ends() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = std::net::TcpStream::connect(address).unwrap();
    let _server = listener.accept().unwrap();
    let pid = std::process::id() as i32;
    let request = Request { targets: vec![Target::Pid(pid)], ..Request::default() };
    let inventory = look(&request).unwrap();
    let ours = client.local_addr().unwrap();
    let end = |local, remote| {
        let mut found = inventory
            .flows
            .iter()
            .filter(|f| f.socket.local == local && f.socket.remote == Some(remote));
        found.next().unwrap_or_else(|| panic!("{inventory:#?}"))
    };
    let (out, back) = (end(ours, address), end(address, ours));
    assert_eq!((out.opened, back.opened), (Opened::Connect, Opened::Accept));
    assert_eq!(out.place.map(|p| (p.nth, p.of)), Some((1, 1)));
    assert_eq!(out.holders.first().map(|h| h.process.pid), Some(pid));
    let without = Request { targets: vec![Target::Pid(pid), Target::Pid(1)], ..Request::default() };
    assert!(matches!(look(&without), Err(SocketsError::NoProcess { .. })));
}
