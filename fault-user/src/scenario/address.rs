//! `remote` and `local`: hosts, addresses and ports.

use std::net::{IpAddr, Ipv6Addr};

use super::model::{Host, Local, Remote};

const REMOTE_HELP: &str =
    "\"host:port\", for example \"chat.example:443\", \"192.0.2.1:80\", \"[::1]:443\" or \"*:443\"";
const LOCAL_HELP: &str = "\"ip:port\", \":port\" or \"ip\", for example \"127.0.0.1:5000\", \
                          \":5000\", \"[::1]:5000\" or \"::1\"";

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

/// Parses `host:port`.
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
    let Some((host, port)) = text.rsplit_once(':') else {
        return error("it has no port", format!("{REMOTE_HELP}; here \"{text}:443\", perhaps"));
    };
    let port = parse_port(port, REMOTE_HELP)?;
    Ok(Remote { host: parse_host(host, port)?, port })
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

fn parse_host(host: &str, port: u16) -> Result<Host, AddressError> {
    if host == "*" {
        return Ok(Host::Any);
    }
    if let Some(inner) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        return match inner.parse::<Ipv6Addr>() {
            Ok(ip) => Ok(Host::Ip(IpAddr::V6(ip))),
            Err(_) => error(format!("\"{inner}\" is not an IPv6 address"), REMOTE_HELP),
        };
    }
    if host.parse::<Ipv6Addr>().is_ok() {
        return error("an IPv6 address needs brackets", format!("write \"[{host}]:{port}\""));
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(Host::Ip(ip));
    }
    if host.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return error(format!("\"{host}\" is neither an IPv4 address nor a name"), REMOTE_HELP);
    }
    let word = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if host.len() > 253 || !host.strip_suffix('.').unwrap_or(host).split('.').all(word) {
        return error(format!("\"{host}\" is not a host name"), REMOTE_HELP);
    }
    Ok(Host::Name(host.to_owned()))
}

fn parse_port(text: &str, help: &str) -> Result<u16, AddressError> {
    match text.parse::<u16>() {
        Ok(port) if port > 0 && text.bytes().all(|b| b.is_ascii_digit()) => Ok(port),
        _ => error(format!("\"{text}\" is not a port, which is a number from 1 to 65535"), help),
    }
}

/// Parses `ip:port`, `:port` or `ip`.
///
/// # Errors
/// What is wrong with it.
pub fn parse_local(text: &str) -> Result<Local, AddressError> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(Local { ip: Some(ip), port: None });
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return error(format!("\"{text}\" is not an IP address"), LOCAL_HELP);
    };
    let port = Some(parse_port(port, LOCAL_HELP)?);
    if host.is_empty() {
        return Ok(Local { ip: None, port });
    }
    let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let ip = match bracketed {
        Some(inner) => inner.parse::<Ipv6Addr>().map(IpAddr::V6),
        None => host.parse::<std::net::Ipv4Addr>().map(IpAddr::V4),
    };
    match ip {
        Ok(ip) => Ok(Local { ip: Some(ip), port }),
        Err(_) => error(format!("\"{host}\" is not an IP address"), LOCAL_HELP),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn remotes() {
        let host = |text: &str| parse_remote(text).unwrap().host;
        assert_eq!(host("chat.example:443"), Host::Name("chat.example".into()));
        assert_eq!(host("chat.example.:443"), Host::Name("chat.example.".into()));
        assert_eq!(host("192.0.2.1:80"), Host::Ip("192.0.2.1".parse().unwrap()));
        assert_eq!(host("[::1]:443"), Host::Ip("::1".parse().unwrap()));
        assert_eq!(host("*:443"), Host::Any);
        assert_eq!(parse_remote("*:443").unwrap().port, 443);
    }

    #[test]
    fn what_is_not_a_remote() {
        for text in [
            "",
            "chat.example",
            "chat.example:",
            "chat.example:0",
            "chat.example:65536",
            ":443",
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
        let local = |text: &str| parse_local(text).map(|l| (l.ip.map(|i| i.to_string()), l.port));
        assert_eq!(local("127.0.0.1:5000"), Ok((Some("127.0.0.1".into()), Some(5000))));
        assert_eq!(local(":5000"), Ok((None, Some(5000))));
        assert_eq!(local("10.0.0.1"), Ok((Some("10.0.0.1".into()), None)));
        assert_eq!(local("::1"), Ok((Some("::1".into()), None)));
        assert_eq!(local("[::1]:9"), Ok((Some("::1".into()), Some(9))));
        for text in ["", ":", "host:5", "*:5", "1.2.3.4:0", "[1.2.3.4]:5", "localhost"] {
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
            let remote = Remote { host: Host::Ip(address.ip()), port: address.port() };
            prop_assert_eq!(parse_remote(&text), Ok(remote));
            let local = Local { ip: Some(address.ip()), port: Some(address.port()) };
            prop_assert_eq!(parse_local(&text), Ok(local));
        }
    }
}
