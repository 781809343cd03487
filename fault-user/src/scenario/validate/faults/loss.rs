//! `drop`: which packets are lost.

use fault_common::rule::NTH_LEN;

use crate::scenario::diagnostic::Problem;
use crate::scenario::model::Loss;
use crate::scenario::quantities::{probability, probability_or_table, share};
use crate::scenario::reader::{Field, Fields, Item, array, wrong_type, wrong_value};
use crate::scenario::tree::Value;
use crate::scenario::values;

type Problems = Vec<Problem>;

const MODELS: [&str; 6] = ["every", "nth", "first", "burst", "gilbert_elliott", "markov"];
const FORMS: &str = "a probability (`drop = 0.1`), `{ every = 10 }`, `{ nth = [1, 5] }`, \
                     `{ first = 3 }`, `{ burst = { p = 0.01, len = 5 } }`, \
                     `{ gilbert_elliott = { p = 0.01, r = 0.3 } }` or \
                     `{ markov = { p13 = 0.01, p31 = 0.3 } }`";
/// More than any run sends, and far from where counters end.
const MAX_BURST: u32 = 1_000_000;

/// Reads the value of `drop`.
pub fn read(problems: &mut Problems, item: Item<'_>) -> Option<Loss> {
    if !matches!(item.node.value, Value::Table(_)) {
        return probability_or_table(problems, item).map(Loss::Random);
    }
    let mut fields = Fields::of(problems, item, "`drop`", "drop = { every = 10 }")?;
    let models = fields.present(&MODELS);
    match models.as_slice() {
        [] => {
            let problem = Problem::new(item.at(), "`drop` does not say which packets", FORMS);
            problems.push(problem.relational());
        }
        [first, second, ..] => {
            let message = format!("`{}` contradicts `{}`", second.key, first.key);
            let help = "make two faults of it: the faults of a flow stack";
            let problem = Problem::new(second.key_at, message, help);
            problems.push(problem.also(first.key_at, "picks the packets already"));
        }
        _ => {}
    }
    let single = models.len() == 1;
    let count = |problems: &mut Problems, i| values::integer(problems, i, 1, u64::MAX);
    let found = [
        fields.field("every", |i| count(problems, i).map(Loss::Every)),
        fields.field("first", |i| count(problems, i).map(Loss::First)),
        fields.field("nth", |i| packet_numbers(problems, i).map(Loss::Nth)),
        fields.field("burst", |i| burst(problems, i)),
        fields.field("gilbert_elliott", |i| gilbert_elliott(problems, i)),
        fields.field("markov", |i| markov(problems, i)),
    ];
    fields.finish(problems);
    found.into_iter().find_map(Field::good).filter(|_| single)
}

fn burst(problems: &mut Problems, item: Item<'_>) -> Option<Loss> {
    const EXAMPLE: &str = "burst = { p = 0.01, len = 5 }";
    let mut fields = Fields::of(problems, item, "`burst`", EXAMPLE)?;
    let p = fields.field("p", |i| probability(problems, i));
    let len = fields.field("len", |i| burst_len(problems, i));
    for (key, example, there) in
        [("p", "p = 0.01", p.is_present()), ("len", "len = 5", len.is_present())]
    {
        if !there {
            fields.missing(problems, key, example);
        }
    }
    fields.finish(problems);
    Some(Loss::Burst { p: p.good()?, len: len.good()? })
}

fn burst_len(problems: &mut Problems, item: Item<'_>) -> Option<u32> {
    if item.node.value == Value::Integer(1) {
        let help = "2 or more packets; single losses are `drop = 0.01`";
        wrong_value(problems, item, "one packet is not a burst", help);
        return None;
    }
    values::small(problems, item, 2, MAX_BURST)
}

fn gilbert_elliott(problems: &mut Problems, item: Item<'_>) -> Option<Loss> {
    const EXAMPLE: &str = "gilbert_elliott = { p = 0.01, r = 0.3 }";
    let mut fields = Fields::of(problems, item, "`gilbert_elliott`", EXAMPLE)?;
    let [p, r, good, bad] =
        ["p", "r", "good", "bad"].map(|key| fields.field(key, |i| share(problems, i)));
    for (key, example, there) in
        [("p", "p = 0.01", p.is_present()), ("r", "r = 0.3", r.is_present())]
    {
        if !there {
            fields.missing(problems, key, example);
        }
    }
    fields.finish(problems);
    let (p, r, good, bad) = (p.good()?, r.good()?, good.or(0.0)?, bad.or(1.0)?);
    let (why, help) = match () {
        () if p + r == 0.0 => (
            "with p + r = 0 its state never changes",
            "`p` is the probability of going from good to bad, for each packet, `r` that of \
             coming back: `{ p = 0.01, r = 0.3 }`",
        ),
        () if p == 0.0 => (
            "with p = 0 it never leaves the good state",
            "`p` above 0.0; for the same loss all the time, `drop = 0.1`",
        ),
        () if good == 0.0 && bad == 0.0 => (
            "no packet is lost in either state",
            "`bad` above 0.0 (its default is 1.0), or `good` (its default is 0.0)",
        ),
        () => return Some(Loss::GilbertElliott { p, r, good, bad }),
    };
    wrong_value(problems, item, why, help);
    None
}

/// Defaults as netem's (tc-netem(8)): with `p13` alone it is plain loss.
fn markov(problems: &mut Problems, item: Item<'_>) -> Option<Loss> {
    const EXAMPLE: &str = "markov = { p13 = 0.01, p31 = 0.3, p32 = 0.1, p23 = 0.2, p14 = 0.001 }";
    let mut fields = Fields::of(problems, item, "`markov`", EXAMPLE)?;
    let [p13, p31, p32, p23, p14] =
        ["p13", "p31", "p32", "p23", "p14"].map(|key| fields.field(key, |i| share(problems, i)));
    if !p13.is_present() {
        fields.missing(problems, "p13", "p13 = 0.01");
    }
    fields.finish(problems);
    let p13 = p13.good()?;
    let (p31, p32) = (p31.or(1.0 - p13)?, p32.or(0.0)?);
    let (p23, p14) = (p23.or(1.0)?, p14.or(0.0)?);
    for (what, sum) in [("p13 + p14", p13 + p14), ("p31 + p32", p31 + p32)] {
        // Decimal fractions that add up to 1 need not do so in binary.
        if sum > 1.0 + 1e-9 {
            let why = format!("{what} is more than 1");
            let help = "they are the probabilities of leaving one state: together at most 1.0";
            wrong_value(problems, item, &why, help);
            return None;
        }
    }
    if p13 + p14 == 0.0 {
        let help = "`p13` (a burst begins) or `p14` (a single loss) above 0.0";
        wrong_value(problems, item, "with p13 + p14 = 0 no packet is ever lost", help);
        return None;
    }
    Some(Loss::Markov { p13, p31, p32, p23, p14 })
}

fn packet_numbers(problems: &mut Problems, item: Item<'_>) -> Option<Vec<u64>> {
    let nodes = array(problems, item, "an array of packet numbers", "nth = [1, 5]")?;
    let help = format!("1 to {NTH_LEN} packet numbers, counted from 1: `nth = [1, 5]`");
    if nodes.is_empty() || nodes.len() > NTH_LEN {
        let why = format!("the list has {} entries", nodes.len());
        wrong_value(problems, item, &why, &help);
        return None;
    }
    let mut numbers = Vec::new();
    for node in nodes {
        let element = item.element(node);
        let Value::Integer(_) = node.value else {
            wrong_type(problems, element, "an array of whole numbers", "nth = [1, 5]");
            numbers.push(None);
            continue;
        };
        let number = values::integer(problems, element, 1, u64::MAX);
        if number.is_some() && numbers.contains(&number) {
            wrong_value(problems, element, "the number stands there twice", &help);
            numbers.push(None);
            continue;
        }
        numbers.push(number);
    }
    let mut numbers: Vec<u64> = numbers.into_iter().collect::<Option<_>>()?;
    numbers.sort_unstable();
    Some(numbers)
}
