use proptest::prelude::*;

use super::*;

/// A ClientHello with these extensions before and behind the one with the name.
fn client_hello(name: Option<&str>, before: &[(u16, usize)], behind: &[(u16, usize)]) -> Vec<u8> {
    let extension = |kind: u16, body: &[u8]| -> Vec<u8> {
        [&kind.to_be_bytes(), &(body.len() as u16).to_be_bytes(), body].concat()
    };
    let filled = |list: &[(u16, usize)]| -> Vec<u8> {
        list.iter().flat_map(|(kind, len)| extension((*kind).max(1), &vec![0xaa; *len])).collect()
    };
    let name = name.map_or(Vec::new(), |name| {
        let name = name.as_bytes();
        let entry = [&[0][..], &(name.len() as u16).to_be_bytes(), name].concat();
        extension(0, &[&(entry.len() as u16).to_be_bytes(), &entry[..]].concat())
    });
    let extensions = [filled(before), name, filled(behind)].concat();
    let body = [
        &[3, 3][..],
        &[7; 32],
        &[32],
        &[9; 32],
        &[0, 4, 0x13, 1, 0x13, 2],
        &[1, 0],
        &(extensions.len() as u16).to_be_bytes(),
        &extensions,
    ]
    .concat();
    let handshake = [&[1, 0][..], &(body.len() as u16).to_be_bytes(), &body].concat();
    [&[22, 3, 1][..], &(handshake.len() as u16).to_be_bytes(), &handshake].concat()
}

/// What is known after each of these pieces, and the key in the end.
fn read(pieces: &[&[u8]]) -> (Vec<Known>, Vec<u8>) {
    let mut hello = Box::new(Hello::EMPTY);
    let mut known = Vec::new();
    for piece in pieces {
        let at = hello.have as usize;
        let fits = piece.len().min(KEPT as usize - at);
        hello.bytes[at..at + fits].copy_from_slice(&piece[..fits]);
        hello.have += fits as u32;
        known.push(hello.read());
    }
    let end = hello.key.iter().position(|b| *b == 0).unwrap();
    (known, hello.key[..end].to_vec())
}

fn all(bytes: &[u8]) -> Vec<u8> {
    let (known, key) = read(&[bytes]);
    assert_eq!(known, [Known::All], "{}", String::from_utf8_lossy(bytes));
    key
}

fn named(name: &str) -> Vec<u8> {
    let small = name.to_ascii_lowercase();
    [SERVER_NAME].into_iter().chain(small.bytes().rev()).collect()
}

#[test]
fn the_name_is_found_wherever_it_stands() {
    assert_eq!(all(&client_hello(Some("Chat.Example"), &[], &[])), named("chat.example"));
    let many: Vec<(u16, usize)> = (1..30).map(|kind| (kind, usize::from(kind))).collect();
    assert_eq!(all(&client_hello(Some("a.b"), &many, &many)), named("a.b"));
    // A post-quantum share of a key before it.
    assert_eq!(all(&client_hello(Some("x"), &[(51, 1250)], &[(21, 300)])), named("x"));
    let long = "a".repeat(253);
    assert_eq!(all(&client_hello(Some(&long), &[], &[])), named(&long));
}

#[test]
fn it_is_known_with_the_last_byte_of_the_name() {
    let bytes = client_hello(Some("a.chat.example"), &[(21, 40)], &[(23, 0)]);
    let end = bytes.windows(14).position(|w| w == b"a.chat.example").unwrap() + 14;
    let (known, _) = read(&[&bytes[..end - 1], &bytes[end - 1..end]]);
    assert_eq!(known, [Known::NotYet, Known::All]);
    let (known, key) = read(&[&bytes[..end]]);
    assert_eq!((known, key), (vec![Known::All], named("a.chat.example")));
}

#[test]
fn what_has_no_name_says_nothing() {
    assert_eq!(all(&client_hello(None, &[(10, 4)], &[])), []);
    assert_eq!(all(&client_hello(Some(&"a".repeat(254)), &[], &[])), []);
    assert_eq!(all(b"\x16\x02\x01 not TLS, but long enough to be looked at as if it were"), []);
    for text in
        ["ssh-2.0", "SSH-2.0-x\r\n", "\0", "GET http://x/ HTTP/1.1\r\n", "OPTIONS * HTTP/1.1"]
    {
        assert_eq!(all(text.as_bytes()), [], "{text}");
    }
    // The name stands in a second record, which does not begin with a handshake header.
    let mut split = client_hello(Some("chat.example"), &[(51, 300)], &[]);
    split[3..5].copy_from_slice(&200u16.to_be_bytes());
    assert_eq!(all(&split), []);
    // More than is kept, before the name.
    let large = client_hello(Some("chat.example"), &[(51, 5000)], &[]);
    assert_eq!(all(&large), []);
}

#[test]
fn paths_end_before_the_query() {
    let path = |text: &str| [&[PATH], text.as_bytes()].concat();
    assert_eq!(all(b"GET /v1/chat?x=1 HTTP/1.1\r\n"), path("/v1/chat"));
    assert_eq!(all(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n"), path("/"));
    assert_eq!(all(b"GET /old\r\n"), path("/old"));
    let long = format!("GET /{} HTTP/1.1", "a".repeat(400));
    assert_eq!(all(long.as_bytes()), path(&long[4..4 + LONGEST as usize]));
}

proptest! {
    #[test]
    fn however_it_is_cut_the_name_is_the_same(
        name in "[a-z0-9.-]{1,60}",
        before in prop::collection::vec((1u16..100, 0usize..400), 0..6),
        behind in prop::collection::vec((1u16..100, 0usize..40), 0..3),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let bytes = client_hello(Some(&name), &before, &behind);
        let mut cuts: Vec<usize> = cuts.iter().map(|i| i.index(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
        let (known, key) = read(&pieces);
        prop_assert_eq!(known.last(), Some(&Known::All));
        prop_assert_eq!(key, named(&name));
        // Once known it stays so.
        let first = known.iter().position(|k| *k == Known::All).unwrap();
        prop_assert!(known[first..].iter().all(|k| *k == Known::All));
    }

    #[test]
    fn no_bytes_are_too_much(bytes in prop::collection::vec(any::<u8>(), 0..600), tls: bool) {
        let mut bytes = bytes;
        if tls {
            bytes.splice(0..0, [22, 3, 1, 2, 0, 1, 0, 1, 0, 3, 3]);
        }
        read(&[&bytes]);
    }
}
