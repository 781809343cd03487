//! Everything that must be in place before the first app starts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use fault_common::table::{MarkerEntry, MarkerSet};
use tokio::sync::mpsc;

use super::attach::Reach;
use super::interfaces::{self, Change, Interface};
use super::janitor::{Charge, Janitor};
use super::journal::Journal;
use super::progress::Teller;
use super::selection::Selection;
use super::{Options, RunError, actions, attach, line};
use crate::act::RawSender;
use crate::app::cgroup::RunCgroup;
use crate::app::{AppEvent, Supervisor};
use crate::capture::Link;
use crate::chain::told;
use crate::kernel::{Batch, CaptureReader, EventReader, Kernel, Setup, Tier};
use crate::line::{Device, Reached};
use crate::netns::{self, Netns};
use crate::plan::{self, Plan};
use crate::report::{OutDir, write};
use crate::scenario::Scenario;
use crate::scenario::model::{Capture, Opened};

const IDENTIFY: &str = "identify a network namespace (SO_NETNS_COOKIE, Linux 5.14)";
/// How many sockets a run can observe.
const SLOTS: u32 = 4096;

/// What a run holds of the machine. Dropping it gives everything back, in this order.
pub struct Stage {
    pub line: Option<line::Running>,
    pub events: Option<EventReader>,
    pub captures: Option<CaptureReader>,
    /// Interfaces that there are or were, by index.
    pub links: BTreeMap<u32, Link>,
    pub batches: mpsc::UnboundedReceiver<Batch>,
    pub sender: Arc<RawSender>,
    /// The same in the second network namespace, if there is one: of other apps that run already, or of those that the run
    /// starts (flowfault's home).
    pub home_sender: Option<RawSender>,
    /// Where that is.
    pub second: Option<Arc<Netns>>,
    /// Limits that the line wants to end with resets.
    pub reset_wanted: mpsc::UnboundedReceiver<Reached>,
    pub kernel: Kernel,
    pub supervisor: Supervisor,
    pub app_events: mpsc::Receiver<AppEvent>,
    pub interfaces: mpsc::UnboundedReceiver<Change>,
    pub home_interfaces: mpsc::UnboundedReceiver<Change>,
    pub selection: Selection,
    pub plan: Plan,
    pub tier: Tier,
    /// Why nobody could tell where the streams of open sockets stand.
    pub unplaced: Option<String>,
    pub apps_dir: PathBuf,
    pub base_dir: PathBuf,
    pub hold: bool,
    pub progress: Option<Teller>,
    _cgroup: RunCgroup,
    _journal: Journal,
    _janitor: Option<Janitor>,
}

/// Loads, attaches and opens everything; starts nothing of the user's.
pub async fn prepare(
    scenario: &Scenario,
    options: &Options,
    out: Option<&OutDir>,
    reach: Reach,
) -> Result<Stage, RunError> {
    let Reach { targets, home, second, .. } = reach;
    let watched = second.as_ref();
    let apps_dir = apps_dir(scenario, out)?;
    let capture = out.map_or(Capture::NONE, |_| scenario.capture);
    let accepting = accepting(scenario);
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
        every_packet: options.every_packet,
        snaplen: if capture.max > 0 { capture.snaplen } else { 0 },
        captures: capture.max,
        accepting,
        netns: netns::cookie().map_err(RunError::io(IDENTIFY))?,
        home: watched
            .map_or(Ok(0), |home| home.within(netns::cookie)?)
            .map_err(RunError::io(IDENTIFY))?,
        ..Setup::default()
    })?;
    if options.kernel_log > 0 {
        kernel.forward_logs()?;
    }
    let selection = Selection::new(scenario, &plan, home.as_ref()).await?;
    kernel.write_conditions(&selection.tables)?;
    let tier = kernel.attach_evidence(options.tier)?;
    if !targets.is_empty() || accepting != 0 {
        kernel.watch_states()?;
    }
    kernel.check_known_socket()?;
    let (events, batches) = mpsc::unbounded_channel();
    let reader = kernel.events_to(events.clone())?;
    let captures = kernel.captures()?;
    let name = run_name();
    let journal = Journal::write(&name, plan.needs_line())
        .map_err(RunError::io("write the journal of this run and change the settings of lo"))?;
    let keeper = journal.keeper().map_err(RunError::io("open the journal of this run"))?;
    kernel.set_keeper(Box::new(keeper));
    let (links, interfaces) = attach_interfaces(&mut kernel, None).await?;
    let (home_links, home_interfaces) = match watched {
        Some(home) => attach_interfaces(&mut kernel, Some(home)).await?,
        None => (BTreeMap::new(), mpsc::unbounded_channel().1),
    };
    let links = Link::of_two(links, home_links);
    let cgroup = RunCgroup::create(&name)?;
    attach_cgroups(&mut kernel, &cgroup, &targets)?;
    let sender = Arc::new(actions::sender(&mut kernel, None)?);
    let home_sender = watched.map(|home| actions::sender(&mut kernel, Some(home))).transpose()?;
    let (resets, reset_wanted) = mpsc::unbounded_channel();
    let line = match device {
        Some(device) => {
            let answers = line::answers(Arc::clone(&sender), resets);
            Some(line::open(&mut kernel, &plan, capture, device, events, answers)?)
        }
        None => None,
    };
    let (mut supervisor, app_events) = Supervisor::new(&scenario.apps, &cgroup, &apps_dir)?;
    home.iter().for_each(|home| supervisor.start_in(Arc::clone(home)));
    register_apps(&mut kernel, &plan, &supervisor)?;
    let unplaced =
        attach_apps(&mut kernel, scenario, &selection, &mut supervisor, (targets, watched))?;
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
        captures: Some(captures),
        links,
        batches,
        sender,
        home_sender,
        second,
        reset_wanted,
        kernel,
        supervisor,
        app_events,
        interfaces,
        home_interfaces,
        selection,
        plan,
        tier,
        unplaced,
        apps_dir,
        base_dir: options.base_dir.clone(),
        hold: options.hold,
        progress: options.progress.clone().map(Teller::new),
        _cgroup: cgroup,
        _journal: journal,
        _janitor: janitor,
    })
}

/// Where apps and commands write to; no place if there are none.
fn apps_dir(scenario: &Scenario, out: Option<&OutDir>) -> Result<PathBuf, RunError> {
    let starts = scenario.apps.iter().any(|app| app.attach.is_none())
        || scenario.steps.iter().any(|step| step.exec.is_some());
    let Some(out) = out else {
        return if starts { Err(RunError::NoDirectory) } else { Ok(PathBuf::new()) };
    };
    let dir = out.path().join(write::APPS);
    std::fs::create_dir_all(&dir).map_err(RunError::io(format!("make {}", dir.display())))?;
    Ok(dir)
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

/// A bit for each app of which accepted connections are meant.
fn accepting(scenario: &Scenario) -> u64 {
    let flows = scenario.flows.iter().filter(|flow| flow.opened == Some(Opened::Accept));
    flows.fold(0, |bits, flow| bits | flow.app.map_or(u64::MAX, |app| 1 << (app.0 & 63)))
}

/// Those of the run's network namespace, or of its second one.
async fn attach_interfaces(
    kernel: &mut Kernel,
    home: Option<&Arc<Netns>>,
) -> Result<(BTreeMap<u32, Link>, mpsc::UnboundedReceiver<Change>), RunError> {
    let watched = interfaces::watch(home.map(AsRef::as_ref)).await;
    let (found, changes) = watched.map_err(RunError::io("list the network interfaces"))?;
    let mut links = BTreeMap::new();
    for Interface { index, name, ethernet } in found {
        match home {
            Some(home) => kernel.attach_at_home(home, &name, index, ethernet)?,
            None => kernel.attach_interface(&name, index, ethernet)?,
        }
        links.insert(index, Link { name, ethernet });
    }
    Ok((links, changes))
}

/// Watches what opens in the cgroups of all apps.
fn attach_cgroups(
    kernel: &mut Kernel,
    run: &RunCgroup,
    targets: &[attach::Target],
) -> Result<(), RunError> {
    let paths =
        targets.iter().flat_map(attach::Target::cgroups).chain([format!("/{}", run.name())]);
    for path in attach::covering(paths.collect()) {
        let directory = run.hierarchy().root().join(path.trim_start_matches('/'));
        let what = format!("open the cgroup {}", directory.display());
        let cgroup = std::fs::File::open(&directory).map_err(RunError::io(what))?;
        kernel.attach_cgroup(cgroup)?;
    }
    Ok(())
}

/// Makes apps known that run already, with what they have open. Why positions of that count from the first byte seen,
/// if they do.
fn attach_apps(
    kernel: &mut Kernel,
    scenario: &Scenario,
    selection: &Selection,
    supervisor: &mut Supervisor,
    (targets, second): (Vec<attach::Target>, Option<&Arc<Netns>>),
) -> Result<Option<String>, RunError> {
    if targets.is_empty() {
        return Ok(None);
    }
    let unplaced = kernel.load_take_in()?;
    if targets.iter().any(|t| t.children) {
        kernel.follow_children()?;
    }
    for target in &targets {
        match &target.process {
            Some(process) => kernel.add_process(process.pid, target.app as u32, target.children)?,
            None => kernel.add_app(target.cgroup_id, target.app as u32)?,
        }
        if target.children {
            attach::add_descendants(kernel, target)?;
        }
    }
    attach::take_in(kernel, (scenario, selection), &targets, second.map(AsRef::as_ref), SLOTS)?;
    for target in targets {
        if let Some(process) = target.process {
            supervisor.attach(target.app, process)?;
        }
    }
    Ok(unplaced.map(|why| told(&why)))
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
