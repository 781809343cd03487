//! Servers that flowfault does not know, and eyes on all interfaces.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::packet::Packet;
use super::tap::Tap;
use super::trial::{PORT, Place};
use crate::lab::process::{Process, wait_for};
use crate::lab::{Lab, command, python};

/// Two namespaces with a cable, a server at its far end and perhaps one on the near `lo`.
pub struct Scene {
    pub lab: Lab,
    far: Process,
    near: Option<Process>,
}

/// Captures that go on.
pub struct Watch {
    near: Tap,
    far: Tap,
}

impl Scene {
    pub fn new(lo: bool) -> Self {
        let lab = Lab::pair();
        let server = |netns, name: &str| {
            let args = format!("{} server {PORT}", script());
            let server = Process::start(command(python(), &args), netns, &lab.path().join(name));
            server.says("listening");
            server
        };
        let far = server(lab.far.as_ref().expect("a pair"), "far");
        let near = lo.then(|| server(&lab.near, "near"));
        for host in ["10.77.0.2", "fd77::2"] {
            reach(&lab, host);
        }
        Self { lab, far, near }
    }

    /// Starts the captures.
    pub fn watch(&self) -> Watch {
        let far = self.lab.far.as_ref().expect("a pair");
        Watch { near: Tap::start(&self.lab.near), far: Tap::start(far) }
    }

    /// Lines of JSON that the server there has written.
    pub fn server_notes(&self, place: Place) -> Vec<Value> {
        let server = if place.is_lo() { self.near.as_ref().expect("it runs") } else { &self.far };
        let out = server.stdout();
        let json = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        out.lines().filter(|l| l.starts_with('{')).map(json).collect()
    }

    pub fn close(self) {
        drop((self.far, self.near));
        self.lab.close();
    }
}

impl Watch {
    /// What was seen in the near and in the far namespace.
    pub fn finish(self) -> (Vec<Packet>, Vec<Packet>) {
        (self.near.finish(), self.far.finish())
    }
}

/// The program at both ends.
pub fn script() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/root_wire/apps/traffic.py");
    path.into_os_string().into_string().expect("paths are UTF-8")
}

/// Waits until the neighbour is known: otherwise the first packets wait for it.
fn reach(lab: &Lab, host: &str) {
    let probe = format!("import socket; socket.create_connection(('{host}', {PORT}), 0.5).close()");
    wait_for("way to the far end", Duration::from_secs(5), || {
        let mut command = command(python(), "-c");
        command.arg(&probe).stderr(std::process::Stdio::null());
        lab.near.put(&mut command);
        command.status().expect("python can be run").success().then_some(())
    });
}
