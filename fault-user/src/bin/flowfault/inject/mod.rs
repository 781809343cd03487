//! `flowfault inject`: one fault on one flow, by hand. The command line becomes the text of a scenario (`text`), which
//! is validated and run like any other; `live` shows how it goes, `summary` what came of it.

mod args;
mod faults;
mod live;
mod summary;
mod text;

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use fault_user::experiment::{self, Hit, Options, Reach, RunError};
use fault_user::report::model::Report;
use fault_user::report::write::Owner;
use fault_user::report::{OutDir, words};
use fault_user::scenario::model::Protocol;
use fault_user::scenario::{self, LoadError, Scenario};
use tokio::sync::{mpsc, watch};

pub use args::Inject;
use summary::{Summary, Vitals};
use text::Whose;

use crate::exit::{self, Code};
use crate::{out, run};

/// What messages call the scenario that the command line was made into.
const SOURCE: &str = "inject (as a scenario)";

/// Does it, or says what it would do.
pub fn inject(args: Inject) -> Result<Code> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let code = runtime.block_on(async {
        let planned = plan(&args).await?;
        if args.run.dry_run {
            return summary::preview(&args.run, &planned.hits, &planned.text).map(|()| exit::DONE);
        }
        perform(&args, planned).await
    });
    // Readers of netlink may still wait for something; nothing of it matters now.
    runtime.shutdown_background();
    code
}

/// What is to be done, and to whom.
struct Planned {
    text: String,
    scenario: Scenario,
    hits: Vec<Hit>,
}

async fn plan(args: &Inject) -> Result<Planned> {
    let by = &args.selectors;
    let named = by.pid.is_some() || by.process.is_some() || by.cgroup.is_some();
    if named {
        let (text, scenario) = read(args, &Whose::Named)?;
        let hits = experiment::preview(&scenario, Reach::Apps, &needed(&scenario, &text)).await?;
        return Ok(Planned { text, scenario, hits });
    }
    let (_, anybody) = read(args, &Whose::Anybody)?;
    // Nobody can be waited for who is not known.
    let all = (0..anybody.flows.len()).collect();
    let hits = experiment::preview(&anybody, Reach::Everybody, &all).await?;
    let pids: BTreeSet<i32> = hits.iter().map(|hit| hit.pid).collect();
    let (text, scenario) = read(args, &Whose::Found(pids.into_iter().collect()))?;
    Ok(Planned { text, scenario, hits })
}

fn read(args: &Inject, whose: &Whose) -> Result<(String, Scenario)> {
    let text = text::scenario(args, whose)?;
    let scenario = scenario::parse(SOURCE, &text, &base_dir()?, &[]).map_err(LoadError::Invalid)?;
    Ok((text, scenario))
}

/// Flows of which a socket must be open: those that are not said to open later. A UDP socket that is not connected
/// cannot be seen to be one.
fn needed(scenario: &Scenario, text: &str) -> BTreeSet<usize> {
    let waits = text.lines().any(|line| line.starts_with("within ="));
    let flows = scenario.flows.iter().enumerate();
    let open = flows.filter(|(_, f)| !waits && f.nth.is_none() && f.protocol == Protocol::Tcp);
    open.map(|(index, _)| index).collect()
}

fn base_dir() -> Result<PathBuf> {
    std::env::current_dir().context("cannot find the current directory")
}

async fn perform(args: &Inject, planned: Planned) -> Result<Code> {
    let Planned { scenario, hits, .. } = planned;
    let owner = Owner::behind_sudo()?;
    let out = args.run.out.as_deref();
    let results = out.map(|dir| OutDir::create(dir, args.run.overwrite, owner)).transpose()?;
    let (progress, told) = mpsc::unbounded_channel();
    let options = Options {
        scenario: SOURCE.into(),
        base_dir: base_dir()?,
        seed: args.run.seed,
        tier: None,
        hook: args.run.hook.map(Into::into),
        kernel_log: run::kernel_log(),
        janitor: true,
        hold: scenario.steps.iter().all(|step| step.lasts.is_none()),
        progress: Some(progress),
    };
    let before = Vitals::look()?;
    let shown = tokio::spawn(live::show(told, live::Where::of(&args.run)));
    let (tx, rx) = watch::channel(None);
    run::listen(&tx)?;
    let report = experiment::run(&scenario, &options, results.as_ref(), rx).await;
    drop(options);
    // It ends when there is no more to tell; a panic of it would have been told.
    let _ = shown.await;
    let report = report.inspect_err(|_: &RunError| {
        if let Some(results) = &results {
            run::forget(results.path());
        }
    })?;
    let signal = *tx.borrow();
    let code = exit::of(&report, signal);
    let kept = results.map_or(Ok(()), |dir| dir.write(&report).and_then(|()| dir.hand_over()));
    let summary = Summary::of(&report, &hits, &before, &Vitals::look()?);
    show(args, &report, &summary)?;
    kept?;
    Ok(code)
}

fn show(args: &Inject, report: &Report, summary: &Summary<'_>) -> Result<()> {
    if args.run.json {
        return out::results(&(summary.json()? + "\n"));
    }
    if !args.run.quiet {
        out::results(&summary.text())?;
    }
    let complaints = run::complaints(report);
    out::message(&complaints);
    if complaints.is_empty() && !args.run.quiet {
        let warnings = report.warnings.iter().map(|w| words::visible(w));
        warnings.for_each(|w| out::message(&format!("flowfault: {w}\n")));
    }
    Ok(())
}
