//! Sockets that an app opens after it was attached to.

use crate::daemon::connected;
use crate::support::process::Process;
use crate::support::run::Run;
use crate::support::{Lab, python, stretched};

/// `nth` counts what opens under observation, and `uid` says by whom.
#[test]
fn the_second_that_opens_later_is_counted() {
    let lab = Lab::pair();
    let (daemon, _echo, port) = connected(&lab, 0);
    let text = format!(
        "schema = 1\nduration = '{}'\n[[app]]\nname = 'daemon'\npid = {}\n\
         [[flow]]\nname = 'second'\nremote = '10.77.0.2:{port}'\nnth = 2\n\
         [[flow]]\nname = 'nobodys'\nremote = '10.77.0.2:{port}'\nuid = 65534\n\
         [[step]]\nat = '0s'\nexec = ['sh', '-c', 'echo open nobody open >> {orders}; sleep 0.2; echo open >> {orders}']\n\
         [[step]]\nname = 'outage'\nafter = {{ flow = 'second', state = 'established' }}\n\
         faults = [{{ flow = 'second', direction = 'egress', drop = 1.0 }}]\nfor = '300ms'\n\
         [[step]]\nafter = {{ step = 'outage', plus = '0s' }}\nexec = ['sh', '-c', 'echo go >> {orders}']\n",
        stretched(8_000),
        daemon.process.pid(),
        orders = lab.file("daemon.orders"),
    );
    let report = Run::start(&lab, "nth", &text, &[]).finish().expect(0);
    let told = daemon.of(3);
    let second = crate::flow(&report, told[1].cookie);
    let third = crate::flow(&report, told[2].cookie);
    assert_eq!((&*second.name, &*third.name), ("second", "nobodys"), "{:#?}", report.flows);
    assert_eq!(third.egress.dropped, 0, "{third:#?}");
    assert!(second.selected && second.egress.dropped > 0, "{:#?}", report.flows);
    assert!(second.opened_ms.is_some_and(|ms| ms >= 0.0), "{second:#?}");
    let first = crate::flow(&report, told[0].cookie);
    assert!(!first.selected && first.egress.dropped == 0, "{first:#?}");
    drop(daemon);
    lab.close();
}

/// The role of an open socket goes to the next one that the app opens there.
#[test]
fn a_flow_follows_from_an_open_socket_to_the_next() {
    let lab = Lab::pair();
    let (daemon, _echo, port) = connected(&lab, 1);
    let old = daemon.of(1)[0];
    let text = format!(
        "schema = 1\nduration = '{}'\n[[app]]\nname = 'daemon'\npid = {}\n\
         [[flow]]\nname = 'link'\nremote = '10.77.0.2:{port}'\nfollow = true\n\
         [[step]]\nat = '0s'\nexec = ['sh', '-c', 'echo close >> {orders}; sleep 0.2; echo open >> {orders}']\n\
         [[step]]\nname = 'outage'\nafter = {{ flow = 'link', state = 'closed' }}\n\
         faults = [{{ flow = 'link', drop = {{ first = 1 }} }}]\n\
         [[step]]\nafter = {{ step = 'outage', plus = '{}' }}\nclear = true\n",
        stretched(8_000),
        daemon.process.pid(),
        stretched(600),
        orders = lab.file("daemon.orders"),
    );
    let report = Run::start(&lab, "follow", &text, &[]).finish().expect(0);
    let new = daemon.of(1)[0];
    let (before, after) = (crate::flow(&report, old.cookie), crate::flow(&report, new.cookie));
    assert!(before.selected && before.closed_ms.is_some(), "{before:#?}");
    assert!(after.selected && after.egress.dropped == 1, "its SYN: {after:#?}");
    assert!(after.name.starts_with("link"), "{after:#?}");
    drop(daemon);
    lab.close();
}

/// An open UDP socket is known by its next datagram.
#[test]
fn an_open_udp_socket_gets_its_flow_with_its_next_datagram() {
    let lab = Lab::pair();
    let program = "import socket, time\n\
                   s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
                   s.connect(('10.77.0.2', 9))\n\
                   print('port', s.getsockname()[1], flush=True)\n\
                   while True:\n  time.sleep(0.01)\n  s.send(b'x')\n";
    let mut command = std::process::Command::new(python());
    command.args(["-c", program]);
    let far = lab.far.as_ref().expect("a pair");
    // Without somebody at port 9 ICMP errors would end the program.
    let _sink = far.within(|| std::net::UdpSocket::bind("10.77.0.2:9")).expect("the port is free");
    let process = Process::start(command, &lab.near, &lab.path().join("udp"));
    process.says("port ");
    let port = process.stdout().trim().trim_start_matches("port ").to_owned();
    let keys = format!("protocol = 'udp'\nremote = '10.77.0.2:9'\nlocal = ':{port}'");
    let finished = crate::run(&lab, "udp", &format!("pid = {}", process.pid()), &keys);
    let report = finished.expect(0);
    assert_eq!(report.flows.len(), 1, "{:#?}", report.flows);
    let flow = &report.flows[0];
    assert_eq!((&*flow.name, &*flow.protocol), ("dark", "udp"), "{flow:#?}");
    assert!(flow.egress.dropped > 0, "{flow:#?}");
    assert!(flow.egress.packets > flow.egress.dropped, "before and after: {flow:#?}");
    drop(process);
    lab.close();
}
