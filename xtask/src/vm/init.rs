//! The guest's first process: a shell script that mounts, loads modules, runs, and says how it
//! went on the second serial port. Nothing else writes there, so no message of the kernel or of
//! a test can fall into the middle of a verdict, or look like one.

use std::path::Path;

/// What is to happen in the guest.
pub enum Work<'a> {
    /// Test programs, in this order, each with these arguments; `steady` is this program, which
    /// runs them.
    Tests { steady: &'a Path, binaries: &'a [&'a Path], filter: &'a [String] },
    /// One command line for sh.
    Command(&'a str),
    /// A shell on the console.
    Shell,
}

impl Work<'_> {
    /// What has to begin and to end well.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Tests { binaries, .. } => binaries.iter().map(|b| super::name_of(b)).collect(),
            Self::Command(_) => vec!["command".to_owned()],
            Self::Shell => Vec::new(),
        }
    }
}

/// Where the work happens, and with which variables.
pub struct Surroundings<'a> {
    pub dir: &'a Path,
    pub env: &'a [(String, String)],
    pub modules: &'a [String],
}

/// File systems that a system has. None on /tmp and /run: the root is in memory already, and the
/// workspace may be below one of them, where a mount would hide what was packed.
const MOUNTS: &str = "\
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs tracefs /sys/kernel/tracing
";

/// The script. Lines on the second port: `up`, then `begin NAME`, `end NAME STATUS`, `done`.
pub fn script(work: &Work<'_>, around: &Surroundings<'_>) -> String {
    let mut text = String::from(
        "#!/bin/busybox sh\n\
         /bin/busybox --install -s /bin\n\
         export PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root\n\
         mkdir -p /proc /sys /dev /run /tmp /root\n\
         chmod 1777 /tmp\n",
    );
    text.push_str(MOUNTS);
    text.push_str("say() { echo \"$*\" >/dev/ttyS1; }\n");
    for module in around.modules {
        text.push_str(&format!("insmod /modules/{module}.ko || echo \"no module {module}\"\n"));
    }
    text.push_str("ip link set lo up\n");
    for (name, value) in around.env {
        text.push_str(&format!("export {name}={}\n", quoted(value)));
    }
    text.push_str(&format!("cd {}\n", quoted(&around.dir.to_string_lossy())));
    text.push_str("say up $(uname -r)\n");
    text.push_str(&body(work));
    // With -no-reboot a restart ends QEMU; it needs no ACPI, as switching off would.
    text.push_str("say done\nreboot -f\n");
    text
}

fn body(work: &Work<'_>) -> String {
    match work {
        Work::Tests { steady, binaries, filter } => {
            let steady = quoted(&steady.to_string_lossy());
            let words: Vec<String> = filter.iter().map(|word| quoted(word)).collect();
            let one = |binary: &&Path| {
                let name = super::name_of(binary);
                let path = quoted(&binary.to_string_lossy());
                // Network namespaces, cgroups and programs are the machine's: one at a time.
                let run = format!("{steady} steady {path} --test-threads=1 {}", words.join(" "));
                format!("say begin {name}\n{run} </dev/null\nsay end {name} $?\n")
            };
            binaries.iter().map(one).collect()
        }
        Work::Command(line) => {
            format!("say begin command\n( {line} ) </dev/null\nsay end command $?\n")
        }
        // setsid and cttyhack make Ctrl-C work in the shell.
        Work::Shell => "setsid cttyhack sh\n".into(),
    }
}

/// A word for sh, whatever is in it.
pub fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn around() -> Surroundings<'static> {
        Surroundings { dir: Path::new("/a b"), env: &[], modules: &[] }
    }

    #[test]
    fn every_test_program_has_a_begin_and_an_end() {
        let binaries = [Path::new("/t/root_a-12ab"), Path::new("/t/root_b-34")];
        let filter = ["it's".to_owned()];
        let steady = Path::new("/x/xtask");
        let work = Work::Tests { steady, binaries: &binaries, filter: &filter };
        let text = script(&work, &around());
        assert!(text.contains(
            "say begin root_a\n'/x/xtask' steady '/t/root_a-12ab' --test-threads=1 'it'\\''s'"
        ));
        assert!(text.contains("say end root_b $?"));
        assert!(text.contains("cd '/a b'\n"));
        let (last, done) = (text.rfind("say end").unwrap(), text.rfind("say done").unwrap());
        assert!(last < done);
    }

    #[test]
    fn a_shell_accepts_the_script() {
        for work in [Work::Shell, Work::Command("echo c > /x; (exit 3)")] {
            let text = script(&work, &around());
            let status = Command::new("sh").args(["-n", "-c", &text]).status().unwrap();
            assert!(status.success(), "{text}");
        }
    }
}
