//! Where the streams of sockets stand that were open before: from the first byte of the connection, not from the first
//! that flowfault sees.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use fault_user::report::model::Report;
use serde_json::Value;

use crate::daemon::{Daemon, connected, patient};
use crate::support::process::{Process, wait_for};
use crate::support::run::Run;
use crate::support::{Lab, command, python, script, stretched};

const SOON: Duration = Duration::from_secs(20);

/// flood.py at one end.
struct Flood {
    process: Process,
    orders: PathBuf,
}

impl Flood {
    fn start(lab: &Lab, name: &str, arguments: &str) -> Self {
        let orders = lab.path().join(format!("{name}.orders"));
        std::fs::write(&orders, "").expect("the directory is ours");
        let arguments = format!("{} {arguments} {}", script("flood.py"), orders.display());
        let at = &lab.near;
        let process = Process::start(command(python(), &arguments), at, &lab.path().join(name));
        Self { process, orders }
    }

    fn order(&self, word: &str) {
        let file = std::fs::OpenOptions::new().append(true).open(&self.orders);
        writeln!(file.expect("it is there"), "{word}").expect("the disk is not full");
    }

    /// A number that it says, in the last line that has the key.
    fn told(&self, key: &str) -> u64 {
        wait_for(key, SOON, || last(&self.process, key))
    }

    /// What it has sent, once it sends no more.
    fn sent(&self, word: &str, count: usize) -> u64 {
        self.order(word);
        let said = || self.process.stdout().matches("\"sending\": false").count() == count;
        wait_for("its word", SOON, || said().then_some(()));
        self.told("sent")
    }
}

fn last(process: &Process, key: &str) -> Option<u64> {
    let lines = process.stdout();
    let values = lines.lines().rev().filter_map(|l| serde_json::from_str::<Value>(l).ok());
    values.filter_map(|v| v[key].as_u64()).next()
}

fn sink(lab: &Lab, host: &str) -> (Process, u64) {
    let far = lab.far.as_ref().expect("a pair");
    let command = command(python(), &format!("{} sink {host}", script("flood.py")));
    let process = Process::start(command, far, &lab.path().join("sink"));
    let port = wait_for("its port", SOON, || last(&process, "port"));
    (process, port)
}

/// A run that touches `begun`, does what the steps say, and is over after `ms`.
fn attached(lab: &Lab, name: &str, pid: u32, flow: &str, steps: &str, ms: u32) -> Run {
    let (begun, over) = (lab.file(&format!("{name}.begun")), stretched(ms));
    let text = format!(
        "schema = 1\nname = 'attached'\nseed = 7\n\
         [[app]]\nname = 'daemon'\npid = {pid}\n[[flow]]\nname = 'dark'\n{flow}\n{steps}\
         [[step]]\nat = '50ms'\nexec = ['touch', '{begun}']\n\
         [[step]]\nat = '{over}'\nexec = ['true']\n"
    );
    let mut run = Run::start(lab, name, &text, &[]);
    run.until("beginning", |_| std::path::Path::new(&begun).exists());
    run
}

/// From the first byte of the first send on record to the last one of the last.
fn span(report: &Report) -> [u64; 2] {
    let of_flow = report.sends.iter().filter(|s| s.flow.as_deref() == Some("dark"));
    let ranges: Vec<[u64; 2]> = of_flow.filter_map(|s| s.stream).collect();
    let low = ranges.iter().map(|r| r[0]).min().expect("there are sends");
    [low, ranges.iter().map(|r| r[1]).max().expect("there are sends")]
}

/// The counterpart of the measurement `mid`: whatever was under way when flowfault came, the last byte on record is the
/// last byte that the peer has got.
#[test]
fn in_the_middle_of_a_flood_the_last_byte_is_the_peers_last() {
    let lab = Lab::pair();
    for (round, size) in [1000, 100, 5000].into_iter().enumerate() {
        let (sink, port) = sink(&lab, "10.77.0.2");
        let name = format!("flood{round}");
        let flood = Flood::start(&lab, &name, &format!("send 10.77.0.2 {port} {size}"));
        let cookie = flood.told("cookie");
        std::thread::sleep(Duration::from_millis(200));
        let pid = flood.process.pid();
        let run =
            attached(&lab, &format!("mid{round}"), pid, &format!("cookie = {cookie}"), "", 1200);
        let sent = flood.sent("quiet", 1);
        let report = run.finish().expect(0);
        flood.order("end");
        let received = wait_for("the end", SOON, || last(&sink, "received"));
        let [first, end] = span(&report);
        assert_eq!(end, received, "of {sent} bytes sent, from {first} on; {:?}", report.events);
        assert!(first > 0 && sent == received, "{first}, {sent}");
        assert!(report.evidence.blind_spots.iter().all(|s| !s.contains("positions")));
        drop((flood, sink));
    }
    lab.close();
}

/// Who has sent nothing for a while begins exactly where it stopped, whoever opened the connection.
#[test]
fn an_idle_socket_goes_on_where_it_was_on_both_sides() {
    let lab = Lab::pair();
    patient(&lab);
    let accepts = Daemon::start(&lab, false, "daemon", "accept 10.77.0.1");
    let to = format!("echo 10.77.0.1 {} 1", accepts.listens());
    let peer = Daemon::start(&lab, true, "peer", &to);
    let (connects, echo, _) = connected_as(&lab);
    for (name, daemon) in [("accepted", &accepts), ("connected", &connects)] {
        daemon.of(1);
        daemon.order("go");
        daemon.once("bytes", |_, told| told[0].sent >= 100);
        let before = daemon.quiet()[0];
        let pid = daemon.process.pid();
        let run = attached(&lab, name, pid, &format!("cookie = {}", before.cookie), "", 800);
        daemon.order("go");
        daemon.once("bytes", |_, told| told[0].sent >= before.sent + 100);
        let after = daemon.quiet()[0];
        let report = run.finish().expect(0);
        assert_eq!(span(&report), [before.sent, after.sent], "{name}");
    }
    drop((accepts, peer, connects, echo));
    lab.close();
}

/// Bytes that were under way when flowfault came are sent again meanwhile: they are copies of earlier bytes, of no send
/// of the run. IPv6 as well.
#[test]
fn what_was_unacknowledged_is_no_later_send() {
    let lab = Lab::pair();
    patient(&lab);
    let far = lab.far.as_ref().expect("a pair");
    for (name, ip, prefix) in [("v4", "10.77.0.2", 24), ("v6", "fd77::2", 64)] {
        let echo = Daemon::start(&lab, true, &format!("{name}-peer"), &format!("accept {ip}"));
        let to = format!("connect {ip} {} 1", echo.listens());
        let daemon = Daemon::start(&lab, false, name, &to);
        let known = daemon.of(1)[0];
        // Nobody answers at that address for a while.
        far.ip(&format!("addr del {ip}/{prefix} dev cable0"));
        daemon.order("go");
        daemon.once("bytes", |_, told| told[0].sent >= 160);
        daemon.order("quiet");
        let before = daemon.once("rest", |sending, _| !sending)[0];
        let pid = daemon.process.pid();
        let run = attached(&lab, name, pid, &format!("cookie = {}", known.cookie), "", 9000);
        let nodad = if name == "v6" { " nodad" } else { "" };
        far.ip(&format!("addr add {ip}/{prefix} dev cable0{nodad}"));
        echo.once("the old bytes", |_, told| told[0].received == before.sent);
        daemon.order("go");
        daemon.once("bytes", |_, told| told[0].sent >= before.sent + 100);
        daemon.order("quiet");
        let after = daemon.once("rest", |sending, _| !sending)[0];
        echo.once("the new bytes", |_, told| told[0].received == after.sent);
        let report = run.finish().expect(0);
        assert_eq!(span(&report), [before.sent, after.sent], "{name}");
        let again: u64 = report.sends.iter().map(|s| s.retransmits).sum();
        assert!(after.retransmits > known.retransmits, "nothing was sent again");
        assert_eq!(again, 0, "old bytes are no copies of new ones: {:#?}", report.sends);
        drop((daemon, echo));
    }
    lab.close();
}

/// Sequence numbers begin again after 4 GiB, positions do not.
#[test]
fn beyond_four_gibibytes() {
    let lab = Lab::pair();
    let (sink, port) = sink(&lab, "10.77.0.2");
    let total = (4u64 << 30) + 12_345;
    let flood = Flood::start(&lab, "history", &format!("history 10.77.0.2 {port} {total}"));
    assert_eq!(flood.told("sent"), total);
    let flow = format!("cookie = {}", flood.told("cookie"));
    let (from, to) = (total + 100, total + 200);
    let steps = format!(
        "[[step]]\nat = '0s'\nname = 'window'\nfaults = [{{ flow = 'dark', direction = 'egress', drop = {{ first = 1 }}, \
         when = {{ stream = [{from}, {to}] }} }}]\n"
    );
    let run = attached(&lab, "wide", flood.process.pid(), &flow, &steps, 800);
    let sent = [1, 2, 3].map(|n| flood.sent("one", n));
    assert_eq!(sent, [100, 200, 300].map(|more| total + more));
    let report = run.finish().expect(0);
    assert_eq!(span(&report), [total, total + 300]);
    let hit: Vec<_> =
        report.sends.iter().filter(|s| s.drops > 0).filter_map(|s| s.stream).collect();
    assert_eq!(hit, [[from, to]], "{:#?}", report.sends);
    drop((flood, sink));
    lab.close();
}

fn connected_as(lab: &Lab) -> (Daemon, Process, String) {
    let (echo, port) = crate::daemon::echo(lab);
    let daemon = Daemon::start(lab, false, "active", &format!("connect 10.77.0.2 {port} 1"));
    (daemon, echo, port)
}

/// `limit` and `when.stream` count from the first byte of the connection: of 16 bytes a send, those before the limit come
/// through.
#[test]
fn limits_and_windows_of_an_open_socket_are_true_positions() {
    let lab = Lab::pair();
    let (daemon, echo, _) = connected(&lab, 1);
    daemon.order("go");
    daemon.once("bytes", |_, told| told[0].sent >= 320);
    let before = daemon.quiet()[0];
    let flow = format!("cookie = {}", before.cookie);
    let (from, to) = (before.sent + 160, before.sent + 176);
    let steps = format!(
        "[[step]]\nat = '0s'\nname = 'window'\nfaults = [{{ flow = 'dark', direction = 'egress', drop = {{ first = 2 }}, \
         when = {{ stream = [{from}, {to}] }} }}]\nfor = '700ms'\n"
    );
    let run = attached(&lab, "window", daemon.process.pid(), &flow, &steps, 800);
    daemon.order("go");
    daemon.once("bytes", |_, told| told[0].sent >= to + 160);
    daemon.quiet();
    let report = run.finish().expect(0);
    let hit: Vec<_> =
        report.sends.iter().filter(|s| s.drops > 0).filter_map(|s| s.stream).collect();
    assert_eq!(hit, [[from, to]], "{:#?}", report.sends);

    let before = daemon.quiet()[0];
    let end = before.sent + 160;
    let steps = format!(
        "[[step]]\nat = '0s'\nname = 'limit'\nfaults = [{{ flow = 'dark', direction = 'egress', limit = {{ bytes = {end}, then = 'drop' }} }}]\n"
    );
    let run = attached(&lab, "limit", daemon.process.pid(), &flow, &steps, 800);
    daemon.order("go");
    daemon.once("bytes", |_, told| told[0].sent > end + 160);
    let told = daemon.once("answers", |_, told| told[0].received >= end);
    assert_eq!(told[0].received, end, "what came back before the limit's end");
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(daemon.of(1)[0].received, end, "and nothing after it");
    run.finish().expect(0);
    drop((daemon, echo));
    lab.close();
}
