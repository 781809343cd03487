//! How long a fault lasts: as long as its guard, whatever becomes of stream, thread and process.

use std::net::{TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::{Duration, Instant};

use fault_user::guard::{Fault, load_or_skip};
use nix::sys::signal::Signal;

use crate::scene::{Pair, alone, held, soon};
use crate::support::netns::{self, Netns};
use crate::support::objects::{Objects, traces_of};
use crate::support::process::{self, Process, wait_for};
use crate::support::{Lab, slow};

#[test]
fn a_guard_outlives_its_stream() {
    alone(|| {
        let mut pair = Pair::new();
        let fault = Fault::on(&pair.client).unwrap().egress().drop_all().arm().unwrap();
        pair.says("hello");
        fault.wait_hits(1, soon()).unwrap();
        let Pair { client, server } = pair;
        drop(client);
        // What the kernel still sends for the closed socket is lost as well: a dead network lets no FIN out.
        server.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        assert!(std::io::Read::read(&mut &server, &mut [0; 9]).is_err(), "nothing comes");
        let counts = fault.counts().unwrap();
        assert!(
            counts.egress.hit >= 2 && counts.egress.hit == counts.egress.stream.dropped,
            "{counts:?}"
        );
        let last = fault.lift().unwrap();
        assert!(last.egress.hit >= counts.egress.hit);
        server.set_read_timeout(Some(soon())).unwrap();
        let mut heard = Vec::new();
        std::io::Read::read_to_end(&mut &server, &mut heard).unwrap();
        assert_eq!(heard, b"hello", "then the kernel delivers it after all");
    });
}

#[test]
fn the_stream_may_be_another_threads_and_the_guard_go_there() {
    alone(|| {
        let mut pair = Pair::new();
        let client = pair.client.try_clone().unwrap();
        let fault = std::thread::scope(|scope| {
            let arm = move || Fault::on(&client).unwrap().egress().drop_all().arm().unwrap();
            scope.spawn(arm).join().unwrap()
        });
        pair.says("hello");
        fault.wait_hits(1, soon()).unwrap();
        std::thread::scope(|scope| scope.spawn(move || drop(fault)).join().unwrap());
        assert_eq!(pair.hears(5, soon()), "hello");
    });
}

/// A test that fails while a fault is armed hurts no other, and the lock of the guards is not lost with it.
#[test]
fn a_panic_lifts_the_fault() {
    alone(|| {
        let mut pair = Pair::new();
        let failed = catch_unwind(AssertUnwindSafe(|| {
            let fault = Fault::on(&pair.client).unwrap().egress().drop_all().arm().unwrap();
            pair.says("hello");
            fault.wait_hits(1, soon()).unwrap();
            panic!("as a failed assertion does");
        }));
        assert!(failed.is_err());
        assert_eq!(pair.hears(5, soon()), "hello");
        drop(Fault::on(&pair.client).unwrap().drop_all().arm().unwrap());
        pair.works();
    });
}

/// The lease is two seconds; the guards' thread renews it.
#[test]
fn a_fault_lasts_longer_than_a_lease() {
    alone(|| {
        let mut pair = Pair::new();
        let fault = Fault::on(&pair.client).unwrap().egress().drop_all().arm().unwrap();
        pair.says("hello");
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(3500) {
            assert_eq!(pair.hears(5, Duration::from_millis(500)), "", "{:?}", began.elapsed());
        }
        drop(fault);
        assert_eq!(pair.hears(5, soon()), "hello");
    });
}

/// An interface that appears while guards are armed is attached to.
#[test]
fn a_stream_over_a_cable_that_was_laid_later() {
    let (lab, far) = (Lab::alone(), Netns::new());
    let before = held();
    lab.near.within(|| {
        let first = Pair::new();
        let _first = Fault::on(&first.client).unwrap().drop_all().arm().unwrap();
        netns::cable(&lab.near, &far);
        let listener = far.within(|| TcpListener::bind("10.77.0.2:0").unwrap());
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut pair = Pair { client, server: listener.accept().unwrap().0 };
        let fault = Fault::on(&pair.client).unwrap().egress().drop_first(1).arm().unwrap();
        // News of the interface come by netlink, a moment after it is there.
        wait_for("a lost packet", soon(), || {
            pair.works();
            (fault.counts().unwrap().hits() == 1).then_some(())
        });
    });
    // A namespace takes its ends of cables with it at some later time.
    process::run("ip", &["-n", &lab.near.name, "link", "del", "cable0"]);
    drop(far);
    assert_eq!(held(), before);
    lab.close();
}

/// The last guard goes on a thread of another network namespace: what was changed is undone where it was.
#[test]
fn everything_is_undone_in_the_namespace_of_the_stream() {
    const SETTING: &str = "/proc/sys/net/ipv4/conf/lo/route_localnet";
    let read = || std::fs::read_to_string(SETTING).unwrap().trim().to_owned();
    let lab = Lab::alone();
    let here = read();
    let (guard, pair) = lab.near.within(|| {
        let pair = Pair::new();
        let delay = Duration::from_millis(1);
        let guard = Fault::on(&pair.client).unwrap().delay(delay).arm().unwrap();
        assert_eq!(read(), "1", "the line needs it");
        (guard, pair)
    });
    drop(guard);
    assert_eq!((lab.near.within(read), read()), ("0".to_owned(), here));
    assert_eq!(held(), Objects::default());
    assert_eq!(traces_of(std::process::id()), Vec::<String>::new());
    drop(pair);
    lab.close();
}

/// A process that is killed with a fault armed, in the line as well.
#[test]
fn nothing_is_left_of_a_process_that_is_killed() {
    let lab = Lab::alone();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        "lifetime::holds_a_guard_until_it_is_killed",
        "--nocapture",
        "--ignored",
    ]);
    let mut process = Process::start(command, &lab.near, &lab.path().join("child"));
    process.says("armed");
    let mut objects = Objects::default();
    objects.add_those_of(process.pid());
    assert!(!objects.programs.is_empty() && !objects.links.is_empty(), "{objects:?}");
    process.signal(Signal::SIGKILL);
    wait_for("its end", soon(), || process.ended());
    if has_tcx() {
        wait_for("freed programs", soon(), || (objects.left() == Objects::default()).then_some(()));
    }
    // Settings of lo, and before TCX filters, stay on record until somebody cleans up, as after any killed run.
    let mut clean = Command::new(crate::support::flowfault());
    lab.near.put(clean.arg("clean"));
    // Others on this machine may have left what cannot be removed from here: not a matter of this test.
    let cleaned = clean.output().unwrap();
    wait_for("freed programs", soon(), || (objects.left() == Objects::default()).then_some(()));
    assert_eq!(traces_of(process.pid()), Vec::<String>::new(), "{cleaned:?}");
    let setting =
        lab.near.within(|| std::fs::read_to_string("/proc/sys/net/ipv4/conf/lo/route_localnet"));
    assert_eq!(setting.unwrap().trim(), "0");
    lab.close();
}

/// Whether programs on interfaces are links of this process: Linux 6.6.
fn has_tcx() -> bool {
    let uname = nix::sys::utsname::uname().expect("it has a buffer");
    let release = uname.release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6u32, 6u32)
}

#[test]
#[ignore = "is started and killed by nothing_is_left_of_a_process_that_is_killed"]
fn holds_a_guard_until_it_is_killed() {
    let pair = Pair::new();
    let _fault = Fault::on(&pair.client).unwrap().delay(Duration::from_secs(1)).arm().unwrap();
    println!("armed");
    std::thread::sleep(Duration::from_secs(60) * slow());
}

/// As root there is nothing to skip; what is said without is tested without (`guard::skip`).
#[test]
fn root_skips_nothing() {
    alone(|| assert!(load_or_skip("root_skips_nothing").is_some()));
}
