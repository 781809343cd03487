//! Two programs that run already, in two network namespaces.

use crate::daemon::{Daemon, Told, echo_at, patient};
use crate::support::netns::Netns;
use crate::support::objects::Objects;
use crate::support::process::Process;
use crate::support::run::{Finished, Run};
use crate::support::{Lab, command, flowfault, python, script, stretched};
use crate::{OUTAGE, flow};

/// A daemon that talks to an echo over the loopback of a namespace, by two connections.
struct Alone {
    daemon: Daemon,
    _echo: Process,
}

impl Alone {
    fn start(lab: &Lab, far: bool, name: &str) -> Self {
        patient(lab);
        let netns = if far { lab.far.as_ref().expect("a pair") } else { &lab.near };
        let mut serve = command(python(), &script("echo.py"));
        serve.arg("127.0.0.1");
        let echo = Process::start(serve, netns, &lab.path().join(format!("{name}-echo")));
        echo.says("port ");
        let port = echo.stdout().trim().trim_start_matches("port ").to_owned();
        let daemon = Daemon::start(lab, far, name, &format!("connect 127.0.0.1 {port} 2"));
        daemon.of(2);
        daemon.order("go");
        Self { daemon, _echo: echo }
    }

    fn app(&self, name: &str) -> String {
        format!("[[app]]\nname = '{name}'\npid = {}\n", self.daemon.process.pid())
    }

    /// A flow of its second connection.
    fn flow(&self, app: &str) -> String {
        let cookie = self.told()[1].cookie;
        format!("[[flow]]\nname = '{app}'\napp = '{app}'\ncookie = {cookie}\n")
    }

    fn told(&self) -> Vec<Told> {
        self.daemon.of(2)
    }
}

/// A run with flowfault in this namespace.
fn started_in(lab: &Lab, netns: &Netns, name: &str, text: &str) -> Run {
    let file = lab.path().join(format!("{name}.toml"));
    std::fs::write(&file, text).expect("the directory is ours");
    let out = lab.path().join(name);
    let mut command = std::process::Command::new(flowfault());
    command.arg("run").arg(&file).arg("--out").arg(&out);
    let process = Process::start(command, netns, &lab.path().join(format!("{name}-flowfault")));
    Run { process, out, objects: Objects::default() }
}

fn run(lab: &Lab, name: &str, tables: &[String], faults: &str) -> Finished {
    let (lasts, all) = (stretched(OUTAGE), stretched(8_000));
    let text = format!(
        "schema = 1\nseed = 7\nduration = '{all}'\n{}\
         [[step]]\nname = 'outage'\nat = '100ms'\nfaults = [{faults}]\nfor = '{lasts}'\n",
        tables.concat()
    );
    Run::start(lab, name, &text, &[]).finish()
}

/// One where flowfault is, the other elsewhere; each has its fault on one of two connections, whose positions are known.
#[test]
fn both_have_their_faults() {
    let lab = Lab::pair();
    let (near, far) = (Alone::start(&lab, false, "near"), Alone::start(&lab, true, "far"));
    let tables = [near.app("near"), far.app("far"), near.flow("near"), far.flow("far")];
    let faults = "{ flow = 'near', direction = 'egress', drop = 1.0 }, { flow = 'far', direction = 'ingress', drop = 1.0 }";
    let report = run(&lab, "both", &tables, faults).expect(0);
    let spots = &report.evidence.blind_spots;
    assert!(spots.iter().all(|spot| !spot.contains("positions")), "{spots:?}");
    for (who, name) in [(&near, "near"), (&far, "far")] {
        let [lit, dark] = [0, 1].map(|i| flow(&report, who.told()[i].cookie));
        assert_eq!(&*dark.name, name, "{:#?}", report.flows);
        let hit = (dark.egress.dropped > 0, dark.ingress.dropped > 0);
        assert_eq!(hit, (name == "near", name == "far"), "{dark:#?}");
        assert_eq!(lit.egress.dropped + lit.ingress.dropped, 0, "{lit:#?}");
    }
    let sends = report.sends.iter().filter(|s| s.stream.is_some_and(|[from, _]| from > 0));
    assert!(sends.count() > 2, "true positions: {:#?}", report.sends);
    for who in [&near, &far] {
        let told = who.daemon.quiet();
        assert_eq!(told[0].retransmits, 0, "{told:?}");
        assert!(told[1].retransmits > 0, "{told:?}");
    }
    drop((near, far));
    lab.close();
}

/// The delay line is where it is needed, whichever app comes first; also if flowfault itself is in neither namespace.
#[test]
fn the_delay_line_is_where_it_is_needed() {
    let lab = Lab::pair();
    let (near, far) = (Alone::start(&lab, false, "near"), Alone::start(&lab, true, "far"));
    let tables = [near.app("near"), far.app("far"), near.flow("near"), far.flow("far")];
    for (delayed, lost) in [("near", "far"), ("far", "near")] {
        let faults = format!(
            "{{ flow = '{delayed}', direction = 'egress', delay = '30ms' }}, {{ flow = '{lost}', direction = 'egress', drop = 1.0 }}"
        );
        let report = run(&lab, delayed, &tables, &faults).expect(0);
        let of = |name: &str| report.flows.iter().find(|f| f.name == name).expect("a flow");
        assert!(
            of(delayed).egress.delayed > 0 && of(delayed).egress.dropped == 0,
            "{:#?}",
            report.flows
        );
        assert!(of(lost).egress.dropped > 0 && of(lost).egress.delayed == 0, "{:#?}", report.flows);
    }
    let outside = Netns::new();
    let faults = "{ flow = 'near', direction = 'egress', drop = 1.0 }, { flow = 'far', direction = 'egress', drop = 1.0 }";
    let text = format!(
        "schema = 1\nduration = '{}'\n{}[[step]]\nat = '100ms'\nfaults = [{faults}]\nfor = '{}'\n",
        stretched(8_000),
        tables.concat(),
        stretched(OUTAGE)
    );
    let report = started_in(&lab, &outside, "outside", &text).finish().expect(0);
    for name in ["near", "far"] {
        let flow = report.flows.iter().find(|f| f.name == name).expect("a flow");
        assert!(flow.egress.dropped > 0, "{:#?}", report.flows);
    }
    drop((near, far, outside));
    lab.close();
}

/// What opens and what is accepted later is each namespace's own, although the addresses are the same.
#[test]
fn what_opens_later_is_told_apart() {
    let lab = Lab::pair();
    let [near, far] = [(false, "near"), (true, "far")].map(|(far, name)| {
        let netns = if far { lab.far.as_ref().expect("a pair") } else { &lab.near };
        let (echo, port) = echo_at(&lab, netns, "127.0.0.1");
        let daemon = Daemon::start(&lab, far, name, &format!("connect 127.0.0.1 {port} 1"));
        daemon.of(1);
        daemon.order("go");
        (daemon, echo, port)
    });
    let apps = [("near", &near), ("far", &far)].map(|(name, (daemon, _, port))| {
        format!(
            "[[app]]\nname = '{name}'\npid = {}\n[[flow]]\nname = '{name}'\napp = '{name}'\n\
             remote = '127.0.0.1:{port}'\nexclude = {{ cookie = {} }}\n",
            daemon.process.pid(),
            daemon.of(1)[0].cookie
        )
    });
    let orders = ["near", "far"].map(|name| lab.file(&format!("{name}.orders")));
    let text = format!(
        "schema = 1\nduration = '{}'\n{}\
         [[step]]\nat = '0s'\nexec = ['sh', '-c', 'echo open >> {}; echo open >> {}']\n\
         [[step]]\nat = '{}'\nfaults = [{{ flow = 'far', drop = 1.0 }}]\nfor = '{}'\n",
        stretched(8_000),
        apps.concat(),
        orders[0],
        orders[1],
        stretched(400),
        stretched(OUTAGE)
    );
    let report = Run::start(&lab, "later", &text, &[]).finish().expect(0);
    for (name, (daemon, _, _)) in [("near", &near), ("far", &far)] {
        let told = daemon.of(2);
        let [open, later] = [0, 1].map(|i| flow(&report, told[i].cookie));
        assert!(!open.selected && open.egress.dropped == 0, "{open:#?}");
        assert_eq!((&*later.name, later.egress.dropped > 0), (name, name == "far"), "{later:#?}");
        assert!(later.opened_ms.is_some());
    }
    drop((near, far));
    lab.close();
}

#[test]
fn what_one_run_cannot_do_is_refused() {
    let lab = Lab::pair();
    let (near, far) = (Alone::start(&lab, false, "near"), Alone::start(&lab, true, "far"));
    let tables = [near.app("near"), far.app("far"), near.flow("near"), far.flow("far")];
    let faults = "{ flow = 'near', delay = '30ms' }, { flow = 'far', delay = '30ms' }";
    let finished = run(&lab, "lines", &tables, faults);
    assert_eq!(finished.code, 3, "{finished:#?}");
    assert!(finished.stderr.contains("a run has a delay line in one"), "{finished:#?}");
    let third = Netns::new();
    let sleeps = Process::start(command("sleep", "60"), &third, &lab.path().join("sleeps"));
    let app = format!("[[app]]\nname = 'third'\npid = {}\n", sleeps.pid());
    let finished = run(&lab, "three", &[tables.concat(), app], "{ flow = 'near', drop = 1.0 }");
    assert_eq!(finished.code, 3, "{finished:#?}");
    assert!(finished.stderr.contains("more than two network namespaces"), "{finished:#?}");
    drop((sleeps, third, near, far));
    lab.close();
}
