use std::net::{TcpListener, TcpStream};

use fault_user::sockets::{Request, SocketsError, Target, look};

use super::*;

fn key(code: KeyCode) -> Event {
    Event::Key(KeyEvent::new(code, KeyModifiers::NONE))
}

/// Sockets of this very process, of which at least four are connected.
fn some(hold: &mut Vec<TcpStream>) -> Inventory {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for _ in 0..2 {
        hold.push(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        hold.push(listener.accept().unwrap().0);
    }
    let address = listener.local_addr().unwrap().to_string();
    let remote = Some((fault_user::scenario::parse_remote(&address).unwrap(), Vec::new()));
    let target = Target::Pid(std::process::id() as i32);
    let mut inventory = look(&Request { targets: vec![target], remote, all: false }).unwrap();
    assert_eq!(inventory.flows.len(), 2);
    let accepted = inventory.flows[1].clone();
    inventory.flows.push(accepted);
    inventory.flows[2].socket.cookie = u64::MAX;
    inventory
}

fn cookies(view: &View) -> Vec<u64> {
    view.inventory.flows.iter().map(|flow| flow.socket.cookie).collect()
}

#[test]
fn keys_end_it() {
    let mut view = View::new(Inventory::default());
    assert_eq!(view.handle(&key(KeyCode::Char('q'))), Next::Quit);
    assert_eq!(view.handle(&key(KeyCode::Esc)), Next::Quit);
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(view.handle(&Event::Key(interrupt)), Next::Interrupt);
    assert_eq!(view.handle(&key(KeyCode::Char('c'))), Next::Stay);
    assert_eq!(view.handle(&Event::Resize(3, 1)), Next::Stay);
    // With nothing to choose, no key hurts.
    for code in [KeyCode::Down, KeyCode::End, KeyCode::PageUp, KeyCode::Left, KeyCode::Char('r')] {
        assert_eq!(view.handle(&key(code)), Next::Stay);
        assert!(view.chosen().is_none());
    }
}

#[test]
fn the_chosen_flow_stays_chosen_where_it_moves() {
    let mut hold = Vec::new();
    let mut view = View::new(some(&mut hold));
    while view.sort != Some(Column::Cookie) {
        view.handle(&key(KeyCode::Right));
    }
    let sorted = cookies(&view);
    assert!(sorted.is_sorted(), "{sorted:?}");
    view.handle(&key(KeyCode::Home));
    let chosen = view.chosen().unwrap().socket.cookie;
    assert_eq!(chosen, sorted[0]);
    view.handle(&key(KeyCode::Char('r')));
    assert_eq!(cookies(&view), sorted.iter().rev().copied().collect::<Vec<_>>());
    assert_eq!(view.table.selected(), Some(2));
    assert_eq!(view.chosen().unwrap().socket.cookie, chosen);
    // It closes: its line is chosen, or the last.
    let mut next = view.inventory.clone();
    next.flows.retain(|flow| flow.socket.cookie != chosen);
    view.update(Ok(next));
    assert_eq!(view.table.selected(), Some(1));
    view.handle(&key(KeyCode::Up));
    assert_eq!(view.chosen().unwrap().socket.cookie, sorted[2]);
    view.update(Ok(Inventory::default()));
    assert!(view.chosen().is_none());
}

#[test]
fn columns_go_round_in_both_directions() {
    let mut view = View::new(Inventory::default());
    view.handle(&key(KeyCode::Left));
    assert_eq!(view.sort, Some(Column::Remote));
    view.handle(&key(KeyCode::Right));
    assert_eq!(view.sort, None);
    view.handle(&key(KeyCode::Right));
    assert_eq!(view.sort, Some(Column::Process));
}

#[test]
fn a_look_that_fails_leaves_the_last_one() {
    let mut hold = Vec::new();
    let mut view = View::new(some(&mut hold));
    view.update(Err(SocketsError::NoProcess { asked: "--pid 7".into(), remedy: "None".into() }));
    assert!(view.trouble.as_ref().unwrap().contains("--pid 7"));
    assert_eq!(view.inventory.flows.len(), 3);
    let inventory = view.inventory.clone();
    view.update(Ok(inventory));
    assert!(view.trouble.is_none());
}
