//! `flowfault flows`.

mod columns;
mod selectors;
mod table;
mod watch;

use std::net::ToSocketAddrs as _;

use anyhow::{Context as _, Result};
use fault_user::scenario::model::{Host, Remote};
use fault_user::sockets::document::Document;
use fault_user::sockets::{Inventory, Request, Target, look};

use crate::args::Flows;
use crate::exit::{self, Code};
use crate::out;

/// Lists live flows once, or shows them until told to stop.
pub fn flows(args: Flows) -> Result<Code> {
    if args.watch {
        watch::needs_a_terminal()?;
    }
    let targets = [
        args.pid.map(Target::Pid),
        args.process.map(Target::Process),
        args.cgroup.map(Target::Cgroup),
    ];
    let request = Request {
        targets: targets.into_iter().flatten().collect(),
        remote: args.remote.map(named).transpose()?,
        all: args.all,
    };
    if args.watch {
        return watch::watch(request);
    }
    let inventory = look(&request)?;
    if args.json {
        let mut text = serde_json::to_string_pretty(&Document::of(&inventory))?;
        text.push('\n');
        out::results(&text)?;
    } else {
        let text = if args.selectors { selectors::of(&inventory) } else { table::of(&inventory) };
        out::results(&text)?;
        notes(&inventory).iter().for_each(|note| out::message(&format!("flowfault: {note}\n")));
    }
    Ok(exit::DONE)
}

/// A remote with the addresses that its host has now, if that is a name.
fn named(remote: Remote) -> Result<(Remote, Vec<std::net::IpAddr>)> {
    let Host::Name(name) = &remote.host else { return Ok((remote, Vec::new())) };
    let found = (name.as_str(), 0).to_socket_addrs();
    let found = found.with_context(|| format!("cannot find the host {name} of --remote"))?;
    let addresses = found.map(|address| address.ip().to_canonical()).collect();
    Ok((remote, addresses))
}

/// What a table does not show, one sentence each.
fn notes(inventory: &Inventory) -> Vec<String> {
    let mut notes = Vec::new();
    if inventory.flows.is_empty() {
        notes.push("no such flow".to_owned());
    }
    if !inventory.left_out.is_empty() {
        let counts: Vec<String> =
            inventory.left_out.iter().map(|(what, n)| format!("{n} {what}")).collect();
        notes.push(format!("left out: {} (--all shows them)", counts.join(", ")));
    }
    if inventory.vanished > 0 {
        notes.push(format!("{} sockets were closed meanwhile", inventory.vanished));
    }
    notes.extend(inventory.missing.iter().map(|what| format!("not seen: {what}")));
    notes
}
