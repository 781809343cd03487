//! report.json: the report itself, in the order of its fields.

use super::model::Report;

/// Indented JSON with a line end; the same report gives the same bytes.
///
/// # Errors
/// None for a report that a run made; serde_json reserves the right.
pub fn render(report: &Report) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn what_is_written_reads_back_the_same() {
        for report in [sample::quiet(), sample::outage(), sample::hostile()] {
            let text = render(&report).unwrap();
            let back: Report = serde_json::from_str(&text).unwrap();
            assert_eq!(back, report);
            assert_eq!(render(&back).unwrap(), text);
        }
    }

    #[test]
    fn the_fields_come_in_the_order_of_the_contract() {
        let text = render(&sample::outage()).unwrap();
        let at = |key: &str| {
            text.find(&format!("\n  \"{key}\":")).unwrap_or_else(|| panic!("{key} is missing"))
        };
        let keys = [
            "schema",
            "name",
            "seed",
            "result",
            "started",
            "duration_ms",
            "kernel",
            "backends",
            "steps",
            "flows",
            "sends",
            "verdicts",
            "evidence",
            "expectations",
            "events",
            "warnings",
        ];
        assert!(keys.windows(2).all(|pair| at(pair[0]) < at(pair[1])));
        assert!(text.ends_with("}\n") && text.contains("\"result\": \"failed\""));
    }
}
