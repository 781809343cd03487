//! As many events as can be, from the real packet program: the kernel shows it the same packet again and again
//! (BPF_PROG_TEST_RUN), on one processor, while the reader and the ledger of the run share another.

use std::fs;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use fault_common::event::{NO_FLOW, tcp};
use fault_common::stats::Global;
use fault_common::table::{LastSegment, SocketEntry, Tuple, v4};
use fault_user::kernel::{EventReader, Kernel, Setup};
use fault_user::ledger::entry::Entry;
use fault_user::ledger::store::Ledger;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Pid, gettid};

/// Who sends, and who tells.
const SENDERS: usize = 0;
const TELLERS: usize = 1;
/// Packets are shown in groups of so much time, so that the rate is kept without asking for the time too often.
const GROUP: Duration = Duration::from_millis(2);

const COOKIE: u64 = 0xf100_d000;
const OURS: ([u8; 4], u16) = ([10, 77, 0, 1], 40_001);
const THEIRS: ([u8; 4], u16) = ([10, 77, 0, 2], 7001);

/// What came of it.
pub struct Told {
    /// Events that are in the ledger.
    pub events: u64,
    /// Events for which the ring had no room.
    pub lost: u64,
    /// Until the last of them was in the ledger.
    pub took: Duration,
    /// Time of the program for one packet, ns.
    pub program_ns: f64,
    /// Time of the thread that reads the ring, and of the one that keeps the ledger, for one event, ns.
    pub reader_ns: f64,
    pub ledger_ns: f64,
}

/// Shows the program packets for so long, so many a second (0: as many as there can be).
///
/// # Errors
/// No privilege, fewer than two processors, or events that do not add up.
pub fn run(per_second: u32, length: Duration) -> Result<Told> {
    let mut kernel = Kernel::load(&Setup { leased: false, slots: 16, ..Setup::default() })?;
    let (socket, tuple) = socket();
    kernel.add_socket(COOKIE, socket, tuple)?;
    stay_on(TELLERS)?;
    let (reader, mut batches) = kernel.events()?;
    let keeper: JoinHandle<Result<Kept>> = thread::spawn(move || {
        let (mut ledger, mut at) = (Ledger::new(), Instant::now());
        while let Some(batch) = batches.blocking_recv() {
            for raw in batch.iter() {
                ledger.push(Entry::decode(raw)?);
            }
            at = Instant::now();
        }
        let cpu = Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?);
        Ok(Kept { events: ledger.entries().len() as u64, cpu, at })
    });
    stay_on(SENDERS)?;
    // The program is loaded with the first packet; that is no part of it.
    kernel.flood(&packet(), 1)?;
    let begin = Instant::now();
    let (packets, shown) = show(&mut kernel, per_second, length)?;
    let reader_cpu = finish(reader)?;
    let kept = keeper.join().map_err(|_| anyhow!("the thread of the ledger panicked"))??;
    let totals = kernel.totals()?;
    let lost = totals.get(Global::EventsLost);
    let packets = packets + 1;
    ensure!(
        totals.get(Global::EventsRecorded) == kept.events && kept.events + lost == packets,
        "{packets} packets, {} events recorded, {} in the ledger, {lost} lost",
        totals.get(Global::EventsRecorded),
        kept.events
    );
    let each = |time: Duration, of: u64| time.as_nanos() as f64 / of.max(1) as f64;
    Ok(Told {
        events: kept.events,
        lost,
        took: kept.at - begin,
        program_ns: each(shown, packets),
        reader_ns: each(reader_cpu, kept.events),
        ledger_ns: each(kept.cpu, kept.events),
    })
}

struct Kept {
    events: u64,
    cpu: Duration,
    at: Instant,
}

/// How many packets were shown, and how long the program had them.
fn show(kernel: &mut Kernel, per_second: u32, length: Duration) -> Result<(u64, Duration)> {
    let packet = packet();
    let in_group = match per_second {
        0 => 10_000,
        rate => (f64::from(rate) * GROUP.as_secs_f64()).ceil() as u32,
    };
    let begin = Instant::now();
    let (mut packets, mut busy) = (0, Duration::ZERO);
    while begin.elapsed() < length {
        busy += in_group * Duration::from_nanos(kernel.flood(&packet, in_group)?);
        packets += u64::from(in_group);
        if per_second > 0 {
            let due = Duration::from_secs_f64(packets as f64 / f64::from(per_second));
            thread::sleep(due.saturating_sub(begin.elapsed()));
        }
    }
    Ok((packets, busy))
}

/// Ends the reader once the ring is empty; the time that it took.
fn finish(reader: EventReader) -> Result<Duration> {
    let time = || -> Result<Duration> {
        for task in fs::read_dir("/proc/self/task")? {
            let task = task?.path();
            if fs::read_to_string(task.join("comm"))?.trim() == "flowfault-event" {
                // Time on a processor, ns (Documentation/scheduler/sched-stats.rst).
                let stat = fs::read_to_string(task.join("schedstat"))?;
                let ns = stat.split(' ').next().context("an empty schedstat")?;
                return Ok(Duration::from_nanos(ns.parse()?));
            }
        }
        Err(anyhow!("the thread that reads events is not there"))
    };
    // What is left in the ring then is a few milliseconds' worth.
    thread::sleep(Duration::from_millis(50));
    let time = time()?;
    reader.finish();
    Ok(time)
}

fn stay_on(cpu: usize) -> Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(cpu)?;
    sched_setaffinity(gettid(), &cpus)
        .with_context(|| format!("this benchmark needs the processors {SENDERS} and {TELLERS}"))
}

/// Lets this thread run where it may again.
///
/// # Errors
/// The kernel refuses.
pub fn stay_anywhere() -> Result<()> {
    let mut cpus = CpuSet::new();
    (SENDERS..=TELLERS).try_for_each(|cpu| cpus.set(cpu))?;
    Ok(sched_setaffinity(Pid::from_raw(0), &cpus)?)
}

fn socket() -> (SocketEntry, Tuple) {
    let (saddr, daddr) = (v4(u32::from_ne_bytes(THEIRS.0)), v4(u32::from_ne_bytes(OURS.0)));
    let entry = SocketEntry {
        slot: 0,
        flow: NO_FLOW,
        app: 0,
        nth: 1,
        attempt: 1,
        state: 0,
        uid: 0,
        role: 0,
        isn: 0,
        irs: 0,
        last_ack: 0,
        rport: THEIRS.1.into(),
        raddr: saddr,
        pid_tgid: 0,
        allowed: 0,
        reach: [0; 2],
        last: [LastSegment::default(); 2],
    };
    (entry, Tuple { saddr, daddr, sport: THEIRS.1, dport: OURS.1, proto: 6 })
}

/// Ethernet, IPv4, TCP. With FIN, so that each is told: the others are kept where no fault is armed.
fn packet() -> Vec<u8> {
    let mut packet = vec![0; 12];
    packet.extend(0x0800u16.to_be_bytes());
    packet.extend([0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0]);
    packet.extend(THEIRS.0.iter().chain(&OURS.0));
    packet.extend(THEIRS.1.to_be_bytes().iter().chain(&OURS.1.to_be_bytes()));
    packet.extend(1u32.to_be_bytes().iter().chain(&1u32.to_be_bytes()));
    packet.extend([0x50, tcp::FIN | tcp::ACK, 0xff, 0xff, 0, 0, 0, 0]);
    packet
}
