//! Frames of the delay line: read, cut into wire packets, changed, answered. Pure: bytes in,
//! bytes out.
//!
//! A frame is what the line's TAP gives and takes (IFF_VNET_HDR, offloads on):
//!
//! ```text
//! virtio_net_hdr (10) │ Ethernet addresses (12) │ 0x8100 TCI (4) │ more tags │ ethertype (2) │ IP │ TCP or UDP │ payload
//! ```
//!
//! The first TCI is the line's own tag. A frame may be a super-packet: `gso_size` bytes of payload
//! to a wire packet. Its checksum may be PARTIAL (VIRTIO_NET_HDR_F_NEEDS_CSUM): the field holds
//! the pseudo-header's sum, and whoever sends the frame completes it.
//!
//! [`Frame`] only reads. It gives [`Piece`]s, which own their header bytes, share the payload and
//! can be changed.
//!
//! | file | responsibility |
//! |---|---|
//! | `vnet` | the virtio_net_hdr |
//! | `network`, `transport` | where the headers are, and which frames can be taken apart |
//! | `parsed`, `segment` | what a frame says, and its wire packets |
//! | `cut` | frame to pieces |
//! | `piece`, `edit`, `corrupt` | a piece, and what can be changed in it |
//! | `checksum` | RFC 1071 and RFC 1624 |
//! | `icmp`, `reset` | what a firewall answers |

mod checksum;
mod corrupt;
mod cut;
mod edit;
mod icmp;
mod network;
mod parsed;
mod piece;
mod read;
mod refused;
mod reset;
mod segment;
mod transport;
mod vnet;

pub use corrupt::Checksum;
pub use edit::CeMark;
pub use icmp::{IcmpMessage, Reject, unreachable};
pub use parsed::{Frame, Tcp};
pub use piece::Piece;
pub use refused::{NotAFrame, Refused};
pub use reset::reset_answer;
pub use segment::Segment;
pub use transport::Protocol;
