//! How much stack the programs take. The verifier counts the frames of a chain of calls together,
//! and before Linux 6.8 it rounds each up to 32 bytes (check_max_stack_depth), so what fits here
//! may be "Too large" there. Read from the object, hence the same on every kernel.

use std::collections::BTreeMap;

use ::object::{File, Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionIndex};
use fault_user::kernel::testing;

/// What the verifier takes (MAX_BPF_STACK).
const LIMIT: u32 = 512;
/// What a frame is rounded up to.
const ROUND: u32 = 32;

/// Opcode of a 64-bit immediate load, which takes two places.
const LDDW: u8 = 0x18;
/// Opcode of a call; of a function of the object if the source register is 1.
const CALL: u8 = 0x85;
/// Opcodes of `a = b` and `a += imm`, 64 bits.
const MOV: u8 = 0xbf;
const ADD: u8 = 0x07;
/// Classes of instructions that access memory: LDX, ST, STX.
const MEMORY: [u8; 3] = [0x61 & 7, 0x62 & 7, 0x63 & 7];
/// The frame pointer.
const FP: u8 = 10;

/// A function: where it is, how deep its own frame is, whom it calls.
struct Function {
    name: String,
    frame: u32,
    calls: Vec<Place>,
}

/// Section and address.
type Place = (usize, u64);

/// One instruction, taken apart.
struct Insn {
    code: u8,
    dst: u8,
    src: u8,
    off: i16,
    imm: i32,
}

impl Insn {
    fn of(place: &[u8]) -> Self {
        Self {
            code: place[0],
            dst: place[1] & 15,
            src: place[1] >> 4,
            off: i16::from_le_bytes([place[2], place[3]]),
            imm: i32::from_le_bytes([place[4], place[5], place[6], place[7]]),
        }
    }
}

/// The lowest place of the stack that the code names.
fn frame(code: &[u8]) -> u32 {
    let mut lowest = 0i32;
    // What each register is, if it is the frame pointer plus a constant.
    let mut known: [Option<i32>; 11] = [None; 11];
    for insn in code.chunks_exact(8).map(Insn::of) {
        if MEMORY.contains(&(insn.code & 7)) && [insn.dst, insn.src].contains(&FP) {
            lowest = lowest.min(i32::from(insn.off));
        }
        match insn.code {
            MOV => known[usize::from(insn.dst)] = (insn.src == FP).then_some(0),
            ADD => {
                if let Some(at) = &mut known[usize::from(insn.dst)] {
                    *at += insn.imm;
                    lowest = lowest.min(*at);
                }
            }
            _ => {}
        }
    }
    lowest.unsigned_abs()
}

/// Whom the code at that place calls.
fn calls(elf: &File<'_>, section: SectionIndex, start: u64, code: &[u8]) -> Vec<Place> {
    let targets: BTreeMap<u64, Place> = elf
        .section_by_index(section)
        .unwrap()
        .relocations()
        .filter_map(|(at, relocation)| match relocation.target() {
            RelocationTarget::Symbol(index) => {
                let symbol = elf.symbol_by_index(index).unwrap();
                Some((at, (symbol.section_index()?.0, symbol.address())))
            }
            _ => None,
        })
        .collect();
    let mut found = Vec::new();
    let mut at = start;
    let mut places = code.chunks_exact(8);
    while let Some(place) = places.next() {
        let insn = Insn::of(place);
        if insn.code == CALL && insn.src == 1 {
            // Counted in instructions from the next one on, from the target's start if relocated.
            let there = match targets.get(&at) {
                Some((other, base)) => {
                    (*other, base.wrapping_add_signed(8 * (i64::from(insn.imm) + 1)))
                }
                None => (section.0, at.wrapping_add_signed(8 * (i64::from(insn.imm) + 1))),
            };
            found.push(there);
        }
        at += 8;
        if insn.code == LDDW {
            places.next();
            at += 8;
        }
    }
    found
}

fn functions() -> BTreeMap<Place, Function> {
    let elf = File::parse(testing::object()).unwrap();
    let code = elf.symbols().filter(|s| s.kind() == ::object::SymbolKind::Text && s.size() > 0);
    code.map(|symbol| {
        let section = symbol.section_index().unwrap();
        let (start, size) = (symbol.address(), symbol.size());
        let data = elf.section_by_index(section).unwrap().data().unwrap();
        let code = &data[start as usize..(start + size) as usize];
        let calls = calls(&elf, section, start, code);
        let name = symbol.name().unwrap().to_owned();
        ((section.0, start), Function { name, frame: frame(code), calls })
    })
    .collect()
}

/// The deepest chain of calls from there: its size, and the names on it.
fn deepest(functions: &BTreeMap<Place, Function>, from: Place) -> (u32, Vec<String>) {
    let function = functions.get(&from).unwrap_or_else(|| panic!("a call to nowhere: {from:?}"));
    let below = function.calls.iter().map(|to| deepest(functions, *to)).max();
    let (depth, mut names) = below.unwrap_or_default();
    names.insert(0, format!("{} {}", function.name, function.frame));
    (depth + function.frame.max(1).next_multiple_of(ROUND), names)
}

#[test]
fn no_chain_of_calls_takes_more_stack_than_old_kernels_have() {
    let functions = functions();
    let mut seen = 0;
    for (place, function) in &functions {
        let (depth, names) = deepest(&functions, *place);
        println!("{depth}: {names:?}");
        seen += usize::from(["egress_l2", "datagram_out"].contains(&&*function.name));
        assert!(depth <= LIMIT, "{} takes {depth} bytes: {names:?}", function.name);
    }
    assert_eq!(seen, 2, "the programs are not among the functions that were looked at");
}
