use fault_common::fate::{
    self, Delay, Distribution, Fault, Key, Model, Packet, Sample, State, When,
};
use proptest::prelude::*;

use super::*;

const MS: u64 = 1_000_000;

fn moments(table: &[i16]) -> (f64, f64) {
    let n = table.len() as f64;
    let values = table.iter().map(|v| f64::from(*v) / 8192.0);
    let mean = values.clone().sum::<f64>() / n;
    let variance = values.map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

/// Abramowitz and Stegun 7.1.26; error below 1.5e-7.
fn normal_law(z: f64) -> f64 {
    let x = z.abs() / 2_f64.sqrt();
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let series = [0.254_829_592, -0.284_496_736, 1.421_413_741, -1.453_152_027, 1.061_405_429];
    let polynomial = series.iter().rev().fold(0.0, |sum, a| (sum + a) * t);
    let upper = polynomial * (-x * x).exp() / 2.0;
    if z < 0.0 { upper } else { 1.0 - upper }
}

/// The inverse of `table` at the middle of entry `i`'s share.
fn at(table: &[i16], probability: f64) -> f64 {
    f64::from(table[(probability * table.len() as f64) as usize]) / 8192.0
}

#[test]
fn built_in_tables_are_ascending_with_mean_0_and_standard_deviation_1() {
    for table in [normal(), pareto(), paretonormal()] {
        assert_eq!(table.len(), 4096);
        assert!(table.is_sorted());
        let (mean, sd) = moments(&table);
        // Rounding to a unit: 1/8192 at most, and far less on average.
        assert!(mean.abs() < 1e-4 && (sd - 1.0).abs() < 1e-4, "{mean} {sd}");
    }
}

#[test]
fn the_normal_table_is_the_inverse_of_the_normal_law() {
    let table = normal();
    for (i, value) in table.iter().enumerate() {
        let law = normal_law(f64::from(*value) / 8192.0);
        let share = (i as f64 + 0.5) / 4096.0;
        assert!((law - share).abs() < 1.5e-4, "entry {i}: {law}, not {share}");
    }
    assert!(table.iter().zip(table.iter().rev()).all(|(a, b)| *a == -*b), "symmetric");
}

/// Where the tail is not cut the table is a Pareto law of shape 3, shifted and scaled: (1 - p)^(-1/3)
/// through its quartiles.
#[test]
fn the_pareto_table_is_the_inverse_of_a_pareto_law() {
    let table = pareto();
    let raw = |p: f64| (1.0 - p).powf(-1.0 / 3.0);
    let scale = (at(&table, 0.75) - at(&table, 0.25)) / (raw(0.75) - raw(0.25));
    for p in [0.001, 0.1, 0.5, 0.9, 0.95, 0.97] {
        let expected = at(&table, 0.25) + scale * (raw(p) - raw(0.25));
        assert!((at(&table, p) - expected).abs() < 0.01, "{p}: {expected}");
    }
    assert_eq!(*table.last().unwrap(), i16::MAX);
    assert!(table[0] > -8192 * 2, "no packet is much earlier than the mean");
}

/// 1/4 normal + 3/4 Pareto in iproute2's scales; the table is that, shifted and scaled.
#[test]
fn the_mixture_is_a_quarter_normal() {
    let (table, normal) = (paretonormal(), normal());
    let raw = |p: f64| 0.25 * at(&normal, p) + 0.75 * 4.0 / 3.0 * (1.0 - p).powf(-1.0 / 3.0);
    let scale = (at(&table, 0.75) - at(&table, 0.25)) / (raw(0.75) - raw(0.25));
    for p in [0.001, 0.1, 0.5, 0.9, 0.95, 0.97] {
        let expected = at(&table, 0.25) + scale * (raw(p) - raw(0.25));
        assert!((at(&table, p) - expected).abs() < 0.01, "{p}: {expected}");
    }
}

/// The whole way: table, draw, delay. The bound is that of Dvoretzky, Kiefer, Wolfowitz and Massart
/// for probability 5.7e-7 (as for 5 sd), and half an entry's share.
#[test]
fn delays_of_the_normal_table_follow_the_normal_law() {
    let n = 20_000;
    let table = normal();
    let delay = Delay {
        mean: 100 * MS,
        jitter: 10 * MS,
        distribution: Distribution::Table(0),
        correlation: 0,
        keep_order: false,
    };
    let stack = [Fault { id: 0, when: When::default(), pulse: None, model: Model::Delay(delay) }];
    let tables = fate::Tables { distributions: &[&table], ..fate::Tables::default() };
    let mut states = [State::default()];
    let mut delay_of = |n: u64| {
        let packet = Packet {
            now: 0,
            pos: n * 1448,
            attempt: 0,
            wire: 1500,
            payload: 1448,
            flags: 0,
            tcp: true,
            retransmission: false,
        };
        let key = Key { seed: 7, flow: 0, nth: 1 };
        fate::decide(&stack, &tables, &key, &packet, &mut states).release
    };
    let mut delays: Vec<u64> = (0..n).map(&mut delay_of).collect();
    delays.sort_unstable();
    let bound = ((2.0 / 5.7e-7_f64).ln() / (2.0 * n as f64)).sqrt() + 1.5e-4;
    for (i, delay) in delays.iter().enumerate() {
        let law = normal_law((*delay as f64 - 1e8) / 1e7);
        assert!((law - i as f64 / n as f64).abs() < bound, "{delay} at {i}");
    }
}

fn message<T: std::fmt::Debug>(result: Result<T, TableError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn dist_files_are_numbers_between_blanks_and_comments() {
    let text = "# This is a table\n -100 -50\t0\n\n# more\n 50 50 32767\n";
    assert_eq!(parse_dist("x.dist", text).unwrap(), [-100, -50, 0, 50, 50, 32767]);
}

#[test]
fn what_is_no_distribution_is_refused_with_its_place() {
    let of = |text| message(parse_dist("x.dist", text));
    for (text, start) in [
        ("# nothing\n", "x.dist: there is no entry in it; "),
        ("-1 0\n1 x\n", "x.dist:2: `x` is not a whole number from -32768 to 32767; "),
        ("0 40000\n", "x.dist:1: `40000` is not a whole number"),
        ("0 1.5\n", "x.dist:1: `1.5` is not"),
        ("-1 0\n\n1 0\n", "x.dist:3: 0 comes after 1; "),
        ("7 7 7\n", "x.dist: all values are 7; "),
    ] {
        assert!(of(text).starts_with(start), "{}", of(text));
    }
}

#[test]
fn delivery_traces_are_ms_in_ascending_order() {
    assert_eq!(parse_mahimahi("t", "0\n5\n5\r\n12\n").unwrap(), [0, 5 * MS, 5 * MS, 12 * MS]);
}

#[test]
fn what_is_no_delivery_trace_is_refused_with_its_place() {
    let of = |text| message(parse_mahimahi("up.trace", text));
    for (text, start) in [
        ("", "up.trace: there is no entry in it; "),
        ("1\n\n2\n", "up.trace:2: `` is not a timestamp; "),
        ("1\n+2\n", "up.trace:2: `+2` is not a timestamp"),
        ("1.5\n", "up.trace:1: `1.5` is not a timestamp"),
        ("99999999999999999\n", "up.trace:1: `99999999999999999` is not a timestamp"),
        ("1\n5\n4\n", "up.trace:3: this time is out of order; "),
        ("0\n0\n", "up.trace:2: the last timestamp is 0; "),
    ] {
        assert!(of(text).starts_with(start), "{}", of(text));
    }
}

fn line(at_ms: u64, delay_ms: u64, loss: u64) -> Sample {
    Sample { at: at_ms * MS, delay: delay_ms * MS, loss }
}

#[test]
fn csv_has_units_in_the_header_or_in_the_cells() {
    let expected = (
        vec![line(0, 20, 0), line(1500, 80, 1 << 30), line(2000, 0, 1 << 32)],
        std::time::Duration::from_millis(2500),
    );
    for text in [
        "time,delay,loss\n0s,20ms,0\n1.5s,80ms,0.25\n2s,0ms,1\n",
        "# recorded\n\n time_ms , delay_s , loss_percent\n0,0.02,0\n1500,0.08,25\n2000,0,100\n",
        "loss,time_us,delay_ns\n0,0,20000000\n.25,1500000,80000000\n1.0,2000000,0\n",
    ] {
        assert_eq!(parse_csv("t.csv", text).unwrap(), expected, "{text}");
    }
}

#[test]
fn a_missing_column_is_0_and_a_single_line_holds_for_ever() {
    let none = std::time::Duration::ZERO;
    let found = parse_csv("t.csv", "time,delay\n0s,5ms").unwrap();
    assert_eq!(found, (vec![line(0, 5, 0)], none));
    let found = parse_csv("t.csv", "time,loss\n0s,0.5").unwrap();
    assert_eq!(found, (vec![line(0, 0, 1 << 31)], none));
}

#[test]
fn what_is_no_csv_trace_is_refused_with_its_place() {
    let of = |text| message(parse_csv("t.csv", text));
    for (text, start) in [
        ("", "t.csv: there is no entry in it; "),
        ("time,delay\n", "t.csv: there is no entry in it; "),
        ("0s,5ms,0\n", "t.csv:1: `0s` is not a column of a trace; "),
        ("time,delay,delay_ms\n", "t.csv:1: there are two columns for `delay`; "),
        ("delay,loss\n", "t.csv:1: there is no column for time; "),
        ("time\n", "t.csv:1: there is no column for delay or loss; "),
        ("time,delay\n\n0s\n", "t.csv:3: 1 cells under 2 columns; "),
        ("time,delay\n0,5ms\n", "t.csv:2: `0` is not a duration: the number has no unit; "),
        ("time_s,delay_ms\n0,-5\n", "t.csv:2: `-5ms` is not a duration: it must not be negative"),
        ("time,loss\n0s,1.01\n", "t.csv:2: `1.01` is not a number from 0 to 1; "),
        ("time,loss\n0s,NaN\n", "t.csv:2: `NaN` is not a number from 0 to 1; "),
        ("time,loss_percent\n0s,101\n", "t.csv:2: `101` is not a number from 0 to 100; "),
        ("time,loss\n1s,0\n", "t.csv:2: the trace does not begin at 0; "),
        ("time,loss\n0s,0\n2s,0\n2s,0\n", "t.csv:4: this time is out of order; "),
    ] {
        assert!(of(text).starts_with(start), "{}", of(text));
    }
}

proptest! {
    #[test]
    fn any_ascending_table_comes_back(values in prop::collection::btree_set(any::<i16>(), 2..200)) {
        let values: Vec<i16> = values.into_iter().collect();
        let words: Vec<String> = values.iter().map(ToString::to_string).collect();
        prop_assert_eq!(parse_dist("x", &words.join(" ")).unwrap(), values);
    }

    /// Parsers end, and what they accept is what the decision may be given.
    #[test]
    fn whatever_the_text_a_table_is_a_table(
        text in prop_oneof![
            "[-+#0-9a-z., \n]{0,60}",
            "[0-4](\n[5-9]){0,2}(\n[1-9][0-9]){0,2}",
            "0,[0-9],0(\n[0-9],[0-9],[01]){0,3}",
        ],
    ) {
        if let Ok(table) = parse_dist("x", &text) {
            prop_assert!(table.is_sorted() && table.first() < table.last());
        }
        if let Ok(table) = parse_mahimahi("x", &text) {
            prop_assert!(table.is_sorted() && *table.last().unwrap() > 0);
        }
        let csv = format!("time_ms,delay_ms,loss\n{text}");
        if let Ok((lines, period)) = parse_csv("x", &csv) {
            prop_assert!(lines[0].at == 0 && lines.windows(2).all(|w| w[0].at < w[1].at));
            prop_assert!(lines.iter().all(|line| line.loss <= 1 << 32));
            let end = lines.last().unwrap().at;
            prop_assert!(lines.len() == 1 || period.as_nanos() > u128::from(end));
        }
    }
}
