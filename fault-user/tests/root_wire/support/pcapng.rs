//! Blocks of a pcapng file, by hand (draft-ietf-opsawg-pcapng, 4): libpcap, and with it tcpdump, refuses
//! files whose interfaces have different link types, which the format allows.

/// Link type and bytes of each packet of a file of this machine's byte order.
pub fn packets(file: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let word =
        |b: &[u8], at: usize| u32::from_ne_bytes(b[at..at + 4].try_into().expect("four bytes"));
    let (mut links, mut packets, mut at) = (Vec::new(), Vec::new(), 0);
    while at < file.len() {
        let length = word(file, at + 4) as usize;
        let block = &file[at..at + length];
        assert_eq!(word(block, length - 4) as usize, length, "the length stands at both ends");
        match word(block, 0) {
            0x0a0d_0d0a => assert_eq!(word(block, 8), 0x1a2b_3c4d, "byte order"),
            1 => links.push(word(block, 8) as u16),
            6 => {
                let (link, captured) = (links[word(block, 8) as usize], word(block, 20) as usize);
                assert!(captured <= word(block, 24) as usize, "no more than the packet had");
                packets.push((link, block[28..28 + captured].to_vec()));
            }
            other => panic!("a block of type {other:#x}"),
        }
        at += length;
    }
    packets
}
