//! What a client says first: the server name of a TLS ClientHello, or the path of an HTTP/1 request.
//!
//! One pass over bytes that may not be all there yet, without recursion and with an end to each loop, so that the
//! verifier can follow it.

use core::hint::black_box;

use crate::table::Addr;

/// Bytes of a client that are looked at.
pub const KEPT: u32 = 4096;
/// Room for them: a position below [`KEPT`] and as many bytes behind it.
const ROOM: usize = 2 * KEPT as usize;
/// Bytes of a key: the most that the kernel's tries take.
pub const KEY: usize = 256;
/// First byte of a key.
pub const NOTHING_SAID: u8 = 0;
/// The rest is a server name in small letters, last letter first, so that a domain is a prefix of its hosts.
pub const SERVER_NAME: u8 = 1;
/// The rest is a path, without its query.
pub const PATH: u8 = 2;
/// The longest name (RFC 1035, 2.3.4) or path that is told apart; a longer path is cut off.
pub const LONGEST: u32 = 253;

/// TLS (RFC 8446): ContentType handshake, HandshakeType client_hello, ExtensionType server_name, NameType host_name.
const HANDSHAKE: u32 = 22;
const CLIENT_HELLO: u32 = 1;
const SERVER_NAMES: u32 = 0;
const HOST_NAME: u32 = 0;
/// Where the session id begins, behind record, handshake, version and random.
const SESSION_ID: u32 = 43;
/// Extensions that are walked; browsers send some 20.
const EXTENSIONS: usize = 48;
/// Letters of a method that are looked for: UPDATEREDIRECTREF is the longest that is registered.
const METHOD: u32 = 18;

/// A packet of the client, as far as it is needed. It too goes through memory: see [`Hello`].
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// Local address.
    pub laddr: Addr,
    /// Local port, host order.
    pub lport: u32,
    /// Sequence number of its first payload byte.
    pub seq: u32,
    /// Where its payload begins.
    pub data: u32,
    /// Bytes of it.
    pub payload: u32,
    /// 1 for a SYN.
    pub syn: u32,
}

/// The first bytes of a socket, and what they say.
#[repr(C)]
#[derive(Debug, Clone)]
pub struct Hello {
    /// How many there are.
    pub have: u32,
    /// Where the name begins, once it is found. This and its neighbours go through memory, which the verifier
    /// remembers nothing of: else it would walk what follows again for each place where a name may stand.
    at: u32,
    /// Bytes of the name.
    len: u32,
    /// The last packet.
    pub said: Said,
    /// Bits of `key`: all of them.
    pub key_bits: u32,
    /// What they say, and a zero behind it.
    pub key: [u8; KEY],
    /// They, and zeros.
    pub bytes: [u8; ROOM],
}

/// What is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It depends on bytes that are not there.
    NotYet,
    /// It stands in the key.
    All,
}

/// Where a name stands.
enum Name {
    NotYet,
    Nowhere,
    Found,
}

impl Said {
    const NONE: Self = Self { laddr: [0; 4], lport: 0, seq: 0, data: 0, payload: 0, syn: 0 };
}

impl Hello {
    /// No byte yet.
    pub const EMPTY: Self = Self {
        have: 0,
        at: 0,
        len: 0,
        said: Said::NONE,
        key_bits: 0,
        key: [0; KEY],
        bytes: [0; ROOM],
    };

    #[inline(always)]
    fn byte(&self, at: u32) -> u32 {
        // black_box: LLVM may know the bound from elsewhere, leave the mask out, and Linux 6.1 would not see why.
        self.bytes[black_box(at) as usize & (ROOM - 1)] as u32
    }

    #[inline(always)]
    fn number(&self, at: u32) -> u32 {
        self.byte(at) << 8 | self.byte(at + 1)
    }

    /// What the bytes say, if they suffice. With `KEPT` of them they do: what is not there then is nothing.
    #[inline(always)]
    pub fn read(&mut self) -> Known {
        self.key_bits = 8 * KEY as u32;
        let have = self.have();
        let first = self.byte(0);
        let (name, kind) = if have == 0 {
            (Name::NotYet, NOTHING_SAID)
        } else if first == HANDSHAKE {
            (self.server_name(have), SERVER_NAME)
        } else if is_capital(first) {
            (self.target(have), PATH)
        } else {
            (Name::Nowhere, NOTHING_SAID)
        };
        let known = match (name, kind) {
            (Name::NotYet, _) => Known::NotYet,
            (Name::Nowhere, _) => Known::All,
            (Name::Found, SERVER_NAME) => self.keep_server_name(),
            (Name::Found, _) => self.keep_path(),
        };
        if self.have() == KEPT { Known::All } else { known }
    }

    /// How many bytes there are; afresh from memory each time, for the same reason as `at`.
    #[inline(always)]
    fn have(&self) -> u32 {
        // SAFETY: a reference to a field.
        let have = unsafe { (&raw const self.have).read_volatile() };
        if have < KEPT { have } else { KEPT }
    }

    #[inline(always)]
    fn found(&mut self, at: u32, len: u32) -> Name {
        // SAFETY: references to fields.
        unsafe {
            (&raw mut self.at).write_volatile(at);
            (&raw mut self.len).write_volatile(len);
        }
        Name::Found
    }

    #[inline(always)]
    fn place(&self) -> (u32, u32) {
        // SAFETY: references to fields.
        unsafe { ((&raw const self.at).read_volatile(), (&raw const self.len).read_volatile()) }
    }

    #[inline(always)]
    fn keep_server_name(&mut self) -> Known {
        let (at, len) = self.place();
        // Never so. But a jump is where the verifier compares what it knows with what it knew before, and in the loop it soon
        // forgets that it has been there.
        if len > LONGEST {
            return Known::NotYet;
        }
        self.key[0] = SERVER_NAME;
        for i in 0..LONGEST {
            let letter = self.byte(at.wrapping_add(len).wrapping_sub(1 + i));
            let capital = below(letter, 'Z' as u32 + 1) & !below(letter, 'A' as u32);
            let small = letter | capital << 5;
            self.key[1 + i as usize] = small as u8;
        }
        // Behind it stands what precedes it in the packet: no comparison with `len` in the loop, for at each the verifier
        // would go on with one more length.
        self.key[(1 + len) as usize & (KEY - 1)] = 0;
        Known::All
    }

    #[inline(always)]
    fn keep_path(&mut self) -> Known {
        let (at, _) = self.place();
        // As above.
        if at > METHOD + 1 {
            return Known::NotYet;
        }
        let mut ended = 0;
        for i in 0..LONGEST {
            let letter = self.byte(at.wrapping_add(i));
            ended |= ends_path(letter);
            self.key[1 + i as usize] = (letter * (1 - ended)) as u8;
        }
        if ended == 0 && self.have() < at.wrapping_add(LONGEST) {
            return Known::NotYet;
        }
        self.key[0] = PATH;
        Known::All
    }

    /// Of the first record only. A ClientHello may be split over several; no client in use does.
    #[inline(always)]
    fn server_name(&mut self, have: u32) -> Name {
        if have < SESSION_ID + 1 {
            return Name::NotYet;
        }
        if self.byte(1) != 3 || self.byte(5) != CLIENT_HELLO {
            return Name::Nowhere;
        }
        let record = 5 + self.number(3);
        let mut at = SESSION_ID + 1 + self.byte(SESSION_ID);
        if at + 2 > have {
            return Name::NotYet;
        }
        at += 2 + self.number(at);
        if at + 1 > have {
            return Name::NotYet;
        }
        at += 1 + self.byte(at);
        if at + 2 > have {
            return Name::NotYet;
        }
        let end = at + 2 + self.number(at);
        let end = if end < record { end } else { record };
        at += 2;
        for _ in 0..EXTENSIONS {
            if at + 4 > end {
                return Name::Nowhere;
            }
            if at + 4 > have {
                return Name::NotYet;
            }
            if self.number(at) == SERVER_NAMES {
                return self.host_name(at + 4, end, have);
            }
            at += 4 + self.number(at + 2);
        }
        Name::Nowhere
    }

    /// The first name of the list, which may have no other (RFC 6066, 3).
    #[inline(always)]
    fn host_name(&mut self, list: u32, end: u32, have: u32) -> Name {
        let start = list + 5;
        if start > end {
            return Name::Nowhere;
        }
        if start > have {
            return Name::NotYet;
        }
        let len = self.number(list + 3);
        if self.byte(list + 2) != HOST_NAME || len == 0 || len > LONGEST || start + len > end {
            return Name::Nowhere;
        }
        if start + len > have { Name::NotYet } else { self.found(start, len) }
    }

    /// Where the path of a request begins.
    #[inline(always)]
    fn target(&mut self, have: u32) -> Name {
        let mut method = 0;
        while method < METHOD && is_capital(self.byte(method)) {
            method += 1;
        }
        self.found(method, 0);
        let (blank, _) = self.place();
        if blank >= have {
            return Name::NotYet;
        }
        if self.byte(blank) != ' ' as u32 {
            return Name::Nowhere;
        }
        let start = blank + 1;
        if start >= have {
            return Name::NotYet;
        }
        // Another form of target (RFC 9112, 3.2) is for a proxy, or for no path.
        if self.byte(start) != '/' as u32 {
            return Name::Nowhere;
        }
        self.found(start, 0)
    }
}

#[inline(always)]
const fn is_capital(letter: u32) -> bool {
    letter.wrapping_sub('A' as u32) < 26
}

/// 1 if `a` is below `b`, else 0, without a branch: at each the verifier would learn more of the numbers, and go on with
/// both of what it then believes.
#[inline(always)]
const fn below(a: u32, b: u32) -> u32 {
    ((a as u64).wrapping_sub(b as u64) >> 63) as u32
}

/// The query, the version, or the end of the line.
#[inline(always)]
const fn ends_path(letter: u32) -> u32 {
    same(letter, '?') | same(letter, ' ') | same(letter, '\r') | same(letter, '\n')
}

/// 1 if they are the same, else 0, as [`below`].
#[inline(always)]
const fn same(letter: u32, other: char) -> u32 {
    below(letter ^ other as u32, 1)
}

#[cfg(test)]
#[path = "hello_tests.rs"]
mod tests;
