//! Everything that must be in place before the first app starts.

use std::path::PathBuf;
use std::sync::Arc;

use fault_common::table::{MarkerEntry, MarkerSet};
use tokio::sync::mpsc;

use super::interfaces::{self, Change, Interface};
use super::janitor::{Charge, Janitor};
use super::journal::Journal;
use super::selection::Selection;
use super::{Options, RunError, actions, attach, line};
use crate::act::RawSender;
use crate::app::cgroup::RunCgroup;
use crate::app::{AppEvent, Supervisor};
use crate::kernel::{Batch, EventReader, Kernel, Setup, Tier};
use crate::line::{Device, Reached};
use crate::plan::{self, Plan};
use crate::report::{OutDir, write};
use crate::scenario::Scenario;

/// How many sockets a run can observe.
const SLOTS: u32 = 4096;

/// What a run holds of the machine. Dropping it gives everything back, in this order.
pub struct Stage {
    pub line: Option<line::Running>,
    pub events: Option<EventReader>,
    pub batches: mpsc::UnboundedReceiver<Batch>,
    pub sender: Arc<RawSender>,
    /// Limits that the line wants to end with resets.
    pub reset_wanted: mpsc::UnboundedReceiver<Reached>,
    pub kernel: Kernel,
    pub supervisor: Supervisor,
    pub app_events: mpsc::Receiver<AppEvent>,
    pub interfaces: mpsc::UnboundedReceiver<Change>,
    pub selection: Selection,
    pub plan: Plan,
    pub tier: Tier,
    pub apps_dir: PathBuf,
    pub base_dir: PathBuf,
    _cgroup: RunCgroup,
    _journal: Journal,
    _janitor: Option<Janitor>,
}

/// Loads, attaches and opens everything; starts nothing of the user's.
pub async fn prepare(
    scenario: &Scenario,
    options: &Options,
    out: &OutDir,
) -> Result<Stage, RunError> {
    let targets = attach::find(scenario)?;
    let seed = options.seed.or(scenario.seed).unwrap_or_else(draw_seed);
    let plan = plan::compile(scenario, seed)?;
    let device = line::device(&plan)?;
    let mut kernel = Kernel::load(&Setup {
        seed,
        selectors: plan.selectors.clone(),
        udp_conditions: plan.udp_conditions(),
        rules: plan.rules.len() as u32,
        slots: SLOTS,
        log_level: options.kernel_log,
        fq: matches!(device, Some(Device::Fq(_))),
        hook: options.hook,
        ..Setup::default()
    })?;
    if options.kernel_log > 0 {
        kernel.forward_logs()?;
    }
    let selection = Selection::new(scenario, &plan).await?;
    kernel.write_conditions(&selection.tables)?;
    let (events, batches) = mpsc::unbounded_channel();
    let reader = kernel.events_to(events.clone())?;
    let tier = kernel.attach_evidence(options.tier)?;
    let name = run_name();
    let journal = Journal::write(&name, plan.needs_line())
        .map_err(RunError::io("write the journal of this run and change the settings of lo"))?;
    let keeper = journal.keeper().map_err(RunError::io("open the journal of this run"))?;
    kernel.set_keeper(Box::new(keeper));
    let interfaces = attach_interfaces(&mut kernel).await?;
    let cgroup = RunCgroup::create(&name)?;
    attach_cgroups(&mut kernel, &cgroup, &targets)?;
    let sender = Arc::new(actions::sender(&mut kernel)?);
    let (resets, reset_wanted) = mpsc::unbounded_channel();
    let line = match device {
        Some(device) => {
            let answers = line::answers(Arc::clone(&sender), resets);
            Some(line::open(&mut kernel, &plan, device, events, answers)?)
        }
        None => None,
    };
    let apps_dir = out.path().join(write::APPS);
    std::fs::create_dir_all(&apps_dir)
        .map_err(RunError::io(format!("make {}", apps_dir.display())))?;
    let (mut supervisor, app_events) = Supervisor::new(&scenario.apps, &cgroup, &apps_dir)?;
    register_apps(&mut kernel, &plan, &supervisor)?;
    attach_apps(&mut kernel, scenario, &selection, &mut supervisor, targets)?;
    let janitor = if options.janitor {
        let charge = Charge::new(&cgroup, &journal, scenario, &supervisor, &apps_dir);
        Some(
            Janitor::start(&charge, &cgroup, &journal, &supervisor)
                .map_err(RunError::io("start the janitor"))?,
        )
    } else {
        None
    };
    Ok(Stage {
        line,
        events: Some(reader),
        batches,
        sender,
        reset_wanted,
        kernel,
        supervisor,
        app_events,
        interfaces,
        selection,
        plan,
        tier,
        apps_dir,
        base_dir: options.base_dir.clone(),
        _cgroup: cgroup,
        _journal: journal,
        _janitor: janitor,
    })
}

/// A seed for a run that names none; 32 bits, so that people can retype it.
fn draw_seed() -> u64 {
    fault_common::rng::mix(crate::clock::monotonic_ns() ^ u64::from(std::process::id())) >> 32
}

/// Unique on this machine at any time.
fn run_name() -> String {
    let unique = fault_common::rng::mix(crate::clock::monotonic_ns());
    format!("{}-{:04x}", std::process::id(), unique & 0xffff)
}

async fn attach_interfaces(
    kernel: &mut Kernel,
) -> Result<mpsc::UnboundedReceiver<Change>, RunError> {
    let (found, changes) =
        interfaces::watch().await.map_err(RunError::io("list the network interfaces"))?;
    for Interface { index, name, ethernet } in found {
        kernel.attach_interface(&name, index, ethernet)?;
    }
    Ok(changes)
}

/// Watches what opens in the cgroups of all apps.
fn attach_cgroups(
    kernel: &mut Kernel,
    run: &RunCgroup,
    targets: &[attach::Target],
) -> Result<(), RunError> {
    let paths = targets.iter().map(|t| t.cgroup.clone()).chain([format!("/{}", run.name())]);
    for path in attach::covering(paths.collect()) {
        let directory = run.hierarchy().root().join(path.trim_start_matches('/'));
        let what = format!("open the cgroup {}", directory.display());
        let cgroup = std::fs::File::open(&directory).map_err(RunError::io(what))?;
        kernel.attach_cgroup(cgroup)?;
    }
    Ok(())
}

/// Makes apps known that run already, with what they have open.
fn attach_apps(
    kernel: &mut Kernel,
    scenario: &Scenario,
    selection: &Selection,
    supervisor: &mut Supervisor,
    targets: Vec<attach::Target>,
) -> Result<(), RunError> {
    if targets.is_empty() {
        return Ok(());
    }
    kernel.attach_found()?;
    for target in &targets {
        match &target.process {
            Some(process) => kernel.add_process(process.pid, target.app as u32)?,
            None => kernel.add_app(target.cgroup_id, target.app as u32)?,
        }
    }
    attach::take_in(kernel, scenario, selection, &targets, SLOTS)?;
    for target in targets {
        if let Some(process) = target.process {
            supervisor.attach(target.app, process)?;
        }
    }
    Ok(())
}

fn register_apps(
    kernel: &mut Kernel,
    plan: &Plan,
    supervisor: &Supervisor,
) -> Result<(), RunError> {
    for (app, observed) in plan.observed.iter().enumerate() {
        if !observed {
            continue;
        }
        kernel.add_app(supervisor.cgroup_id(app), app as u32)?;
        let set = markers(plan, app);
        if set == MarkerSet::EMPTY {
            continue;
        }
        for (_, channel) in supervisor.channels(app) {
            if let Some(cookie) = channel.cookie() {
                kernel.watch_output(channel.ours.as_ref(), cookie, &set)?;
            }
        }
    }
    Ok(())
}

fn markers(plan: &Plan, app: usize) -> MarkerSet {
    let mut set = MarkerSet::EMPTY;
    let of_app = plan.markers.iter().filter(|m| m.app == app);
    for (slot, marker) in set.markers.iter_mut().zip(of_app) {
        *slot = MarkerEntry::new(marker.text.as_bytes(), marker.selector);
    }
    set
}
