//! Scenario files as text.

use super::{Lab, messenger, stretched};

/// What the messenger calls sent, and when it tries its other websocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Sent when written; the other websocket only on refusal.
    Suspect,
    /// Sent when confirmed; the other websocket on any error.
    Fixed,
}

impl Policy {
    fn options(self) -> &'static str {
        match self {
            Self::Suspect => "--fallback refusal --sent-when written",
            Self::Fixed => "--fallback any-error --sent-when confirmed",
        }
    }

    /// Longest wait for a confirmation, in milliseconds.
    fn timeout(self) -> u32 {
        match self {
            Self::Suspect => 400,
            Self::Fixed => 250,
        }
    }

    fn expects(self) -> &'static str {
        match self {
            Self::Suspect => "[[expect]]\nverdict = 'silent_loss'\napp = 'sender'\nat_least = 1\n",
            Self::Fixed => {
                "[[expect]]\nverdict = 'silent_loss'\napp = 'sender'\nat_most = 0\n\
                 [[expect]]\nverdict = 'rerouted'\napp = 'sender'\nat_least = 1\n"
            }
        }
    }
}

/// A messenger that sends over two websockets, one of which goes dark.
pub struct Twins<'a> {
    pub lab: &'a Lab,
    pub policy: Policy,
    /// HOST:PORT of the server.
    pub address: &'a str,
    /// Whether the run starts the server too.
    pub server: bool,
    /// Number of messages; 0 for no end.
    pub count: usize,
    /// Bytes of a message's body.
    pub size: u32,
    pub direction: &'a str,
    /// Beginning of the outage, and `for` if it ends by itself, in milliseconds.
    pub at: u32,
    pub lasts: Option<u32>,
    /// Whether the scenario states what its policy leads to.
    pub expects: bool,
}

/// Milliseconds between two messages.
const INTERVAL: u32 = 150;

impl<'a> Twins<'a> {
    /// Twelve short messages on loopback, everything lost both ways from between the sixth and
    /// the seventh on.
    pub fn new(lab: &'a Lab, policy: Policy) -> Self {
        Self {
            lab,
            policy,
            address: "127.0.0.1:7443",
            server: true,
            count: 12,
            size: 64,
            direction: "both",
            at: 825,
            lasts: None,
            expects: true,
        }
    }

    pub fn text(&self) -> String {
        let Self { address, direction, .. } = self;
        let (duration, at) = (stretched(30_000), stretched(self.at));
        // The default, which a message that goes the other way must not reach.
        let late = stretched(1000);
        let lasts = self.lasts.map(|ms| format!("for = '{}'\n", stretched(ms)));
        let lasts = lasts.unwrap_or_default();
        let expects = if self.expects { self.policy.expects() } else { "" };
        format!(
            "schema = 1\nname = 'twins'\nseed = 7\nduration = '{duration}'\nlate_after = '{late}'\n{server}{sender}\
             [[flow]]\nname = 'identified'\napp = 'sender'\nremote = '{address}'\nnth = 1\n\
             [[flow]]\nname = 'unidentified'\napp = 'sender'\nremote = '{address}'\n\
             opened_after = {{ log = 'creating unidentified websocket' }}\n\
             [[step]]\nname = 'outage'\nat = '{at}'\n{lasts}\
             faults = [{{ flow = 'unidentified', direction = '{direction}', drop = 1.0 }}]\n\
             {expects}\
             [[expect]]\nflow = 'identified'\ndropped = {{ at_most = 0 }}\n",
            server = if self.server { self.server_app() } else { String::new() },
            sender = self.sender_app(),
        )
    }

    fn server_app(&self) -> String {
        let command = quoted(&messenger(), &server_args(self.lab, self.address));
        format!("[[app]]\nname = 'server'\nready = {{ log = 'listening' }}\ncommand = {command}\n")
    }

    fn sender_app(&self) -> String {
        let ca = self.lab.file("tls/ca.pem");
        // It lingers so that the server has read what has arrived before it is ended.
        let args = format!(
            "send-loop --connect {} --ca {ca} --count {} --size {} --interval {} --timeout {} \
             --connect-timeout {} \
             --keepalive 55s --linger {} --reconnect-min 1m --reconnect-max 1m {}",
            self.address,
            self.count,
            self.size,
            stretched(INTERVAL),
            stretched(self.policy.timeout()),
            // A handshake says nothing of faults, and the first of a process takes long.
            stretched(2000),
            stretched(300),
            self.policy.options()
        );
        let command = quoted(&messenger(), &args);
        format!(
            "[[app]]\nname = 'sender'\nready = {{ log = 'connected' }}\ncommand = {command}\n{OUTCOMES}"
        )
    }
}

/// Arguments of the messenger's server at `address`.
pub fn server_args(lab: &Lab, address: &str) -> String {
    let host = address.rsplit_once(':').expect("HOST:PORT").0.trim_matches(['[', ']']);
    let (tls, receipts) = (lab.file("tls"), lab.file("receipts"));
    format!("server --listen {address} --tls {tls} --make-ca --name {host} --receipts {receipts}")
}

/// How all apps here tell what became of a send.
pub const OUTCOMES: &str = "[app.outcomes]\nid = 'id'\nstatus = 'status'\nelapsed_ms = 'elapsed_ms'\n\
    ok = ['ok', 'sent']\nfailed = ['error', 'timeout', 'refused', 'unavailable']\n";

/// `command` of a scenario: arguments separated by blanks.
pub fn quoted(program: &str, args: &str) -> String {
    let words = std::iter::once(program).chain(args.split_whitespace());
    let words: Vec<String> = words.map(|w| format!("'{w}'")).collect();
    format!("[{}]", words.join(", "))
}
