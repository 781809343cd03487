//! The reference scenario, its timeline, defaults and overrides.

mod golden;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fault_user::scenario::model::*;
use fault_user::scenario::{explain, load, parse};
use proptest::prelude::*;

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

/// The one error that `overrides` must cause.
fn refused(overrides: &[&str]) -> String {
    match read(MINIMAL, overrides) {
        Ok(_) => panic!("{overrides:?} was accepted"),
        Err(text) => text,
    }
}

#[test]
fn the_reference_is_valid_and_explained() {
    let scenario = load(&example_path(), &[]).unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(scenario.apps.len(), 3);
    assert!(scenario.apps[0].cwd.is_absolute());
    let golden = example_path().with_extension("explained");
    if let Some(difference) = golden::difference(&golden, &explain(&scenario)) {
        panic!("{difference}");
    }
}

#[test]
fn the_smallest_scenario_has_the_defaults() {
    let scenario = read(MINIMAL, &[]).unwrap();
    assert_eq!(
        scenario.name, "test",
        "the file's name without its extension"
    );
    assert_eq!((scenario.seed, scenario.duration), (None, None));
    let app = &scenario.apps[0];
    assert_eq!(app.cwd, Path::new("/base"));
    assert_eq!(app.grace, Duration::from_secs(5));
    assert!(app.main && app.autostart && app.ready.is_none());
    let flow = &scenario.flows[0];
    assert_eq!(flow.app, Some(AppId(0)), "the only app");
    assert_eq!((flow.max_flows, flow.follow), (1, false));
    assert_eq!(flow.within, Duration::from_secs(30));
    let ip = Host::Ip(Ipv4Addr::LOCALHOST.into());
    assert_eq!(flow.remote, Some(Remote { host: ip, port: 80 }));
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
        read(&text, &[])
            .unwrap()
            .apps
            .iter()
            .map(|a| a.main)
            .collect()
    };
    assert_eq!(
        mains(format!("schema = 1\n{}{}", app("a"), app("b"))),
        [true, true]
    );
    assert_eq!(
        mains(format!("schema = 1\n{}{outcomes}{}", app("a"), app("b"))),
        [true, false]
    );
    let given = format!(
        "schema = 1\n{}{outcomes}{}main = true\n",
        app("a"),
        app("b")
    );
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
fn overrides_change_values_by_name_and_by_number() {
    let scenario = read(
        MINIMAL,
        &[
            "duration=10s",
            "seed=18446744073709551615",
            "flow.upstream.nth=1",
            "step.0.at=6s",
            "step.step-1.faults.0.drop={ every = 3 }",
            "app.sender.env.RUST_LOG=debug",
            "name=\"quoted = fine\"",
        ],
    )
    .unwrap();
    assert_eq!(scenario.duration, Some(Duration::from_secs(10)));
    assert_eq!(scenario.seed, Some(u64::MAX));
    assert_eq!(scenario.flows[0].nth, Some(1));
    assert_eq!(
        scenario.steps[0].trigger,
        Trigger::At(Duration::from_secs(6))
    );
    assert_eq!(
        scenario.steps[0].faults[0].fault,
        Fault::Drop(Loss::Every(3))
    );
    assert_eq!(scenario.apps[0].env["RUST_LOG"], "debug");
    assert_eq!(scenario.name, "quoted = fine");
}

#[test]
fn later_overrides_win_and_quotes_keep_dots_together() {
    let text = MINIMAL.replace("\"upstream\"", "\"up.stream\"");
    let scenario = read(&text, &["flow.\"up.stream\".nth=1", "flow.0.nth=2"]).unwrap();
    assert_eq!(scenario.flows[0].nth, Some(2));
}

#[test]
fn an_override_mends_what_is_wrong_in_the_file() {
    let text = MINIMAL.replace("at = \"5s\"", "at = 5s");
    assert!(read(&text, &[]).is_err());
    // The syntax error stays: the file would not work without the override.
    let errors = read(&text, &["step.0.at=7s"]).unwrap_err();
    assert!(
        errors.contains("1 error") && errors.contains("must be quoted"),
        "{errors}"
    );
    let text = MINIMAL.replace("at = \"5s\"", "at = 5");
    assert!(read(&text, &["step.0.at=7s"]).is_ok());
}

#[test]
fn a_wrong_override_is_shown_itself() {
    let text = refused(&["flow.upstream.nth=two"]);
    assert!(text.contains(" --> --set:1:19\n"), "{text}");
    assert!(text.contains("1 | flow.upstream.nth=two\n"), "{text}");
    assert!(text.contains("`nth` must be a whole number"), "{text}");
    for (change, message) in [
        ("duration", "has no `=`"),
        ("=5", "part of the path is empty"),
        ("flow..nth=1", "part of the path is empty"),
        ("flow.\"up.nth=1", "the quote is not closed"),
        ("flow.upstraem.nth=1", "did you mean `upstream`?"),
        (
            "flow.7.nth=1",
            "`flow` has the entries 0 to 0, named upstream",
        ),
        ("flow.upstream.nht=1", "unknown key `nht`"),
        ("flow.upstream.remote.port=1", "nothing is inside it"),
        ("expect.0.at_most=1", "the scenario has no [[expect]]"),
        ("durration.x=10s", "unknown key `durration`"),
    ] {
        let text = refused(&[change]);
        assert!(text.contains(message), "{change}: {text}");
        assert!(text.contains("test.toml: 1 error\n"), "{change}: {text}");
    }
}

#[test]
fn expectations_say_what_they_mean() {
    let scenario = load(&example_path(), &[]).unwrap_or_else(|e| panic!("{e:?}"));
    let texts: Vec<_> = scenario.expects.iter().map(|e| e.text.as_str()).collect();
    assert!(
        texts.contains(&"verdict silent_loss of app sender at most 0"),
        "{texts:#?}"
    );
    let closed = "flow unidentified closed within 110s of step outage";
    assert!(texts.contains(&closed), "{texts:#?}");
}

/// A short text to put into a scenario, of characters that mean something there.
fn snippet() -> impl Strategy<Value = String> {
    "[\\[\\]{}=\"',.#\n a-z0-9é\\-]{0,6}"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_damaged_scenario_is_refused_or_read_but_never_panics(
        cuts in prop::collection::vec((0..20_000_usize, 0..40_usize, snippet()), 1..4),
    ) {
        let mut text = std::fs::read_to_string(example_path()).unwrap();
        for (at, length, insert) in cuts {
            let start = text.floor_char_boundary(at % text.len());
            let end = text.ceil_char_boundary((start + length).min(text.len()));
            text.replace_range(start..end, &insert);
        }
        if let Err(errors) = parse("x.toml", &text, Path::new("/base"), &[]) {
            prop_assert!(!errors.problems().is_empty());
            let plain = errors.plain();
            prop_assert!(plain.contains("x.toml:"), "{}", plain);
            prop_assert!(errors.graphical(100, true).is_ok());
        }
    }

    #[test]
    fn a_scenario_without_one_of_its_lines_never_panics(line in 0..300_usize) {
        let text = std::fs::read_to_string(example_path()).unwrap();
        let count = text.lines().count();
        let kept: Vec<_> =
            text.lines().enumerate().filter(|(i, _)| *i != line % count).map(|(_, l)| l).collect();
        let _ = parse("x.toml", &kept.join("\n"), Path::new("/base"), &[]);
    }

    #[test]
    fn no_override_panics(change in "[a-z0-9.=\"é{}\\[\\]]{0,24}") {
        let _ = parse("x.toml", MINIMAL, Path::new("/base"), &[change]);
    }
}
