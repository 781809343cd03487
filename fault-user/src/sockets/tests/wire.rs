use proptest::prelude::*;

use super::*;

/// An answer with this header and these attributes.
fn answer(socket: &Socket, v6: bool, attributes: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let state = (0..=11).find(|n| State::of(*n) == socket.state).unwrap();
    let mut bytes = vec![if v6 { AF_INET6 } else { AF_INET }, state, 0, 0];
    let remote = socket.remote.unwrap_or(SocketAddr::new(socket.local.ip(), 0));
    for address in [socket.local, remote] {
        bytes.extend(address.port().to_be_bytes());
    }
    for address in [socket.local, remote] {
        let mut octets = match address.ip() {
            IpAddr::V4(ip) if v6 => ip.to_ipv6_mapped().octets().to_vec(),
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        octets.resize(16, 0);
        bytes.extend(octets);
    }
    let inode = socket.inode.unwrap_or(0) as u32;
    let [low, high] = [socket.cookie as u32, (socket.cookie >> 32) as u32];
    let words = [socket.interface, low, high, 0, socket.receive_queue, socket.send_queue];
    for number in words.into_iter().chain([socket.uid, inode]) {
        bytes.extend(number.to_ne_bytes());
    }
    for (kind, value) in attributes {
        bytes.extend((value.len() as u16 + 4).to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

fn sample() -> Socket {
    Socket {
        protocol: Protocol::Tcp,
        state: State::Established,
        local: "10.0.0.1:5000".parse().unwrap(),
        remote: Some("10.0.0.2:443".parse().unwrap()),
        cookie: 0x1122_3344_5566_7788,
        inode: Some(4711),
        uid: 1000,
        interface: 3,
        mark: None,
        cgroup: None,
        receive_queue: 7,
        send_queue: 9,
        tcp: None,
    }
}

#[test]
fn a_mapped_address_is_the_one_on_the_wire() {
    let expected = sample();
    for v6 in [false, true] {
        assert_eq!(socket(Protocol::Tcp, &answer(&expected, v6, &[])), Ok(expected.clone()));
    }
}

#[test]
fn what_the_kernel_adds_is_read_and_what_is_new_is_left() {
    let attributes = [
        (INET_DIAG_INFO, vec![0; 280]),
        (INET_DIAG_MARK, 5u32.to_ne_bytes().to_vec()),
        (INET_DIAG_CGROUP_ID, 77u64.to_ne_bytes().to_vec()),
        (4000, vec![1, 2, 3]),
    ];
    let read = socket(Protocol::Tcp, &answer(&sample(), false, &attributes)).unwrap();
    assert_eq!((read.mark, read.cgroup), (Some(5), Some(77)));
    assert!(read.tcp.is_some());
    // The same number means memory to UDP (udp_diag_get_info).
    let read = socket(Protocol::Udp, &answer(&sample(), false, &attributes)).unwrap();
    assert_eq!(read.tcp, None);
}

#[test]
fn what_is_no_socket_is_refused() {
    let good = answer(&sample(), false, &[]);
    assert!(socket(Protocol::Tcp, &good[..71]).is_err());
    let mut unix = good.clone();
    unix[0] = 1;
    assert!(socket(Protocol::Tcp, &unix).unwrap_err().contains("family 1"));
    let mut cut = good;
    cut.extend([40, 0, 2, 0]);
    assert!(socket(Protocol::Tcp, &cut).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = socket(Protocol::Tcp, &bytes);
        let _ = TcpInfo::parse(&bytes);
    }

    #[test]
    fn no_attributes_make_it_panic(tail in proptest::collection::vec(any::<u8>(), 0..64)) {
        let mut bytes = answer(&sample(), true, &[]);
        bytes.extend(tail);
        let _ = socket(Protocol::Tcp, &bytes);
    }

    #[test]
    fn what_goes_in_comes_out(
        ports: (u16, u16),
        ips: (Ipv6Addr, Ipv6Addr),
        numbers: (u64, u32, u32, u32, u32),
        state in 1u8..=11,
    ) {
        let (cookie, inode, uid, interface, queue) = numbers;
        let address = |ip: Ipv6Addr, port| SocketAddr::new(ip.to_canonical(), port);
        let expected = Socket {
            state: State::of(state),
            local: address(ips.0, ports.0),
            remote: (ports.1 != 0).then(|| address(ips.1, ports.1)),
            cookie,
            inode: (inode != 0).then_some(inode.into()),
            uid,
            interface,
            receive_queue: queue,
            send_queue: !queue,
            ..sample()
        };
        prop_assert_eq!(socket(Protocol::Tcp, &answer(&expected, true, &[])), Ok(expected));
    }
}
