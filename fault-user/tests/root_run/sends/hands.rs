//! Sockets that several processes have.

use super::{OUTCOMES, Scene, agree};
use crate::support::run::Run;
use crate::support::scenarios::quoted;
use crate::support::truth::messages;
use crate::support::{Lab, python, script};

#[test]
fn a_socket_that_a_parent_and_its_child_share() {
    let lab = Lab::alone();
    let scene = Scene::new(&lab, "fork 5 300");
    let report = scene.run().expect(0);
    agree(&report, &scene.receipts());
    lab.close();
}

#[test]
fn a_socket_that_is_handed_to_another_app() {
    let lab = Lab::alone();
    let path = lab.file("hand-over");
    let giver = Scene::new(&lab, &format!("give:{path} 1 300"));
    let taker =
        quoted(python(), &format!("{} 127.0.0.1 7600 take:{path} 3 300", script("sends.py")));
    let text = giver.text().replace(
        "[[flow]]",
        &format!("[[app]]\nname = 'taker'\nready = {{ log = 'connected' }}\ncommand = {taker}\n{OUTCOMES}[[flow]]"),
    );
    let report = Run::start(&lab, "out", &text, &[]).finish().expect(0);
    agree(&report, &giver.receipts());
    for (id, send) in messages(&report) {
        assert_eq!(send.app, if id.starts_with("taker") { "taker" } else { "app" }, "{send:#?}");
    }
    lab.close();
}
