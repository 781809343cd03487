//! The Internet checksum: RFC 1071, and RFC 1624 for a change of one word.

/// Ones' complement sum of big-endian words on top of `start`; an odd last byte is followed by a
/// zero. Not complemented.
pub(super) fn sum(bytes: &[u8], start: u16) -> u16 {
    let words = bytes.chunks_exact(2);
    let odd = words.remainder().first().map_or(0, |last| u64::from(*last) << 8);
    // A frame has fewer than 2^24 words, so 64 bits never overflow.
    let total: u64 = words.map(|w| u64::from(u16::from_be_bytes([w[0], w[1]]))).sum();
    fold(total + odd + u64::from(start))
}

/// Carries added back in until 16 bits are left.
pub(super) fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The checksum after a word of what it covers went from `old` to `new` (RFC 1624, equation 3). A
/// wrong checksum stays wrong by as much.
pub(super) fn adjust(check: u16, old: u16, new: u16) -> u16 {
    !fold(u64::from(!check) + u64::from(!old) + u64::from(new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071_sums_as_printed_there() {
        assert_eq!(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7], 0), 0xddf2);
    }

    #[test]
    fn the_example_of_rfc_1624_is_not_off_by_a_negative_zero() {
        assert_eq!(adjust(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn an_odd_byte_is_the_high_half_of_its_word() {
        assert_eq!(sum(&[0x12, 0x34, 0x56], 0), 0x1234 + 0x5600);
        assert_eq!(sum(&[0xff, 0xff, 0x01], 0x0001), 0x0101);
    }
}
