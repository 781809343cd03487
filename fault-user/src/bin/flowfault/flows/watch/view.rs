//! What is shown, and what the keys do to it; no terminal is needed for either.

use fault_user::sockets::{Flow, Inventory};
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::widgets::TableState;

use super::super::columns::Column;
use super::source::Found;

/// Lines that page up and page down move by.
const PAGE: isize = 10;

/// What comes after a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Stay,
    Quit,
    /// Ctrl-C, which is no signal in raw mode.
    Interrupt,
}

/// The flows in their order, one of them chosen.
pub struct View {
    pub inventory: Inventory,
    /// Why the last look found nothing; the flows are then those of the look before.
    pub trouble: Option<String>,
    /// `None`: by process and remote, as they come.
    pub sort: Option<Column>,
    pub reverse: bool,
    /// Cookie of the chosen flow: it stays chosen wherever it moves.
    chosen: Option<u64>,
    /// Where the table is scrolled to.
    pub table: TableState,
}

impl View {
    pub fn new(inventory: Inventory) -> Self {
        let chosen = inventory.flows.first().map(|flow| flow.socket.cookie);
        let table = TableState::default();
        let mut view = Self { inventory, trouble: None, sort: None, reverse: false, chosen, table };
        view.arrange();
        view
    }

    /// Takes a new look.
    pub fn update(&mut self, found: Found) {
        match found {
            Ok(inventory) => {
                self.inventory = inventory;
                self.trouble = None;
                self.arrange();
            }
            Err(e) => self.trouble = Some(fault_user::chain::told(&e).replace('\n', " ")),
        }
    }

    /// The chosen flow.
    pub fn chosen(&self) -> Option<&Flow> {
        self.inventory.flows.get(self.table.selected()?)
    }

    pub fn handle(&mut self, event: &Event) -> Next {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => self.key(*key),
            // After a change of size the next frame is drawn anew as a whole.
            _ => Next::Stay,
        }
    }

    fn key(&mut self, key: KeyEvent) -> Next {
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                return Next::Interrupt;
            }
            KeyCode::Char('q') | KeyCode::Esc => return Next::Quit,
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::PageDown => self.step(PAGE),
            KeyCode::PageUp => self.step(-PAGE),
            KeyCode::Home => self.step(isize::MIN),
            KeyCode::End => self.step(isize::MAX),
            KeyCode::Right | KeyCode::Char('>') => self.sort_by(1),
            KeyCode::Left | KeyCode::Char('<') => self.sort_by(Column::ALL.len()),
            KeyCode::Char('r') => {
                self.reverse = !self.reverse;
                self.arrange();
            }
            _ => {}
        }
        Next::Stay
    }

    fn step(&mut self, by: isize) {
        let Some(last) = self.inventory.flows.len().checked_sub(1) else { return };
        let at = self.table.selected().unwrap_or(0);
        let at = at.saturating_add_signed(by).min(last);
        self.chosen = self.inventory.flows.get(at).map(|flow| flow.socket.cookie);
        self.table.select(Some(at));
    }

    /// Goes `by` columns to the right, round the end, where the order in which they come is one as well.
    fn sort_by(&mut self, by: usize) {
        let count = Column::ALL.len() + 1;
        let at = Column::ALL.iter().position(|column| Some(*column) == self.sort);
        let next = (at.unwrap_or(Column::ALL.len()) + by) % count;
        self.sort = Column::ALL.get(next).copied();
        self.arrange();
    }

    fn arrange(&mut self) {
        let flows = &mut self.inventory.flows;
        flows.sort_by(|a, b| match self.sort {
            Some(column) => column.compare(a, b),
            None => natural(a).cmp(&natural(b)),
        });
        if self.reverse {
            flows.reverse();
        }
        let at = flows.iter().position(|flow| Some(flow.socket.cookie) == self.chosen);
        // It is gone: the one that has taken its line is chosen.
        let at = at.or_else(|| Some(self.table.selected()?.min(flows.len().checked_sub(1)?)));
        let at = at.or((!flows.is_empty()).then_some(0));
        self.chosen = at.map(|at| flows[at].socket.cookie);
        self.table.select(at);
    }
}

/// As the inventory has them, and firm where that leaves it open.
fn natural(flow: &Flow) -> impl Ord + use<> {
    let holder = flow.holders.first();
    let name = holder.map(|h| (h.process.comm.clone(), h.process.pid));
    (name.is_none(), name, flow.socket.protocol, flow.socket.remote, flow.socket.inode)
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
