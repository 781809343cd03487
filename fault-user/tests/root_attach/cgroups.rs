//! Of the processes of one app, those in a cgroup.

use crate::cgroup::Cgroup;
use crate::daemon::{Daemon, echo};
use crate::support::run::Run;
use crate::support::{Lab, stretched};

/// Two workers of a service, each with an open connection to one port and one that it opens later: of the worker in one
/// cgroup both go dark, of the other none, though they differ in nothing else.
#[test]
fn sockets_of_the_worker_in_one_cgroup_go_dark() {
    let lab = Lab::pair();
    let (echo, port) = echo(&lab);
    let arguments = format!("connect 10.77.0.2 {port} 1");
    let [lit, dark] = ["one", "two"].map(|name| Daemon::start(&lab, false, name, &arguments));
    let (lit_pid, dark_pid) = (lit.process.pid(), dark.process.pid());
    let service = format!("ffe2e-{lit_pid}.service");
    // In this order, so that those below go first.
    let above = Cgroup::with(lit_pid, &service);
    let cgroups = [
        Cgroup::with(lit_pid, &format!("{service}/one")),
        Cgroup::with(dark_pid, &format!("{service}/two-{dark_pid}")),
    ];
    for (name, cgroup) in
        [("path", format!("/{service}/two-{dark_pid}")), ("name", format!("two-{dark_pid}"))]
    {
        let before = [lit.quiet(), dark.quiet()];
        let orders = ["one", "two"].map(|name| lab.file(&format!("{name}.orders")));
        let tell = |word: &str| {
            format!(
                "exec = ['sh', '-c', 'echo {word} >> {}; echo {word} >> {}']",
                orders[0], orders[1]
            )
        };
        let text = format!(
            "schema = 1\nduration = '{}'\n[[app]]\nname = 'service'\ncgroup = '/{service}'\n\
             [[flow]]\nname = 'dark'\nremote = '10.77.0.2:{port}'\ncgroup = '{cgroup}'\nmax_flows = 8\n\
             [[step]]\nat = '0s'\n{}\n\
             [[step]]\nname = 'outage'\nat = '{}'\n\
             faults = [{{ flow = 'dark', direction = 'egress', drop = 1.0 }}]\nfor = '{}'\n\
             [[step]]\nafter = {{ step = 'outage', plus = '0s' }}\n{}\n",
            stretched(8_000),
            tell("open"),
            stretched(300),
            stretched(300),
            tell("go"),
        );
        let report = Run::start(&lab, name, &text, &[]).finish().expect(0);
        let [lit_now, dark_now] = [&lit, &dark].map(|daemon| daemon.of(before[0].len() + 1));
        for told in &dark_now {
            let flow = crate::flow(&report, told.cookie);
            assert_eq!(&*flow.name, "dark", "{:#?}", report.flows);
            assert!(flow.egress.dropped > 0, "{flow:#?}");
        }
        for told in &lit_now {
            let flow = crate::flow(&report, told.cookie);
            assert!(!flow.selected, "{flow:#?}");
            assert_eq!((flow.egress.dropped, flow.ingress.dropped), (0, 0), "{flow:#?}");
        }
        // The one that was opened under observation says so.
        assert!(dark_now.iter().any(|t| crate::flow(&report, t.cookie).opened_ms.is_some()));
        let again = lit.quiet();
        assert!(again.iter().all(|told| told.retransmits == 0), "{again:?}");
    }
    drop((lit, dark, echo));
    drop(cgroups);
    drop(above);
    lab.close();
}

/// Of a flow or of an app, missing or twice: the scenario is wrong for this machine, and nothing has begun.
#[test]
fn a_cgroup_that_is_not_one_is_bad_usage() {
    let lab = Lab::pair();
    let (echo, port) = echo(&lab);
    let daemon = Daemon::start(&lab, false, "daemon", &format!("connect 10.77.0.2 {port} 1"));
    daemon.of(1);
    let pid = daemon.process.pid();
    let (one, two) = (format!("ffe2e-a-{pid}"), format!("ffe2e-b-{pid}"));
    let name = format!("ffe2e-twice-{pid}.service");
    // In this order, so that those below go first.
    let above = [&one, &two].map(|above| Cgroup::with(pid, above));
    let below = [&one, &two].map(|above| Cgroup::with(pid, &format!("{above}/{name}")));
    let app = format!("pid = {pid}");
    let nobody = "cgroup = 'ffe2e-nobody.service'";
    let twice = format!("cgroup = '{name}'");
    for (case, app, flow, words) in [
        ("flow-none", &*app, nobody, "flow `dark`: there is no cgroup"),
        ("flow-twice", &app, &twice, "flow `dark`: there are 2 cgroups"),
        ("app-none", nobody, "local = ':1'", "app `daemon`: there is no cgroup"),
        ("app-twice", &twice, "local = ':1'", "app `daemon`: there are 2 cgroups"),
    ] {
        let finished = crate::run(&lab, case, app, flow);
        assert_eq!(finished.code, 2, "{case}: {finished:#?}");
        assert!(finished.stderr.contains(words), "{case}: {finished:#?}");
    }
    drop((daemon, echo));
    drop(below);
    drop(above);
    lab.close();
}
