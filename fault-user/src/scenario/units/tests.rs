use super::*;
use proptest::prelude::*;

#[test]
fn durations_of_the_contract() {
    let ms = |text| parse_duration(text).map(|d| d.as_millis());
    assert_eq!(ms("250ms"), Ok(250));
    assert_eq!(ms("2m30s"), Ok(150_000));
    assert_eq!(ms("1h"), Ok(3_600_000));
    assert_eq!(ms("1.5s"), Ok(1_500));
    assert_eq!(ms("2m 30s"), Ok(150_000));
    assert_eq!(ms("0s"), Ok(0));
    assert_eq!(parse_duration("0.1us"), Ok(Duration::from_nanos(100)));
    assert_eq!(parse_duration("24h"), Ok(MAX_DURATION));
}

#[test]
fn what_is_not_a_duration_says_why() {
    let cases = [
        ("10", UnitError::NoUnit),
        ("-5s", UnitError::Signed),
        ("+5s", UnitError::Signed),
        ("5d", UnitError::UnknownUnit),
        ("5 S", UnitError::UnknownUnit),
        ("30s2m", UnitError::Order),
        ("1s1s", UnitError::Order),
        ("1us1µs", UnitError::Order),
        ("1.5m30s", UnitError::Malformed),
        ("", UnitError::Malformed),
        ("s", UnitError::Malformed),
        ("1..5s", UnitError::Malformed),
        ("1.s", UnitError::Malformed),
        ("0.5ns", UnitError::TooFine),
        ("24h1ns", UnitError::TooLarge),
        ("99999999999999999999999999999999999999999h", UnitError::TooLarge),
    ];
    for (text, error) in cases {
        assert_eq!(parse_duration(text), Err(error), "{text:?}");
    }
}

#[test]
fn sizes_and_rates() {
    assert_eq!(parse_size("64KiB"), Ok(65_536));
    assert_eq!(parse_size("1.5kB"), Ok(1_500));
    assert_eq!(parse_size("12"), Err(UnitError::NoUnit));
    assert_eq!(parse_size("64kb"), Err(UnitError::UnknownUnit));
    assert_eq!(parse_size("0.5B"), Err(UnitError::TooFine));
    assert_eq!(parse_size("99999999999GiB"), Err(UnitError::TooLarge));
    assert_eq!(parse_size("1KiB1B"), Err(UnitError::Malformed));
    assert_eq!(parse_rate("2mbit"), Ok(2_000_000));
    assert_eq!(parse_rate("512kbit"), Ok(512_000));
    assert_eq!(parse_rate("2Mbps"), Err(UnitError::UnknownUnit));
}

#[test]
fn formatted_sizes_and_rates_are_in_the_largest_unit() {
    let sizes = [0, 1500, 65_536, 3 << 20, 1 << 30].map(format_size);
    assert_eq!(sizes, ["0B", "1500B", "64KiB", "3MiB", "1GiB"]);
    let rates = [0, 1, 1_500, 512_000, 2_000_000, 10_000_000_000].map(format_rate);
    assert_eq!(rates, ["0bit", "1bit", "1500bit", "512kbit", "2mbit", "10gbit"]);
}

#[test]
fn formatting_is_the_way_people_write() {
    let s = |secs| format_duration(Duration::from_secs(secs));
    assert_eq!((s(0), s(110), s(150)), ("0s".into(), "110s".into(), "2m30s".into()));
    assert_eq!(format_duration(Duration::from_millis(1500)), "1s500ms");
}

proptest! {
    #[test]
    fn a_formatted_duration_reads_back_the_same(nanos in 0..=86_400_000_000_000_u64) {
        let duration = Duration::from_nanos(nanos);
        prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
    }

    #[test]
    fn a_formatted_size_reads_back_the_same(bytes: u64) {
        prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
    }

    #[test]
    fn a_formatted_size_of_whole_units_is_short(count in 1..1024_u64, power in 0..4_u32) {
        let unit = ["B", "KiB", "MiB", "GiB"][power as usize];
        let text = format_size(count << (10 * power));
        prop_assert_eq!(&text, &format!("{count}{unit}"));
    }

    #[test]
    fn a_formatted_rate_reads_back_the_same(bits: u64, kbits in 0..1_000_000_u64) {
        prop_assert_eq!(parse_rate(&format_rate(bits)), Ok(bits));
        prop_assert_eq!(parse_rate(&format_rate(kbits * 1000)), Ok(kbits * 1000));
    }

    #[test]
    fn milliseconds_as_a_fraction_of_seconds_are_exact(ms in 0..86_400_000_u64) {
        let text = format!("{}.{:03}s", ms / 1000, ms % 1000);
        prop_assert_eq!(parse_duration(&text), Ok(Duration::from_millis(ms)));
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,24}") {
        let _ = (parse_duration(&text), parse_size(&text), parse_rate(&text));
    }
}
