//! `flowfault schema`: the JSON Schema of the scenario file says the same as the readers do.

#![expect(clippy::unwrap_used, reason = "a test may panic, and so may its helpers")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fault_user::scenario::{self, SCHEMA};
use serde_json::Value;

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

fn scenarios(below: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios").join(below);
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect()
}

fn document(text: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap()
}

fn errors(document: &Value) -> Vec<String> {
    let validator = jsonschema::draft202012::new(&schema()).unwrap();
    validator.iter_errors(document).map(|e| format!("{}: {e}", e.instance_path())).collect()
}

/// A place in a scenario for one more key, `@`, and the part of the schema that says which there are.
const TABLES: [(&str, &str); 41] = [
    ("", "@\nschema = 1\n[[app]]\nname = 'a'\ncommand = ['x']"),
    ("line", "line = { backend = 'tap', @ }"),
    ("capture", "capture = { max = 1, @ }"),
    ("app", "[[app]]\nname = 'b'\ncommand = ['x']\n@"),
    ("ready", "[[app]]\nname = 'b'\ncommand = ['x']\nready = { log = 'x', @ }"),
    (
        "outcomes",
        "[[app]]\nname = 'b'\ncommand = ['x']\noutcomes = { id = 'i', status = 's', ok = ['o'], @ }",
    ),
    (
        "from",
        "[[app]]\nname = 'b'\ncommand = ['x']\n\
         outcomes = { id = 'i', status = 's', ok = ['o'], from = { file = 'f', @ } }",
    ),
    ("flow", "[[flow]]\nname = 'g'\nremote = '*:1'\n@"),
    ("opened_after", "[[flow]]\nname = 'g'\napp = 'a'\nopened_after = { log = 'x', @ }"),
    ("exclude", "[[flow]]\nname = 'g'\nremote = '*:1'\nexclude = { uid = 1, @ }"),
    ("step", "[[step]]\nat = '2s'\nclear = true\n@"),
    ("signal", "[[step]]\nat = '2s'\nsignal = { app = 'a', name = 'KILL', @ }"),
    ("after_step", "[[step]]\nafter = { step = 's', @ }\nclear = true"),
    ("after_log", "[[step]]\nafter = { log = 'x', @ }\nclear = true"),
    ("after_flow", "[[step]]\nafter = { flow = 'f', state = 'closed', @ }\nclear = true"),
    ("after_outcome", "[[step]]\nafter = { outcome = { app = 'o', count = 1 }, @ }\nclear = true"),
    ("told", "[[step]]\nafter = { outcome = { app = 'o', count = 1, @ } }\nclear = true"),
    ("fault", "[[step]]\nat = '2s'\nfaults = [{ flow = 'f', drop = 1.0, @ }]"),
    ("drop", "[[step]]\nat = '2s'\nfaults = [{ flow = 'f', drop = { every = 2, @ } }]"),
    (
        "burst",
        "[[step]]\nat = '2s'\nfaults = [{ flow = 'f', drop = { burst = { p = 0.1, len = 2, @ } } }]",
    ),
    (
        "gilbert_elliott",
        "[[step]]\nat = '2s'\nfaults = [{ flow = 'f', drop = { gilbert_elliott = { p = 0.1, r = 0.1, @ } } }]",
    ),
    (
        "markov",
        "[[step]]\nat = '2s'\nfaults = [{ flow = 'f', drop = { markov = { p13 = 0.1, @ } } }]",
    ),
    ("delay", "[[step]]\nat = '2s'\nfaults = [{ flow = 'f', delay = { mean = '1ms', @ } }]"),
    (
        "distribution",
        "[[step]]\nat = '2s'\nfaults = [{ flow = 'f', delay = { mean = '1ms', jitter = '1ms', \
         distribution = { file = 'tables/long-tail.dist', @ } } }]",
    ),
    ("rate", "[[step]]\nat = '2s'\nfaults = [{ flow = 'f', rate = { rate = '1mbit', @ } }]"),
    (
        "trace",
        "[[step]]\nat = '2s'\nfaults = [{ flow = 'f', trace = { file = 'tables/handover.csv', format = 'csv', @ } }]",
    ),
    ("corrupt", "[[step]]\nat = '2s'\nfaults = [{ flow = 'f', corrupt = { p = 0.1, @ } }]"),
    ("duplicate", "[[step]]\nat = '2s'\nfaults = [{ flow = 'f', duplicate = { p = 0.1, @ } }]"),
    ("reorder", "[[step]]\nat = '2s'\nfaults = [{ flow = 'f', reorder = { p = 0.1, @ } }]"),
    (
        "limit",
        "[[step]]\nat = '2s'\nfaults = [{ flow = 'f', limit = { bytes = 9, then = 'drop', @ } }]",
    ),
    (
        "when",
        "[[step]]\nat = '2s'\nfaults = [{ flow = 'f', drop = 1.0, when = { tcp = 'syn', @ } }]",
    ),
    (
        "pulse",
        "[[step]]\nat = '2s'\nfaults = [{ flow = 'f', drop = 1.0, pulse = { on = '1s', off = '1s', @ } }]",
    ),
    ("expect_verdict", "[[expect]]\nverdict = 'late'\nat_most = 0\n@"),
    ("expect_outcome", "[[expect]]\noutcome = 'failed'\nat_most = 0\n@"),
    ("expect_closed", "[[expect]]\nflow = 'f'\nclosed_within = '1s'\nof_step = 's'\n@"),
    ("expect_log", "[[expect]]\nlog = 'x'\n@"),
    ("expect_exit", "[[expect]]\napp = 'a'\nexit = 0\n@"),
    ("expect_delivered_ratio", "[[expect]]\ndelivered_ratio = true\nat_least = 0.5\n@"),
    ("expect_max_gap", "[[expect]]\nmax_gap = '1s'\n@"),
    ("expect_counter", "[[expect]]\nflow = 'f'\npackets = true\nat_least = 1\n@"),
    ("counts", "[[expect]]\nflow = 'f'\ndropped = { at_least = 1, @ }"),
];

/// Keys of which `after` has one.
const AFTER: [&str; 4] = ["step", "log", "flow", "outcome"];
/// Likewise an [[expect]].
const EXPECT: [&str; 16] = [
    "verdict",
    "outcome",
    "closed_within",
    "log",
    "exit",
    "packets",
    "bytes",
    "dropped",
    "delayed",
    "corrupted",
    "duplicated",
    "reordered",
    "reset",
    "retransmits",
    "delivered_ratio",
    "max_gap",
];

/// A whole scenario with that, and with this for the key.
fn with(place: &str, key: &str) -> String {
    let place =
        place.replace(", @", &if key.is_empty() { String::new() } else { format!(", {key}") });
    let place = place.replace('@', key);
    let head = "schema = 1\n";
    let apps = "[[app]]\nname = 'a'\ncommand = ['x']\n[[app]]\nname = 'o'\ncommand = ['x']\n\
                outcomes = { id = 'i', status = 's', ok = ['o'] }\n";
    let rest = "[[flow]]\nname = 'f'\napp = 'a'\nremote = '*:1'\n[[step]]\nat = '1s'\nname = 's'\nclear = true\n";
    // Keys at the top come before all tables.
    let (top, table) = if place.starts_with('[') { ("", &*place) } else { (&*place, "") };
    if top.contains("schema") {
        return top.to_owned();
    }
    format!("{head}{top}\n{apps}{rest}{table}\n")
}

fn base() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios")
}

fn keys_of(schema: &Value, table: &str) -> BTreeSet<String> {
    let at = if table.is_empty() { schema } else { &schema["$defs"][table] };
    at["properties"].as_object().unwrap_or_else(|| panic!("no {table}")).keys().cloned().collect()
}

/// The readers say which keys a table has when they meet one that they do not know.
#[test]
fn every_table_has_the_keys_that_its_reader_knows() {
    let schema = schema();
    for (table, place) in TABLES {
        let errors = scenario::parse("t.toml", &with(place, "zz = 1"), &base(), &[]).unwrap_err();
        let unknown = |p: &&scenario::Problem| p.message.starts_with("unknown key `zz`");
        let problem = errors.problems().iter().find(unknown);
        let problem = problem.unwrap_or_else(|| panic!("{table}: {}", errors.plain()));
        let (_, list) = problem.help.split_once(" has the keys ").unwrap();
        let mut known: BTreeSet<String> = list.split(", ").map(str::to_owned).collect();
        let keys = keys_of(&schema, table);
        // Its reader knows the keys that make it another kind as well.
        let kinds: &[&str] = match table.split_once('_') {
            Some(("after", _)) => &AFTER,
            Some(("expect", _)) => &EXPECT,
            _ => &[],
        };
        known.retain(|key| keys.contains(key) || !kinds.contains(&&**key));
        assert_eq!(keys, known, "`{table}` in schema.json and in its reader");
    }
    assert_eq!(keys_of(&schema, "shares"), keys_of(&schema, "counts"), "the same reader");
}

#[test]
fn no_table_of_the_schema_is_left_out_here() {
    let schema = schema();
    let with_keys =
        |(name, part): (&String, &Value)| part["properties"].is_object().then(|| name.clone());
    let tables: BTreeSet<String> =
        schema["$defs"].as_object().unwrap().iter().filter_map(with_keys).collect();
    let mut tried: BTreeSet<String> = TABLES.iter().map(|(table, _)| (*table).to_owned()).collect();
    tried.extend(["shares".to_owned()]);
    tried.remove("");
    assert_eq!(tables, tried);
}

/// A wrong key is wrong for both, and without it the scenario is right for both.
#[test]
fn a_wrong_key_does_not_validate() {
    for (table, place) in TABLES {
        let right = with(place, "");
        assert_eq!(errors(&document(&right)), [""; 0], "{table}: {right}");
        let read = scenario::parse("t.toml", &right, &base(), &[]);
        assert!(read.is_ok(), "{table}: {}", read.unwrap_err().plain());
        assert_ne!(errors(&document(&with(place, "zz = 1"))), [""; 0], "{table}");
    }
}

/// Where one of a few words stands, they are the reader's words.
#[test]
fn every_choice_has_the_words_that_its_reader_knows() {
    let schema = schema();
    let mut tried = 0;
    for (table, place) in TABLES {
        let at = if table.is_empty() { &schema } else { &schema["$defs"][table] };
        for (key, part) in at["properties"].as_object().unwrap() {
            let direction = part["$ref"] == "#/$defs/direction";
            let part = if direction { &schema["$defs"]["direction"] } else { part };
            let forms = part["anyOf"].as_array().cloned().unwrap_or_else(|| vec![part.clone()]);
            let words = forms.iter().find_map(|form| form["enum"].as_array());
            let Some(words) = words else { continue };
            // A word that stands there already is replaced.
            let quoted = regex::Regex::new(&format!("{key} = '[a-z_]+'")).unwrap();
            let mut text = with(place, &format!("{key} = 'zz'"));
            if quoted.is_match(place) {
                text = with(&quoted.replace(place, format!("{key} = 'zz'")), "");
            }
            let errors = scenario::parse("t.toml", &text, &base(), &[]).unwrap_err();
            let says = |p: &scenario::Problem| Some(p.help.split_once("one of ")?.1.to_owned());
            let about = errors.problems().iter().filter(|p| p.message.contains(key.as_str()));
            let list = about.filter_map(says).next();
            let list = list.unwrap_or_else(|| panic!("{table}.{key}: {}\n{text}", errors.plain()));
            let known: BTreeSet<&str> =
                list.split(", ").map(|word| word.trim_matches('"')).collect();
            let ours: BTreeSet<&str> = words.iter().map(|word| word.as_str().unwrap()).collect();
            assert_eq!(ours, known, "`{key}` of `{table}`");
            tried += 1;
        }
    }
    assert!(tried >= 15, "{tried}");
}

#[test]
fn all_scenarios_validate() {
    assert!(jsonschema::meta::is_valid(&schema()));
    let files = scenarios("");
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(errors(&document(&text)), [""; 0], "{}", file.display());
    }
}

/// The reference has each key at least once, in force or as a comment.
#[test]
fn every_key_stands_in_the_reference() {
    let reference = std::fs::read_to_string(base().join("example.toml")).unwrap();
    let schema = schema();
    for (table, _) in TABLES {
        for key in keys_of(&schema, table) {
            let word = regex::Regex::new(&format!(r"\b{key}\b")).unwrap();
            assert!(word.is_match(&reference), "`{key}` of `{table}` is not in example.toml");
        }
    }
}

/// What the reader refuses for its shape the schema refuses as well.
#[test]
fn scenarios_of_a_wrong_shape_do_not_validate() {
    for name in ["unknown-key", "wrong-type", "missing-keys", "missing-schema", "fault-tables"] {
        let file = base().join(format!("invalid/{name}.toml"));
        let text = std::fs::read_to_string(&file).unwrap();
        assert_ne!(errors(&document(&text)), [""; 0], "{name}");
    }
}

#[test]
fn the_command_prints_it() {
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_flowfault")).arg("schema").output();
    let out = out.unwrap();
    assert!(out.status.success() && out.stderr.is_empty(), "{out:?}");
    assert_eq!(String::from_utf8(out.stdout).unwrap(), SCHEMA);
}
