//! Who listens after flowfault has come, and what is accepted there.

use crate::daemon::{Daemon, patient};
use crate::support::process::{Process, wait_for};
use crate::support::run::Run;
use crate::support::{Lab, command, python, script, stretched};
use crate::{OUTAGE, flow};

use fault_user::report::model::Report;

/// Keys of the app, and what stands before the steps.
fn text(lab: &Lab, app: &str, first: &str) -> String {
    format!(
        "schema = 1\nduration = '{}'\n[[app]]\nname = 'server'\n{app}\n\
         [[flow]]\nname = 'second'\napp = 'server'\nopened = 'accept'\nlocal = '10.77.0.1'\nnth = 2\n{first}\
         [[step]]\nname = 'outage'\nafter = {{ flow = 'second', state = 'established' }}\n\
         faults = [{{ flow = 'second', drop = 1.0 }}]\nfor = '{}'\n\
         [[step]]\nafter = {{ step = 'outage', plus = '0s' }}\nexec = ['sh', '-c', 'echo go >> {}']\n",
        stretched(15_000),
        stretched(OUTAGE),
        lab.file("server.orders"),
    )
}

/// Two clients, one after the other, and their ports.
fn clients(lab: &Lab, port: u64) -> [(Daemon, u64); 2] {
    ["first", "second"].map(|name| {
        let client = Daemon::start(lab, true, name, &format!("echo 10.77.0.1 {port} 1"));
        let port = client.of(1)[0].port;
        (client, port)
    })
}

fn only_the_second(report: &Report, clients: &[(Daemon, u64); 2]) {
    let ports = clients.each_ref().map(|(_, port)| *port);
    let of = |port: u64| {
        let remote = format!("10.77.0.2:{port}");
        let cookie = report.flows.iter().find(|f| f.remote == remote).map(|f| f.cookie);
        flow(report, cookie.unwrap_or_else(|| panic!("no {remote}: {:#?}", report.flows)))
    };
    let (first, second) = (of(ports[0]), of(ports[1]));
    assert!(!first.selected && first.egress.dropped == 0, "{first:#?}");
    assert!(second.selected && second.egress.dropped > 0, "{second:#?}");
}

#[test]
fn a_listener_that_opens_later_is_known() {
    let lab = Lab::pair();
    patient(&lab);
    let server = Daemon::start(&lab, false, "server", "later 10.77.0.1");
    let app = format!("pid = {}", server.process.pid());
    let first = format!(
        "[[step]]\nat = '0s'\nexec = ['sh', '-c', 'echo listen >> {}']\n",
        lab.file("server.orders")
    );
    let run = Run::start(&lab, "out", &text(&lab, &app, &first), &[]);
    let clients = clients(&lab, server.listens());
    only_the_second(&run.finish().expect(0), &clients);
    drop((server, clients));
    lab.close();
}

/// A server that the run starts itself.
#[test]
fn what_a_started_server_accepts() {
    let lab = Lab::pair();
    patient(&lab);
    std::fs::write(lab.path().join("server.orders"), "").expect("the directory is ours");
    let words = [python(), &script("daemon.py"), "accept", "10.77.0.1", &lab.file("server.orders")];
    let app = format!("command = {words:?}\nready = {{ log = 'listens' }}");
    // The run waits for its end.
    let over = stretched(OUTAGE + 300);
    let last =
        format!("[[step]]\nafter = {{ step = 'outage', plus = '{over}' }}\nstop = 'server'\n");
    let mut run = Run::start(&lab, "out", &text(&lab, &app, &last), &[]);
    run.app_says("server", "listens");
    let port = wait_for("a port", std::time::Duration::from_secs(5), || {
        let said = run.app_output("server");
        let first: serde_json::Value = serde_json::from_str(said.lines().next()?).ok()?;
        first["listens"].as_u64()
    });
    let clients = clients(&lab, port);
    only_the_second(&run.finish().expect(0), &clients);
    drop(clients);
    lab.close();
}

/// An address that is listened at no more is nobody's: who listens there next is somebody else.
#[test]
fn a_closed_listener_is_forgotten() {
    let lab = Lab::pair();
    patient(&lab);
    for (name, mode) in [("open", "accept 10.77.0.1"), ("later", "later 10.77.0.1")] {
        let server = Daemon::start(&lab, false, "server", mode);
        if name == "open" {
            server.listens();
        }
        let text = format!(
            "schema = 1\nduration = '{}'\n[[app]]\nname = 'server'\npid = {}\n\
             [[flow]]\nname = 'any'\nopened = 'accept'\nlocal = '10.77.0.1'\n\
             [[step]]\nat = '0s'\nfaults = [{{ flow = 'any', drop = 1.0, may_miss = true }}]\nfor = '{}'\n",
            stretched(8_000),
            server.process.pid(),
            stretched(1_500),
        );
        let mut run = Run::start(&lab, name, &text, &[]);
        run.until("cgroup", |run| run.out.join("apps").exists());
        std::thread::sleep(std::time::Duration::from_millis(500));
        if name == "later" {
            server.order("listen");
        }
        let port = server.listens();
        server.order("deaf");
        std::thread::sleep(std::time::Duration::from_millis(100));
        let program = format!(
            "import socket\ns = socket.create_server(('10.77.0.1', {port}))\nprint('port', flush=True)\n\
             c, _ = s.accept()\nwhile d := c.recv(100): c.sendall(d)\n"
        );
        let mut other = command(python(), "-c");
        other.arg(program);
        let other = Process::start(other, &lab.near, &lab.path().join("other"));
        other.says("port");
        let client = Daemon::start(&lab, true, "client", &format!("connect 10.77.0.1 {port} 1"));
        client.order("go");
        client.once("answers", |_, told| told.len() == 1 && told[0].received > 0);
        let report = run.finish().report();
        assert!(report.flows.is_empty(), "{name}: {:#?}", report.flows);
        drop((server, other, client));
    }
    lab.close();
}
