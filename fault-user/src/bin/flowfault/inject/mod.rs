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
use fault_user::experiment::{self, Hit, Options, Reach, RunError, Sight};
use fault_user::plan;
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
    let draft = draft(&args)?;
    let plan = plan::compile(&draft.scenario, 0).map_err(RunError::from)?;
    let reach = Reach::find(&draft.scenario, &plan).map_err(RunError::from)?;
    reach.within(|reach| waited_for(act(&args, draft, reach)))
}

/// What is to be done, and to whom as far as it is known.
struct Draft {
    text: String,
    scenario: Scenario,
    /// The sockets that it hits, if processes had to be found by them.
    hits: Option<Vec<Hit>>,
}

fn draft(args: &Inject) -> Result<Draft> {
    let by = &args.selectors;
    let whose = [&by.process, &by.cgroup, &by.container];
    if by.pid.is_some() || whose.into_iter().any(Option::is_some) {
        let (text, scenario) = read(args, &Whose::Named)?;
        return Ok(Draft { text, scenario, hits: None });
    }
    let (_, anybody) = read(args, &Whose::Anybody)?;
    // Nobody can be waited for who is not known.
    let all = (0..anybody.flows.len()).collect();
    let found = experiment::preview(&anybody, Sight::Everybody, &all);
    let hits = waited_for(async { Ok(found.await?) })?;
    let pids: BTreeSet<i32> = hits.iter().map(|hit| hit.pid).collect();
    let (text, scenario) = read(args, &Whose::Found(pids.into_iter().collect()))?;
    Ok(Draft { text, scenario, hits: Some(hits) })
}

/// Runs it to its end, on threads that begin in the network namespace of this one.
fn waited_for<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let done = runtime.block_on(work);
    // Readers of netlink may still wait for something; nothing of it matters now.
    runtime.shutdown_background();
    done
}

async fn act(args: &Inject, draft: Draft, reach: Reach) -> Result<Code> {
    let Draft { text, scenario, hits } = draft;
    let hits = match hits {
        Some(hits) => hits,
        None => {
            let needed = needed(&scenario, &text);
            experiment::preview(&scenario, Sight::Apps(&reach), &needed).await?
        }
    };
    if args.run.dry_run {
        return summary::preview(&args.run, &hits, &text).map(|()| exit::DONE);
    }
    perform(args, &scenario, &hits, reach).await
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

async fn perform(args: &Inject, scenario: &Scenario, hits: &[Hit], reach: Reach) -> Result<Code> {
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
        every_packet: false,
        kernel_log: run::kernel_log(),
        held: run::held(),
        janitor: true,
        hold: scenario.steps.iter().all(|step| step.lasts.is_none()),
        progress: Some(progress),
    };
    let before = Vitals::look()?;
    let shown = tokio::spawn(live::show(told, live::Where::of(&args.run)));
    let (tx, rx) = watch::channel(None);
    run::listen(&tx)?;
    let report = experiment::run(scenario, &options, results.as_ref(), rx, reach).await;
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
    let summary = Summary::of(&report, hits, &before, &Vitals::look()?);
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
