//! Names of signals.

/// Signals that a step may send, without their `SIG`.
const SIGNALS: [(&str, i32); 18] = [
    ("KILL", libc::SIGKILL),
    ("TERM", libc::SIGTERM),
    ("INT", libc::SIGINT),
    ("HUP", libc::SIGHUP),
    ("QUIT", libc::SIGQUIT),
    ("ABRT", libc::SIGABRT),
    ("STOP", libc::SIGSTOP),
    ("CONT", libc::SIGCONT),
    ("TSTP", libc::SIGTSTP),
    ("USR1", libc::SIGUSR1),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("CHLD", libc::SIGCHLD),
    ("SEGV", libc::SIGSEGV),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("WINCH", libc::SIGWINCH),
];

/// The number of a signal, named with or without `SIG`.
pub fn number(name: &str) -> Option<i32> {
    let name = name.strip_prefix("SIG").unwrap_or(name);
    SIGNALS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// The name of a signal, with `SIG`.
pub fn name(number: i32) -> String {
    match SIGNALS.iter().find(|(_, known)| *known == number) {
        Some((name, _)) => format!("SIG{name}"),
        None => format!("signal {number}"),
    }
}

/// All names, without `SIG`.
pub fn names() -> impl Iterator<Item = &'static str> {
    SIGNALS.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        assert_eq!(number("KILL"), Some(9));
        assert_eq!(number("SIGKILL"), Some(9));
        assert_eq!((number("kill"), number("SIG"), number("")), (None, None, None));
        for word in names() {
            assert_eq!(name(number(word).unwrap()), format!("SIG{word}"));
        }
    }
}
