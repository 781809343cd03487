//! `--selectors`: a page of TOML from which the wanted `[[flow]]` is taken.

use fault_user::sockets::{Flow, Inventory, Selector};

use super::columns::{Column, process};

/// For each flow a comment that says which it is, and its `[[flow]]`, or why there is none.
pub fn of(inventory: &Inventory) -> String {
    inventory.flows.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn one(flow: &Flow) -> String {
    let mut text = format!("# {}", process(&flow.holders));
    if let Some(holder) = flow.holders.first() {
        text.push_str(&format!(" (pid {}, fd {})", holder.process.pid, holder.fd));
    }
    let [state, cookie, local, remote] =
        [Column::State, Column::Cookie, Column::Local, Column::Remote].map(|c| c.cell(flow));
    text.push_str(&format!(", {state}, cookie {cookie}, {local} -> {remote}\n"));
    match &flow.selector {
        Selector::Lines(lines) => text.push_str(lines),
        Selector::None(why) => text.push_str(&format!("# no selector: {why}\n")),
    }
    text
}
