//! The scenario of a sample.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::server::{DATAGRAMS, DECOY, ECHO, SINK};

/// What flowfault does beside a client.
#[derive(Debug, Clone)]
pub struct Conditions {
    /// Flow of the fault.
    pub flow: &'static str,
    /// The fault, without its flow: `delay = '20ms'`.
    pub fault: String,
    /// Whether the client has the connection `decoy`.
    pub decoy: bool,
    /// Whether each packet is told by itself, also where no fault is armed.
    pub every_packet: bool,
}

impl Conditions {
    /// This fault on the flow that is measured.
    pub fn on(flow: &'static str, fault: &str) -> Self {
        Self { flow, fault: fault.into(), decoy: false, every_packet: false }
    }

    /// A fault that hits the decoy; what is measured is another connection.
    pub fn elsewhere() -> Self {
        let fault = "direction = 'egress', drop = 1.0".into();
        Self { flow: "decoy", fault, decoy: true, every_packet: false }
    }
}

/// Names of flows, and where they go.
const FLOWS: [(&str, SocketAddr, &str); 4] = [
    ("bulk", SINK, "tcp"),
    ("ping", ECHO, "tcp"),
    ("datagrams", DATAGRAMS, "udp"),
    ("decoy", DECOY, "tcp"),
];

/// The scenario: the fault from the beginning, then the sign for the client.
pub fn text(of: &Conditions, command: &[String], go: &Path, limit: Duration) -> String {
    let words: Vec<String> = command.iter().map(|word| format!("'{word}'")).collect();
    let flow = FLOWS.iter().filter(|(name, ..)| *name == of.flow);
    let flow: String = flow
        .map(|(name, remote, protocol)| {
            format!(
                "[[flow]]\nname = '{name}'\nremote = '{remote}'\nprotocol = '{protocol}'\n\
                 within = '{}s'\n",
                limit.as_secs()
            )
        })
        .collect();
    format!(
        "schema = 1\nname = 'bench'\nseed = 7\nduration = '{}s'\n\
         [[app]]\nname = 'client'\nready = {{ log = 'ready' }}\ncommand = [{}]\n{flow}\
         [[step]]\nname = 'fault'\nat = '0s'\n\
         faults = [{{ flow = '{}', may_miss = true, {} }}]\n\
         [[step]]\nname = 'go'\nat = '50ms'\nexec = ['touch', '{}']\n",
        limit.as_secs(),
        words.join(", "),
        of.flow,
        of.fault,
        go.display(),
    )
}
