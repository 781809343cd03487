//! The plain table.

use fault_user::sockets::Inventory;

use super::columns::Column;

/// One line for each flow, below a line of titles. Nothing if there is no flow.
pub fn of(inventory: &Inventory) -> String {
    if inventory.flows.is_empty() {
        return String::new();
    }
    let titles = Column::ALL.map(|column| column.title().to_owned());
    let cells = inventory.flows.iter().map(|flow| Column::ALL.map(|column| column.cell(flow)));
    let rows: Vec<_> = std::iter::once(titles).chain(cells).collect();
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: [usize; Column::ALL.len()] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for ((cell, column), width) in row.iter().zip(Column::ALL).zip(widths) {
            let padded = if column.is_right() {
                format!("{cell:>width$}  ")
            } else {
                format!("{cell:<width$}  ")
            };
            line.push_str(&padded);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
