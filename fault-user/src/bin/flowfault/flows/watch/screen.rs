//! Draws the view: a line on top, the table, the selector of the chosen flow, the keys.

use fault_user::sockets::{Flow, Selector};
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table};

use super::super::columns::Column;
use super::super::notes;
use super::view::View;

const KEYS: &str =
    "up/down choose   left/right sort column   r reverse   q quit   ~ a guess   >= at least";
/// Height of the selector with its border.
const SELECTOR: u16 = 8;
/// Below this height the table needs the lines itself.
const ENOUGH: u16 = 18;

pub fn draw(frame: &mut Frame<'_>, view: &mut View) {
    let area = frame.area();
    let selector = if area.height >= ENOUGH { SELECTOR } else { 0 };
    let rows = [
        Constraint::Length(1),
        Constraint::Min(2),
        Constraint::Length(selector),
        Constraint::Length(1),
    ];
    let [top, middle, below, bottom] = Layout::vertical(rows).areas(area);
    let bold = Style::new().add_modifier(Modifier::BOLD);
    frame.render_widget(Line::styled(headline(view), bold), top);
    table(frame, view, middle);
    if selector > 0 {
        let block = Block::new().borders(Borders::TOP).title(" picks the chosen flow ");
        let text = view.chosen().map(selector_of).unwrap_or_default();
        frame.render_widget(Paragraph::new(text).block(block), below);
    }
    frame.render_widget(Line::styled(KEYS, Style::new().add_modifier(Modifier::DIM)), bottom);
}

fn headline(view: &View) -> String {
    let count = view.inventory.flows.len();
    let mut text = format!("{count} flow{}", if count == 1 { "" } else { "s" });
    let order = view.sort.map_or("process and remote", Column::title);
    text.push_str(&format!(", by {order}{}", if view.reverse { ", reversed" } else { "" }));
    if let Some(trouble) = &view.trouble {
        text.push_str(&format!("; stale: {trouble}"));
    } else {
        notes(&view.inventory).iter().for_each(|note| text.push_str(&format!("; {note}")));
    }
    text
}

fn selector_of(flow: &Flow) -> String {
    match &flow.selector {
        Selector::Lines(lines) => lines.clone(),
        Selector::None(why) => format!("none: {why}"),
    }
}

fn table(frame: &mut Frame<'_>, view: &mut View, area: Rect) {
    let flows = &view.inventory.flows;
    let columns = fitting(flows, area.width);
    let widths = columns.iter().map(|(_, width)| Constraint::Length(*width));
    let title = |(column, _): &(Column, u16)| {
        let sorted = view.sort == Some(*column);
        let style = if sorted { Modifier::REVERSED } else { Modifier::BOLD };
        cell(*column, column.title().to_owned()).style(Style::new().add_modifier(style))
    };
    let header = Row::new(columns.iter().map(title));
    // Only the lines in sight are made, not thousands of others.
    let visible = usize::from(area.height.saturating_sub(1));
    let chosen = view.table.selected().unwrap_or(0);
    let first = first_line(view.table.offset(), chosen, visible, flows.len());
    let row =
        |flow: &Flow| Row::new(columns.iter().map(|(column, _)| cell(*column, column.cell(flow))));
    let rows = flows.iter().skip(first).take(visible).map(row);
    let table = Table::new(rows, widths)
        .header(header)
        .column_spacing(1)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut local = ratatui::widgets::TableState::default();
    local.select(view.table.selected().map(|at| at - first));
    frame.render_stateful_widget(table, area, &mut local);
    *view.table.offset_mut() = first;
}

/// Where to scroll to, from where it was: the chosen line is in sight, and no line is left empty for nothing.
fn first_line(before: usize, chosen: usize, visible: usize, count: usize) -> usize {
    let visible = visible.max(1);
    let full = before.min(count.saturating_sub(visible));
    full.clamp((chosen + 1).saturating_sub(visible), chosen)
}

fn cell(column: Column, text: String) -> Cell<'static> {
    let alignment = if column.is_right() { Alignment::Right } else { Alignment::Left };
    Cell::from(Text::from(text).alignment(alignment))
}

/// The columns that fit, with their widths. Which go first, is said in [`Column::EXPENDABLE`].
fn fitting(flows: &[Flow], room: u16) -> Vec<(Column, u16)> {
    let width = |column: Column| {
        let cells = flows.iter().map(|flow| column.cell(flow).chars().count());
        cells.max().unwrap_or(0).max(column.title().len()) as u16
    };
    let mut columns: Vec<(Column, u16)> = Column::ALL.map(|c| (c, width(c))).to_vec();
    for expendable in Column::EXPENDABLE {
        let needed: u16 = columns.iter().map(|(_, width)| width + 1).sum();
        if needed <= room + 1 {
            break;
        }
        columns.retain(|(column, _)| *column != expendable);
    }
    columns
}

#[cfg(test)]
mod tests {
    use fault_user::sockets::{Request, Target, look};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    #[test]
    fn the_chosen_line_is_in_sight() {
        // Down and up by one, at both ends of what is in sight.
        assert_eq!(first_line(0, 9, 10, 50), 0);
        assert_eq!(first_line(0, 10, 10, 50), 1);
        assert_eq!(first_line(30, 29, 10, 50), 29);
        // Fewer lines, more room, no room.
        assert_eq!(first_line(40, 20, 10, 21), 11);
        assert_eq!(first_line(5, 7, 100, 50), 0);
        assert_eq!(first_line(0, 3, 0, 50), 3);
        assert_eq!(first_line(0, 0, 10, 0), 0);
    }

    fn drawn(view: &mut View, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, view)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..height).map(line).collect()
    }

    #[test]
    fn it_is_drawn_in_any_size() {
        use fault_user::scenario::parse_remote;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let _client = std::net::TcpStream::connect(address).unwrap();
        let _server = listener.accept().unwrap();
        let request = Request {
            targets: vec![Target::Pid(std::process::id() as i32)],
            remote: Some((parse_remote(&address.to_string()).unwrap(), Vec::new())),
            all: false,
        };
        let mut view = View::new(look(&request).unwrap());
        let wide = drawn(&mut view, 180, 24);
        assert!(wide[0].starts_with("1 flow, by process and remote"), "{wide:#?}");
        assert!(Column::ALL.iter().all(|c| wide[1].contains(c.title())), "{wide:#?}");
        assert!(wide[2].contains(&address.to_string()), "{wide:#?}");
        assert!(wide.iter().any(|l| l.starts_with("[[flow]]")), "{wide:#?}");
        let narrow = drawn(&mut view, 60, 10);
        assert!(narrow[1].contains("REMOTE") && !narrow[1].contains("COOKIE"), "{narrow:#?}");
        for (width, height) in [(1, 1), (5, 3), (300, 2), (20, 100)] {
            drawn(&mut view, width, height);
        }
    }
}
