//! `drop` with a probability: how many wire packets do not arrive, and what TCP makes of it.

use crate::support::stats::binomial;
use crate::support::stream::{Stream, in_order, wire_packets};
use crate::support::trial::{Case, Outcome, Place, run};

/// A bulk transfer that loses this share of its wire packets at random.
struct Lossy {
    case: Case,
    sent: bool,
    p: f64,
    bytes: u32,
}

impl Lossy {
    fn new(
        name: &'static str,
        place: Place,
        direction: &str,
        percent: u32,
        megabytes: u32,
    ) -> Self {
        let (p, sent) = (f64::from(percent) / 100.0, direction == "egress");
        let fault = format!("{{ direction = '{direction}', drop = {p} }}");
        let (work, bytes) = (if sent { "bulk" } else { "fetch" }, megabytes * 1_000_000);
        Self { case: Case::new(name, place, &fault, &format!("{work} {bytes}")), sent, p, bytes }
    }

    fn check(&self, outcome: &Outcome) {
        let mss = outcome.place.mss();
        let (handed, back) = (outcome.handed(self.sent), outcome.given_back(self.sent));
        let base = handed[0].seq;
        let [went, came] = [&handed, &back].map(|p| Stream::of(p.iter().copied(), base));
        let holes: Vec<u64> = came.holes.iter().map(|h| Stream::packets_of(*h, mss)).collect();
        let lost = holes.iter().sum::<u64>() as usize;
        binomial("lost at first", lost, self.bytes.div_ceil(mss) as usize, self.p);
        // A hole ends with a packet that comes through: of runs of losses 1 - p have one packet.
        let single = holes.iter().filter(|n| **n == 1).count();
        binomial("holes of one packet", single, holes.len(), 1.0 - self.p);
        in_order(&handed, &back);
        self.retransmitted_once(&went, &came);
        let wire = [&handed, &back].map(|p| wire_packets(p));
        self.counted(outcome, wire);
    }

    /// TCP sends again what is lost, and hardly anything else: not more than one probe in ten
    /// holes, when a busy machine has kept an acknowledgement from it.
    fn retransmitted_once(&self, went: &Stream, came: &Stream) {
        assert_eq!(came.length, went.length, "the end has arrived");
        assert!(came.length >= u64::from(self.bytes), "{came:?}");
        let spurious = u64::from(self.case.place.mss()) * (came.holes.len() as u64 / 10 + 1);
        assert!(came.again <= spurious, "{} came twice, {} went twice", came.again, went.again);
    }

    fn counted(&self, outcome: &Outcome, [went, came]: [u64; 2]) {
        let direction = if self.sent { "egress" } else { "ingress" };
        let fault = outcome.fault(0, direction);
        assert_eq!((fault.matched, fault.acted), (went, went - came), "{fault:#?}");
        let counters = if self.sent { outcome.flow.egress } else { outcome.flow.ingress };
        assert_eq!(counters.dropped, went - came, "{counters:?}");
        assert_eq!(outcome.flow.retransmits, outcome.said("total_retrans") as u64);
    }
}

#[test]
fn bulk_loses_its_share_of_wire_packets() {
    let all = [
        Lossy::new("1 out", Place::Cable4, "egress", 1, 20),
        Lossy::new("10 out", Place::Cable4, "egress", 10, 3),
        Lossy::new("10 out 6", Place::Cable6, "egress", 10, 3),
        Lossy::new("10 in", Place::Cable4, "ingress", 10, 3),
        Lossy::new("1 in 6", Place::Cable6, "ingress", 1, 20),
        Lossy::new("lo", Place::Lo4, "egress", 10, 40),
        Lossy::new("lo 6", Place::Lo6, "ingress", 10, 40),
    ];
    let cases: Vec<Case> = all.iter().map(|l| l.case.clone()).collect();
    let outcomes = run(&cases);
    for lossy in &all {
        let outcome = outcomes.of(lossy.case.name);
        if lossy.sent {
            outcome.is_whole();
        } else {
            assert_eq!(outcome.said("bytes") as u32, lossy.bytes, "{}", outcome.client);
        }
        if !outcome.place.is_lo() {
            let handed = outcome.handed(lossy.sent);
            assert!(handed.iter().any(|p| p.wire_packets() > 1), "segmentation is offloaded");
        }
        lossy.check(outcome);
    }
}
