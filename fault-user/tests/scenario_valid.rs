//! The reference scenario, timelines and defaults.

mod golden;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fault_user::scenario::model::*;
use fault_user::scenario::{explain, load, parse};

const MINIMAL: &str = r#"
schema = 1
[[app]]
name = "sender"
command = ["./sender"]
[[flow]]
name = "upstream"
remote = "127.0.0.1:80"
[[step]]
at = "5s"
faults = [{ flow = "upstream", drop = 1.0 }]
"#;

fn example_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/example.toml")
}

fn read(text: &str, overrides: &[&str]) -> Result<Scenario, String> {
    let overrides: Vec<String> = overrides.iter().map(|&o| o.to_owned()).collect();
    parse("dir/test.toml", text, Path::new("/base"), &overrides).map_err(|e| e.plain())
}

#[test]
fn the_reference_is_valid_and_explained() {
    let scenario = load(&example_path(), &[]).unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(scenario.apps.len(), 4);
    assert!(scenario.apps[0].cwd.is_absolute());
    let golden = example_path().with_extension("explained");
    if let Some(difference) = golden::difference(&golden, &explain(&scenario)) {
        panic!("{difference}");
    }
}

/// The example of the format's definition, as it stands there.
const CONTRACT: &str = r#"
schema = 1
name = "the unidentified websocket dies silently"
seed = 7
duration = "3m"
[[app]]
name = "sender"
command = ["target/debug/examples/messenger", "send-loop", "--count", "20"]
env = { RUST_LOG = "info" }
ready = { log = "connected" }
[app.outcomes]
from = "stdout"
format = "json"
id = "id"
status = "status"
ok = ["ok", "sent"]
failed = ["error", "timeout"]
elapsed_ms = "elapsed_ms"
[[flow]]
name = "unidentified"
app = "sender"
remote = "chat.example:443"
nth = 2
[[step]]
at = "10s"
name = "outage"
faults = [
  { flow = "unidentified", direction = "both", drop = 1.0 },
]
for = "150s"
[[step]]
at = "170s"
name = "recovery"
clear = true
exec = ["./send-one.sh", "hello"]
[[expect]]
verdict = "silent_loss"
app = "sender"
at_most = 0
[[expect]]
flow = "unidentified"
closed_within = "110s"
of_step = "outage"
[[expect]]
log = "hello"
app = "receiver"
within = "10s"
of_step = "recovery"
"#;

#[test]
fn the_example_of_the_format_needs_the_receiver_that_it_names() {
    let errors = read(CONTRACT, &[]).unwrap_err();
    assert!(errors.contains("no app is named \"receiver\""), "{errors}");
    assert!(errors.ends_with("test.toml: 1 error\n"), "{errors}");
    let receiver = "[[app]]\nname = \"receiver\"\ncommand = [\"./receiver\"]\n";
    let scenario = read(&format!("{CONTRACT}{receiver}"), &[]).unwrap();
    assert_eq!((scenario.steps.len(), scenario.expects.len()), (2, 3));
    assert_eq!(scenario.apps[0].ready.as_ref().unwrap().within, Duration::from_secs(30));
}

#[test]
fn the_smallest_scenario_has_the_defaults() {
    let scenario = read(MINIMAL, &[]).unwrap();
    assert_eq!(scenario.name, "test", "the file's name without its extension");
    assert_eq!((scenario.seed, scenario.duration), (None, None));
    let app = &scenario.apps[0];
    assert_eq!(app.cwd, Path::new("/base"));
    assert_eq!(app.grace, Duration::from_secs(5));
    assert!(app.main && app.autostart && app.ready.is_none());
    let flow = &scenario.flows[0];
    assert_eq!(flow.app, Some(AppId(0)), "the only app");
    assert_eq!((flow.max_flows, flow.follow), (1, false));
    assert_eq!(flow.within, Duration::from_secs(30));
    let host = Host::Net(Net::host(Ipv4Addr::LOCALHOST.into()));
    assert_eq!(flow.remote, Some(Remote { host, ports: Ports::one(80) }));
    let step = &scenario.steps[0];
    assert_eq!(step.name, "step-1");
    assert_eq!(step.faults[0].direction, DirectionSpec::Both);
    assert!(!step.faults[0].may_miss);
}

#[test]
fn with_several_apps_a_flow_is_any_apps() {
    let text = format!("{MINIMAL}[[app]]\nname = \"b\"\ncommand = [\"./b\"]\n");
    assert_eq!(read(&text, &[]).unwrap().flows[0].app, None);
}

#[test]
fn main_is_by_default_who_has_outcomes() {
    let app = |name: &str| format!("[[app]]\nname = \"{name}\"\ncommand = [\"./x\"]\n");
    let outcomes = "[app.outcomes]\nid = \"id\"\nstatus = \"s\"\nok = [\"ok\"]\n";
    let mains = |text: String| -> Vec<bool> {
        read(&text, &[]).unwrap().apps.iter().map(|a| a.main).collect()
    };
    assert_eq!(mains(format!("schema = 1\n{}{}", app("a"), app("b"))), [true, true]);
    assert_eq!(mains(format!("schema = 1\n{}{outcomes}{}", app("a"), app("b"))), [true, false]);
    let given = format!("schema = 1\n{}{outcomes}{}main = true\n", app("a"), app("b"));
    assert_eq!(mains(given), [true, true]);
    // Outcomes of an app that starts later do not make the others secondary.
    let later = format!(
        "schema = 1\n{}{}autostart = false\n{outcomes}[[step]]\nat = \"1s\"\nstart = \"b\"\n",
        app("a"),
        app("b")
    );
    assert_eq!(mains(later), [true, false]);
}

#[test]
fn expectations_say_what_they_mean() {
    let scenario = load(&example_path(), &[]).unwrap_or_else(|e| panic!("{e:?}"));
    let texts: Vec<_> = scenario.expects.iter().map(|e| e.text.as_str()).collect();
    assert!(texts.contains(&"verdict silent_loss of app sender at most 0"), "{texts:#?}");
    let closed = "flow unidentified closed within 110s of step outage";
    assert!(texts.contains(&closed), "{texts:#?}");
}

#[test]
fn what_is_not_exact_and_what_is_cut_off_is_explained() {
    let text = r#"
schema = 1
name = "the unidentified websocket dies silently"
duration = "3m"
[[app]]
name = "sender"
command = ["messenger", "send-loop"]
[app.outcomes]
id = "id"
status = "status"
ok = ["ok", "sent"]
[[app]]
name = "receiver"
command = ["messenger", "receive"]
[[flow]]
name = "unidentified"
app = "sender"
opened_after = { log = "creating (un)?identified" }
[[flow]]
name = "piped"
app = "receiver"
opened_after = { log = "plain text" }
[[step]]
after = { flow = "unidentified", state = "opened" }
faults = [{ flow = "unidentified", drop = 0.25 }]
for = "5s"
[[step]]
at = "2m"
name = "late"
faults = [{ flow = "piped", direction = "ingress", drop = { first = 1 } }]
for = "2m"
[[expect]]
log = "bye"
of_step = "late"
[[expect]]
delivered_ratio = true
at_least = 0.5
at_most = 0.5
"#;
    let scenario = read(text, &["app.receiver.stdio=pipe"]).unwrap_or_else(|e| panic!("{e}"));
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/inexact.explained");
    if let Some(difference) = golden::difference(&golden, &explain(&scenario)) {
        panic!("{difference}");
    }
}
