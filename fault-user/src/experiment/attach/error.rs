//! Why something that runs cannot be attached to, or its sockets not told apart. All of it is found out before
//! any fault is armed.

use crate::kernel::KernelError;
use crate::sockets::SocketsError;

/// See the messages.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// Nothing is what an app is to be.
    #[error("app `{app}`: {what}. {remedy}")]
    Nothing {
        /// Its name.
        app: String,
        /// What is not there.
        what: String,
        /// How to find the right one.
        remedy: &'static str,
    },
    /// No cgroup is. Unlike a process, whose number nobody knows before, its name is known to whoever writes the scenario.
    #[error("app `{app}`: {what}. {remedy}")]
    NoCgroup {
        /// Name of the app.
        app: String,
        /// What is not there.
        what: String,
        /// How to find the right one.
        remedy: &'static str,
    },
    /// Several are.
    #[error("app `{app}`: {what}; name one of them with {with}:\n{}", candidates.join("\n"))]
    Ambiguous {
        /// Its name.
        app: String,
        /// What there are several of.
        what: String,
        /// The key that tells them apart.
        with: &'static str,
        /// One line for each.
        candidates: Vec<String>,
    },
    /// A process is no name, and its pattern no pattern.
    #[error(
        "app `{app}`: no process is called `{pattern}`, and as a regular expression for a command line it is not \
         valid: {reason}"
    )]
    Pattern {
        /// Name of the app.
        app: String,
        /// What stands in the scenario.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Apps in three network namespaces.
    #[error(
        "the apps are in more than two network namespaces (`{app}` is in one, `{other}` in a third; what the run starts is where \
         flowfault is), and a run watches two: attach to some of them in a run of their own"
    )]
    Apart {
        /// Name of the first.
        app: String,
        /// Name of one in the third.
        other: String,
    },
    /// The processes of one app are.
    #[error(
        "the processes of app `{app}` are in different network namespaces, and an app has to be in one: attach to one of \
         them with `pid` or `process`"
    )]
    Spread {
        /// Name of the app.
        app: String,
    },
    /// Faults of the delay line in two network namespaces.
    #[error(
        "flow `{flow}` has a fault that needs the delay line, as flows of app `{app}` do or may do; `{app}` and `{other}` are in \
         different network namespaces, and a run has a delay line in one. Name the app of each flow if one of them is meant; \
         else do it in a run of its own"
    )]
    LineElsewhere {
        /// Name of the flow.
        flow: String,
        /// Name of an app in one.
        app: String,
        /// Name of an app in the other.
        other: String,
    },
    /// The network namespace of this process.
    #[error("cannot look at this network namespace: {source}. Mount /proc")]
    Home {
        /// The system's answer.
        source: std::io::Error,
    },
    /// The second one of a run.
    #[error("cannot enter the network namespace of an app (CAP_SYS_ADMIN): {source}")]
    Enter {
        /// The system's answer.
        source: std::io::Error,
    },
    /// A child of the process cannot be held.
    #[error("cannot take hold of the child process {pid} of an app: {source}")]
    Child {
        /// Its number.
        pid: u32,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Process ids here are not those that eBPF programs see.
    #[error(
        "app `{app}`: flowfault runs in a PID namespace of its own, where numbers of processes are not the \
         kernel's. Run it outside of the container, or attach by `cgroup`"
    )]
    PidNamespace {
        /// Name of the app.
        app: String,
    },
    /// A cgroup that a flow names.
    #[error(
        "flow `{flow}`: {what}{}. A path is taken from the root of the cgroup2 hierarchy; see `ps -eo pid,cgroup,comm`",
        candidates.concat()
    )]
    FlowCgroup {
        /// Its name.
        flow: String,
        /// What is wrong.
        what: String,
        /// A line for each that may be meant.
        candidates: Vec<String>,
    },
    /// More open sockets than a flow may stand for.
    #[error(
        "flow `{flow}` matches {} open sockets and max_flows is {max}: pick one with one of these lines, or raise \
         max_flows:\n{}", sockets.len(), sockets.join("\n")
    )]
    TooMany {
        /// Name of the flow.
        flow: String,
        /// How many it may be.
        max: u32,
        /// One line for each.
        sockets: Vec<String>,
    },
    /// A number where nothing was counted.
    #[error(
        "flow `{flow}`: `nth` counts connections as they open, and of these, which are open already, nobody knows \
         the order: pick one with one of these lines instead of `nth`:\n{}", sockets.join("\n")
    )]
    NotCounted {
        /// Name of the flow.
        flow: String,
        /// One line for each.
        sockets: Vec<String>,
    },
    /// The socket that is meant is not there.
    #[error("flow `{flow}` matches none of the open sockets{}", listed(sockets))]
    NoMatch {
        /// Name of the flow.
        flow: String,
        /// One line for each that is there.
        sockets: Vec<String>,
    },
    /// Somebody's way into this machine, or our own socket.
    #[error(
        "flow `{flow}` would hit a socket of {whose}. If that is meant, name it by its cookie:\n{socket}"
    )]
    Protected {
        /// Name of the flow.
        flow: String,
        /// Whose it is.
        whose: &'static str,
        /// Its line.
        socket: String,
    },
    /// It is gone before anything could be done to it.
    #[error("flow `{flow}`: its socket was closed while the run was being prepared:\n{socket}")]
    Closed {
        /// Name of the flow.
        flow: String,
        /// Its line.
        socket: String,
    },
    /// The tables are full.
    #[error(
        "app `{app}` has more open sockets than can be observed ({max}): attach to a smaller part of it, or to \
         one of its processes"
    )]
    NoRoom {
        /// Name of the app.
        app: String,
        /// How many can be.
        max: u32,
    },
    /// A listener that two share.
    #[error(
        "flow `{flow}`: {local} is listened at by process {pid} as well, which is not of app `{app}`: whose a new \
         connection is cannot be told there. Attach to both by `cgroup`"
    )]
    SharedListener {
        /// Name of the flow.
        flow: String,
        /// Name of the app.
        app: String,
        /// Where.
        local: std::net::SocketAddr,
        /// The other process.
        pid: i32,
    },
    /// The look at the sockets.
    #[error(transparent)]
    Sockets(#[from] SocketsError),
    /// The kernel side.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// A call failed.
    #[error("app `{app}`: cannot {what}: {source}")]
    System {
        /// Name of the app.
        app: String,
        /// What was tried.
        what: String,
        /// The system's answer.
        source: std::io::Error,
    },
}

fn listed(sockets: &[String]) -> String {
    if sockets.is_empty() {
        return ": its app has none; `flowfault flows` lists those of others".into();
    }
    format!("; there are these:\n{}", sockets.join("\n"))
}

impl AttachError {
    /// Whether the scenario would have to say it otherwise (exit code 2).
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Ambiguous { .. }
                | Self::Pattern { .. }
                | Self::NoCgroup { .. }
                | Self::FlowCgroup { .. }
        )
    }

    /// Whether it is a matter of this machine (exit code 3).
    pub fn is_machine(&self) -> bool {
        matches!(
            self,
            Self::Apart { .. }
                | Self::Spread { .. }
                | Self::LineElsewhere { .. }
                | Self::Home { .. }
                | Self::Enter { .. }
                | Self::PidNamespace { .. }
                | Self::Sockets(_)
                | Self::Kernel(_)
                | Self::System { .. }
        )
    }
}
