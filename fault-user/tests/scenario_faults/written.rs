//! What is written for reports is what the file may say.

use fault_user::plan::compile;
use fault_user::scenario::model::*;
use fault_user::scenario::{explain, written};
use proptest::prelude::*;

use crate::generate::any_spec;
use crate::{scenario, spec};

proptest! {
    #[test]
    fn what_is_written_reads_back_the_same(spec in any_spec()) {
        // The longest hold, or a rate of little use would have no room for its queue.
        let text = written(&spec);
        let read = scenario("line = { hold = '16GiB' }", "tcp", &text);
        let drained = matches!(&read, Err(e) if e.contains("to drain"));
        prop_assume!(!drained);
        match read {
            Ok(scenario) => prop_assert_eq!(&scenario.steps[0].faults[0], &spec, "{}", text),
            Err(error) => prop_assert!(false, "{}\n{}", text, error),
        }
    }

    #[test]
    fn every_fault_is_explained_and_the_plan_agrees_on_who_judges(spec in any_spec()) {
        let scenario = match scenario("", "tcp", &written(&spec)) {
            Ok(scenario) => scenario,
            Err(error) => return Err(TestCaseError::fail(error)),
        };
        let text = explain(&scenario);
        let plan = compile(&scenario, 1).unwrap();
        let via = spec.via(Backend::Auto);
        for rule in &plan.rules {
            prop_assert_eq!(rule.via(), via);
        }
        let suffix = match via {
            Some(Via::Line) => " [line]\n",
            Some(Via::Hook) => " [hook]\n",
            None => "\n",
        };
        let line = text.lines().find(|l| l.contains("arms on f")).unwrap_or_default();
        prop_assert!(format!("{line}\n").ends_with(suffix), "{}", text);
        prop_assert_eq!(text.contains("not needed"), via != Some(Via::Line));
    }
}

#[test]
fn written_traces_and_tables_read_back_the_same() {
    let texts = [
        "trace = { file = \"tables/tunnel.mahimahi\", format = \"mahimahi\" }",
        "trace = { file = \"tables/tunnel.mahimahi\", format = \"mahimahi\", queue = \"2MiB\" }",
        "trace = { file = \"tables/handover.csv\", format = \"csv\" }",
        "delay = { mean = \"1s\", jitter = \"2ms\", distribution = { file = \"tables/long-tail.dist\" } }",
    ];
    for text in texts {
        assert_eq!(written(&spec(text)), text);
    }
}
