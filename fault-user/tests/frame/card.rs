//! A network card: what becomes of a written frame on the wire. Written after
//! tcp_gso_segment(), __udp_gso_segment() and skb_checksum_help() of Linux.

/// A virtio_net_hdr and a frame.
pub struct Vnet {
    pub flags: u8,
    pub gso_type: u8,
    pub hdr_len: usize,
    pub gso_size: usize,
    pub csum_start: usize,
    pub csum_offset: usize,
}

impl Vnet {
    pub fn read(bytes: &[u8]) -> Self {
        let number = |at: usize| usize::from(u16::from_ne_bytes([bytes[at], bytes[at + 1]]));
        Self {
            flags: bytes[0],
            gso_type: bytes[1],
            hdr_len: number(2),
            gso_size: number(4),
            csum_start: number(6),
            csum_offset: number(8),
        }
    }
}

pub fn words(bytes: &[u8]) -> u64 {
    bytes.chunks(2).map(|w| u64::from(w[0]) << 8 | w.get(1).map_or(0, |low| u64::from(*low))).sum()
}

pub fn fold(mut sum: u64) -> u16 {
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

fn get(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn put(bytes: &mut [u8], at: usize, value: usize) {
    bytes[at..at + 2].copy_from_slice(&(value as u16).to_be_bytes());
}

/// The Ethernet frames that a written frame becomes.
pub fn send(written: &[u8]) -> Vec<Vec<u8>> {
    let vnet = Vnet::read(written);
    let mut frame = written[10..].to_vec();
    assert_eq!(vnet.flags & !1, 0, "no flag but NEEDS_CSUM may be written");
    if vnet.gso_type == 0 {
        if vnet.flags == 1 {
            let field = vnet.csum_start + vnet.csum_offset;
            let check = !fold(words(&frame[vnet.csum_start..]));
            put(&mut frame, field, usize::from(udp_zero(check, vnet.csum_offset)));
        }
        return vec![frame];
    }
    assert_eq!(vnet.flags, 1, "GSO needs a PARTIAL checksum");
    segment(&vnet, &frame)
}

fn segment(vnet: &Vnet, frame: &[u8]) -> Vec<Vec<u8>> {
    let ip = network_at(frame);
    let tcp = vnet.gso_type & 0x7f != 5;
    let l4 = vnet.csum_start;
    let headers = l4 + if tcp { usize::from(frame[l4 + 12] >> 4) * 4 } else { 8 };
    assert_eq!(vnet.hdr_len, headers, "hdr_len");
    assert_eq!(vnet.csum_offset, if tcp { 16 } else { 6 });
    let payload = &frame[headers..];
    assert!(payload.len() > vnet.gso_size, "a super-packet of one segment");
    let count = payload.len().div_ceil(vnet.gso_size);
    let made = payload.chunks(vnet.gso_size).enumerate().map(|(i, part)| {
        let mut header = frame[..headers].to_vec();
        // What the kernel does: the sum for the whole, minus the whole's length, plus the part's.
        let whole = (headers - l4 + payload.len()) as u64;
        let length = headers - l4 + part.len();
        let taken = fold(u64::from(!fold(whole)) + length as u64);
        let seed = u64::from(get(&header, l4 + vnet.csum_offset)) + u64::from(taken);
        put(&mut header, l4 + vnet.csum_offset, 0);
        if tcp {
            let seq = u32::from_be_bytes(header[l4 + 4..l4 + 8].try_into().unwrap());
            let seq = seq.wrapping_add((i * vnet.gso_size) as u32);
            header[l4 + 4..l4 + 8].copy_from_slice(&seq.to_be_bytes());
            if i > 0 {
                header[l4 + 13] &= !0x80;
            }
            if i + 1 < count {
                header[l4 + 13] &= !0x09;
            }
        } else {
            put(&mut header, l4 + 4, length);
        }
        let check = !fold(seed + words(&header[l4..]) + words(part));
        let check = udp_zero(check, vnet.csum_offset);
        put(&mut header, l4 + vnet.csum_offset, usize::from(check));
        network(&mut header, ip, i, part.len());
        [&header[..], part].concat()
    });
    made.collect()
}

fn network(header: &mut Vec<u8>, ip: usize, index: usize, part: usize) {
    if header[ip] >> 4 == 4 {
        let end = ip + usize::from(header[ip] & 15) * 4;
        let total = header.len() - ip + part;
        put(header, ip + 2, total);
        let id = usize::from(get(header, ip + 4).wrapping_add(index as u16));
        put(header, ip + 4, id);
        put(header, ip + 10, 0);
        let check = !fold(words(&header[ip..end]));
        put(header, ip + 10, usize::from(check));
        return;
    }
    // ipv6_hopopt_jumbo_remove()
    if header[ip + 6] == 0 && header[ip + 40..ip + 44] == [6, 0, 0xc2, 4] {
        header[ip + 6] = 6;
        header.drain(ip + 40..ip + 48);
    }
    let length = header.len() - ip - 40 + part;
    put(header, ip + 4, length);
}

fn network_at(frame: &[u8]) -> usize {
    let mut at = 12;
    while matches!(get(frame, at), 0x8100 | 0x88a8) {
        at += 4;
    }
    at + 2
}

fn udp_zero(check: u16, offset: usize) -> u16 {
    if check == 0 && offset == 6 { 0xffff } else { check }
}
