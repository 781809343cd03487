//! Flows that are picked by what the client says first.

use std::fs;

use super::{Account, Outcome, Scene};

/// A ClientHello for that name, with so many bytes of other extensions before it.
fn client_hello(name: &str, before: u16) -> Vec<u8> {
    let length = |bytes: &[u8]| (bytes.len() as u16).to_be_bytes().to_vec();
    let host = [vec![0], length(name.as_bytes()), name.as_bytes().to_vec()].concat();
    let list = [length(&host), host].concat();
    let padding = [&[0, 21][..], &before.to_be_bytes(), &vec![0; before.into()]].concat();
    let extensions = [padding, vec![0, 0], length(&list), list, vec![0, 23, 0, 0]].concat();
    let start = [vec![3, 3], vec![7; 32], vec![0], vec![0, 2, 0x13, 1], vec![1, 0]].concat();
    let body = [start, length(&extensions), extensions].concat();
    let handshake = [vec![1, 0], length(&body), body].concat();
    [vec![22, 3, 1], length(&handshake), handshake].concat()
}

impl Scene {
    /// What a connection says first, as its key in a list of connections.
    fn says(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.lab.path().join(name);
        fs::write(&path, bytes).expect("the directory is ours");
        format!("hello={}", path.display())
    }
}

impl Outcome {
    /// Connections are open; those called dark lost what they said first, and all that followed. The others are whole.
    fn dark_from_the_hello(&self) {
        for account in &self.accounts {
            if !account.name.starts_with("dark") {
                self.whole(account);
                assert_ne!(account.greeted, Some(false), "{account:?}");
                continue;
            }
            self.lost_its_hello(account);
        }
    }

    fn lost_its_hello(&self, account: &Account) {
        let flow = self.flow(account);
        assert_eq!((account.connected, account.greeted), (true, Some(false)), "{account:?}");
        assert_eq!(flow.name, "dark", "{account:?} {flow:#?}");
        assert!(flow.egress.dropped > 0 && account.retransmits > 0, "{account:?} {flow:#?}");
    }
}

#[test]
fn of_two_to_one_port_the_one_for_a_server_name() {
    let scene = Scene::new();
    let dark = scene.says("dark.bin", &client_hello("Chat.Example", 0));
    let large = scene.says("large.bin", &client_hello("chat.example", 1800));
    let other = scene.says("other.bin", &client_hello("chat.example.org", 0));
    let below = scene.says("below.bin", &client_hello("a.chat.example", 0));
    let plain = scene.says(
        "plain.bin",
        b"\x16hello, this is no TLS but a text of some length, longer than a header",
    );
    let connections = [
        format!("lit-other;to=10.77.0.2:7800;{other}"),
        format!("dark;to=10.77.0.2:7800;{dark}"),
        format!("dark-large;to=10.77.0.2:7800;{large}"),
        format!("dark-ipv6;to=[fd77::2]:7800;{dark}"),
        format!("lit-below;to=10.77.0.2:7800;{below}"),
        format!("lit-plain;to=10.77.0.2:7800;{plain}"),
        "lit-silent;to=10.77.0.2:7800".to_owned(),
    ];
    let connections: Vec<&str> = connections.iter().map(String::as_str).collect();
    let outcome = scene.run(&connections, "sni = 'chat.example'\nmax_flows = 9");
    outcome.dark_from_the_hello();
    // Not one byte of it got through: the very ClientHello was lost, each time.
    for account in outcome.accounts.iter().filter(|a| a.name.starts_with("dark")) {
        let flow = outcome.flow(account);
        // The handshake's two packets passed.
        assert_eq!(flow.egress.packets - flow.egress.dropped, 2, "{flow:#?}");
    }
    scene.close();
}

#[test]
fn a_hello_in_several_segments_is_known_with_the_one_that_completes_the_name() {
    let scene = Scene::new();
    let bytes = client_hello("a.chat.example", 40);
    let said = scene.says("cut.bin", &bytes);
    let name = bytes.windows(14).position(|w| w == b"a.chat.example").expect("it is there");
    let (within, record) = (name + 5, 3);
    let connections = [
        format!("dark-in-the-name;to=10.77.0.2:7800;{said};cut={within}"),
        format!("dark-in-three;to=10.77.0.2:7800;{said};cut={record}+{within}"),
        format!("dark-after-the-name;to=10.77.0.2:7800;{said};cut={}", name + 14),
    ];
    let connections: Vec<&str> = connections.iter().map(String::as_str).collect();
    let outcome =
        scene.run(&connections, "remote = '10.77.0.0/24:7800'\nsni = '*.example'\nmax_flows = 3");
    outcome.dark_from_the_hello();
    let passed = |account: &Account| {
        let flow = outcome.flow(account);
        flow.egress.packets - flow.egress.dropped
    };
    let passed: Vec<u64> = outcome.accounts.iter().map(passed).collect();
    // The handshake's two packets, the parts before the one that completes the name, and acknowledgements of the echo of
    // each, unless they went with the next part.
    assert!(
        (3..=4).contains(&passed[0]) && (4..=6).contains(&passed[1]),
        "{passed:?} {outcome:#?}"
    );
    assert_eq!(passed[2], 2, "{outcome:#?}");
    scene.close();
}

#[test]
fn the_second_request_for_a_path_but_not_of_an_excluded_one() {
    let scene = Scene::new();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes();
    let chat = scene.says("chat.bin", &get("/v1/chat?token=1"));
    let health = scene.says("health.bin", &get("/v1/health"));
    let other = scene.says("other.bin", &get("/v2/chat"));
    let connections = [
        format!("lit-first;to=10.77.0.2:7800;{chat}"),
        format!("lit-other;to=10.77.0.2:7800;{other}"),
        format!("lit-excluded;to=10.77.0.2:7800;{health}"),
        format!("dark-second;to=10.77.0.2:7800;{chat}"),
        format!("lit-third;to=10.77.0.2:7800;{chat}"),
    ];
    let connections: Vec<&str> = connections.iter().map(String::as_str).collect();
    let flow = "http_path = '/v1/*'\nnth = 2\nexclude = { http_path = '/v1/health' }";
    scene.run(&connections, flow).dark_from_the_hello();
    scene.close();
}
