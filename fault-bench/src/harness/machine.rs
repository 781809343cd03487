//! What it was measured on, in words.

use std::fs;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// The machine.
pub struct Machine {
    kernel: String,
    cpu: String,
    cores: usize,
    /// Processes that wanted to run, on average of a minute, when the first benchmark began.
    load: String,
}

impl Machine {
    /// This one.
    ///
    /// # Errors
    /// /proc cannot be read.
    pub fn here() -> Result<Self> {
        let read = |path: &str| {
            fs::read_to_string(path).with_context(|| format!("cannot read {path}: is /proc there?"))
        };
        let info = read("/proc/cpuinfo")?;
        let cpu = info.lines().find_map(|l| l.strip_prefix("model name")?.split_once(':'));
        Ok(Self {
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            cpu: cpu.map_or("unknown CPU", |(_, name)| name.trim()).to_owned(),
            cores: info.lines().filter(|l| l.starts_with("processor")).count(),
            load: read("/proc/loadavg")?.split(' ').next().unwrap_or_default().to_owned(),
        })
    }

    /// In one line.
    pub fn text(&self) -> String {
        let Self { kernel, cpu, cores, load } = self;
        format!("Linux {kernel}, {cores} cores ({cpu}), load {load} at the start")
    }

    /// As an object.
    pub fn json(&self) -> Value {
        let Self { kernel, cpu, cores, load } = self;
        json!({ "kernel": kernel, "cpu": cpu, "cores": cores, "load": load })
    }
}
