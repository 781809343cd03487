//! One guest: starts it, listens to it, judges it, and ends it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::console::{self, Progress};

/// How often the second port is looked at.
const TICK: Duration = Duration::from_millis(200);
/// How long a kernel in trouble may go on explaining.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// The processor where there is no KVM; `max` of QEMU 7.2 panics guests. Without cx16: before
/// QEMU 8.0 (its emulation of cmpxchg16b then became inline code) an interrupt right after that
/// instruction finds garbage in the flags, and some of them make it a double fault. Linux uses
/// it at every kmalloc. The rest is what emulation lacks, and would warn of.
const EMULATED: &str = "Haswell-v4,-cx16,-pcid,-x2apic,-tsc-deadline,-invpcid,-spec-ctrl";

/// What drives a guest, and its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drive {
    /// /dev/kvm.
    Kvm,
    /// Emulation, as fast as it goes, by the host's clock: for who sits before it, and for
    /// benchmarks.
    HostClock,
    /// Emulation by a clock that counts instructions, one a ns: to the guest, a machine of constant
    /// speed, however busy the host is. While all of its processors wait, the clock jumps to the
    /// next timer. Both processors share one thread of the host.
    Instructions,
}

/// A machine to start: what differs between guests.
pub struct Machine<'a> {
    pub image: &'a Path,
    pub initramfs: &'a Path,
    pub memory_mib: u32,
    pub cpus: u32,
    pub drive: Drive,
}

impl Machine<'_> {
    /// QEMU, without network, disk or display. It dies with us, however we die: setpriv sets its
    /// parent-death signal (PR_SET_PDEATHSIG), and is gone by the time QEMU runs.
    pub fn command(&self) -> Command {
        let mut qemu = Command::new("setpriv");
        qemu.args(["--pdeathsig", "KILL", "qemu-system-x86_64", "-nodefaults", "-no-user-config"]);
        let (accelerator, cpu) = match self.drive {
            Drive::Kvm => ("kvm", "host"),
            Drive::HostClock => ("tcg,thread=multi", EMULATED),
            Drive::Instructions => ("tcg,thread=single", EMULATED),
        };
        qemu.args(["-accel", accelerator, "-cpu", cpu]);
        if self.drive == Drive::Instructions {
            // 2^0 ns each.
            qemu.args(["-icount", "shift=0,sleep=off"]);
        }
        qemu.args(["-m", &self.memory_mib.to_string(), "-smp", &self.cpus.to_string()]);
        qemu.args(["-display", "none", "-no-reboot", "-nic", "none"]);
        qemu.arg("-kernel").arg(self.image).arg("-initrd").arg(self.initramfs);
        // A panic restarts at once, which ends QEMU. The watchdogs' reports end the run, too.
        // By the host's clock, the TSC is calibrated against a timer that the host's load delays: a
        // factor of eight was seen. Guests that lose time make delays look too long.
        let clock = match self.drive {
            Drive::Instructions => "clocksource=tsc tsc=reliable",
            Drive::Kvm | Drive::HostClock => "clocksource=hpet tsc=unstable",
        };
        let line =
            format!("console=ttyS0 panic=-1 quiet loglevel=5 printk.time=1 {clock} rdinit=/init");
        qemu.args(["-append", &line]);
        qemu
    }
}

/// How long a guest may be silent, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub boot: Duration,
    pub silence: Duration,
    pub total: Duration,
}

/// Files of a guest: what it said on its two serial ports.
pub struct Ports {
    pub console: PathBuf,
    pub results: PathBuf,
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ending {
    /// It said that it was done.
    Done,
    /// The kernel reported trouble, in these words.
    Trouble(String),
    /// It never came up in that time.
    NoBoot(Duration),
    /// Nothing was heard of it for that time.
    Silent(Duration),
    /// It took longer than it may.
    TooLong(Duration),
    /// QEMU ended before the guest was done.
    Gone(String),
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Done => f.write_str("came to its end"),
            Self::Trouble(words) => write!(f, "kernel in trouble: {words}"),
            Self::NoBoot(limit) => write!(f, "did not come up within {} s", limit.as_secs()),
            Self::Silent(limit) => write!(f, "hung: not a word for {} s", limit.as_secs()),
            Self::TooLong(limit) => write!(f, "not done after {} s", limit.as_secs()),
            Self::Gone(status) => write!(f, "ended before it was done (QEMU: {status})"),
        }
    }
}

/// A guest's end, and all it said.
pub struct Outcome {
    pub ending: Ending,
    pub progress: Progress,
    pub console: String,
    pub took: Duration,
}

/// Runs a guest to whichever end comes first. `told` hears of each new step of its progress.
///
/// # Errors
/// QEMU cannot be started or the files cannot be written.
pub fn run(
    mut qemu: Command,
    ports: &Ports,
    limits: Limits,
    mut told: impl FnMut(&Progress, Duration),
) -> Result<Outcome> {
    fs::write(&ports.results, "").context("cannot write into the target directory")?;
    qemu.args(["-serial", "stdio"]);
    qemu.arg("-serial").arg(format!("file:{}", ports.results.display()));
    qemu.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = qemu.spawn().context("cannot start setpriv (util-linux) with QEMU")?;
    let console = fs::File::create(&ports.console)?;
    let mut guest = Guest { child, console: Console::new(console), start: Instant::now() };
    let heard = guest.listen();
    let ending = guest.wait(&heard, ports, limits, &mut told);
    guest.stop(&heard);
    std::mem::replace(&mut guest.console.kept, Ok(())).context("cannot write the console")?;
    let progress = read(&ports.results);
    let took = guest.start.elapsed();
    Ok(Outcome { ending, progress, console: std::mem::take(&mut guest.console.text), took })
}

struct Guest {
    child: Child,
    console: Console,
    start: Instant,
}

/// What was heard, and its file, which can be watched while the guest runs.
struct Console {
    text: String,
    file: fs::File,
    /// How writing the file went.
    kept: std::io::Result<()>,
}

impl Console {
    fn new(file: fs::File) -> Self {
        Self { text: String::new(), file, kept: Ok(()) }
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        if self.kept.is_ok() {
            self.kept = self.file.write_all(text.as_bytes());
        }
    }
}

impl Guest {
    /// Threads that read its console and QEMU's own complaints, until QEMU has ended.
    fn listen(&mut self) -> Receiver<String> {
        let (send, heard) = channel();
        let ends: [Option<Box<dyn std::io::Read + Send>>; 2] = [
            self.child.stdout.take().map(|end| Box::new(end) as _),
            self.child.stderr.take().map(|end| Box::new(end) as _),
        ];
        for mut end in ends.into_iter().flatten() {
            let send = send.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = end.read(&mut buffer) {
                    let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                    if send.send(text).is_err() {
                        break;
                    }
                }
            });
        }
        heard
    }

    fn wait(
        &mut self,
        heard: &Receiver<String>,
        ports: &Ports,
        limits: Limits,
        told: &mut impl FnMut(&Progress, Duration),
    ) -> Ending {
        let mut progress = Progress::default();
        let (mut last, mut judged) = (Instant::now(), 0);
        loop {
            let gone = match heard.recv_timeout(TICK) {
                Ok(text) => {
                    last = Instant::now();
                    self.console.push(&text);
                    if let Some(words) = self.trouble(&mut judged) {
                        return Ending::Trouble(words);
                    }
                    false
                }
                Err(error) => error == RecvTimeoutError::Disconnected,
            };
            let now = read(&ports.results);
            if now != progress {
                last = Instant::now();
                progress = now;
                told(&progress, self.start.elapsed());
            }
            if progress.done {
                return Ending::Done;
            }
            if gone {
                return Ending::Gone(self.status());
            }
            if let Some(ending) = self.overdue(&progress, last, limits) {
                return ending;
            }
        }
    }

    /// Looks at whole lines that have not been looked at.
    fn trouble(&self, judged: &mut usize) -> Option<String> {
        let whole = self.console.text[*judged..].rfind('\n').map(|at| *judged + at + 1)?;
        let fresh = &self.console.text[*judged..whole];
        *judged = whole;
        fresh.lines().find_map(console::trouble).map(str::to_owned)
    }

    fn overdue(&self, progress: &Progress, last: Instant, limits: Limits) -> Option<Ending> {
        let age = self.start.elapsed();
        if progress.up.is_none() {
            return (age > limits.boot).then_some(Ending::NoBoot(limits.boot));
        }
        if last.elapsed() > limits.silence {
            return Some(Ending::Silent(limits.silence));
        }
        (age > limits.total).then_some(Ending::TooLong(limits.total))
    }

    fn status(&mut self) -> String {
        self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string())
    }

    /// Lets it finish its sentence, then ends it.
    fn stop(&mut self, heard: &Receiver<String>) {
        let deadline = Instant::now() + LAST_WORDS;
        while let Ok(text) = heard.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            self.console.push(&text);
        }
        // An error means that it has ended and been waited for.
        if self.child.kill().is_ok() {
            self.status();
        }
        // Not until the pipe is closed: somebody else may hold its other end.
        while let Ok(text) = heard.recv_timeout(TICK) {
            self.console.push(&text);
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            self.status();
        }
    }
}

fn read(results: &Path) -> Progress {
    // Bytes, since a line may be half written; a missing file is a guest that said nothing.
    Progress::parse(&String::from_utf8_lossy(&fs::read(results).unwrap_or_default()))
}

#[cfg(test)]
#[path = "guest_tests.rs"]
mod tests;
