//! `dropped.pcapng`, read by tcpdump, against what packet sockets saw and the apps sent.

use std::path::Path;

use etherparse::{SlicedPacket, TransportSlice};
use fault_user::report::model::Report;

use crate::lab::capture::Capture;
use crate::lab::netns::CABLE;
use crate::lab::process;
use crate::lab::run::Run;
use crate::scene::{PORT, Place, Scene, faults, flow};
use crate::support::pcapng;

/// Messages each way, and bytes of each.
const ROUNDS: usize = 12;
const SIZE: usize = 100;

/// Linktypes (www.tcpdump.org/linktypes.html).
const ETHERNET: u16 = 1;
const RAW: u16 = 101;

/// A file: the bytes of each packet.
struct Dump {
    frames: Vec<Vec<u8>>,
}

impl Dump {
    fn read(out: &Path, place: Place) -> Self {
        let file = out.join("dropped.pcapng");
        let bytes = std::fs::read(&file).expect("the run has written it");
        let (links, frames): (Vec<u16>, Vec<Vec<u8>>) = pcapng::packets(&bytes).into_iter().unzip();
        let tunnel = matches!(place, Place::Tunnel4 | Place::Tunnel6);
        let link = if tunnel { RAW } else { ETHERNET };
        assert!(links.iter().all(|l| *l == link), "{links:?}");
        if !tunnel {
            assert_eq!(tcpdump(&file), frames);
        }
        Self { frames }
    }

    /// Every frame of the target is TCP, and its payload what stands there in the streams of wire.py.
    fn has_the_streams_bytes(&self, ip: bool) {
        let mut first: [Option<u32>; 2] = [None; 2];
        for frame in &self.frames {
            let packet =
                if ip { SlicedPacket::from_ip(frame) } else { SlicedPacket::from_ethernet(frame) };
            let packet = packet.unwrap_or_else(|e| panic!("{e}: {frame:02x?}"));
            let Some(TransportSlice::Tcp(tcp)) = &packet.transport else { panic!("{packet:?}") };
            if tcp.payload().is_empty() {
                continue;
            }
            let out = tcp.destination_port() == PORT;
            assert!(out || tcp.source_port() == PORT, "{packet:?}");
            // All messages are equally long, and the pattern tells where in it they begin.
            let base = first[usize::from(out)].get_or_insert_with(|| {
                let at = u32::from(tcp.payload()[0]);
                tcp.sequence_number().wrapping_sub(at)
            });
            let at = tcp.sequence_number().wrapping_sub(*base) as usize;
            let wrong =
                tcp.payload().iter().enumerate().find(|(i, b)| **b != ((at + i) % 251) as u8);
            assert_eq!(wrong, None, "{at} {packet:?}");
        }
    }
}

/// What tcpdump makes of it. Not as the user that Debian's tcpdump would become: the directory is root's.
fn tcpdump(file: &Path) -> Vec<Vec<u8>> {
    let file = file.to_str().expect("paths are UTF-8");
    let text = process::run("tcpdump", &["-Z", "root", "-nn", "-t", "-xx", "-r", file]);
    let mut frames: Vec<Vec<u8>> = Vec::new();
    for line in text.lines() {
        match line.trim_start().strip_prefix("0x").and_then(|l| l.split_once(":  ")) {
            Some((_, hex)) => {
                let hex: String = hex.split_whitespace().collect();
                let byte = |i| u8::from_str_radix(&hex[i..i + 2], 16).expect("hexadecimal");
                let bytes = (0..hex.len()).step_by(2).map(byte);
                frames.last_mut().expect("a packet's line comes first").extend(bytes);
            }
            None => frames.push(Vec::new()),
        }
    }
    frames
}

/// Messages there and back, with this fault, and what packet sockets saw at the client.
fn exchange(place: Place, fault: &str, options: &[&str]) -> (Scene, Report, Dump, Vec<Vec<u8>>) {
    let scene = Scene::new(place);
    let _server = scene.serve(&format!(
        "sock = accept(listen())\nfor n in range({ROUNDS}):\n    sock.sendall(read(sock, {SIZE})[0])\n\
         wait('end')\n"
    ));
    let client = format!(
        "sock = connect()\nprint('ready', flush=True)\nwait('go')\nfor n in range({ROUNDS}):\n    \
         sock.sendall(pattern({SIZE}, n * {SIZE}))\n    \
         assert read(sock, {SIZE})[0] == pattern({SIZE}, n * {SIZE})\n"
    );
    let interface = if place.is_lo() { "lo" } else { CABLE };
    let tap = Capture::on(&scene.lab.near, interface, |frame, _| Some(frame.to_vec()));
    let step = if fault.is_empty() { String::new() } else { faults(fault) };
    let text = scene.scenario(&client, &(scene.flow("target", PORT, "") + &step));
    let finished = Run::start(&scene.lab, "out", &text, options).finish();
    let report = scene.good(&finished);
    let dump = Dump::read(&finished.out, place);
    let seen = tap.finish();
    (scene, report, dump, seen)
}

fn close(scene: Scene) {
    drop(scene.tunnel);
    scene.lab.close();
}

/// How many packets of the target the report counts as lost.
fn lost(report: &Report) -> usize {
    let target = flow(report, "target");
    (target.egress.dropped + target.ingress.dropped) as usize
}

#[test]
fn what_was_lost_on_its_way_in_is_what_a_packet_socket_saw_come() {
    let fault = "{ flow = 'target', direction = 'ingress', drop = { every = 3 } }";
    for (place, line) in
        [(Place::Cable4, "line=none"), (Place::Cable6, "line=tap"), (Place::Lo4, "line=none")]
    {
        let (scene, report, dump, seen) = exchange(place, fault, &["--set", line]);
        assert!(lost(&report) >= ROUNDS / 3, "{report:#?}");
        assert_eq!(dump.frames.len(), lost(&report), "{place:?} {line}");
        for frame in &dump.frames {
            assert!(seen.contains(frame), "{place:?} {line}: nobody saw {frame:02x?}");
        }
        dump.has_the_streams_bytes(false);
        close(scene);
    }
}

#[test]
fn what_was_lost_on_its_way_out_has_the_bytes_that_were_sent() {
    let fault = "{ flow = 'target', drop = { every = 4 } }";
    for (place, line) in
        [(Place::Lo6, "line=tap"), (Place::Tunnel4, "line=none"), (Place::Tunnel6, "line=tap")]
    {
        let (scene, report, dump, _) = exchange(place, fault, &["--set", line]);
        let ip = matches!(place, Place::Tunnel4 | Place::Tunnel6);
        assert!(lost(&report) >= ROUNDS / 4, "{report:#?}");
        assert_eq!(dump.frames.len(), lost(&report), "{place:?} {line}");
        dump.has_the_streams_bytes(ip);
        close(scene);
    }
}

#[test]
fn without_faults_the_file_is_empty_and_valid() {
    let (scene, report, dump, seen) = exchange(Place::Cable4, "", &[]);
    assert_eq!((dump.frames.len(), lost(&report)), (0, 0));
    assert!(!seen.is_empty());
    assert_eq!(report.capture.expect("it was written").packets, 0);
    close(scene);
}

#[test]
fn no_more_is_kept_than_the_scenario_says_and_the_rest_is_counted() {
    let fault = "{ flow = 'target', drop = { every = 4 } }";
    for line in ["line=none", "line=tap"] {
        let options = ["--set", line, "--set", "capture.max=3", "--set", "capture.snaplen=64"];
        let (scene, report, dump, _) = exchange(Place::Cable4, fault, &options);
        let capture = report.capture.expect("it was written");
        assert_eq!((dump.frames.len(), capture.packets, capture.lost), (3, 3, 0));
        assert_eq!(capture.packets + capture.beyond, lost(&report) as u64, "{line}");
        assert!(dump.frames.iter().all(|f| f.len() == 64), "{line}: {:?}", dump.frames);
        let told = report.warnings.iter().filter(|w| w.contains("capture.max"));
        assert_eq!(told.count(), 1, "{line}: {:?}", report.warnings);
        close(scene);
    }
}
