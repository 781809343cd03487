//! The thread that has the line: reads the device, lets the engine decide, gives back in time.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use fault_common::fate::Fault;
use fault_common::rule::Chain;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use tokio::sync::mpsc::UnboundedSender;

use super::engine::Engine;
use super::frame::Frame;
use super::plumbing::{Plumbing, index};
use super::tally::{Counts, Tally};
use super::tap::Tap;
use super::{Answer, Backend, LineError, Outlet as _, Settings, Stacks};
use crate::clock;
use crate::kernel::{Batch, Shared};
use crate::plan::Tables;

/// So close to a deadline the thread stays awake: a wake-up takes about as long.
const SPIN_NS: u64 = 60_000;
/// The longest sleep, ns.
const SLEEP_NS: u64 = 100_000_000;
/// How long an answer of the thread is waited for: it is at work or asleep, never blocked.
const ANSWER: Duration = Duration::from_secs(1);
/// Frames read before deadlines are looked at again.
const BURST: usize = 64;

/// What the thread is told.
enum Command {
    Stage(usize, Stacks),
    Live(usize),
    Tables(Tables),
    Count(Sender<Counts>),
    Stop,
}

/// The delay line, as the controller has it.
#[must_use = "dropping it ends the line"]
pub struct Line {
    commands: Sender<Command>,
    wake: Arc<EventFd>,
    beat: Arc<AtomicU64>,
    thread: Option<JoinHandle<io::Result<Tally>>>,
    name: String,
    ifindex: u32,
    udp_offload: bool,
}

/// What a [`Line`] is started with.
pub struct Start {
    pub tap: Tap,
    pub shared: Shared,
    pub settings: Settings,
    pub events: UnboundedSender<Batch>,
    pub answers: Box<dyn FnMut(Answer) + Send>,
}

impl Line {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`LineError::Stopped`]: no thread, or no eventfd.
    pub fn start(start: Start) -> Result<Self, LineError> {
        let stopped = |e: &dyn std::fmt::Display| LineError::Stopped(e.to_string());
        let (commands, inbox) = channel();
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let wake = Arc::new(EventFd::from_flags(flags).map_err(|e| stopped(&e))?);
        let beat = Arc::new(AtomicU64::new(clock::monotonic_ns()));
        let (name, ifindex) = (start.tap.name().to_owned(), start.tap.ifindex());
        let udp_offload = start.tap.udp_offload();
        let tally = Tally::new().map_err(|e| stopped(&e))?;
        let worker = Worker {
            engine: Engine::new(start.settings, tally),
            outlet: Plumbing::new(start.tap, start.shared, start.events, start.answers),
            inbox,
            wake: Arc::clone(&wake),
            beat: Arc::clone(&beat),
            odd: 0,
            overflowed: 0,
        };
        let thread = std::thread::Builder::new()
            .name("flowfault-line".into())
            .spawn(move || worker.run())
            .map_err(|e| stopped(&e))?;
        Ok(Self { commands, wake, beat, thread: Some(thread), name, ifindex, udp_offload })
    }

    /// Name of its device.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether UDP super-packets pass whole.
    pub fn udp_offload(&self) -> bool {
        self.udp_offload
    }

    fn send(&self, command: Command) -> Result<(), LineError> {
        let gone = || LineError::Stopped("its thread has ended".into());
        self.commands.send(command).map_err(|_| gone())?;
        self.wake.write(1).map(drop).map_err(|e| LineError::Stopped(e.to_string()))
    }

    fn join(&mut self) -> Result<Tally, LineError> {
        let Some(thread) = self.thread.take() else {
            return Err(LineError::Stopped("it was ended before".into()));
        };
        match thread.join() {
            Ok(Ok(tally)) => Ok(tally),
            Ok(Err(e)) => Err(LineError::Stopped(e.to_string())),
            Err(_) => Err(LineError::Stopped("its thread panicked".into())),
        }
    }
}

impl Backend for Line {
    fn name(&self) -> &'static str {
        "tap"
    }

    fn ifindex(&self) -> u32 {
        self.ifindex
    }

    fn chain(&self, hook: Chain, _faults: &[Fault]) -> Result<Chain, LineError> {
        Ok(hook)
    }

    fn stage(&self, bank: usize, stacks: Stacks) -> Result<(), LineError> {
        self.send(Command::Stage(bank, stacks))
    }

    fn live(&self, bank: usize) -> Result<(), LineError> {
        self.send(Command::Live(bank))
    }

    fn tables(&self, tables: Tables) -> Result<(), LineError> {
        self.send(Command::Tables(tables))
    }

    fn counts(&self) -> Result<Counts, LineError> {
        let (to, from) = channel();
        self.send(Command::Count(to))?;
        from.recv_timeout(ANSWER)
            .map_err(|e| LineError::Stopped(format!("its thread does not answer: {e}")))
    }

    fn last_beat(&self) -> u64 {
        self.beat.load(Ordering::Acquire)
    }

    /// Nothing waits any more once no rule is live.
    fn drain(&self, _within: Duration) {}

    fn finish(mut self: Box<Self>) -> Result<Tally, LineError> {
        // If it has ended already, joining tells why.
        let _ = self.send(Command::Stop);
        self.join()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.thread.is_some() {
            let _ = self.send(Command::Stop);
            if let Err(e) = self.join() {
                tracing::error!("{e}");
            }
        }
    }
}

struct Worker {
    engine: Engine,
    outlet: Plumbing,
    inbox: Receiver<Command>,
    wake: Arc<EventFd>,
    beat: Arc<AtomicU64>,
    /// Frames that were none of ours.
    odd: u64,
    /// Frames that found the device's queue full, as far as they are accounted for.
    overflowed: u64,
}

impl Worker {
    fn run(mut self) -> io::Result<Tally> {
        // The default slack of 50 us would be added to every deadline.
        nix::sys::prctl::set_timerslack(1)?;
        let mut resync_at = 0;
        loop {
            let now = clock::monotonic_ns();
            self.beat.store(now, Ordering::Release);
            if self.commands(now) {
                return self.end();
            }
            let read = self.read()?;
            self.engine.due(clock::monotonic_ns(), &mut self.outlet);
            if self.outlet.tell_at().is_some_and(|at| at <= now) {
                self.outlet.tell_all();
            }
            if read == 0 && now >= resync_at {
                self.resync(now)?;
                resync_at = now + SLEEP_NS;
            }
            if read < BURST {
                self.wait()?;
            }
        }
    }

    /// Takes the commands in; true if it is to end.
    fn commands(&mut self, now: u64) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(Command::Stage(bank, stacks)) => self.engine.stage(bank, stacks),
                Ok(Command::Live(bank)) => self.engine.live(bank, now),
                Ok(Command::Tables(tables)) => self.engine.set_tables(tables),
                Ok(Command::Count(to)) => {
                    // Who has asked may have given up waiting.
                    let _ = to.send(self.engine.tally.counts());
                }
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => return true,
                Err(TryRecvError::Empty) => return false,
            }
        }
    }

    /// Reads what waits, a burst at most; how many frames there were.
    fn read(&mut self) -> io::Result<usize> {
        for n in 0..BURST {
            let Some(bytes) = self.outlet.tap.read()? else { return Ok(n) };
            match Frame::parse(bytes) {
                Ok(frame) => {
                    // At once: the entry is written again 65536 packets later.
                    let handed = self.outlet.shared.handed(frame.tag());
                    self.engine.accept(&handed, &frame, &mut self.outlet);
                }
                // The device's own chatter: no packet of ours comes without a tag.
                Err(e) => {
                    self.odd += 1;
                    tracing::debug!("a frame on the delay line's device is not ours: {e}");
                }
            }
            self.engine.due(clock::monotonic_ns(), &mut self.outlet);
        }
        Ok(BURST)
    }

    /// Looks for packets that were handed over and will never come: the device counts those.
    fn resync(&mut self, now: u64) -> io::Result<()> {
        let overflowed = self.outlet.tap.overflowed()?;
        if overflowed == self.overflowed {
            return Ok(());
        }
        let shared = &self.outlet.shared;
        let missing = self.engine.resync(now, |key| shared.handed_over(index(key)));
        // Connections that are not quiet now will be later.
        if missing.is_empty() {
            return Ok(());
        }
        for (key, accepted) in missing {
            self.outlet.done(key, accepted);
        }
        if self.engine.tally.missed >= overflowed {
            self.overflowed = overflowed;
        }
        Ok(())
    }

    /// Sleeps until something is due, comes in or is commanded.
    fn wait(&mut self) -> io::Result<()> {
        let now = clock::monotonic_ns();
        let due = [self.engine.next_at(), self.outlet.tell_at()].into_iter().flatten().min();
        let due = due.unwrap_or(u64::MAX);
        let sleep = due.saturating_sub(now).min(SLEEP_NS);
        if sleep <= SPIN_NS {
            return Ok(());
        }
        let sleep = TimeSpec::from_duration(Duration::from_nanos(sleep - SPIN_NS / 2));
        let mut fds = [
            PollFd::new(self.outlet.tap.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.wake.as_fd(), PollFlags::POLLIN),
        ];
        match ppoll(&mut fds, Some(sleep), None) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
        if fds[1].revents().is_some_and(|rung| !rung.is_empty()) {
            // The inbox is looked at in any case.
            let _ = self.wake.read();
        }
        Ok(())
    }

    fn end(mut self) -> io::Result<Tally> {
        // What the programs have handed over before they stopped.
        while self.read()? > 0 {}
        self.engine.flush(clock::monotonic_ns(), &mut self.outlet);
        self.outlet.tell_all();
        let mut tally = self.engine.into_tally();
        tally.missed = self.outlet.tap.overflowed()?;
        if self.outlet.refused > 0 {
            tracing::warn!("the kernel did not take {} frames back", self.outlet.refused);
        }
        Ok(tally)
    }
}
