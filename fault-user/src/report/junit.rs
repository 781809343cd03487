//! junit.xml, for CI systems: one test case for the run itself, one for each expectation.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::model::{ExpectationReport, Report, RunResult};
use super::{text, view, words};

/// The XML document. The summary for terminals goes along as the suite's output.
///
/// # Errors
/// None for a report that a run made: characters that XML cannot hold are shown escaped.
pub fn render(report: &Report) -> Result<String, SerializeError> {
    let mut suite = TestSuite::new(words::visible(&report.name));
    suite.set_time(duration(report.duration_ms));
    // A start that does not parse is left out: the attribute is optional, a wrong one misleads.
    suite.timestamp = report.started.parse().ok();
    suite.add_property(Property::new("seed", report.seed.to_string()));
    suite.add_property(Property::new("kernel", words::visible(&report.kernel)));
    suite.add_property(Property::new("replay", view::replay(report)));
    suite.add_test_case(run_case(report));
    suite.add_test_cases(report.expectations.iter().map(expectation_case));
    suite.set_system_out(text::render(report, text::Style::default()));
    let mut document = quick_junit::Report::new("flowfault");
    document.set_time(duration(report.duration_ms));
    document.timestamp = suite.timestamp;
    document.add_test_suite(suite);
    document.to_string()
}

/// Failed expectations do not fail this one: it says whether the run is worth believing.
fn run_case(report: &Report) -> TestCase {
    let status = match report.result {
        RunResult::Passed | RunResult::Failed => TestCaseStatus::success(),
        RunResult::Error | RunResult::Interrupted => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_message(view::reason(report));
            status.set_type(view::result_word(report.result).to_lowercase());
            let warnings: Vec<String> = report.warnings.iter().map(|w| words::visible(w)).collect();
            status.set_description(warnings.join("\n"));
            status
        }
    };
    let mut case = TestCase::new("the run itself", status);
    case.set_classname(words::visible(&report.name));
    case.set_time(duration(report.duration_ms));
    case
}

fn expectation_case(expectation: &ExpectationReport) -> TestCase {
    let text = words::visible(&expectation.text);
    let observed = words::visible(&expectation.observed);
    let mut case = if expectation.held {
        let mut case = TestCase::new(text, TestCaseStatus::success());
        case.set_system_out(format!("observed: {observed}"));
        case
    } else {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_message(format!("observed: {observed}"));
        status.set_type("expectation");
        status.set_description(format!("expected: {text}\nobserved: {observed}"));
        TestCase::new(text, status)
    };
    case.set_classname("expectations");
    case
}

fn duration(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn xml(report: &Report) -> String {
        render(report).unwrap()
    }

    #[test]
    fn a_failed_expectation_is_a_failure_and_the_run_is_not() {
        let text = xml(&sample::outage());
        assert!(text.contains("tests=\"3\" skipped=\"0\" errors=\"0\" failures=\"1\""), "{text}");
        assert!(text.contains("<failure message=\"observed: 3 of 12 sends silent_loss"), "{text}");
        assert!(text.contains("timestamp=\"2026-11-21T08:00:00.000+00:00\""), "{text}");
    }

    #[test]
    fn a_run_that_held_has_no_failures() {
        let text = xml(&sample::quiet());
        assert!(text.contains("tests=\"2\" skipped=\"0\" errors=\"0\" failures=\"0\""), "{text}");
        assert!(!text.contains("<failure") && !text.contains("<error"), "{text}");
    }

    #[test]
    fn a_failed_or_stopped_run_is_an_error_with_its_reason() {
        for (result, kind) in [(RunResult::Error, "error"), (RunResult::Interrupted, "interrupted")]
        {
            let mut report = sample::quiet();
            report.result = result;
            report.warnings = vec!["the flow never appeared".to_owned()];
            let text = xml(&report);
            assert!(text.contains("errors=\"1\" failures=\"0\""), "{text}");
            assert!(text.contains(&format!("type=\"{kind}\"")), "{text}");
            assert!(text.contains("the flow never appeared"), "{text}");
        }
    }

    #[test]
    fn hostile_text_stays_text() {
        let text = xml(&sample::hostile());
        assert!(
            !text.contains("<script") && !text.contains('\x1b') && !text.contains('\u{202e}'),
            "{text}"
        );
        assert!(text.contains("&lt;script&gt;"));
    }
}
