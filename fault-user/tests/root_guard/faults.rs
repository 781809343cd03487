//! What each fault does to the stream, and what is counted.

use std::io::{ErrorKind, Read as _};
use std::time::{Duration, Instant};

use fault_user::guard::{Fault, GuardError};

use crate::scene::{Pair, alone, soon};
use crate::support::netns::Netns;
use crate::support::slow;

const QUIET: Duration = Duration::from_millis(150);

#[test]
fn one_direction_goes_dark_and_comes_back() {
    alone(|| {
        let (mut pair, mut other) = (Pair::new(), Pair::new());
        let fault = Fault::on(&pair.client).unwrap().egress().drop_all().arm().unwrap();
        pair.says("hello");
        let counts = fault.wait_hits(2, soon()).unwrap();
        assert!(counts.egress.hit >= 2 && counts.ingress.hit == 0, "{counts:?}");
        assert_eq!(pair.hears(5, QUIET), "", "nothing has come");
        other.works();
        let counts = fault.lift().unwrap();
        assert_eq!(counts.egress.hit, counts.egress.stream.dropped, "{counts:?}");
        assert_eq!(counts.egress.judged, counts.egress.stream.packets, "{counts:?}");
        assert_eq!(pair.hears(5, soon()), "hello", "TCP sends it again");
        pair.works();
    });
}

/// A lost answer: the server has it, and the client learns so late. Exactly so many are lost as were asked for.
#[test]
fn the_first_packets_of_the_other_direction_are_lost() {
    alone(|| {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let mut pair = Pair::at(address);
            let fault = Fault::on(&pair.client).unwrap().ingress().drop_first(2).arm().unwrap();
            pair.says("hello");
            assert_eq!(pair.hears(5, soon()), "hello");
            let counts =
                fault.wait("the acknowledgement", soon(), |c| c.ingress.judged > 2).unwrap();
            assert_eq!((counts.ingress.hit, counts.ingress.stream.dropped), (2, 2), "{counts:?}");
            assert!(counts.egress.hit == 0 && counts.egress.stream.packets >= 2, "{counts:?}");
        }
    });
}

#[test]
fn a_delay_holds_what_is_sent() {
    alone(|| {
        let mut pair = Pair::new();
        let held = Duration::from_millis(120);
        let fault = Fault::on(&pair.client).unwrap().egress().delay(held).arm().unwrap();
        let began = Instant::now();
        pair.says("hello");
        assert_eq!(pair.hears(5, soon()), "hello");
        assert!(began.elapsed() >= held, "{:?}", began.elapsed());
        let counts = fault.lift().unwrap();
        assert!(counts.egress.hit > 0 && counts.egress.stream.delayed > 0, "{counts:?}");
        assert_eq!(counts.ingress.stream.delayed, 0, "{counts:?}");
        pair.works();
    });
}

/// Tables of distributions are shared by all guards, and each finds its own.
#[test]
fn a_corrupted_byte_comes_to_the_application() {
    alone(|| {
        let (mut pair, mut other) = (Pair::new(), Pair::new());
        let jitter = "delay = { mean = \"5ms\", jitter = \"1ms\", distribution = \"normal\" }";
        let pareto = jitter.replace("normal", "pareto");
        let first = Fault::on(&other.client).unwrap().egress().fault(jitter).arm().unwrap();
        let second = Fault::on(&other.client).unwrap().ingress().fault(pareto).arm().unwrap();
        let fault = Fault::on(&pair.client).unwrap().egress();
        let fault = fault.fault("corrupt = 1.0, when = { tcp = \"data\" }").arm().unwrap();
        pair.says("hello");
        let heard = pair.hears(5, soon());
        assert!(heard.len() >= 5 && heard != "hello", "{heard:?}");
        assert_eq!(fault.counts().unwrap().egress.stream.corrupted, 1);
        other.works();
        let delayed = |c: fault_user::guard::Counts| (c.egress.hit > 0, c.ingress.hit > 0);
        assert_eq!(delayed(first.lift().unwrap()), (true, false));
        assert_eq!(delayed(second.lift().unwrap()), (false, true));
    });
}

#[test]
fn a_stall_holds_the_peer_until_it_is_lifted() {
    alone(|| {
        let mut pair = Pair::new();
        pair.works();
        // The server announces no window to the client.
        let fault = Fault::on(&pair.server).unwrap().egress().stall().arm().unwrap();
        pair.says("one");
        assert_eq!(pair.hears(3, soon()), "one", "until the window is known to be zero");
        fault.wait_hits(1, soon()).unwrap();
        pair.says("two");
        assert_eq!(pair.hears(3, QUIET), "");
        drop(fault);
        let lifted = Instant::now();
        assert_eq!(pair.hears(3, soon()), "two");
        let took = lifted.elapsed();
        assert!(
            took < Duration::from_millis(100) * slow(),
            "without waiting for a probe: {took:?}"
        );
    });
}

#[test]
fn an_abort_ends_the_socket() {
    alone(|| {
        let mut pair = Pair::new();
        pair.works();
        let fault = Fault::on(&pair.client).unwrap().abort().arm().unwrap();
        pair.client.set_read_timeout(Some(soon())).unwrap();
        let error = pair.client.read(&mut [0; 9]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionAborted, "{error}");
        drop(fault);
    });
}

fn error_of(stream: &mut std::net::TcpStream) -> ErrorKind {
    stream.set_read_timeout(Some(soon())).expect("not zero");
    let mut room = [0; 1 << 16];
    loop {
        match stream.read(&mut room) {
            Ok(0) => return ErrorKind::UnexpectedEof,
            Ok(_) => {}
            Err(e) => return e.kind(),
        }
    }
}

/// Each side alone, and both; a stream of which no packet was seen, and over IPv6.
#[test]
fn a_reset_ends_the_side_that_is_meant() {
    alone(|| {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            for quiet in [true, false] {
                let fault = |pair: &Pair| Fault::on(&pair.client).unwrap();
                let pair = || {
                    let mut pair = Pair::at(address);
                    if !quiet {
                        pair.works();
                    }
                    pair
                };
                let mut local = pair();
                let guard = fault(&local).reset_local().arm().unwrap();
                assert_eq!(error_of(&mut local.client), ErrorKind::ConnectionReset, "{address}");
                let counts = guard.lift().unwrap();
                assert!(
                    counts.ingress.stream.reset > 0 && counts.egress.stream.reset == 0,
                    "{counts:?}"
                );
                local.server.set_read_timeout(Some(QUIET)).unwrap();
                let error = local.server.read(&mut [0]).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::WouldBlock, "nobody has told the server");

                let mut peer = pair();
                let guard = fault(&peer).reset_peer().arm().unwrap();
                assert_eq!(error_of(&mut peer.server), ErrorKind::ConnectionReset, "{address}");
                let counts = guard.lift().unwrap();
                assert!(
                    counts.egress.stream.reset > 0 && counts.ingress.stream.reset == 0,
                    "{counts:?}"
                );
                peer.client.set_read_timeout(Some(QUIET)).unwrap();
                let error = peer.client.read(&mut [0]).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::WouldBlock, "nobody has told the client");

                let (mut both, mut other) = (pair(), pair());
                let guard = fault(&both).reset().arm().unwrap();
                let ends = [&mut both.client, &mut both.server].map(error_of);
                assert_eq!(ends, [ErrorKind::ConnectionReset; 2], "{address}");
                other.works();
                drop(guard);
            }
        }
    });
}

/// A stack takes a reset only at the very number that it expects, and this one moves on all the time.
#[test]
fn a_busy_stream_is_reset_as_well() {
    alone(|| {
        let pair = Pair::new();
        let (mut client, mut server) = (pair.client, pair.server);
        let mut sends = client.try_clone().unwrap();
        std::thread::scope(|scope| {
            let writer = scope.spawn(move || {
                loop {
                    if let Err(e) = std::io::Write::write(&mut sends, &[7; 4096]) {
                        return e.kind();
                    }
                }
            });
            let reader = scope.spawn(move || error_of(&mut server));
            std::thread::sleep(QUIET);
            drop(Fault::on(&client).unwrap().reset().arm().unwrap());
            assert!(matches!(
                writer.join().unwrap(),
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
            ));
            assert_eq!(reader.join().unwrap(), ErrorKind::ConnectionReset);
        });
        assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)));
    });
}

#[test]
fn what_does_not_come_is_told_with_what_did() {
    alone(|| {
        let pair = Pair::new();
        let fault = Fault::on(&pair.client).unwrap().drop_all().arm().unwrap();
        let began = Instant::now();
        let error = fault.wait_hits(1, QUIET).unwrap_err();
        assert!(began.elapsed() >= QUIET);
        assert!(matches!(&error, GuardError::Timeout { within, .. } if *within == QUIET));
        let told = error.to_string();
        assert!(told.contains("1 packets hit") && told.contains("judged: 0"), "{told}");
    });
}

#[test]
fn what_cannot_be_done_is_refused_with_the_remedy() {
    alone(|| {
        let pair = Pair::new();
        let fault = || Fault::on(&pair.client).unwrap();
        let told = fault().drop_some(1.5).arm().unwrap_err().to_string();
        assert!(told.contains("between 0.0 and 1.0"), "{told}");
        let reset = "limit = { bytes = 9, then = \"reset\" }";
        let told = fault().egress().fault(reset).arm().unwrap_err().to_string();
        assert!(told.contains("then = \"drop\""), "{told}");
        assert!(fault().arm().is_err(), "nothing to do");
        // Eight in a direction are what a chain holds.
        let eight = (0..8).fold(fault(), |fault, _| fault.drop_some(0.1)).arm().unwrap();
        let told = fault().drop_all().arm().unwrap_err().to_string();
        assert!(told.contains("more than 8 faults"), "{told}");
        drop(eight);
        drop(fault().drop_all().arm().unwrap());
        let elsewhere = Netns::new();
        let foreign = fault().drop_all();
        let error = elsewhere.within(|| foreign.arm().unwrap_err());
        assert!(matches!(error, GuardError::Elsewhere), "{error}");
    });
}
