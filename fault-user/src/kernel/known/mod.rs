//! One socket of which everything is known, before any that matters: what the programs read at offsets from
//! the kernel's BTF must be what its TCP says. Wrong offsets give no error, they give other numbers.

mod pair;

use aya::maps::{HashMap, MapData, PerCpuArray, PerCpuValues, RingBuf};
use aya::programs::{BtfTracePoint, SocketFilter};
use fault_common::event::{Event, KIND_CLOSED, KIND_MARKER, KIND_SEND, NO_FLOW, SEND_PLACED};
use fault_common::stats::GLOBALS;
use fault_common::table::{
    ArmKey, LastSegment, MAX_SELECTORS, MarkerEntry, MarkerSet, SOCKET_FOUND, SocketEntry,
};

use super::Kernel;
use super::error::KernelError;
use super::load::{load_output_filter, typed};
use crate::addr;
use pair::{Output, Pair, Said};

/// What is sent: two sends, so that the second is not the first byte after the SYN.
const SENDS: [usize; 2] = [11, 23];
/// What is written into an output stream of our own.
const MARK: &str = "flowfault checks its own output";
/// A selector that no scenario has: there are far fewer flows.
const SELECTOR: u32 = MAX_SELECTORS - 1;

impl Kernel {
    /// Compares what the programs tell of a socket of our own with what it says itself. After
    /// [`Kernel::attach_evidence`], before [`Kernel::events_to`]; if [`Kernel::watch_states`] was called, its
    /// program is checked, too. The socket lives in a network namespace of its own, nobody else is touched.
    ///
    /// # Errors
    /// [`KernelError::Layout`]: they differ. Or there is no such socket to be had.
    pub fn check_known_socket(&mut self) -> Result<(), KernelError> {
        let pair = Pair::open().map_err(KernelError::map("make a TCP connection of its own"))?;
        self.register_known(&pair)?;
        let said = pair.use_up(&SENDS).map_err(KernelError::map("use a connection of its own"));
        // Only these two kinds of programs read who the current thread is from its task.
        let children = typed::<BtfTracePoint>(&mut self.ebpf, "child_forked")?.fd().is_ok();
        let tasks = self.markers || children;
        let watched = said.and_then(|said| {
            if tasks {
                self.watch_known_output()?;
            }
            Ok(said)
        });
        let mut ring = self.event_ring()?;
        let events = read(&mut ring);
        self.ring = Some(ring);
        self.forget_known(&pair, &events)?;
        let said = watched?;
        let closes = typed::<BtfTracePoint>(&mut self.ebpf, "found_state")?.fd().is_ok();
        let cookie = pair.cookie();
        agree_on_sends(&events, cookie, &said, self.placed)
            .and_then(|()| if closes { agree_on_end(&events, cookie, &said) } else { Ok(()) })
            .and_then(|()| if tasks { agree_on_writer(&events, cookie) } else { Ok(()) })
            .map_err(|what| KernelError::Layout { what })
    }

    /// Its sends are told of as if it were an app's.
    fn register_known(&mut self, pair: &Pair) -> Result<(), KernelError> {
        let remote = pair.remote();
        let entry = SocketEntry {
            slot: 0,
            flow: NO_FLOW,
            app: 0,
            nth: 1,
            attempt: 1,
            state: SOCKET_FOUND,
            uid: 0,
            role: 0,
            isn: 0,
            irs: 0,
            last_ack: 0,
            rport: remote.port().into(),
            raddr: addr::words(remote.ip()),
            pid_tgid: 0,
            allowed: 0,
            reach: [0; 2],
            last: [LastSegment::default(); 2],
        };
        let mut sockets: HashMap<_, u64, SocketEntry> = HashMap::try_from(self.map_mut("SOCKETS")?)
            .map_err(KernelError::map("use the map SOCKETS"))?;
        sockets.insert(pair.cookie(), entry, 0).map_err(KernelError::map("register a socket"))?;
        self.open_gate(pair.local().port())
    }

    /// As if it had never been.
    fn forget_known(&mut self, pair: &Pair, events: &[Event]) -> Result<(), KernelError> {
        let mut sockets: HashMap<_, u64, SocketEntry> = HashMap::try_from(self.map_mut("SOCKETS")?)
            .map_err(KernelError::map("use the map SOCKETS"))?;
        sockets.remove(&pair.cookie()).map_err(KernelError::map("forget a socket"))?;
        self.close_gate(pair.local().port())?;
        let mut armed: HashMap<_, ArmKey, u64> = HashMap::try_from(self.map_mut("ARMED")?)
            .map_err(KernelError::map("use the map ARMED"))?;
        for event in events.iter().filter(|e| e.kind == KIND_MARKER) {
            let key = ArmKey { selector: SELECTOR, id: (event.pid_tgid >> 32) as u32 };
            armed.remove(&key).map_err(KernelError::map("disarm a selector"))?;
        }
        let mut totals: PerCpuArray<_, u64> = PerCpuArray::try_from(self.map_mut("TOTALS")?)
            .map_err(KernelError::map("use the map TOTALS"))?;
        let cpus = aya::util::nr_cpus().map_err(|(_, e)| KernelError::map("count the CPUs")(e))?;
        for i in 0..GLOBALS {
            let zeros = PerCpuValues::try_from(vec![0; cpus]);
            let zeros = zeros.map_err(KernelError::map("reset the totals"))?;
            totals.set(i, zeros, 0).map_err(KernelError::map("reset the totals"))?;
        }
        Ok(())
    }

    /// Writes into an output stream like an app's, to see who the filter believes did.
    fn watch_known_output(&mut self) -> Result<(), KernelError> {
        let output =
            Output::open().map_err(KernelError::map("make an output stream of its own"))?;
        let mut set = MarkerSet::EMPTY;
        set.markers[0] = MarkerEntry::new(MARK.as_bytes(), SELECTOR);
        self.write_markers(output.cookie(), &set)?;
        load_output_filter(&mut self.ebpf)?;
        let filter: &mut SocketFilter = typed(&mut self.ebpf, "output_marker")?;
        filter.attach(output.ours()).map_err(|e| KernelError::program("output_marker", &e))?;
        output.write(MARK).map_err(KernelError::map("write into an output stream of its own"))?;
        let mut markers: HashMap<_, u64, MarkerSet> =
            HashMap::try_from(self.map_mut("MARKERS")?)
                .map_err(KernelError::map("use the map MARKERS"))?;
        markers.remove(&output.cookie()).map_err(KernelError::map("forget an output stream"))
    }
}

/// All events so far: they are there when the calls that they are about have returned.
fn read(ring: &mut RingBuf<MapData>) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(record) = ring.next() {
        if record.len() >= size_of::<Event>() {
            // SAFETY: so many bytes; Event is repr(C) and has only integers.
            events.push(unsafe { record.as_ptr().cast::<Event>().read_unaligned() });
        }
    }
    events
}

fn of(events: &[Event], cookie: u64, kind: u8) -> impl Iterator<Item = &Event> {
    events.iter().filter(move |e| e.kind == kind && e.cookie == cookie)
}

/// Compares; what differs, if anything does.
fn agree_on_sends(events: &[Event], cookie: u64, said: &Said, placed: bool) -> Result<(), String> {
    let sends: Vec<(i32, u32)> = of(events, cookie, KIND_SEND).map(|e| (e.ret, e.seq)).collect();
    let lengths = SENDS.map(|n| n as i32);
    let should: Vec<(i32, u32)> = lengths.into_iter().zip(said.write_seq).collect();
    if sends != should {
        return Err(format!(
            "of its sends they tell {sends:?} (bytes, write_seq), and it has made {should:?}"
        ));
    }
    let begins: Vec<u32> = of(events, cookie, KIND_SEND)
        .filter(|e| e.flags & SEND_PLACED != 0)
        .map(|e| e.rule)
        .collect();
    let should: Vec<u32> =
        should.iter().filter(|_| placed).map(|(n, end)| end.wrapping_sub(*n as u32)).collect();
    if begins != should {
        return Err(format!(
            "of where its sends begin they tell {begins:?} (write_seq), and it was {should:?}"
        ));
    }
    Ok(())
}

fn agree_on_end(events: &[Event], cookie: u64, said: &Said) -> Result<(), String> {
    let ends = of(events, cookie, KIND_CLOSED).map(|e| [e.seq, e.ack, e.retrans]);
    let ends: Vec<[u32; 3]> = ends.collect();
    let should = [said.write_seq[1], said.write_seq[1], said.retransmits];
    if ends != [should] {
        return Err(format!(
            "of its end they tell {ends:?} (snd_nxt, snd_una, total_retrans), and it was {should:?}"
        ));
    }
    Ok(())
}

/// The same thread did both; what the helper says is certain.
fn agree_on_writer(events: &[Event], cookie: u64) -> Result<(), String> {
    let sender = of(events, cookie, KIND_SEND).next().map(|e| e.pid_tgid);
    let writers = events.iter().filter(|e| e.kind == KIND_MARKER).map(|e| e.pid_tgid);
    let writers: Vec<u64> = writers.collect();
    if sender.is_none_or(|sender| writers != [sender]) {
        return Err(format!(
            "they take {writers:x?} for the thread that wrote a line, and it was {sender:x?} (tgid, pid)"
        ));
    }
    Ok(())
}
