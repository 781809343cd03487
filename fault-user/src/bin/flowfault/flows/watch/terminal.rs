//! The terminal, taken for a while, and the signals that end that.

use anyhow::{Context as _, Result};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use ratatui::crossterm::terminal::is_raw_mode_enabled;
use ratatui::{DefaultTerminal, Frame};

/// The terminal in raw mode, on its other screen; given back on drop, and by ratatui's hook when
/// anything panics.
#[must_use = "dropping it gives the terminal back"]
pub struct Terminal(DefaultTerminal);

impl Terminal {
    pub fn take() -> Result<Self> {
        let taken = ratatui::try_init().inspect_err(|_| ratatui::restore());
        taken.map(Self).context("cannot draw on the terminal")
    }

    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> Result<()> {
        self.0.draw(draw).map(drop).context("cannot draw on the terminal")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The hook has given it back already if raw mode is off: once more would move the cursor up, and
        // what follows would overwrite why something has panicked.
        if is_raw_mode_enabled().unwrap_or(true) {
            ratatui::restore();
        }
    }
}

/// SIGINT and SIGTERM, held back until they are asked for: in a handler the terminal could not be given back.
pub struct Signals(SignalFd);

impl Signals {
    /// Holds them back in this thread and those that it starts from now on.
    pub fn take() -> Result<Self> {
        let mut set = SigSet::empty();
        set.add(Signal::SIGINT);
        set.add(Signal::SIGTERM);
        set.thread_block().context("cannot block signals")?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        SignalFd::with_flags(&set, flags).map(Self).context("cannot listen to signals")
    }

    /// The number of one that has come.
    pub fn pending(&self) -> Result<Option<i32>> {
        let read = self.0.read_signal().context("cannot read a signal")?;
        Ok(read.map(|info| info.ssi_signo as i32))
    }
}
