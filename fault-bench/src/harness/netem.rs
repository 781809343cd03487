//! The peer: the qdisc netem at the near end of the cable.

use std::time::Duration;

use anyhow::Result;

use super::lab::{CABLE, Lab};

/// netem on the cable; dropping it takes it off.
pub struct Netem<'a> {
    lab: &'a Lab,
}

impl<'a> Netem<'a> {
    /// Delays everything that leaves.
    ///
    /// # Errors
    /// This kernel has no sch_netem, mostly.
    pub fn delay(lab: &'a Lab, delay: Duration) -> Result<Self> {
        // Its limit of 1000 packets by default would lose some of a bulk transfer.
        let words = format!("delay {}us limit 100000", delay.as_micros());
        lab.near.call("tc", &format!("qdisc add dev {CABLE} root netem {words}"))?;
        Ok(Self { lab })
    }

    /// Why there is none here, if so.
    pub fn missing(lab: &'a Lab) -> Option<String> {
        let why = Self::delay(lab, Duration::from_millis(1)).err()?;
        Some(format!("netem: not on this kernel ({why:#})"))
    }
}

impl Drop for Netem<'_> {
    fn drop(&mut self) {
        if let Err(e) = self.lab.near.call("tc", &format!("qdisc del dev {CABLE} root")) {
            eprintln!("netem stays on the cable: {e:#}");
        }
    }
}
