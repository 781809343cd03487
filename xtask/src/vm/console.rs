//! What the two serial ports say: results of the tests, and signs that the kernel is in trouble.

use std::collections::BTreeMap;

/// What the guest itself has told on the second port.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// `uname -r`, once the guest's first process runs.
    pub up: Option<String>,
    /// Test programs that have begun, in order, and how they ended.
    pub tests: Vec<(String, Option<i32>)>,
    /// Whether everything was gone through.
    pub done: bool,
}

impl Progress {
    /// Reads all that was written until now. A last line without its end is not complete.
    pub fn parse(text: &str) -> Self {
        let mut progress = Self::default();
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["up", release] => progress.up = Some(release.to_owned()),
                ["begin", name] => progress.tests.push((name.to_owned(), None)),
                ["end", name, status] => {
                    let status = status.parse().ok();
                    let begun = progress.tests.iter_mut().rev().find(|(n, _)| n == name);
                    if let Some((_, end)) = begun {
                        *end = status;
                    }
                }
                ["done"] => progress.done = true,
                // A byte lost on the line: then something above is missing, and the guest fails.
                _ => {}
            }
        }
        progress
    }

    /// Whether all of these were run and succeeded, and the guest came to its end.
    pub fn passed(&self, expected: &[String]) -> bool {
        let ended: BTreeMap<&str, Option<i32>> =
            self.tests.iter().map(|(name, end)| (name.as_str(), *end)).collect();
        self.done && expected.iter().all(|name| ended.get(name.as_str()) == Some(&Some(0)))
    }
}

/// Words of the kernel's log after which nothing that the guest says is to be trusted.
const TROUBLE: [&str; 12] = [
    "Kernel panic - not syncing",
    "Oops: ",
    "BUG: unable to handle",
    "BUG: kernel NULL pointer",
    "kernel BUG at ",
    "general protection fault",
    "watchdog: BUG: soft lockup",
    "rcu: INFO: rcu_",
    "blocked for more than",
    "Out of memory: Killed process",
    "WARNING: CPU: ",
    "BUG: scheduling while atomic",
];

/// The trouble that a line of the console reports, if it does. Only lines of the kernel count,
/// which begin with a time: a test's output may speak of panics.
pub fn trouble(line: &str) -> Option<&str> {
    let message = line.trim().strip_prefix('[')?.split_once("] ")?;
    let is_time = message.0.trim().split_once('.').is_some_and(|(seconds, fraction)| {
        seconds.parse::<u64>().is_ok() && fraction.parse::<u64>().is_ok()
    });
    (is_time && TROUBLE.iter().any(|words| message.1.contains(words))).then_some(message.1)
}

/// The last lines of a text.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().map(str::trim_end).collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// What libtest prints of the tests that failed: from `failures:` to the result. In the middle
/// of the console, if other test programs came after.
pub fn failures(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = false;
    for line in text.lines().map(str::trim_end) {
        open |= line == "failures:";
        if open {
            found.push(line.to_owned());
        }
        open &= !line.starts_with("test result:");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "up 6.12.1\r\nbegin root_a\r\nend root_a 0\r\nbegin root_b\r\n\
        end root_b 0\r\ndone\r\n";

    fn expected() -> Vec<String> {
        vec!["root_a".into(), "root_b".into()]
    }

    #[test]
    fn a_whole_run_passes() {
        let progress = Progress::parse(GOOD);
        assert_eq!(progress.up.as_deref(), Some("6.12.1"));
        assert!(progress.passed(&expected()));
    }

    #[test]
    fn whatever_is_missing_fails() {
        for (from, to) in [
            ("end root_b 0", "end root_b 101"),
            ("end root_b 0\r\n", ""),
            ("end root_b 0", "end root_b"),
            ("begin root_a\r\nend root_a 0\r\n", ""),
            ("done\r\n", ""),
            ("done\r\n", "done"),
        ] {
            let text = GOOD.replace(from, to);
            assert!(!Progress::parse(&text).passed(&expected()), "{text}");
        }
    }

    #[test]
    fn a_line_that_is_not_complete_does_not_count_yet() {
        assert_eq!(
            Progress::parse("begin root_a\nend root_a 1").tests,
            [("root_a".to_owned(), None)]
        );
    }

    #[test]
    fn the_kernel_s_cries_are_heard() {
        for line in [
            "[    9.1234] Kernel panic - not syncing: sysrq triggered crash\r",
            "[  112.000001] watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [x:1]",
            "[  242.1] INFO: task x:7 blocked for more than 120 seconds.",
            "[    3.0] BUG: kernel NULL pointer dereference, address: 0000000000000000",
            "[    3.0] Oops: 0000 [#1] PREEMPT SMP NOPTI",
            "[    3.0] WARNING: CPU: 1 PID: 7 at kernel/bpf/verifier.c:1 f+0x1/0x2",
        ] {
            assert!(trouble(line).is_some(), "{line}");
        }
    }

    #[test]
    fn others_may_speak_of_panics() {
        for line in [
            "Kernel panic - not syncing is what a test may print",
            "test x ... ok",
            "[info] WARNING: CPU: a test's own log",
            "[    0.5] Kernel command line: panic=-1",
            "thread 'x' panicked at [a.b] Oops: ",
        ] {
            assert_eq!(trouble(line), None, "{line}");
        }
    }

    #[test]
    fn failed_tests_are_found_among_the_rest() {
        let text = "test a ... FAILED\r\nfailures:\r\n---- a ----\r\nwrong\r\n\
            test result: FAILED. 0 passed\r\nrunning 1 test\r\ntest b ... ok\r\n\
            test result: ok. 1 passed\r\n";
        let found = failures(text);
        assert_eq!(found, ["failures:", "---- a ----", "wrong", "test result: FAILED. 0 passed"]);
        assert_eq!(tail("a\nb\nc\r\n", 2), "b\nc");
    }
}
