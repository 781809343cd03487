//! Frames of all kinds.

use proptest::prelude::*;

use crate::spec::{Spec, State, Tcp};

/// Anything that can be taken apart.
pub fn any_frame() -> impl Strategy<Value = Spec> {
    (network(), payload(), prop::option::weighted(0.6, tcp()), any::<u8>(), 0..40usize).prop_map(
        |(mut spec, (payload, gso_size), tcp, state, padding)| {
            spec.payload = payload;
            spec.gso_size = gso_size;
            spec.tcp = tcp;
            spec.state = match (state % 3, &spec.tcp, spec.gso_size) {
                (_, _, Some(_)) | (0, ..) => State::Partial,
                (1, None, None) => State::None,
                _ => State::Full,
            };
            // Behind a PARTIAL checksum a card would take padding into the sum.
            spec.padding = if spec.state == State::Partial { 0 } else { padding };
            spec
        },
    )
}

pub fn tcp_frame() -> impl Strategy<Value = Spec> {
    (any_frame(), tcp()).prop_map(|(mut spec, tcp)| {
        if spec.state == State::None {
            spec.state = State::Full;
        }
        spec.tcp = Some(tcp);
        spec
    })
}

/// No SYN: a SYN has no second segment.
fn tcp() -> impl Strategy<Value = Tcp> {
    (any::<u32>(), any::<u8>(), 0..=10usize).prop_map(|(seq, flags, words)| Tcp {
        seq,
        flags: flags & !0x26,
        urgent: 0,
        options: vec![1; words * 4],
    })
}

fn network() -> impl Strategy<Value = Spec> {
    let tag = prop::option::of(0..4096u16);
    (any::<bool>(), 0..=10u8, any::<[bool; 3]>(), tag, any::<u16>(), any::<u8>()).prop_map(
        |(v6, ip_options, extensions, inner_tag, id, class)| Spec {
            ip_options,
            extensions,
            inner_tag,
            id,
            class,
            ..Spec::udp(v6, 0, None)
        },
    )
}

/// Of super-packets also odd sizes, and those that are not really one.
fn payload() -> impl Strategy<Value = (Vec<u8>, Option<u16>)> {
    let size = prop::option::weighted(0.6, 1..200u16);
    (prop::collection::vec(any::<u8>(), 1..1500), size, any::<bool>()).prop_map(
        |(mut payload, size, empty)| match size {
            Some(size) if payload.len() > usize::from(size) => (payload, Some(size)),
            _ => {
                payload.truncate(if empty && payload.len() % 4 == 0 { 0 } else { payload.len() });
                (payload, None)
            }
        },
    )
}
