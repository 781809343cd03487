use std::time::Duration;

use ::regex::Regex;

use super::*;
use crate::clock::{History, Reading};
use crate::scenario::model::{
    OutcomeFields, OutcomeFormat, OutcomeSource, OutcomeTiming, Outcomes, Pattern,
};

const MS: u64 = 1_000_000;
const WRITTEN: u64 = 5_000 * MS;
const START: u64 = 1_000 * MS;
/// Wall clock minus monotonic clock: the machine started at this moment.
const OFFSET: i64 = 1_700_000_000 * 1_000_000_000;

fn fields(bytes: Option<&str>) -> OutcomeFields {
    let owned = |s: &str| s.to_owned();
    OutcomeFields {
        id: owned("msg.id"),
        status: owned("status"),
        bytes: bytes.map(owned),
        retry_of: Some(owned("again")),
    }
}

fn parser(format: OutcomeFormat, timing: OutcomeTiming) -> OutcomeParser {
    let spec = Outcomes {
        from: OutcomeSource::Stdout,
        format,
        ok: vec!["ok".into(), "200".into(), "true".into()],
        failed: vec!["error".into()],
        timing,
    };
    OutcomeParser::new(3, &spec, START, History::new(Reading { monotonic: START, offset: OFFSET }))
}

fn elapsed() -> OutcomeTiming {
    OutcomeTiming::ElapsedMs("ms".into())
}

fn json(line: &str, timing: OutcomeTiming) -> Parsed {
    parser(OutcomeFormat::Json(fields(Some("bytes"))), timing).parse(line.as_bytes(), WRITTEN)
}

#[test]
fn a_json_line_with_elapsed_time() {
    let line = r#"{"msg":{"id":"m-1"},"status":"ok","ms":12.5,"bytes":40}"#;
    let want = AppMessage {
        app: 3,
        id: "m-1".into(),
        outcome: Outcome::Ok,
        raw_status: "ok".into(),
        t0: WRITTEN - 12_500_000,
        t1: WRITTEN,
        bytes: Some(40),
        timing_given: true,
        resolution: 0,
        retry_of: None,
    };
    assert_eq!(json(line, elapsed()), Parsed { message: Some(want), warning: None });
}

#[test]
fn ids_and_statuses_may_be_numbers_and_keys_may_hold_dots() {
    let p = json(r#"{"msg.id":18446744073709551615,"status":200,"ms":3,"bytes":"7"}"#, elapsed());
    let m = p.message.unwrap();
    assert_eq!((m.id.as_str(), m.outcome, m.bytes), ("18446744073709551615", Outcome::Ok, Some(7)));
    assert_eq!((m.t0, m.resolution), (WRITTEN - 3 * MS, MS), "whole milliseconds are rounded ones");
    let p = json(r#"{"msg":{"id":7},"status":true,"ms":0,"bytes":1}"#, elapsed());
    assert_eq!(p.message.map(|m| (m.id, m.outcome)), Some(("7".into(), Outcome::Ok)));
}

#[test]
fn fields_of_nested_objects_and_of_lists_are_found() {
    let line = r#"{"msg":{"id":[{"id":"m-1"}]},"status":"ok","a":[[3,4]]}"#;
    let timing = OutcomeTiming::ElapsedMs("a.0.1".into());
    let names = OutcomeFields {
        id: "msg.id.0.id".into(),
        status: "status".into(),
        bytes: None,
        retry_of: None,
    };
    let mut parser = parser(OutcomeFormat::Json(names), timing);
    let m = parser.parse(line.as_bytes(), WRITTEN).message.unwrap();
    assert_eq!((m.id.as_str(), m.t0), ("m-1", WRITTEN - 4 * MS));
    for path in ["msg.id.1.id", "msg.id.x.id", "msg.id.0"] {
        let names =
            OutcomeFields { id: path.into(), status: "status".into(), bytes: None, retry_of: None };
        let mut parser = self::parser(OutcomeFormat::Json(names), OutcomeTiming::LineOnly);
        assert_eq!(parser.parse(line.as_bytes(), WRITTEN), Parsed::default(), "{path}");
    }
}

#[test]
fn lines_that_are_no_outcomes_are_nothing() {
    for line in [
        "",
        "plain text",
        "{ not json",
        "[1]",
        r#"{"status":"ok","ms":1}"#,
        r#"{"msg":{"id":null}}"#,
    ] {
        assert_eq!(json(line, elapsed()), Parsed::default(), "{line}");
    }
}

#[test]
fn an_outcome_that_cannot_be_used_is_a_warning() {
    let warn = |line: &str| {
        let p = json(line, elapsed());
        assert_eq!(p.message, None, "{line}");
        p.warning.unwrap()
    };
    let missing = |field: &str| OutcomeWarning::Missing { id: "1".into(), field: field.into() };
    assert_eq!(warn(r#"{"msg":{"id":1},"ms":1}"#), missing("status"));
    assert_eq!(warn(r#"{"msg":{"id":1},"status":{},"ms":1}"#), missing("status"));
    assert_eq!(warn(r#"{"msg":{"id":1},"status":"ok"}"#), missing("ms"));
    for ms in ["-1", "\"soon\"", "true", "\"NaN\""] {
        let line = format!(r#"{{"msg":{{"id":1}},"status":"ok","ms":{ms}}}"#);
        assert!(matches!(warn(&line), OutcomeWarning::Bad { field, .. } if field == "ms"), "{ms}");
    }
}

#[test]
fn a_retry_names_what_it_repeats() {
    let retry = |again: &str| {
        let line = format!(r#"{{"msg":{{"id":"b"}},"status":"ok","ms":1,"bytes":1{again}}}"#);
        let p = json(&line, elapsed());
        assert_eq!(p.warning, None);
        p.message.unwrap().retry_of
    };
    assert_eq!(retry(r#","again":"a""#).as_deref(), Some("a"));
    assert_eq!(retry(r#","again":7"#).as_deref(), Some("7"));
    for none in ["", r#","again":null"#, r#","again":"""#, r#","again":"b""#] {
        assert_eq!(retry(none), None, "{none}: a first try, or itself");
    }
}

#[test]
fn a_field_that_is_missing_is_told_once() {
    let mut parser = parser(OutcomeFormat::Json(fields(None)), elapsed());
    let mut warns = |line: &str| parser.parse(line.as_bytes(), WRITTEN).warning.is_some();
    let lines =
        [r#"{"msg":{"id":1},"ms":1}"#, r#"{"msg":{"id":2}}"#, r#"{"msg":{"id":1},"status":"ok"}"#];
    assert_eq!(lines.map(&mut warns), [true, false, true]);
    assert!(
        warns(r#"{"msg":{"id":1},"status":"ok","ms":"x"}"#)
            && warns(r#"{"msg":{"id":2},"status":"ok","ms":"x"}"#)
    );
}

#[test]
fn a_bad_size_keeps_the_message() {
    for bytes in ["-1", "1.5", "\"x\""] {
        let p = json(
            &format!(r#"{{"msg":{{"id":1}},"status":"ok","ms":1,"bytes":{bytes}}}"#),
            elapsed(),
        );
        assert_eq!(p.message.unwrap().bytes, None);
        assert!(matches!(p.warning, Some(OutcomeWarning::Bad { .. })), "{bytes}");
    }
    let p = json(r#"{"msg":{"id":1},"status":"ok","ms":1}"#, elapsed());
    assert!(p.message.is_some() && matches!(p.warning, Some(OutcomeWarning::Missing { .. })));
}

#[test]
fn an_unknown_status_counts_as_none_and_warns_once() {
    let mut parser = parser(OutcomeFormat::Json(fields(None)), elapsed());
    let mut say = |status: &str| {
        let line = format!(r#"{{"msg":{{"id":1}},"status":"{status}","ms":1}}"#);
        let p = parser.parse(line.as_bytes(), WRITTEN);
        (p.message.unwrap().outcome, p.warning.is_some())
    };
    assert_eq!(say("queued"), (Outcome::None, true));
    assert_eq!(say("queued"), (Outcome::None, false));
    assert_eq!(say("dunno"), (Outcome::None, true));
    assert_eq!(say("error"), (Outcome::Failed, false));
}

#[test]
fn stamps_are_mapped_to_the_monotonic_clock() {
    let timing = || OutcomeTiming::Stamps { started: "a".into(), finished: Some("b".into()) };
    let with = |a: &str, b: &str| {
        let line = format!(r#"{{"msg":{{"id":1}},"status":"ok","bytes":1,"a":{a},"b":{b}}}"#);
        let p = json(&line, timing());
        p.message.map(|m| (m.t0, m.t1, m.resolution)).ok_or_else(|| p.warning.unwrap())
    };
    let s = |n: u64| n * 1_000 * MS;
    assert_eq!(with("1700000002", "1700000003"), Ok((s(2), s(3), s(1))));
    assert_eq!(with("1700000002000", "1700000002500"), Ok((s(2), s(2) + 500 * MS, MS)));
    let (t0, _, resolution) = with("1700000002.25", "1700000003.5").unwrap();
    assert!(t0.abs_diff(s(2) + 250 * MS) < 1_000 && resolution == 1_000);
    let rfc = with("\"2023-11-14T22:13:22.000Z\"", "\"2023-11-14T23:13:22.123456+01:00\"");
    assert_eq!(rfc, Ok((s(2), s(2) + 123_456_000, MS)));
    for bad in ["\"yesterday\"", "-5", "1700000002000000000", "12"] {
        assert!(matches!(with(bad, "1700000003"), Err(OutcomeWarning::Bad { .. })), "{bad}");
    }
    assert_eq!(with("1700000009", "1700000002"), Err(OutcomeWarning::Backwards { id: "1".into() }));
}

#[test]
fn stamps_are_of_the_clock_as_it_was_set_then() {
    let timing = OutcomeTiming::Stamps { started: "a".into(), finished: None };
    let mut parser = parser(OutcomeFormat::Json(fields(None)), timing);
    let mut at = |stamp: &str, written: u64| {
        let line = format!(r#"{{"msg":{{"id":1}},"status":"ok","a":"{stamp}"}}"#);
        parser.read_clock(Reading { monotonic: written, offset: offset_at(written) });
        let parsed = parser.parse(line.as_bytes(), written);
        parsed.message.map(|m| (m.t0, m.t1)).ok_or(parsed.warning)
    };
    // An hour ahead from 3 s on.
    const HOUR: i64 = 3_600_000 * MS as i64;
    fn offset_at(monotonic: u64) -> i64 {
        if monotonic < 3_000 * MS { OFFSET } else { OFFSET + HOUR }
    }
    let s = |n: u64| n * 1_000 * MS;
    assert_eq!(at("2023-11-14T22:13:21.5Z", s(2)), Ok((s(1) + 500 * MS, s(2))));
    assert_eq!(at("2023-11-14T23:13:23.5Z", s(4)), Ok((s(3) + 500 * MS, s(4))));
    assert_eq!(at("2023-11-14T22:13:22.5Z", s(5)), Ok((s(2) + 500 * MS, s(5))), "of before");
}

#[test]
fn without_a_second_stamp_the_line_ends_the_send() {
    let timing = OutcomeTiming::Stamps { started: "a".into(), finished: None };
    let p = json(r#"{"msg":{"id":1},"status":"ok","bytes":1,"a":1700000002}"#, timing);
    assert_eq!(p.message.map(|m| (m.t0, m.t1)), Some((2_000 * MS, WRITTEN)));
}

#[test]
fn without_times_a_send_lasts_since_the_line_before() {
    let mut parser = parser(OutcomeFormat::Json(fields(None)), OutcomeTiming::LineOnly);
    let mut at = |written| {
        let line = br#"{"msg":{"id":1},"status":"ok"}"#;
        let m = parser.parse(line, written).message.unwrap();
        (m.t0, m.t1, m.timing_given)
    };
    assert_eq!(at(2_000 * MS), (START, 2_000 * MS, false));
    assert_eq!(at(2_500 * MS), (2_000 * MS, 2_500 * MS, false));
}

#[test]
fn a_regular_expression_names_its_groups() {
    let pattern =
        Regex::new(r"^sent (?P<id>\w+)(?: of (?P<n>\d+))? in (?P<ms>[\d.]+) ms: (?P<s>\w+)")
            .unwrap();
    let fields = OutcomeFields {
        id: "id".into(),
        status: "s".into(),
        bytes: Some("n".into()),
        retry_of: None,
    };
    let mut parser = parser(OutcomeFormat::Regex { pattern: Pattern(pattern), fields }, elapsed());
    let p = parser.parse(b"sent m7 of 120 in 1.5 ms: error \xff", WRITTEN);
    let m = p.message.unwrap();
    assert_eq!((m.id.as_str(), m.outcome, m.bytes), ("m7", Outcome::Failed, Some(120)));
    assert_eq!(Duration::from_nanos(m.t1 - m.t0), Duration::from_micros(1_500));
    assert_eq!(parser.parse(b"connected", WRITTEN), Parsed::default());
    let p = parser.parse(b"sent m8 in 1 ms: ok", WRITTEN);
    assert!(p.message.is_some_and(|m| m.bytes.is_none()) && p.warning.is_some());
}
