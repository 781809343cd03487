//! Host names and their addresses, also those that come later.

use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::experiment::RunError;
use crate::netns::Netns;

/// How often names are looked up again. The C library does not tell how long an answer holds.
pub const EVERY: Duration = Duration::from_secs(1);

/// What looking up a name again has given.
#[derive(Debug)]
pub struct Lookup {
    pub name: String,
    /// Its addresses now, or why there are none.
    pub found: io::Result<Vec<IpAddr>>,
}

/// Who knows names.
pub trait Resolve: Send + 'static {
    fn addresses(&mut self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// This machine, as all of its programs do: /etc/hosts, DNS, what nsswitch.conf says. Asked where flowfault was
/// started, whose /etc/resolv.conf is read: a container's may lead nowhere from there.
#[derive(Debug, Clone)]
pub struct System {
    /// That network namespace, if the run takes place in another.
    pub home: Option<Arc<Netns>>,
}

impl Resolve for System {
    fn addresses(&mut self, name: &str) -> io::Result<Vec<IpAddr>> {
        // The port is of no meaning; both families are asked for.
        let ask = || (name, 0).to_socket_addrs();
        let found = match &self.home {
            Some(home) => home.within(ask)?,
            None => ask(),
        };
        Ok(found?.map(|a| a.ip().to_canonical()).collect())
    }
}

/// The addresses of a name before the run.
pub async fn first(
    mut resolver: impl Resolve,
    name: &str,
    flow: &str,
) -> Result<Vec<IpAddr>, RunError> {
    let error = |reason: String| RunError::Resolve { host: name.into(), flow: flow.into(), reason };
    let asked = name.to_owned();
    let found = tokio::task::spawn_blocking(move || resolver.addresses(&asked)).await;
    let found = found.map_err(|e| error(e.to_string()))?;
    let mut ips = found.map_err(|e| error(e.to_string()))?;
    ips.sort();
    ips.dedup();
    if ips.is_empty() { Err(error("no address".into())) } else { Ok(ips) }
}

/// Looks names up again and again, until nobody wants to know. On a thread of its own that nobody waits for: a
/// server that does not answer holds it for many seconds, and the end of the run must not wait as long.
pub fn watch(
    mut resolver: impl Resolve,
    names: Vec<String>,
    every: Duration,
) -> mpsc::UnboundedReceiver<Lookup> {
    let (sender, receiver) = mpsc::unbounded_channel();
    if names.is_empty() {
        return receiver;
    }
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(every);
            for name in &names {
                let found = resolver.addresses(name);
                if sender.send(Lookup { name: name.clone(), found }).is_err() {
                    return;
                }
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Moves(u8);

    impl Resolve for Moves {
        fn addresses(&mut self, _: &str) -> io::Result<Vec<IpAddr>> {
            self.0 += 1;
            match self.0 {
                2 => Err(io::Error::other("no answer")),
                n => Ok(vec![[10, 0, 0, n].into()]),
            }
        }
    }

    #[test]
    fn names_are_looked_up_again_also_after_a_failure() {
        let mut lookups = watch(Moves(0), vec!["a".into()], Duration::from_millis(1));
        let mut next = || lookups.blocking_recv().unwrap().found;
        assert_eq!(next().unwrap(), [IpAddr::from([10, 0, 0, 1])]);
        assert!(next().is_err());
        assert_eq!(next().unwrap(), [IpAddr::from([10, 0, 0, 3])]);
    }
}
