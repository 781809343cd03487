//! A server that runs already: what it has accepted, and what it accepts later.

use crate::daemon::{Daemon, patient, watch};
use crate::support::Lab;
use crate::support::run::Run;
use crate::{OUTAGE, flow, run};

fn server(lab: &Lab, clients: usize) -> (Daemon, Daemon) {
    patient(lab);
    let server = Daemon::start(lab, false, "daemon", "accept 10.77.0.1");
    let arguments = format!("echo 10.77.0.1 {} {clients}", server.listens());
    let clients = Daemon::start(lab, true, "clients", &arguments);
    (server, clients)
}

#[test]
fn one_of_two_that_were_accepted_before() {
    let lab = Lab::pair();
    let (server, clients) = server(&lab, 2);
    let told = server.of(2);
    let app = format!("pid = {}", server.process.pid());
    // The remote's port tells the two apart; the capture, which sees the server's, could not.
    let keys = format!("opened = 'accept'\nremote = '10.77.0.2:{}'", told[1].peer);
    let mut report = None;
    let watched = watch(&lab, &server, || report = Some(run(&lab, "out", &app, &keys).expect(0)));
    let report = report.expect("the run is over");
    let (lit, dark) = (flow(&report, told[0].cookie), flow(&report, told[1].cookie));
    assert!(!lit.selected && lit.egress.dropped == 0 && lit.ingress.dropped == 0, "{lit:#?}");
    assert!(dark.selected && dark.egress.dropped > 0, "{dark:#?}");
    let sent_again = |i: usize| watched.after[i].retransmits - watched.before[i].retransmits;
    assert_eq!(sent_again(0), 0, "{:?}", watched.after);
    assert!(sent_again(1) > 0, "{OUTAGE} ms without an answer: {:?}", watched.after);
    lab_closes(lab, (server, clients));
}

#[test]
fn the_second_that_is_accepted_later() {
    let lab = Lab::pair();
    let (server, clients) = server(&lab, 0);
    let text = format!(
        "schema = 1\nduration = '8s'\n[[app]]\nname = 'daemon'\npid = {}\n\
         [[flow]]\nname = 'second'\nopened = 'accept'\nlocal = ':{}'\nnth = 2\n\
         [[step]]\nat = '0s'\nexec = ['sh', '-c', 'echo open >> {more}; sleep 0.2; echo open >> {more}']\n\
         [[step]]\nname = 'outage'\nafter = {{ flow = 'second', state = 'established' }}\n\
         faults = [{{ flow = 'second', drop = 1.0 }}]\nfor = '300ms'\n\
         [[step]]\nafter = {{ step = 'outage', plus = '0s' }}\nexec = ['sh', '-c', 'echo go >> {orders}']\n",
        server.process.pid(),
        server.listens(),
        more = lab.file("clients.orders"),
        orders = lab.file("daemon.orders"),
    );
    let report = Run::start(&lab, "later", &text, &[]).finish().expect(0);
    let told = server.of(2);
    let (first, second) = (flow(&report, told[0].cookie), flow(&report, told[1].cookie));
    assert!(!first.selected && first.egress.dropped == 0, "{first:#?}");
    assert!(second.selected && second.egress.dropped > 0, "{second:#?}");
    assert_eq!(second.remote, format!("10.77.0.2:{}", told[1].peer));
    assert_eq!(second.pid, server.process.pid());
    lab_closes(lab, (server, clients));
}

fn lab_closes(lab: Lab, daemons: (Daemon, Daemon)) {
    drop(daemons);
    lab.close();
}
