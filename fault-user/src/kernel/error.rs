//! What can go wrong between this program and the kernel, each with its remedy.

use aya::maps::MapError;

/// An error of the kernel side.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// This process may not do it.
    #[error(
        "{what}: not permitted. Run as root, or with the capabilities CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN"
    )]
    Privilege {
        /// What was refused.
        what: String,
    },
    /// The kernel lacks something.
    #[error("this kernel has no {feature} (needed since: {since}). {remedy}")]
    Missing {
        /// What it lacks.
        feature: &'static str,
        /// The version that brought it.
        since: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// Somebody else is in the way.
    #[error("interface {interface} has {by}. {remedy}")]
    Occupied {
        /// The interface.
        interface: String,
        /// What it has.
        by: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// The object in this binary is not usable.
    #[error("the eBPF object in this binary is {what}: build it with `cargo xtask build`")]
    Object {
        /// What is wrong with it.
        what: &'static str,
    },
    /// A program was refused; the verifier's last lines are part of the message.
    #[error("the kernel refused the program `{program}`: {reason}")]
    Program {
        /// Its name.
        program: String,
        /// The tail of the verifier's log, or the error.
        reason: String,
    },
    /// An operation on a map or on an interface failed.
    #[error("cannot {what}")]
    Map {
        /// What was tried.
        what: String,
        /// aya's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The kernel's own type information does not have what the programs need.
    #[error("the kernel's BTF has no field {field}: its layout is not one that flowfault knows")]
    Btf {
        /// `struct.field`.
        field: String,
    },
    /// The programs read something else than they mean to.
    #[error(
        "the eBPF programs misread a TCP socket of known content: {what}. The kernel's BTF (/sys/kernel/btf/vmlinux) does not describe the kernel that runs, or this evidence does not work on it: boot the kernel as its packages installed it, or force another with --evidence"
    )]
    Layout {
        /// What they said, and what is.
        what: String,
    },
    /// The kernel's BTF cannot be read.
    #[error(
        "cannot read the kernel's BTF (/sys/kernel/btf/vmlinux): the kernel needs CONFIG_DEBUG_INFO_BTF"
    )]
    NoBtf(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl KernelError {
    /// For map errors.
    pub(super) fn map<E>(what: impl Into<String>) -> impl FnOnce(E) -> Self
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let what = what.into();
        move |e| Self::Map { what, source: Box::new(e) }
    }

    /// For errors around the filters of an interface.
    pub(super) fn filters(interface: &str, e: std::io::Error) -> Self {
        if is_permission(&e) {
            return Self::Privilege { what: format!("filters on interface {interface}") };
        }
        Self::Map {
            what: format!("look after the filters of interface {interface}"),
            source: Box::new(e),
        }
    }

    /// For errors of loading or attaching `program`.
    pub(super) fn program(program: &str, e: &(dyn std::error::Error + 'static)) -> Self {
        let what = format!("loading or attaching the eBPF program `{program}`");
        if causes(e).any(is_permission) {
            return Self::Privilege { what };
        }
        let chain: Vec<String> = causes(e).map(ToString::to_string).collect();
        Self::Program { program: program.into(), reason: tail(&chain.join(": ")) }
    }
}

/// Takes it for done that a key which was to be removed was not there. (aya tells of it as of any failed call.)
pub(super) fn or_absent(removed: Result<(), MapError>) -> Result<(), MapError> {
    match removed {
        Err(MapError::SyscallError(e)) if e.io_error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        other => other,
    }
}

fn causes<'a>(
    e: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(e), |e| e.source())
}

/// EPERM comes from missing privileges; EACCES from the verifier, which is no matter of those.
fn is_permission(e: &(dyn std::error::Error + 'static)) -> bool {
    e.downcast_ref::<std::io::Error>().is_some_and(|e| e.raw_os_error() == Some(libc::EPERM))
}

/// Verifier logs have thousands of lines; the reason is in the last ones.
fn tail(text: &str) -> String {
    const KEEP: usize = 12;
    let lines: Vec<&str> = text.lines().collect();
    let skip = lines.len().saturating_sub(KEEP);
    let omitted = if skip > 0 { format!("({skip} lines omitted)\n") } else { String::new() };
    omitted + &lines[skip..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_a_long_log_is_kept() {
        let log: Vec<String> = (0..100).map(|i| format!("line {i}")).collect();
        let tail = tail(&log.join("\n"));
        assert!(tail.starts_with("(88 lines omitted)\nline 88"), "{tail}");
        assert!(tail.ends_with("line 99"));
    }

    #[test]
    fn eperm_is_a_matter_of_privileges() {
        let e = std::io::Error::from_raw_os_error(libc::EPERM);
        assert!(matches!(KernelError::program("x", &e), KernelError::Privilege { .. }));
        let e = std::io::Error::from_raw_os_error(libc::EINVAL);
        assert!(matches!(KernelError::program("x", &e), KernelError::Program { .. }));
    }
}
