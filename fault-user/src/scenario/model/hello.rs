//! What a client says first.

use std::fmt;

/// What the first bytes must say.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hello {
    /// The server name of a TLS ClientHello (RFC 6066, 3); in small letters.
    Sni(Text),
    /// The path of an HTTP/1 request line, without its query.
    Path(Text),
}

/// A text, or what a text must begin or end with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text {
    /// Without the `*`.
    pub text: String,
    /// More may stand where the `*` is: before a server name, behind a path.
    pub open: bool,
}

impl fmt::Display for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = |open: bool| if open { "*" } else { "" };
        match self {
            Self::Sni(t) => write!(f, "{}{}", star(t.open), t.text),
            Self::Path(t) => write!(f, "{}{}", t.text, star(t.open)),
        }
    }
}
