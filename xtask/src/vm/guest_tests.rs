//! The supervisor with shell scripts in QEMU's place: each kind of end is told from the others.
//! With real guests: `cargo xtask vm-test --self-test`.

use super::*;

const QUICK: Limits = Limits {
    boot: Duration::from_secs(2),
    silence: Duration::from_secs(1),
    total: Duration::from_secs(20),
};

/// Runs `script` as if it were QEMU; `$R` is the file of the second port.
fn supervised(name: &str, script: &str, limits: Limits) -> Outcome {
    let dir = std::env::temp_dir().join(format!("xtask-guest-{}-{name}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let ports = Ports { console: dir.join("console"), results: dir.join("results") };
    let mut shell = Command::new("sh");
    shell.env("R", &ports.results).args(["-c", script]);
    let outcome = run(shell, &ports, limits, |_, _| {}).unwrap();
    assert_eq!(fs::read_to_string(&ports.console).unwrap(), outcome.console);
    fs::remove_dir_all(&dir).unwrap();
    outcome
}

#[test]
fn a_good_guest_is_done() {
    let script = "echo hello; echo up 6.1 >>$R; echo begin a >>$R; echo end a 0 >>$R; \
        echo done >>$R; echo bye";
    let outcome = supervised("good", script, QUICK);
    assert_eq!(outcome.ending, Ending::Done);
    assert!(outcome.progress.passed(&["a".into()]));
    assert!(outcome.console.contains("hello") && outcome.console.contains("bye"));
}

#[test]
fn a_panic_is_reported_with_what_comes_after_it() {
    let script = "echo up 6.1 >>$R; echo '[    1.0] Kernel panic - not syncing: x'; \
        sleep 0.5; echo '[    1.0] Call Trace:'; sleep 60";
    let outcome = supervised("panic", script, QUICK);
    assert_eq!(outcome.ending, Ending::Trouble("Kernel panic - not syncing: x".into()));
    assert!(outcome.console.contains("Call Trace"), "{}", outcome.console);
    assert!(outcome.took < Duration::from_secs(20));
}

#[test]
fn silence_is_a_hang() {
    let outcome = supervised("hung", "echo up 6.1 >>$R; echo begin a >>$R; sleep 60", QUICK);
    assert_eq!(outcome.ending, Ending::Silent(QUICK.silence));
    assert_eq!(outcome.progress.tests, [("a".to_owned(), None)]);
}

#[test]
fn talk_without_end_is_too_long() {
    let limits = Limits { total: Duration::from_secs(2), ..QUICK };
    let script = "echo up 6.1 >>$R; while sleep 0.2; do echo again; done";
    assert_eq!(supervised("long", script, limits).ending, Ending::TooLong(limits.total));
}

#[test]
fn a_guest_that_never_comes_up_is_told_apart() {
    let script = "while sleep 0.2; do echo booting; done";
    assert_eq!(supervised("boot", script, QUICK).ending, Ending::NoBoot(QUICK.boot));
}

#[test]
fn an_early_end_is_no_success() {
    let outcome = supervised("gone", "echo up 6.1 >>$R; echo no such device >&2; exit 1", QUICK);
    assert_eq!(outcome.ending, Ending::Gone("exit status: 1".into()));
    assert!(outcome.console.contains("no such device"));
}

#[test]
fn qemu_dies_with_the_thread_that_started_it() {
    let machine = Machine {
        image: Path::new("/k"),
        initramfs: Path::new("/i"),
        memory_mib: 1,
        cpus: 1,
        drive: Drive::Instructions,
    };
    let command = machine.command();
    let words: Vec<_> = command.get_args().map(|w| w.to_string_lossy().into_owned()).collect();
    assert_eq!(words[..2], ["--pdeathsig", "KILL"]);
    // The same words with something else in QEMU's place.
    let pid = std::thread::spawn(move || {
        let mut sleep = Command::new("setpriv");
        sleep.args(&words[..2]).args(["sleep", "60"]).stdout(Stdio::null());
        let child = sleep.spawn().unwrap();
        // Until setpriv has set the signal and is sleep.
        let comm = format!("/proc/{}/comm", child.id());
        while fs::read_to_string(&comm).unwrap() != "sleep\n" {
            std::thread::sleep(Duration::from_millis(5));
        }
        child
    });
    let mut child = pid.join().unwrap();
    let end = Instant::now() + Duration::from_secs(5);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < end, "it lives on");
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(crate::exec::code_of(status), 128 + 9);
}
