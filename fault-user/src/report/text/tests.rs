use super::*;
use crate::report::model::{FlowReport, RunResult};
use crate::report::sample;

/// Compares with tests/golden/NAME; FLOWFAULT_BLESS=1 rewrites the file instead.
#[track_caller]
fn golden(name: &str, actual: &str) {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/report").join(name);
    if std::env::var_os("FLOWFAULT_BLESS").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path)
        .unwrap_or_else(|e| panic!("{}: {e}; FLOWFAULT_BLESS=1 writes it", path.display()));
    assert!(actual == expected, "{name} differs (FLOWFAULT_BLESS=1 accepts it):\n{actual}");
}

fn plain(report: &Report) -> String {
    render(report, Style::default())
}

#[test]
fn a_failed_run_at_80_columns() {
    golden("outage.txt", &plain(&sample::outage()));
}

#[test]
fn a_failed_run_on_a_wide_terminal_in_colour() {
    golden("outage-wide.ansi", &render(&sample::outage(), Style { colour: true, width: 120 }));
}

#[test]
fn a_run_that_passed() {
    golden("quiet.txt", &plain(&sample::quiet()));
}

#[test]
fn no_line_ends_in_a_space_or_is_too_long() {
    for report in [sample::quiet(), sample::outage(), sample::hostile()] {
        for width in [40, 60, 80, 120, 200] {
            let text = render(&report, Style { colour: false, width });
            let replay = view::replay(&report);
            for line in text.lines().filter(|line| !line.ends_with(&replay)) {
                assert!(!line.ends_with(' '), "trailing space at {width}: {line:?}");
                assert!(line.chars().count() <= width, "too long for {width}: {line:?}");
            }
        }
    }
}

#[test]
fn colours_change_no_word() {
    let codes = regex::Regex::new("\x1b\\[[0-9;]*m").unwrap();
    for report in [sample::quiet(), sample::outage()] {
        let coloured = render(&report, Style { colour: true, width: 80 });
        assert_ne!(coloured, plain(&report));
        assert_eq!(codes.replace_all(&coloured, ""), plain(&report));
    }
}

#[test]
fn an_app_cannot_steer_the_terminal() {
    let text = plain(&sample::hostile());
    assert!(!text.contains(['\x1b', '\u{202e}']), "{text:?}");
}

#[test]
fn only_twenty_messages_get_a_line() {
    let mut report = sample::quiet();
    let send = |i: i32| sample::send(&format!("m{i}"), Verdict::Late, f64::from(i), "slow");
    report.sends = (0..23).map(send).collect();
    // Different ways, or they would share a line.
    (0..).zip(&mut report.sends).for_each(|(i, send)| send.via = vec![format!("flow-{i}")]);
    let text = plain(&report);
    assert!(text.contains("  m19  late  slow\n") && !text.contains("m20"), "{text}");
    assert!(text.contains("  ... and 3 more: see report.json\n"), "{text}");
    report.sends.truncate(20);
    assert!(!plain(&report).contains("more: see"));
}

#[test]
fn messages_that_fared_alike_share_a_line() {
    let mut report = sample::quiet();
    let send = |i, v| sample::send(&format!("m{i}"), v, f64::from(i), &format!("bytes {i}"));
    report.sends = (0..40).map(|i| send(i, Verdict::SilentLoss)).collect();
    report.sends.extend((40..42).map(|i| send(i, Verdict::Late)));
    let text = plain(&report);
    assert!(text.contains("  m0   silent_loss  bytes 0\n"), "{text}");
    assert!(text.contains("  m1 to m39: 39 more silent_loss, likewise\n"), "{text}");
    assert!(text.contains("  m41  late         bytes 41\n"), "{text}");
    assert!(!text.contains("more: see"), "{text}");
}

#[test]
fn sends_without_id_are_only_counted() {
    let text = plain(&sample::outage());
    assert!(text.contains("3 unlogged"), "{text}");
    assert_eq!(text.matches("unlogged").count(), 1, "{text}");
}

fn with_bystanders(n: u16) -> Report {
    let mut report = sample::quiet();
    let bystander = |i| FlowReport {
        selected: false,
        ..sample::flow(&format!("sender/{i}"), 50_000 + i, [2, 0], [1, 0])
    };
    report.flows.extend((1..=n).map(bystander));
    report
}

#[test]
fn many_bystanders_share_a_line() {
    let few = plain(&with_bystanders(5));
    assert_eq!(few.matches("bystander: ").count(), 5, "{few}");
    let many = plain(&with_bystanders(6));
    assert!(many.contains("  6 bystanders, none of them touched: 18 packets\n"), "{many}");
    assert!(!many.contains("sender/1"), "{many}");
}

#[test]
fn a_touched_bystander_is_never_hidden() {
    let mut report = with_bystanders(9);
    report.flows[4].ingress.dropped = 1;
    let text = plain(&report);
    assert!(text.contains("BYSTANDER, YET TOUCHED") && text.contains("sender/4"), "{text}");
    assert!(text.contains("8 bystanders, none of them touched"), "{text}");
}

#[test]
fn an_error_says_why_in_the_second_line() {
    let mut report = sample::quiet();
    report.result = RunResult::Error;
    report.warnings = vec!["flow \"chat\" never appeared within 30 s".to_owned()];
    assert!(
        plain(&report)
            .starts_with("ERROR  all is well (2.0 s)\n       flow \"chat\" never appeared")
    );
}

#[test]
fn long_words_are_cut_and_others_kept_whole() {
    assert_eq!(page::wrap("ab cd  efghijk l", 4), ["ab", "cd", "efgh", "ijk", "l"]);
    assert_eq!(page::wrap("ab cd", 5), ["ab cd"]);
    assert_eq!(page::wrap("", 5), [""]);
}
