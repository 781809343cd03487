//! Attaching to what runs: whose processes and listeners are whose, and the sockets that are open
//! already.

use std::net::SocketAddr;

use aya::maps::{HashMap, MapData};
use aya::programs::{
    BtfTracePoint, Iter, ProgramError, SchedClassifier, TestRun as _, TestRunOptions,
};
use fault_common::table::{
    ANY_PORT, DatagramKey, Datagrams, Found, Listener, ListenerKey, MAX_FOUND, SocketEntry,
    TAKEN_BEFORE, TAKEN_IN, TAKEN_NOT, Tuple, WITH_CHILDREN,
};

use super::Kernel;
use super::error::{KernelError, or_absent};
use super::load::typed;
use crate::addr;

/// The kernel runs no classifier on less than an Ethernet header (bpf_prog_test_run_skb).
const NO_PACKET: [u8; 64] = [0; 64];
const ETH_HLEN: usize = 14;
/// The program of iter/tcp.
const ITERATOR: &str = "take_in_all";
const NO_BTF: KernelError = KernelError::Missing {
    feature: "BTF",
    since: "5.5 with CONFIG_DEBUG_INFO_BTF",
    remedy: "Use a distribution kernel",
};

/// What became of an open socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is known now.
    In,
    /// It was known already: it had opened since the hooks were attached.
    Before,
    /// As many sockets are observed as can be.
    NoRoom,
}

impl Kernel {
    /// Loads what only attached apps need. Before the first [`Self::take_in`]. Why positions of open sockets cannot be
    /// known, if they cannot.
    ///
    /// # Errors
    /// The kernel refuses the program that is needed anyway.
    pub fn load_take_in(&mut self) -> Result<Option<KernelError>, KernelError> {
        let program: &mut SchedClassifier = typed(&mut self.ebpf, "take_in")?;
        program.load().map_err(|e| KernelError::program("take_in", &e))?;
        let Some(btf) = self.btf.as_ref() else { return Ok(Some(NO_BTF)) };
        let program: &mut Iter = typed(&mut self.ebpf, ITERATOR)?;
        Ok(program.load("tcp", btf).err().map(|e| KernelError::program(ITERATOR, &e)))
    }

    /// Watches for the end of sockets that are taken in, and for who begins to listen.
    ///
    /// # Errors
    /// The kernel refuses the program.
    pub fn watch_states(&mut self) -> Result<(), KernelError> {
        self.attach_tracepoint("found_state", "inet_sock_set_state")
    }

    /// Follows the children of processes that are added with them, from now on.
    ///
    /// # Errors
    /// The kernel refuses one of the programs.
    pub fn follow_children(&mut self) -> Result<(), KernelError> {
        self.attach_tracepoint("child_forked", "sched_process_fork")?;
        self.attach_tracepoint("child_exited", "sched_process_exit")
    }

    fn attach_tracepoint(
        &mut self,
        name: &'static str,
        tracepoint: &str,
    ) -> Result<(), KernelError> {
        let btf = self.btf.as_ref().ok_or(NO_BTF)?;
        let wrap = |e: aya::programs::ProgramError| KernelError::program(name, &e);
        let program: &mut BtfTracePoint = typed(&mut self.ebpf, name)?;
        program.load(tracepoint, btf).map_err(wrap)?;
        program.attach().map(drop).map_err(wrap)
    }

    /// Says that this process is this app; with `children` those that it forks from now on are, too, and theirs.
    ///
    /// # Errors
    /// The table is full.
    pub fn add_process(&mut self, pid: u32, app: u32, children: bool) -> Result<(), KernelError> {
        let app = if children { app | WITH_CHILDREN } else { app };
        let mut map: HashMap<_, u32, u32> = HashMap::try_from(self.map_mut("PROCESSES")?)
            .map_err(KernelError::map("use the map PROCESSES"))?;
        map.insert(pid, app, 0).map_err(KernelError::map("register a process"))
    }

    /// The process has ended: whoever gets its number is nobody's.
    ///
    /// # Errors
    /// The map update fails.
    pub fn remove_process(&mut self, pid: u32) -> Result<(), KernelError> {
        let mut map: HashMap<_, u32, u32> = HashMap::try_from(self.map_mut("PROCESSES")?)
            .map_err(KernelError::map("use the map PROCESSES"))?;
        or_absent(map.remove(&pid)).map_err(KernelError::map("forget a process"))
    }

    /// Says that connections which are accepted at this address (unspecified: any) are this app's; `pid` is the
    /// process that they are told of, `network` 0 or `SOCKET_HOME`, `cookie` the listening socket, and `allowed` the conditions that its user and
    /// cgroup do not contradict.
    ///
    /// # Errors
    /// The table is full (1024 listeners).
    pub fn add_listener(
        &mut self,
        cookie: u64,
        (at, network): (SocketAddr, u32),
        (pid, app): (u32, u32),
        allowed: u64,
    ) -> Result<(), KernelError> {
        let failed = || KernelError::map("register a listener");
        let addr = if at.ip().is_unspecified() { [0; 4] } else { addr::words(at.ip()) };
        let key = ListenerKey { addr, port: u32::from(at.port()) | network << 8 };
        let mut sockets: HashMap<_, u64, ListenerKey> =
            HashMap::try_from(self.map_mut("LISTENING")?).map_err(failed())?;
        if sockets.get(&cookie, 0).is_ok() {
            // It has begun to listen under the hooks' eyes.
            return Ok(());
        }
        sockets.insert(cookie, key, 0).map_err(failed())?;
        let mut map: HashMap<_, ListenerKey, Listener> =
            HashMap::try_from(self.map_mut("LISTENERS")?).map_err(failed())?;
        let others = map.get(&key, 0).map_or(0, |listener| listener.sockets);
        map.insert(key, Listener { app, pid, sockets: others + 1, allowed }, 0).map_err(failed())
    }

    /// Forgets a socket that was taken in: its packets are nobody's again, and its flow is free. Its counters stay.
    /// Programs that look at it right now have 10 ms to end, for its place in the table is given away again.
    ///
    /// # Errors
    /// A map update fails.
    pub fn forget(&mut self, cookie: u64, tuples: &[Tuple]) -> Result<(), KernelError> {
        let failed = || KernelError::map("forget a socket");
        let mut map: HashMap<_, Tuple, u64> = HashMap::try_from(self.map_mut("TUPLES")?)
            .map_err(KernelError::map("use the map TUPLES"))?;
        for tuple in tuples {
            // Another socket may have taken the addresses of a closed one.
            if map.get(tuple, 0).is_ok_and(|owner| owner == cookie) {
                or_absent(map.remove(tuple)).map_err(failed())?;
            }
        }
        let mut rows: HashMap<_, DatagramKey, Datagrams> =
            HashMap::try_from(self.map_mut("DATAGRAMS")?)
                .map_err(KernelError::map("use the map DATAGRAMS"))?;
        let any = DatagramKey { cookie, raddr: [0; 4], rport: ANY_PORT, _pad: 0 };
        or_absent(rows.remove(&any)).map_err(failed())?;
        let mut sockets: HashMap<_, u64, SocketEntry> = HashMap::try_from(self.map_mut("SOCKETS")?)
            .map_err(KernelError::map("use the map SOCKETS"))?;
        or_absent(sockets.remove(&cookie)).map_err(failed())?;
        std::thread::sleep(std::time::Duration::from_millis(10));
        Ok(())
    }

    /// Has packets with this tuple taken for that socket's as well.
    ///
    /// # Errors
    /// The table is full.
    pub fn add_tuple(&mut self, cookie: u64, tuple: &Tuple) -> Result<(), KernelError> {
        let mut map: HashMap<_, Tuple, u64> = HashMap::try_from(self.map_mut("TUPLES")?)
            .map_err(KernelError::map("use the map TUPLES"))?;
        map.insert(tuple, cookie, 0).map_err(KernelError::map("register an address"))
    }

    /// Takes in sockets that are open: from now on their packets are recognised. What became of each, in their order.
    /// Those of this thread's network namespace are taken in with the positions of their streams, if the kernel has the
    /// iterator for it.
    ///
    /// # Errors
    /// A program cannot be run.
    pub fn take_in(&mut self, found: &[Found]) -> Result<Vec<Taken>, KernelError> {
        let mut taken = Vec::with_capacity(found.len());
        for some in found.chunks(MAX_FOUND as usize) {
            self.hand_over(some)?;
            let tcp = |one: &Found| one.proto == libc::IPPROTO_TCP as u32;
            if some.iter().any(tcp) && self.places() {
                self.walk()?;
            }
            for one in some {
                taken.push(self.taken(one.cookie)?);
            }
        }
        Ok(taken)
    }

    fn found(&mut self) -> Result<HashMap<&mut MapData, u64, Found>, KernelError> {
        let map = self.map_mut("FOUND")?;
        HashMap::try_from(map).map_err(KernelError::map("use the map FOUND"))
    }

    fn hand_over(&mut self, found: &[Found]) -> Result<(), KernelError> {
        let mut map = self.found()?;
        for one in found {
            map.insert(one.cookie, one, 0).map_err(KernelError::map("hand over an open socket"))?;
        }
        Ok(())
    }

    /// Whether positions of open sockets can be known.
    fn places(&mut self) -> bool {
        typed::<Iter>(&mut self.ebpf, ITERATOR).is_ok_and(|program| program.fd().is_ok())
    }

    /// Has the iterator's program meet every TCP socket of this thread's network namespace.
    fn walk(&mut self) -> Result<(), KernelError> {
        let wrap = |e: ProgramError| KernelError::program(ITERATOR, &e);
        let program: &mut Iter = typed(&mut self.ebpf, ITERATOR)?;
        let id = program.attach().map_err(wrap)?;
        let link = program.take_link(id).map_err(wrap)?;
        // The namespace is that of the thread that opens it (bpf_iter_init_seq_net).
        let file = link.into_file().map_err(KernelError::map("open the walk of TCP sockets"))?;
        // It writes nothing: reading it to the end is the walk.
        let walked = std::io::copy(&mut &file, &mut std::io::sink());
        walked.map(drop).map_err(KernelError::map("walk the TCP sockets (iter/tcp)"))
    }

    /// What became of a socket that was handed over; done here if no program has met it.
    fn taken(&mut self, cookie: u64) -> Result<Taken, KernelError> {
        let result = |map: &HashMap<&mut MapData, u64, Found>| {
            map.get(&cookie, 0)
                .map(|found| found.taken)
                .map_err(KernelError::map("ask for a socket"))
        };
        let mut taken = result(&self.found()?)?;
        if taken == TAKEN_NOT {
            let program: &mut SchedClassifier = typed(&mut self.ebpf, "take_in")?;
            let mut packet = NO_PACKET;
            packet[ETH_HLEN..ETH_HLEN + 8].copy_from_slice(&cookie.to_ne_bytes());
            let options =
                TestRunOptions { data_in: Some(&packet), repeat: 1, ..TestRunOptions::new() };
            program.test_run(options).map_err(|e| KernelError::program("take_in", &e))?;
            taken = result(&self.found()?)?;
        }
        self.found()?.remove(&cookie).map_err(KernelError::map("forget an open socket"))?;
        Ok(match taken {
            TAKEN_IN => Taken::In,
            TAKEN_BEFORE => Taken::Before,
            _ => Taken::NoRoom,
        })
    }
}
