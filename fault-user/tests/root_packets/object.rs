//! Two traps of the build that make no error: an atomic that does not fetch, and load-time
//! values that share a place.

use std::collections::BTreeMap;

use ::object::elf::SHF_EXECINSTR;
use ::object::{File, Object, ObjectSection, ObjectSymbol, SectionFlags};
use fault_common::layout::ABI_VERSION;
use fault_user::kernel::testing;
use fault_user::kernel::{Kernel, Setup};
use libbpf_rs::{MapCore, MapFlags, MapHandle};

use crate::rig::{selector, setup};

/// Opcode of a 64-bit atomic operation (BPF_STX | BPF_DW | BPF_ATOMIC).
const ATOMIC: u8 = 0xdb;
/// Opcode of a 64-bit immediate load, which takes two places.
const LDDW: u8 = 0x18;
/// Operations of an atomic, in its `imm`.
const ADD: i32 = 0x00;
const FETCH: i32 = 0x01;

fn elf() -> File<'static> {
    File::parse(testing::object()).unwrap()
}

/// The `imm` of every atomic instruction in the object.
fn atomics() -> Vec<i32> {
    let elf = elf();
    let code = elf.sections().filter(|s| match s.flags() {
        SectionFlags::Elf { sh_flags } => sh_flags & u64::from(SHF_EXECINSTR) != 0,
        _ => false,
    });
    let mut found = Vec::new();
    for section in code {
        let mut places = section.data().unwrap().chunks_exact(8);
        while let Some(place) = places.next() {
            if place[0] == ATOMIC {
                found.push(i32::from_le_bytes([place[4], place[5], place[6], place[7]]));
            }
            if place[0] == LDDW {
                places.next();
            }
        }
    }
    found
}

/// The form that does not fetch hands back its operand: each first connection would be the
/// second, and each count would stand still.
#[test]
fn additions_fetch_the_old_value() {
    let atomics = atomics();
    assert!(atomics.contains(&(ADD | FETCH)), "no atomic_fetch_add among {atomics:x?}");
    assert!(!atomics.contains(&ADD), "an atomic add that does not fetch: {atomics:x?}");
}

/// Load-time values by name: where they are in .rodata, and what the build put there.
fn globals() -> BTreeMap<String, (usize, Vec<u8>)> {
    let elf = elf();
    let section = elf.section_by_name(".rodata").unwrap();
    let data = section.data().unwrap();
    let symbols = elf.symbols().filter(|s| s.section_index() == Some(section.index()));
    let named = symbols.filter_map(|s| {
        let (at, size) = (s.address() as usize, s.size() as usize);
        // Constants of the compiler have no name of this form.
        let name = s.name().unwrap();
        let ours = !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        ours.then(|| (name.to_owned(), (at, data[at..at + size].to_vec())))
    });
    named.collect()
}

#[test]
fn each_load_time_value_has_a_place_and_an_initial_value_of_its_own() {
    let globals = globals();
    for name in [
        "ABI",
        "SEED",
        "SELECTORS_LEN",
        "SLOTS_LEN",
        "LOG_LEVEL",
        "LEASED",
        "EVERY_PACKET",
        "UDP_CONDITIONS",
        "FQ",
        "ACCEPTING",
        "NETNS",
        "HOME",
        "WHOLE",
    ] {
        assert!(globals.contains_key(name), "{name} is not among {:?}", globals.keys());
    }
    for (name, (at, initial)) in &globals {
        for (other, (there, value)) in globals.range(name.clone()..).skip(1) {
            let apart = at + initial.len() <= *there || there + value.len() <= *at;
            assert!(apart, "{name} and {other} overlap");
            assert_ne!(initial, value, "{name} and {other} may be merged");
        }
    }
}

/// What the kernel has, as libbpf sees it.
fn loaded(kernel: &Kernel) -> Vec<u8> {
    let map = MapHandle::from_map_id(kernel.globals_map_id().unwrap()).unwrap();
    map.lookup(&0u32.to_ne_bytes(), MapFlags::ANY).unwrap().unwrap()
}

/// Two loads that differ in every value of the setup: in each, every value is its own, whatever
/// the others were set to.
#[test]
fn overriding_one_value_leaves_the_others_alone() {
    let globals = globals();
    for (seed, selectors, slots, log_level, leased) in
        [(0x1122_3344_5566_7788u64, 3usize, 77u32, 2u32, true), (0, 1, 2, 0, false)]
    {
        let selectors = vec![selector(); selectors];
        let expected_len = selectors.len() as u32;
        let setup = Setup { seed, selectors, slots, log_level, leased, ..setup(0) };
        let kernel = Kernel::load(&setup).unwrap();
        let bytes = loaded(&kernel);
        let is = |name: &str| {
            let (at, initial) = &globals[name];
            bytes[*at..at + initial.len()].to_vec()
        };
        assert_eq!(is("SEED"), seed.to_le_bytes());
        for (name, should) in [
            ("ABI", ABI_VERSION | 0xabab_0000),
            ("SELECTORS_LEN", expected_len),
            ("SLOTS_LEN", slots),
            ("LOG_LEVEL", log_level),
            ("LEASED", u32::from(leased)),
        ] {
            assert_eq!(is(name), should.to_le_bytes(), "{name}");
        }
        // The offsets come from the kernel's BTF; none may be left as the build made it.
        for (name, (_, initial)) in globals.iter().filter(|(name, _)| name.starts_with("OFF_")) {
            assert_ne!(is(name), *initial, "{name} was not set");
        }
    }
}
