//! A run from start to end: owns the order in which things are set up, driven and undone.
//!
//! ```text
//! prepare (kernel, cgroups, interfaces) ─► start apps ─► t = 0 ─► drive ─► end ─► judge ─► report
//! ```
//!
//! Whatever happens on the way, dropping [`prepare::Stage`] undoes everything: programs hang on
//! descriptors, cgroups are removed by their guard.

pub(crate) mod actions;
mod assemble;
mod attach;
mod blocks;
mod captured;
mod claim;
pub(crate) mod counted;
mod drive;
mod ending;
mod execs;
pub(crate) mod interfaces;
mod janitor;
pub mod journal;
mod judged;
mod late;
pub(crate) mod lay;
pub(crate) mod line;
mod missed;
mod prepare;
mod preview;
pub mod progress;
mod recorded;
pub(crate) mod resets;
mod selection;
mod start;
mod state;
mod sysctl;

use std::path::PathBuf;

use tokio::sync::{mpsc, watch};

use crate::act::ActError;
use crate::app::AppError;
use crate::kernel::{Hook, KernelError, Tier};
use crate::line::LineError;
use crate::plan::PlanError;
use crate::report::OutDir;
use crate::report::model::Report;
use crate::scenario::Scenario;

pub use attach::{AttachError, Reach};
pub use janitor::{Charge, tend};
pub use preview::{Hit, Sight, preview};

/// How a run is to be done.
#[derive(Debug, Clone)]
pub struct Options {
    /// The scenario file as named on the command line, for the report.
    pub scenario: String,
    /// Its directory: where `exec` commands run.
    pub base_dir: PathBuf,
    /// Seed that replaces the scenario's.
    pub seed: Option<u64>,
    /// Evidence tier to use instead of the best one.
    pub tier: Option<Tier>,
    /// How to attach to interfaces, instead of the better way.
    pub hook: Option<Hook>,
    /// Tell of each packet by itself, also where no fault is armed.
    pub every_packet: bool,
    /// Kernel-side log messages: 0 off to 5 trace.
    pub kernel_log: u32,
    /// Start the janitor that cleans up when this process is killed. Needs the `flowfault`
    /// binary as the running program.
    pub janitor: bool,
    /// When no step is left, go on for as long as a socket is or may become one of the flows.
    pub hold: bool,
    /// Records (events, and what apps said) that are held in memory at most; a run with more is judged from disk.
    /// [`crate::history::HELD`] but for tests.
    pub held: usize,
    /// Who is told once a second how it goes.
    pub progress: Option<mpsc::UnboundedSender<progress::Progress>>,
}

/// Why a run could not even begin. What goes wrong later is part of the report.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// This kernel, or these privileges.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// Cgroups, output channels, users.
    #[error(transparent)]
    App(#[from] AppError),
    /// Apps that run already.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The scenario is too large.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// What the apps write has no place.
    #[error("a run that starts apps or commands needs a directory for what they write")]
    NoDirectory,
    /// The delay line.
    #[error("fault `{fault}` needs the delay line: {source}")]
    Line {
        /// The first fault that does.
        fault: String,
        /// What is wrong with it.
        source: LineError,
    },
    /// Packets of our own.
    #[error(transparent)]
    Act(#[from] ActError),
    /// A remote's name has no address.
    #[error(
        "cannot resolve `{host}` of flow `{flow}`: {reason}. Check the name, or give an address"
    )]
    Resolve {
        /// The host name.
        host: String,
        /// The flow that needs it.
        flow: String,
        /// The resolver's answer.
        reason: String,
    },
    /// Something of the system.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The system's answer.
        source: std::io::Error,
    },
}

impl RunError {
    fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// A signal that ends the run early, once it comes: its number.
pub type Stop = watch::Receiver<Option<i32>>;

/// Does a run, within `reach` ([`Reach::within`]). The report tells how it went; `events.jsonl` and the apps' output are in
/// `out`, if there is one. A run that starts nothing can do without.
///
/// # Errors
/// [`RunError`] when it could not begin; nothing has been started then and nothing is left.
pub async fn run(
    scenario: &Scenario,
    options: &Options,
    out: Option<&OutDir>,
    stop: Stop,
    reach: Reach,
) -> Result<Report, RunError> {
    let mut stage = prepare::prepare(scenario, options, out, reach).await?;
    let mut state = state::State::new(scenario, &stage, options.held, stop);
    if start::start_apps(&mut stage, &mut state).await {
        recorded::begin(&stage, &mut state, options, out);
        drive::drive(&mut stage, &mut state).await;
    }
    ending::end(&mut stage, &mut state).await;
    Ok(assemble::report(stage, state, options, out))
}
