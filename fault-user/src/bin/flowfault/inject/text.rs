//! The command line -> the text of a scenario, which then goes the way of any other. What is wrong with a value is
//! thus said by those who know the format, and what was done by hand can be kept as a file.

use anyhow::Result;
use toml::{Table, Value};

use super::args::Inject;
use super::faults::{Faults, One};
use crate::exit::BadUsage;

/// The flow's and the step's name.
pub const FLOW: &str = "flow";
const STEP: &str = "inject";
const APP: &str = "target";

/// Whose socket it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// As the command line says.
    Named,
    /// Not known yet.
    Anybody,
    /// These processes were found to have it; at least one.
    Found(Vec<i32>),
}

/// The whole scenario.
///
/// # Errors
/// --flow or --fault is not the TOML that it has to be.
pub fn scenario(args: &Inject, whose: &Whose) -> Result<String> {
    let mut text = format!("schema = 1\nname = \"{STEP}\"\n");
    if let Some(seed) = args.run.seed {
        text.push_str(&format!("seed = {seed}\n"));
    }
    if let Some(line) = &args.run.line {
        text.push_str(&format!("line = {}\n", value(line)));
    }
    let apps = apps(args, whose);
    let one_app = apps.len() == 1;
    for (name, key) in apps {
        text.push_str(&format!("\n[[app]]\nname = {}\n{key}\n", quoted(&name)));
    }
    text.push_str(&format!("\n[[flow]]\nname = \"{FLOW}\"\n"));
    if one_app {
        text.push_str(&format!("app = \"{APP}\"\n"));
    }
    for (key, value) in flow(args)? {
        text.push_str(&format!("{key} = {value}\n"));
    }
    text.push_str(&format!("\n[[step]]\nname = \"{STEP}\"\nat = \"0s\"\nfaults = [\n"));
    for fault in faults(&args.faults)? {
        text.push_str(&format!("  {fault},\n"));
    }
    text.push_str("]\n");
    if let Some(lasts) = &args.run.lasts {
        text.push_str(&format!("for = {}\n", quoted(lasts)));
    }
    Ok(text)
}

/// Name and key of each app.
fn apps(args: &Inject, whose: &Whose) -> Vec<(String, String)> {
    let by = &args.selectors;
    let named = || {
        let pid = by.pid.map(|pid| format!("pid = {pid}"));
        let process = by.process.as_ref().map(|name| format!("process = {}", quoted(name)));
        let cgroup = by.cgroup.as_ref().map(|path| format!("cgroup = {}", quoted(path)));
        let container = by.container.as_ref().map(|id| format!("container = {}", quoted(id)));
        let children = if by.children { "\nchildren = true" } else { "" };
        pid.or(process).or(cgroup).or(container).map(|key| key + children)
    };
    match whose {
        Whose::Named => named().into_iter().map(|key| (APP.to_owned(), key)).collect(),
        // Stands for everybody until it is known who has it; see `experiment::Sight`.
        Whose::Anybody => vec![(APP.to_owned(), "pid = 1".to_owned())],
        Whose::Found(pids) => {
            let name = |n: usize| if n == 0 { APP.to_owned() } else { format!("{APP}-{}", n + 1) };
            let all = pids.iter().enumerate();
            all.map(|(n, pid)| (name(n), format!("pid = {pid}"))).collect()
        }
    }
}

/// The selectors, those of --flow first. An option replaces what --flow has.
fn flow(args: &Inject) -> Result<Vec<(String, String)>> {
    let by = &args.selectors;
    let mut keys: Vec<(String, String)> = Vec::new();
    if let Some(text) = &by.flow {
        let pasted = pasted(text)?;
        // The name and whose it is are ours to say.
        let pasted = pasted.into_iter().filter(|(key, _)| key != "name" && key != "app");
        keys.extend(pasted.map(|(key, value)| (key, value.to_string())));
    }
    let text = |value: &Option<String>| value.as_deref().map(quoted);
    let number = |value: Option<u64>| value.map(|n| n.to_string());
    let options = [
        ("remote", text(&by.remote)),
        ("local", text(&by.local)),
        ("protocol", text(&by.protocol)),
        ("nth", number(by.nth.map(u64::from))),
        ("cookie", number(by.cookie)),
        ("fd", number(by.fd.map(u64::from))),
        ("uid", number(by.uid.map(u64::from))),
        ("opened", text(&by.opened)),
        ("exclude", by.exclude.clone()),
        ("share", by.share.map(|share| format!("{share:?}"))),
        ("max_flows", number(by.max_flows.map(u64::from))),
        ("follow", by.follow.then(|| "true".to_owned())),
        ("within", text(&by.within)),
    ];
    for (key, value) in options {
        let Some(value) = value else { continue };
        keys.retain(|(other, _)| other != key);
        keys.push((key.to_owned(), value));
    }
    Ok(keys)
}

/// The keys of one `[[flow]]`, with or without its header.
fn pasted(text: &str) -> Result<Table> {
    let wrong = |why: String| {
        BadUsage(format!("--flow is not the TOML of one [[flow]]: {why}; paste what `flowfault flows --selectors` prints for one socket").into())
    };
    let mut table: Table = toml::from_str(text).map_err(|e| wrong(e.message().to_owned()))?;
    match table.remove("flow") {
        None => Ok(table),
        Some(Value::Array(flows)) if table.is_empty() => match <[Value; 1]>::try_from(flows) {
            Ok([Value::Table(flow)]) => Ok(flow),
            Ok(_) => Err(wrong("`flow` is no table".into()).into()),
            Err(flows) => Err(wrong(format!("there are {}", flows.len())).into()),
        },
        Some(_) => Err(wrong("there is more in it".into()).into()),
    }
}

/// The entries of `faults`.
fn faults(faults: &Faults) -> Result<Vec<String>> {
    faults.list.iter().map(|one| fault(faults, one)).collect()
}

fn fault(all: &Faults, one: &One) -> Result<String> {
    let mut keys = vec![("flow".to_owned(), quoted(FLOW))];
    match one {
        One::Key(key, text) => {
            keys.push(((*key).to_owned(), text.as_deref().map_or("true".into(), value)));
        }
        One::Whole(text) => {
            let whole = whole(text)?.into_iter().filter(|(key, _)| key != "flow");
            keys.extend(whole.map(|(key, value)| (key, value.to_string())));
        }
    }
    let of_all = [
        ("direction", all.direction.as_deref().map(quoted)),
        ("when", all.when.as_deref().map(value)),
        ("pulse", all.pulse.as_deref().map(value)),
        ("may_miss", all.may_miss.then(|| "true".to_owned())),
    ];
    for (key, value) in of_all {
        let Some(value) = value.filter(|_| !keys.iter().any(|(k, _)| k == key)) else { continue };
        keys.push((key.to_owned(), value));
    }
    let keys: Vec<String> =
        keys.into_iter().map(|(key, value)| format!("{key} = {value}")).collect();
    Ok(format!("{{ {} }}", keys.join(", ")))
}

/// A fault as a table, with or without its braces.
fn whole(text: &str) -> Result<Table> {
    if let Value::Table(table) = parsed(text) {
        return Ok(table);
    }
    toml::from_str(text).map_err(|e| {
        let why = e.message();
        BadUsage(format!("--fault {text} is not TOML: {why}; write for example --fault '{{ drop = {{ first = 3 }} }}'").into()).into()
    })
}

/// TOML if it is valid TOML, else the bare text, as with `--set`.
fn value(text: &str) -> String {
    parsed(text).to_string()
}

fn parsed(text: &str) -> Value {
    const KEY: &str = "value";
    let table = toml::from_str::<Table>(&format!("{KEY} = {text}")).ok();
    // More than the one key: the text has a line break, and is no value.
    let single = table.filter(|t| t.len() == 1).and_then(|mut t| t.remove(KEY));
    single.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
