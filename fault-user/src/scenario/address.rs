//! `remote` and `local`: hosts, addresses and ports.

use std::net::{IpAddr, Ipv6Addr};

use super::model::{Host, Local, Net, Ports, Remote};

const REMOTE_HELP: &str = "\"host:port\", for example \"chat.example:443\", \"192.0.2.1:80\", \"[::1]:443\", \
                           \"*:443\", \"10.0.0.0/8:443\" or \"192.0.2.1:8000-8099\"";
const LOCAL_HELP: &str = "\"ip:port\", \":port\" or \"ip\", for example \"127.0.0.1:5000\", \
                          \":5000\", \"[::1]:5000\", \"::1\", \"10.0.0.0/8\" or \":5000-5099\"";

/// What is wrong with an address, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressError {
    /// What is wrong.
    pub why: String,
    /// What would be right.
    pub help: String,
}

fn error<T>(why: impl Into<String>, help: impl Into<String>) -> Result<T, AddressError> {
    Err(AddressError { why: why.into(), help: help.into() })
}

/// Parses `host:ports`.
///
/// # Errors
/// What is wrong with it.
pub fn parse_remote(text: &str) -> Result<Remote, AddressError> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return error(
            "a bare IPv6 address leaves it open where the port begins",
            format!("put the address into brackets: \"{}\"", bracketed(text)),
        );
    }
    let Some((host, port)) = text.rsplit_once(':').filter(|(_, port)| !port.contains(']')) else {
        return error("it has no port", format!("{REMOTE_HELP}; here \"{text}:443\", perhaps"));
    };
    let ports = parse_ports(port, REMOTE_HELP)?;
    let host = parse_host(host, port)?;
    if host == Host::Any && ports == Ports::ALL {
        return error("it is every remote there is", "leave it out, or name a host or a port");
    }
    Ok(Remote { host, ports })
}

/// What a bare IPv6 address with or without a port was probably meant to be.
fn bracketed(text: &str) -> String {
    match text.rsplit_once(':') {
        Some((host, port)) if host.parse::<Ipv6Addr>().is_ok() && port.parse::<u16>().is_ok() => {
            format!("[{host}]:{port}")
        }
        _ => format!("[{text}]:443"),
    }
}

fn parse_host(host: &str, port: &str) -> Result<Host, AddressError> {
    if host == "*" || host.is_empty() {
        return Ok(Host::Any);
    }
    let (address, _) = host.split_once('/').unwrap_or((host, ""));
    if address.parse::<Ipv6Addr>().is_ok() {
        return error("an IPv6 address needs brackets", format!("write \"[{host}]:{port}\""));
    }
    if let Some(net) = parse_net(host, REMOTE_HELP)? {
        return Ok(Host::Net(net));
    }
    if host.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return error(format!("\"{host}\" is neither an IPv4 address nor a name"), REMOTE_HELP);
    }
    if host.contains('/') && !host.contains("//") {
        let help = "a prefix length follows an address, \"10.0.0.0/8:443\": a name has none";
        return error(format!("\"{address}\" is not an IP address"), help);
    }
    if host.len() > 253 || !host.strip_suffix('.').unwrap_or(host).split('.').all(is_label) {
        return error(format!("\"{host}\" is not a host name"), REMOTE_HELP);
    }
    Ok(Host::Name(host.to_owned()))
}

/// Whether it can be a part of a host name. Underscores are no host's by the letter, and in use.
pub fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// An address or a network, IPv6 in brackets; `None` if it looks like neither.
fn parse_net(text: &str, help: &str) -> Result<Option<Net>, AddressError> {
    let inner = text.strip_prefix('[').map(|rest| rest.strip_suffix(']'));
    let (text, v6) = match inner {
        Some(Some(inner)) => (inner, true),
        Some(None) => return error(format!("\"{text}\" has no closing bracket"), help),
        None => (text, false),
    };
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let ip = match address.parse::<IpAddr>() {
        Ok(ip) if ip.is_ipv6() == v6 => ip,
        _ if v6 => return error(format!("\"{address}\" is not an IPv6 address"), help),
        _ => return Ok(None),
    };
    let Some(prefix) = prefix else { return Ok(Some(Net::host(ip))) };
    let bits = if v6 { 128 } else { 32 };
    let number = prefix.bytes().all(|b| b.is_ascii_digit()).then(|| prefix.parse().ok()).flatten();
    let Some(net) = number.and_then(|prefix| Net::around(ip, prefix)) else {
        let why =
            format!("\"{prefix}\" is not a prefix length, which is a number from 0 to {bits}");
        return error(why, help);
    };
    if !net.holds(ip) || net.ip != ip.to_canonical() {
        let why = format!("{ip} is an address in that network, not the network");
        return error(why, format!("the network is {net}; the address alone is {ip}"));
    }
    Ok(Some(net))
}

/// A port, or `first-last`, or `*`.
fn parse_ports(text: &str, help: &str) -> Result<Ports, AddressError> {
    if text == "*" {
        return Ok(Ports::ALL);
    }
    let Some((first, last)) = text.split_once('-') else {
        return parse_port(text, help).map(Ports::one);
    };
    let (first, last) = (parse_port(first, help)?, parse_port(last, help)?);
    if first > last {
        let help = format!("the lower one comes first: \"{last}-{first}\"");
        return error(format!("the range {first}-{last} is empty"), help);
    }
    Ok(Ports { first, last })
}

fn parse_port(text: &str, help: &str) -> Result<u16, AddressError> {
    match text.parse::<u16>() {
        Ok(port) if port > 0 && text.bytes().all(|b| b.is_ascii_digit()) => Ok(port),
        _ => error(format!("\"{text}\" is not a port, which is a number from 1 to 65535"), help),
    }
}

/// Parses `ip:ports`, `:ports` or `ip`.
///
/// # Errors
/// What is wrong with it.
pub fn parse_local(text: &str) -> Result<Local, AddressError> {
    let (address, _) = text.split_once('/').unwrap_or((text, ""));
    if address.parse::<Ipv6Addr>().is_ok() && !text.contains('[') {
        // Bare: there is no port.
        let net = parse_net(&format!("[{text}]"), LOCAL_HELP)?;
        return Ok(Local { net, ports: None });
    }
    let with_port = text.rsplit_once(':').filter(|(_, port)| !port.contains(']'));
    let (host, ports) = match with_port {
        Some((host, port)) => (host, Some(parse_ports(port, LOCAL_HELP)?)),
        None => (text, None),
    };
    let ports = ports.filter(|ports| *ports != Ports::ALL);
    if host.is_empty() && ports.is_some() {
        return Ok(Local { net: None, ports });
    }
    match parse_net(host, LOCAL_HELP)? {
        Some(net) => Ok(Local { net: Some(net), ports }),
        None => error(format!("\"{host}\" is not an IP address"), LOCAL_HELP),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn net(text: &str, prefix: u8) -> Net {
        Net::around(text.parse().unwrap(), prefix).unwrap()
    }

    #[test]
    fn remotes() {
        let host = |text: &str| parse_remote(text).unwrap().host;
        assert_eq!(host("chat.example:443"), Host::Name("chat.example".into()));
        assert_eq!(host("chat.example.:443"), Host::Name("chat.example.".into()));
        assert_eq!(host("192.0.2.1:80"), Host::Net(net("192.0.2.1", 32)));
        assert_eq!(host("[::1]:443"), Host::Net(net("::1", 128)));
        assert_eq!(host("*:443"), Host::Any);
        assert_eq!(host(":443"), Host::Any);
        assert_eq!(host("10.0.0.0/8:443"), Host::Net(net("10.0.0.0", 8)));
        assert_eq!(host("[fd00::/8]:443"), Host::Net(net("fd00::", 8)));
        assert_eq!(host("0.0.0.0/0:*"), Host::Net(net("0.0.0.0", 0)));
        let ports = |text: &str| parse_remote(text).unwrap().ports;
        assert_eq!(ports("*:443"), Ports::one(443));
        assert_eq!(ports("10.0.0.1:8000-8099"), Ports { first: 8000, last: 8099 });
        assert_eq!(ports("10.0.0.1:*"), Ports::ALL);
        for text in ["10.0.0.0/8:443", "[fd00::/8]:1-9", "*:443", "a.example:80", "[::1]:*"] {
            assert_eq!(parse_remote(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_not_a_remote() {
        for text in [
            "",
            "chat.example",
            "chat.example:",
            "chat.example:0",
            "chat.example:65536",
            "*:*",
            ":*",
            "10.0.0.0/33:1",
            "10.0.0.1/8:1",
            "10.0.0.0/+8:1",
            "[fd00::1/8]:1",
            "fd00::/8:1",
            "[fd00::/129]:1",
            "[10.0.0.0/8]:1",
            "chat.example/8:1",
            "[fd00::/8:1",
            "10.0.0.1:2-1",
            "10.0.0.1:0-1",
            "10.0.0.1:1-",
            "10.0.0.1:1-2-3",
            "::1",
            "fe80::1:443",
            "[::1]",
            "[x]:1",
            "1.2.3:80",
            "1.2.3.400:80",
            "a b:1",
            "a..b:1",
            "http://x:80",
            "x:+80",
        ] {
            let result = parse_remote(text);
            assert!(result.is_err(), "{text:?} gave {result:?}");
        }
    }

    #[test]
    fn locals() {
        let local = |text: &str| {
            let local = parse_local(text).unwrap();
            (local.net.map(|n| n.to_string()), local.ports.map(|p| p.to_string()))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(local("127.0.0.1:5000"), (some("127.0.0.1"), some("5000")));
        assert_eq!(local(":5000"), (None, some("5000")));
        assert_eq!(local("10.0.0.1"), (some("10.0.0.1"), None));
        assert_eq!(local("::1"), (some("::1"), None));
        assert_eq!(local("[::1]:9"), (some("::1"), some("9")));
        assert_eq!(local("[::1]"), (some("::1"), None));
        assert_eq!(local("10.0.0.0/8"), (some("10.0.0.0/8"), None));
        assert_eq!(local("fd00::/8"), (some("fd00::/8"), None));
        assert_eq!(local("[fd00::/8]:1-9"), (some("fd00::/8"), some("1-9")));
        assert_eq!(local("10.0.0.1:*"), (some("10.0.0.1"), None));
        for text in
            ["", ":", ":*", "host:5", "*:5", "1.2.3.4:0", "[1.2.3.4]:5", "localhost", "10.0.0.1/8"]
        {
            assert!(parse_local(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,24}") {
            let _ = (parse_remote(&text), parse_local(&text));
        }

        #[test]
        fn every_socket_address_is_a_remote_and_a_local(address: std::net::SocketAddr) {
            prop_assume!(address.port() > 0);
            // Zone ids and flow labels are no part of the format.
            let text = match address.ip() {
                IpAddr::V4(ip) => format!("{ip}:{}", address.port()),
                IpAddr::V6(ip) => format!("[{ip}]:{}", address.port()),
            };
            let (net, ports) = (Net::host(address.ip()), Ports::one(address.port()));
            let remote = Remote { host: Host::Net(net), ports };
            prop_assert_eq!(parse_remote(&text), Ok(remote));
            let local = Local { net: Some(net), ports: Some(ports) };
            prop_assert_eq!(parse_local(&text), Ok(local));
        }
    }
}
