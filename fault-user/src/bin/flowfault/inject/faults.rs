//! One option for each key of a fault. They stack in the order in which they stand on the command line, which
//! clap's derive does not keep.

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, Error};

const HEADING: &str = "Faults";
/// Key of a scenario, the option's value (`None`: it has none), and help.
const KEYS: [(&str, Option<&str>, &str); 13] = [
    (
        "drop",
        Some("VALUE"),
        "Lose packets: a probability, or { every | nth | first | burst | gilbert_elliott = .. }",
    ),
    (
        "delay",
        Some("VALUE"),
        "Hold packets: a duration, or { mean = .., jitter = .., distribution = .. }",
    ),
    ("rate", Some("VALUE"), "A bottleneck link: 2mbit, or { rate = .., queue = .. }"),
    ("trace", Some("VALUE"), "A recorded link: a file, or a table"),
    (
        "corrupt",
        Some("VALUE"),
        "Flip bits: a probability, or { p = .., bits = .., checksum = .., offset = .. }",
    ),
    ("duplicate", Some("VALUE"), "Send packets again: a probability, or { p = .., copies = .. }"),
    (
        "reorder",
        Some("VALUE"),
        "Let packets be overtaken: a probability, or { p = .., gap = .., delay = .. }",
    ),
    ("reset", Some("SIDE"), "TCP RST to that side: local, peer or both"),
    ("abort", None, "Have the local stack destroy the socket"),
    ("reject", Some("KIND"), "Answer as a firewall's REJECT: reset, port, host, net or admin"),
    ("stall", None, "Zero receive window: alive, but moves nothing"),
    (
        "limit",
        Some("TABLE"),
        "Fine until the Nth byte: { bytes = .., then = \"drop\" | \"reset\" }",
    ),
    ("mark_ce", Some("P"), "ECN congestion mark, with this probability"),
];

/// The faults, in their order, and what holds for all of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Faults {
    pub list: Vec<One>,
    pub direction: Option<String>,
    pub when: Option<String>,
    pub pulse: Option<String>,
    pub may_miss: bool,
}

/// One of them.
#[derive(Debug, PartialEq, Eq)]
pub enum One {
    /// A key and its value; `None`: true.
    Key(&'static str, Option<String>),
    /// A whole entry of `faults`.
    Whole(String),
}

/// As the command line spells a key.
fn option(key: &'static str) -> &'static str {
    match key {
        "mark_ce" => "mark-ce",
        "may_miss" => "may-miss",
        same => same,
    }
}

/// Values of an argument with their places on the command line.
fn placed<'m>(matches: &'m ArgMatches, id: &str) -> Vec<(usize, &'m String)> {
    let values = matches.get_many::<String>(id).into_iter().flatten();
    matches.indices_of(id).into_iter().flatten().zip(values).collect()
}

impl clap::FromArgMatches for Faults {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut found: Vec<(usize, One)> = Vec::new();
        for (key, value, _) in KEYS {
            if value.is_some() {
                let of = placed(matches, key).into_iter();
                found.extend(of.map(|(at, v)| (at, One::Key(key, Some(v.clone())))));
            } else if matches.get_flag(key) {
                found.extend(matches.index_of(key).map(|at| (at, One::Key(key, None))));
            }
        }
        let whole = placed(matches, "fault").into_iter();
        found.extend(whole.map(|(at, v)| (at, One::Whole(v.clone()))));
        found.sort_by_key(|(at, _)| *at);
        let one = |id: &str| matches.get_one::<String>(id).cloned();
        Ok(Self {
            list: found.into_iter().map(|(_, fault)| fault).collect(),
            direction: one("direction"),
            when: one("when"),
            pulse: one("pulse"),
            may_miss: matches.get_flag("may_miss"),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for Faults {
    fn augment_args(mut command: Command) -> Command {
        let named = |id: &'static str| Arg::new(id).long(option(id)).help_heading(HEADING);
        for (key, value, help) in KEYS {
            let arg = named(key).help(help);
            command = command.arg(match value {
                Some(name) => arg.value_name(name).action(ArgAction::Append),
                None => arg.action(ArgAction::SetTrue),
            });
        }
        let whole = "A whole fault as in a scenario, e.g. '{ direction = \"egress\", drop = { first = 3 } }'";
        let whole = named("fault").value_name("TOML").action(ArgAction::Append).help(whole);
        let keys = KEYS.iter().map(|(key, _, _)| *key).chain(["fault"]);
        command
            .arg(whole)
            .group(ArgGroup::new("faults").args(keys).required(true).multiple(true))
            .arg(
                named("direction")
                    .value_name("DIRECTION")
                    .help("What the socket sends (egress), receives (ingress) or both (default)"),
            )
            .arg(named("when").value_name("TABLE").help(
                "Only these packets: { tcp = \"syn\", size = [min, max], stream = [from, to] }",
            ))
            .arg(
                named("pulse")
                    .value_name("TABLE")
                    .help("On and off: { on = \"1s\", off = \"4s\" }"),
            )
            .arg(
                named("may_miss")
                    .action(ArgAction::SetTrue)
                    .help("It is no error if no packet met a fault"),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    fn parsed(words: &[&str]) -> Result<Faults, Error> {
        let command = Faults::augment_args(Command::new("t").no_binary_name(true));
        Faults::from_arg_matches(&command.try_get_matches_from(words)?)
    }

    #[test]
    fn faults_stand_in_their_order() {
        let words = "--delay 1s --fault drop=0.5 --stall --drop 0.1 --delay 2s --direction egress";
        let words: Vec<&str> = words.split(' ').collect();
        let key = |key, value: &str| One::Key(key, Some(value.to_owned()));
        let found = parsed(&words).unwrap();
        let expected = [
            key("delay", "1s"),
            One::Whole("drop=0.5".into()),
            One::Key("stall", None),
            key("drop", "0.1"),
            key("delay", "2s"),
        ];
        assert_eq!(found.list, expected);
        assert_eq!(found.direction.as_deref(), Some("egress"));
    }

    #[test]
    fn nothing_to_do_is_refused() {
        let error = parsed(&["--direction", "egress"]).unwrap_err();
        assert!(error.to_string().contains("--drop"), "{error}");
    }
}
