//! The app under test, tested itself: what the messenger claims beside what its server received.
//!
//! Runs the built example on loopback; no privileges. The hole in the network is a relay that
//! swallows bytes, so what is checked here does not depend on flowfault.

mod app;
mod relay;

// An example has no tests of its own in a plain `cargo test`; these run its pure parts.
#[path = "../../examples/messenger/backoff.rs"]
mod backoff;
#[path = "../../examples/messenger/duration.rs"]
mod duration;
#[expect(dead_code, reason = "the rest of it is used by the example")]
#[path = "../../examples/messenger/policy.rs"]
mod policy;
#[path = "../../examples/messenger/refusal.rs"]
mod refusal;
#[expect(dead_code, reason = "the rest of it is used by the example")]
#[path = "../../examples/messenger/role.rs"]
mod role;

use app::{App, Server};
use nix::sys::signal::Signal;
use relay::Relay;
use serde_json::{Value, json};

const IDS: [&str; 5] = ["msg-1", "msg-2", "msg-3", "msg-4", "msg-5"];

/// The values of one key, in order.
fn column<'a>(lines: &'a [Value], key: &str) -> Vec<&'a str> {
    let text = |line: &'a Value| line[key].as_str();
    let found: Option<Vec<&str>> = lines.iter().map(text).collect();
    found.unwrap_or_else(|| panic!("a line lacks {key}: {lines:?}"))
}

#[test]
fn a_plain_run_delivers_everything_over_the_unidentified_websocket() {
    let server = Server::start(&[]);
    let run = server.send_loop(server.address(), &["--count", "5", "--interval", "10ms"]);
    let run = run.finish();

    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(
        run.plain,
        ["creating identified websocket", "creating unidentified websocket", "connected"]
    );
    assert_eq!(column(&run.outcomes, "id"), IDS);
    assert_eq!(column(&run.outcomes, "status"), ["sent"; 5]);
    let receipts = server.receipts_of(&IDS);
    assert_eq!(column(&receipts, "id"), IDS);
    assert_eq!(column(&receipts, "role"), ["unidentified"; 5]);
    for (outcome, receipt) in run.outcomes.iter().zip(&receipts) {
        assert_eq!(outcome["via"], "unidentified");
        assert_eq!(outcome["attempts"], json!(["unidentified"]));
        assert_eq!(outcome["bytes"], receipt["bytes"]);
        assert_eq!(receipt["peer"], receipts[0]["peer"], "one connection");
    }
}

#[test]
fn refused_messages_fall_back_and_arrive_once() {
    let server = Server::start(&["--refuse", "unidentified:2..=4"]);
    let options = "--count 5 --interval 10ms --sent-when confirmed --fallback refusal";
    let run = server.send_loop(server.address(), &split(options)).finish();

    assert_eq!(run.code, Some(0), "{run:?}");
    let (un, id) = ("unidentified", "identified");
    assert_eq!(column(&run.outcomes, "id"), IDS);
    assert_eq!(column(&run.outcomes, "status"), ["ok"; 5]);
    assert_eq!(column(&run.outcomes, "via"), [un, id, id, id, un]);
    assert_eq!(run.outcomes[0]["attempts"], json!([un]));
    assert_eq!(run.outcomes[2]["attempts"], json!([un, id]));
    let receipts = server.receipts_of(&IDS);
    assert_eq!(column(&receipts, "id"), IDS);
    assert_eq!(column(&receipts, "role"), [un, id, id, id, un]);
}

#[test]
fn a_refusal_of_every_second_message_counts_the_unidentified_ones() {
    let server = Server::start(&["--refuse-every", "2"]);
    let options = "--count 5 --interval 10ms --sent-when confirmed";
    let run = server.send_loop(server.address(), &split(options)).finish();

    let (un, id) = ("unidentified", "identified");
    assert_eq!(column(&run.outcomes, "via"), [un, id, un, id, un], "{run:?}");
    assert_eq!(server.receipts_of(&IDS).len(), 5);
}

#[test]
fn in_a_hole_written_messages_are_claimed_sent_and_lost() {
    let server = Server::start(&[]);
    let relay = Relay::start(server.address());
    let options = "--count 3 --interval 500ms --fallback refusal --sent-when written";
    let mut app = server.send_loop(relay.address(), &split(options));
    app.wait_for("msg-1");
    // Written is not received: on a busy machine the relay may still hold it.
    server.receipts_of(&["msg-1"]);
    relay.swallow(1);
    let run = app.finish();

    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(column(&run.outcomes, "status"), ["sent"; 3]);
    let receipts = server.receipts_of(&["msg-1"]);
    assert!(!column(&receipts, "id").contains(&"msg-3"), "{receipts:?}");
}

#[test]
fn in_a_hole_refusal_only_times_out_and_never_tries_the_other_websocket() {
    let server = Server::start(&[]);
    let relay = Relay::start(server.address());
    let options = "--count 3 --interval 500ms --fallback refusal --sent-when confirmed";
    let options = format!("{options} --timeout 300ms");
    let mut app = server.send_loop(relay.address(), &split(&options));
    app.wait_for("msg-1");
    relay.swallow(1);
    let run = app.finish();

    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.outcomes[2]["status"], "timeout", "{run:?}");
    assert_eq!(run.outcomes[2]["attempts"], json!(["unidentified"]));
    let elapsed = run.outcomes[2]["elapsed_ms"].as_f64();
    assert!(elapsed.is_some_and(|ms| ms >= 300.0), "{run:?}");
}

#[test]
fn in_a_hole_any_error_delivers_over_the_identified_websocket() {
    let server = Server::start(&[]);
    let relay = Relay::start(server.address());
    let options = "--count 3 --interval 500ms --fallback any-error --sent-when confirmed";
    let options = format!("{options} --timeout 300ms");
    let mut app = server.send_loop(relay.address(), &split(&options));
    app.wait_for("msg-1");
    relay.swallow(1);
    let run = app.finish();

    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(column(&run.outcomes, "status"), ["ok"; 3], "{run:?}");
    assert_eq!(run.outcomes[2]["via"], "identified");
    assert_eq!(run.outcomes[2]["attempts"], json!(["unidentified", "identified"]));
    let receipts = server.receipts_of(&IDS[..3]);
    assert!(
        receipts.iter().any(|r| r["id"] == "msg-3" && r["role"] == "identified"),
        "{receipts:?}"
    );
}

#[test]
fn the_keepalive_finds_the_hole_and_reopens_the_websocket() {
    let server = Server::start(&[]);
    let relay = Relay::start(server.address());
    let options = "--count 0 --interval 50ms --sent-when confirmed --timeout 200ms";
    let options = format!("{options} --keepalive 500ms --reconnect-min 400ms");
    let mut app = server.send_loop(relay.address(), &split(&options));
    app.wait_for("msg-1");
    relay.swallow(1);
    app.wait_for("closing unidentified websocket: keepalive timeout");
    app.wait_for(r#""status":"error""#);
    app.wait_for("creating unidentified websocket");
    app.wait_for("reopened unidentified websocket");
    app.wait_for(r#""status":"ok""#);
    let plain = app.stop().plain;
    let identified = plain.iter().filter(|line| line.contains(" identified"));
    assert_eq!(identified.count(), 1, "the other was left alone: {plain:?}");
}

#[test]
fn a_failed_probe_breaks_the_websocket_and_the_policy_applies() {
    for (fallback, status, via) in
        [("refusal", "error", "unidentified"), ("any-error", "sent", "identified")]
    {
        let server = Server::start(&[]);
        let relay = Relay::start(server.address());
        let options = "--count 3 --interval 500ms --probe both --timeout 200ms --fallback";
        let options = format!("{options} {fallback} --reconnect-min 1m --reconnect-max 1m");
        let mut app = server.send_loop(relay.address(), &split(&options));
        app.wait_for("msg-1");
        relay.swallow(1);
        app.wait_for("closing unidentified websocket: probe timeout");
        let run = app.finish();
        assert_eq!(run.outcomes[2]["status"], status, "{run:?}");
        assert_eq!(run.outcomes[2]["via"], via, "{run:?}");
    }
}

#[test]
fn a_killed_server_is_an_error_on_every_websocket_tried() {
    for (fallback, attempts) in
        [("refusal", json!(["unidentified"])), ("any-error", json!(["unidentified", "identified"]))]
    {
        let server = Server::start(&[]);
        let options = format!("--count 3 --interval 500ms --fallback {fallback}");
        let mut app = server.send_loop(server.address(), &split(&options));
        app.wait_for("msg-1");
        server.signal(Signal::SIGKILL);
        let run = app.finish();
        assert_eq!(run.code, Some(0), "{run:?}");
        assert_eq!(run.outcomes[2]["status"], "error", "{run:?}");
        assert_eq!(run.outcomes[2]["attempts"], attempts, "{run:?}");
    }
}

#[test]
fn a_stopped_server_makes_nothing_hang() {
    let server = Server::start(&[]);
    let options = "--count 2 --interval 500ms --fallback any-error --sent-when confirmed";
    let options = format!("{options} --timeout 200ms");
    let mut app = server.send_loop(server.address(), &split(&options));
    app.wait_for("msg-1");
    server.signal(Signal::SIGSTOP);
    let run = app.finish();
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.outcomes[1]["status"], "timeout", "{run:?}");
    assert_eq!(run.outcomes[1]["attempts"], json!(["unidentified", "identified"]));

    let one = App::start(&server.connect_to(
        server.address(),
        "send-one",
        &["--timeout", "200ms", "late"],
    ));
    assert_eq!(one.finish().code, Some(1));
}

#[test]
fn a_full_socket_buffer_is_a_time_out() {
    let server = Server::start(&[]);
    let options = "--count 4 --interval 500ms --size 8000000 --timeout 300ms";
    let mut app = server.send_loop(server.address(), &split(options));
    app.wait_for("msg-1");
    server.signal(Signal::SIGSTOP);
    let run = app.finish();
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.outcomes[3]["status"], "timeout", "{run:?}");
}

#[test]
fn send_one_delivers_one_message_and_sigterm_ends_the_server() {
    let server = Server::start(&["--confirm-delay", "50ms"]);
    let run = App::start(&server.connect_to(server.address(), "send-one", &["hello"])).finish();
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.outcomes[0]["status"], "ok");
    let elapsed = run.outcomes[0]["elapsed_ms"].as_f64();
    assert!(elapsed.is_some_and(|ms| ms >= 50.0), "{run:?}");
    assert_eq!(column(&server.receipts_of(&["hello"]), "role"), ["identified"]);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.finish().code, Some(0));
}

fn split(options: &str) -> Vec<&str> {
    options.split_whitespace().collect()
}
