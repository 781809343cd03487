//! A corruption carried out.

use fault_common::fate::{self, Corruption};

use super::frame::{Checksum, Piece, Refused};

/// Flips the bits; false if there was nothing to flip.
///
/// A bit of a checksum field cannot be flipped and the checksum be valid: the next bit that was
/// drawn takes its place.
pub fn flip(piece: &mut Piece, corruption: &Corruption) -> bool {
    let checksum = if corruption.valid { Checksum::Valid } else { Checksum::Bad };
    let all = Corruption { bits: u32::MAX, ..*corruption };
    // A packet has far less bits than a u32 can count.
    let mut drawn = fate::bits(&all).filter_map(|bit| u32::try_from(bit).ok());
    let mut bits: Vec<u32> = drawn.by_ref().take(corruption.bits as usize).collect();
    while !bits.is_empty() {
        let done = match corruption.headers {
            true => piece.flip_bits_at(&bits, checksum),
            false => piece.flip_bits(&bits, checksum),
        };
        match done {
            Ok(()) => return true,
            Err(Refused::ChecksumField(field)) => {
                bits.retain(|bit| *bit != field);
                bits.extend(drawn.next());
            }
            Err(why) => {
                tracing::debug!("a packet is not corrupted: {why}");
                return false;
            }
        }
    }
    false
}
