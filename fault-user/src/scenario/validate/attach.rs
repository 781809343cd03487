//! `pid`, `process`, `cgroup` and `container` of an `[[app]]`: what runs already.

use crate::scenario::diagnostic::Problem;
use crate::scenario::model::Attach;
use crate::scenario::reader::{Field, Fields, Item, wrong_value};
use crate::scenario::tree::Node;
use crate::scenario::values;

/// The keys of which an app has one.
const SOURCES: [&str; 5] = ["command", "pid", "process", "cgroup", "container"];
/// Those that name what runs already.
const RUNNING: [&str; 4] = ["pid", "process", "cgroup", "container"];
/// The shortest beginning of an id that is taken: what `docker ps` shows has 12 digits.
const SHORTEST: usize = 6;
/// What is said of an app that the run starts, and could not be changed in one that runs.
const STARTED: [&str; 8] = ["env", "cwd", "user", "ready", "main", "grace", "autostart", "stdio"];

/// Which of its keys makes an app one that is attached to.
pub fn key_of(node: &Node) -> Option<&'static str> {
    let table = node.as_table()?;
    RUNNING.into_iter().find(|key| table.get(key).is_some())
}

/// Reads the key that names what runs already.
pub fn read(problems: &mut Vec<Problem>, fields: &mut Fields<'_>) -> Field<Attach> {
    let pid = fields.field("pid", |i| {
        let pid = values::small(problems, i, 1, i32::MAX as u32)?;
        i32::try_from(pid).ok().map(Attach::Pid)
    });
    let process = fields.field("process", |i| {
        values::text(problems, i, "process = \"redis-server\"").map(Attach::Process)
    });
    let cgroup = fields.field("cgroup", |i| cgroup(problems, i).map(Attach::Cgroup));
    let container = fields.field("container", |i| container(problems, i).map(Attach::Container));
    [pid, process, cgroup, container].into_iter().find(Field::is_present).unwrap_or(Field::Absent)
}

fn cgroup(problems: &mut Vec<Problem>, item: Item<'_>) -> Option<String> {
    const EXAMPLE: &str = "cgroup = \"system.slice/coop.service\"";
    let path = values::text(problems, item, EXAMPLE)?;
    if path.split('/').any(|part| part == "..") {
        wrong_value(problems, item, "it leads upwards", "write the path without `..`");
        return None;
    }
    if path.trim_matches('/').is_empty() {
        let help = format!("name the cgroup of the app, for example `{EXAMPLE}`");
        wrong_value(problems, item, "the root holds every process of the machine", &help);
        return None;
    }
    Some(path)
}

/// The beginning of the id of a container (64 hexadecimal digits) or a pod (a UUID).
fn container(problems: &mut Vec<Problem>, item: Item<'_>) -> Option<String> {
    const EXAMPLE: &str = "container = \"3f4c8a0b91de\"";
    let id = values::text(problems, item, EXAMPLE)?.to_ascii_lowercase();
    if !id.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
        let help = "a container or pod goes by its id, as `docker ps`, `podman ps`, `crictl ps` or `kubectl get pod -o \
                    yaml` (metadata.uid) tell it; of a name nothing is known to the kernel";
        wrong_value(problems, item, "it is no hexadecimal number", help);
        return None;
    }
    if id.len() < SHORTEST {
        let help = format!("give at least {SHORTEST} digits of the id, for example `{EXAMPLE}`");
        wrong_value(problems, item, "it is too short to be one container's", &help);
        return None;
    }
    Some(id)
}

/// Checks what stands beside it. Returns whether all of it fits.
pub fn fits(problems: &mut Vec<Problem>, fields: &mut Fields<'_>) -> bool {
    let sources = fields.present(&SOURCES);
    let before = problems.len();
    if let [first, second, ..] = sources[..] {
        let message = format!("`{}` contradicts `{}`", second.key, first.key);
        let help = "an [[app]] is started (`command`) or attached to (`pid`, `process`, `cgroup` or \
                    `container`): keep one";
        let problem = Problem::new(second.key_at, message, help);
        problems.push(problem.also(first.key_at, "the app is this already"));
    } else if let [running] = sources[..]
        && running.key != "command"
    {
        for entry in fields.present(&STARTED) {
            let message = format!("`{}` contradicts `{}`", entry.key, running.key);
            let help = "what runs already is taken as it is: leave the key out";
            let problem = Problem::new(entry.key_at, message, help);
            problems.push(problem.also(running.key_at, "the run does not start it"));
        }
        if let Some(outcomes) = fields.entry("outcomes")
            && let Some(table) = outcomes.node.as_table()
            && table.get("from").is_none_or(|from| from.node.as_str().is_some())
        {
            let message = "the output of a process that runs already cannot be read";
            let help = "let it write its outcomes to a file: `from = { file = \"traces.jsonl\" }`";
            let at = table.get("from").map_or(outcomes.key_at, |from| from.node.at);
            let problem = Problem::new(at, message, help);
            problems.push(problem.also(running.key_at, "the run does not start it"));
        }
    }
    if let Some(children) = fields.entry("children")
        && let [source] = sources[..]
        && !matches!(source.key.as_str(), "pid" | "process")
    {
        let message = format!("`children` has no meaning beside `{}`", source.key);
        let help = "children stay in the cgroup of their app and belong to it anyway: leave it out";
        let problem = Problem::new(children.key_at, message, help);
        problems.push(problem.also(source.key_at, "the app is a cgroup"));
    }
    problems.len() == before
}
