//! `flowfault run`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use fault_user::experiment::{self, Options, Reach};
use fault_user::history;
use fault_user::report::model::{Report, RunResult};
use fault_user::report::text::{self, Style};
use fault_user::report::write::{self, Owner};
use fault_user::report::{OutDir, json, words};
use fault_user::scenario::Scenario;
use fault_user::{plan, scenario};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::args::Run;
use crate::exit::{self, Code};
use crate::out;

/// Runs a scenario; the exit code is the verdict.
pub fn run(args: Run) -> Result<Code> {
    let scenario = scenario::load(&args.scenario, &args.set)?;
    let seed = args.seed.or(scenario.seed);
    let planned =
        plan::compile(&scenario, seed.unwrap_or_default()).map_err(experiment::RunError::from)?;
    if args.dry_run {
        out::results(&scenario::explain(&scenario))?;
        tracing::debug!("{planned:#?}");
        return Ok(exit::DONE);
    }
    let reach = Reach::find(&scenario, &planned).map_err(experiment::RunError::from)?;
    let owner = Owner::behind_sudo()?;
    let results = match &args.out {
        Some(dir) => OutDir::create(dir, args.overwrite, owner)?,
        None => OutDir::create_new(&default_dir(&scenario.name), owner)?,
    };
    let dir = results.path().to_owned();
    let options = Options {
        scenario: args.scenario.display().to_string(),
        base_dir: base_dir(&args.scenario)?,
        seed,
        tier: args.evidence.map(Into::into),
        hook: args.hook.map(Into::into),
        every_packet: args.every_packet,
        kernel_log: kernel_log(),
        held: held(),
        janitor: true,
        hold: false,
        progress: None,
    };
    let done = reach.within(|reach| drive(&scenario, &options, &results, reach));
    let (report, signal) = done.inspect_err(|_| forget(&dir))?;
    // First the verdict, which was hard to come by; then that it could not be kept.
    let kept = results.write(&report).and_then(|()| results.hand_over());
    show(&args, &report, kept.is_ok().then_some(&dir))?;
    kept?;
    Ok(exit::of(&report, signal))
}

/// The run itself, on threads that begin in the network namespace of this one.
fn drive(
    scenario: &Scenario,
    options: &Options,
    results: &OutDir,
    reach: Reach,
) -> Result<(Report, Option<i32>)> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let done = runtime.block_on(async {
        let (tx, rx) = watch::channel(None);
        listen(&tx)?;
        let report = experiment::run(scenario, options, Some(results), rx, reach).await?;
        let signal = *tx.borrow();
        anyhow::Ok((report, signal))
    });
    // Readers of files and outputs may still wait for something; nothing of it matters now.
    runtime.shutdown_background();
    done
}

/// A run that could not begin leaves no empty directory behind; one with anything in it stays.
pub(crate) fn forget(dir: &Path) {
    for dir in [dir.join(write::APPS), dir.to_owned()] {
        // Fails for a directory that is not empty, or not there: both are fine.
        let _ = std::fs::remove_dir(dir);
    }
}

/// Turns SIGINT and SIGTERM into an orderly end.
pub(crate) fn listen(tx: &watch::Sender<Option<i32>>) -> Result<()> {
    for (kind, number) in
        [(SignalKind::interrupt(), libc::SIGINT), (SignalKind::terminate(), libc::SIGTERM)]
    {
        let mut stream = signal(kind).context("cannot listen for signals")?;
        let tx = tx.clone();
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                tx.send_if_modified(|s| s.is_none() && s.replace(number).is_none());
            }
        });
    }
    Ok(())
}

/// Prints the report; `dir` is where it is kept, if it is.
fn show(args: &Run, report: &Report, dir: Option<&PathBuf>) -> Result<()> {
    if args.json {
        out::results(&(json::render(report)? + "\n"))?;
    } else if !args.quiet {
        let colour = out::colour(&std::io::stdout());
        let text = text::render(report, Style { colour, ..Style::default() });
        let kept = dir.map_or_else(String::new, |d| format!("results: {}\n", d.display()));
        out::results(&(text + &kept))?;
    } else {
        out::message(&complaints(report));
    }
    Ok(())
}

/// Why a run did not pass, for those who want to hear nothing else.
pub(crate) fn complaints(report: &Report) -> String {
    let failed = report.expectations.iter().filter(|e| !e.held);
    let failed =
        failed.map(|e| format!("expectation failed: {}; observed: {}", e.text, e.observed));
    let reasons = report.warnings.iter().filter(|_| report.result == RunResult::Error).cloned();
    let lines = failed.chain(reasons);
    lines.map(|l| format!("flowfault: {}\n", words::visible(&l))).collect()
}

/// Records that a run holds in memory: FLOWFAULT_HELD, for tests of what happens beyond.
pub(crate) fn held() -> usize {
    std::env::var("FLOWFAULT_HELD").ok().and_then(|v| v.parse().ok()).unwrap_or(history::HELD)
}

/// Level of the eBPF programs' own messages: FLOWFAULT_KERNEL_LOG, 0 (off) to 5 (trace).
pub(crate) fn kernel_log() -> u32 {
    std::env::var("FLOWFAULT_KERNEL_LOG").ok().and_then(|v| v.parse().ok()).unwrap_or(0)
}

fn base_dir(scenario: &Path) -> Result<PathBuf> {
    let full = scenario
        .canonicalize()
        .with_context(|| format!("cannot find the directory of {}", scenario.display()))?;
    Ok(full.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned))
}

fn default_dir(name: &str) -> PathBuf {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let now = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S");
    Path::new("fault-runs").join(format!("{}-{now}", plain.trim_matches('-')))
}
