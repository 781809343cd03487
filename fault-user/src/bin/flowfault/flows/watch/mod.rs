//! `--watch`: a live table. `source` looks again and again on a thread of its own, `view` is what is shown, `screen`
//! draws it, `terminal` gives the terminal back whatever happens.

mod screen;
mod source;
mod terminal;
mod view;

use std::io::IsTerminal as _;
use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use fault_user::sockets::{Request, look};
use ratatui::crossterm::event;

use crate::exit::{self, BadUsage, Code};
use source::Source;
use terminal::{Signals, Terminal};
use view::{Next, View};

/// Longest time until a signal is heeded.
const TICK: Duration = Duration::from_millis(100);

/// Refuses to draw where nobody would see it.
///
/// # Errors
/// Stdin or stdout is no terminal.
pub fn needs_a_terminal() -> Result<()> {
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        return Ok(());
    }
    let remedy = "--watch needs a terminal on stdin and stdout; leave it out for a plain table, or take --json \
                  for other programs";
    Err(BadUsage(remedy.into()).into())
}

/// Shows the flows until q, SIGINT or SIGTERM.
pub fn watch(request: Request) -> Result<Code> {
    // Before the terminal changes: what is wrong with the request is then said as ever.
    let mut view = View::new(look(&request)?);
    // Before any other thread starts, so that no thread takes the signals.
    let signals = Signals::take()?;
    let source = Source::start(request)?;
    let mut terminal = Terminal::take()?;
    let mut changed = true;
    loop {
        if std::mem::take(&mut changed) {
            terminal.draw(|frame| screen::draw(frame, &mut view))?;
        }
        if let Some(signal) = signals.pending()? {
            return Ok(exit::signalled(signal));
        }
        match source.next() {
            Ok(found) => {
                view.update(found);
                changed = true;
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => {
                bail!("the thread that looks at the sockets has died")
            }
        }
        if event::poll(TICK).context("cannot wait for keys")? {
            changed = true;
            match view.handle(&event::read().context("cannot read a key")?) {
                Next::Stay => {}
                Next::Quit => return Ok(exit::DONE),
                Next::Interrupt => return Ok(exit::signalled(libc::SIGINT)),
            }
        }
    }
}
