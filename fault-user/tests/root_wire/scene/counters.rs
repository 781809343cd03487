//! The kernel's own counters of a network namespace (what nstat shows).

use crate::lab::netns::Netns;

/// Value of a counter: `Tcp.InCsumErrors`, `IpExt.InCEPkts`, or of IPv6 `Ip6InCEPkts`.
pub fn counter(netns: &Netns, name: &str) -> u64 {
    let file = match name.split_once('.') {
        None => "snmp6",
        Some(("IpExt" | "TcpExt", _)) => "netstat",
        Some(_) => "snmp",
    };
    // The namespace of the thread, not of the process.
    let text = netns.within(|| std::fs::read_to_string(format!("/proc/thread-self/net/{file}")));
    let text = text.expect("procfs is mounted");
    let value = match name.split_once('.') {
        None => of_lines(&text, name),
        Some((group, field)) => of_columns(&text, group, field),
    };
    value.unwrap_or_else(|| panic!("no {name} in {file}: {text}"))
}

/// `NAME VALUE`, one a line.
fn of_lines(text: &str, name: &str) -> Option<u64> {
    let words = text.lines().filter_map(|l| l.split_once(char::is_whitespace));
    words.filter(|(key, _)| *key == name).find_map(|(_, value)| value.trim().parse().ok())
}

/// A line of names and a line of values for each group.
fn of_columns(text: &str, group: &str, field: &str) -> Option<u64> {
    let prefix = format!("{group}: ");
    let mut lines = text.lines().filter_map(|l| l.strip_prefix(&prefix));
    let (names, values) = (lines.next()?, lines.next()?);
    let at = names.split(' ').position(|n| n == field)?;
    values.split(' ').nth(at)?.parse().ok()
}
