//! `--set path=value`: what it changes, and how a wrong one is shown.

use std::path::Path;
use std::time::Duration;

use fault_user::scenario::model::*;
use fault_user::scenario::parse;

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
    assert_eq!(scenario.steps[0].trigger, Trigger::At(Duration::from_secs(6)));
    assert_eq!(scenario.steps[0].faults[0].fault, Fault::Drop(Loss::Every(3)));
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
    assert!(errors.contains("1 error") && errors.contains("must be quoted"), "{errors}");
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
        ("flow.7.nth=1", "`flow` has the entries 0 to 0, named upstream"),
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
