//! The programs in the kernel: one set for all guards of this process in a network namespace, loaded by whoever
//! needs them first, gone with whoever needs them last.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use super::board::{Board, RULES, STREAMS};
use super::watch::{LEASE, Started, Watch};
use super::{GuardError, stream};
use crate::chain::told;
use crate::clock;
use crate::experiment::journal::Journal;
use crate::kernel::{Kernel, Setup};

/// Seed of random decisions, as a number; without it one is drawn.
const SEED: &str = "FLOWFAULT_SEED";
/// Events are not read here, the counters have it all: the smallest ring there can be.
const RING: u32 = 64 << 10;

/// By cookie of the network namespace.
static SHARED: LazyLock<Mutex<HashMap<u64, Weak<Shared>>>> = LazyLock::new(Mutex::default);

/// What all guards of a namespace share.
pub struct Shared {
    seed: u64,
    // In this order: the thread has the board last, and undoes everything where it was done, for the last guard may
    // be dropped in another network namespace.
    board: Arc<Mutex<Board>>,
    _watch: Watch,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("seed", &self.seed).finish_non_exhaustive()
    }
}

impl Shared {
    /// The guards that are armed. A test that has panicked says nothing about the others.
    pub fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open() -> Result<Self, GuardError> {
        let seed = seed();
        let setup = Setup {
            seed,
            rules: RULES,
            slots: STREAMS,
            ring_bytes: RING,
            whole: true,
            ..Setup::default()
        };
        let mut kernel = Kernel::load(&setup)?;
        if let Some(why) = kernel.load_take_in()? {
            tracing::warn!("positions in streams count from the first byte seen: {}", told(&why));
        }
        kernel.watch_states()?;
        let name = name();
        let journal = Journal::write(&name, false).map_err(GuardError::io("write the journal"))?;
        let keeper = journal.keeper().map_err(GuardError::io("open the journal"))?;
        kernel.set_keeper(Box::new(keeper));
        let Started { found, board: to_watch, watch } = Watch::start()?;
        for interface in found {
            kernel.attach_interface(&interface.name, interface.index, interface.ethernet)?;
        }
        kernel.renew_lease(clock::monotonic_ns() + LEASE.as_nanos() as u64)?;
        let board = Arc::new(Mutex::new(Board::new(name, seed, kernel, journal)));
        let ended = |_| std::io::Error::other("its thread has ended");
        to_watch
            .send(Arc::clone(&board))
            .map_err(ended)
            .map_err(GuardError::io("renew the lease of faults"))?;
        Ok(Self { seed, board, _watch: watch })
    }
}

/// What the guards of this namespace share, loaded if nobody has it.
///
/// # Errors
/// It cannot be loaded.
pub fn shared(netns: u64) -> Result<Arc<Shared>, GuardError> {
    // Held while it is loaded: who comes meanwhile waits for it, and does not load its own.
    let mut all = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(shared) = all.get(&netns).and_then(Weak::upgrade) {
        return Ok(shared);
    }
    all.retain(|_, shared| shared.strong_count() > 0);
    let shared = Arc::new(Shared::open()?);
    all.insert(netns, Arc::downgrade(&shared));
    Ok(shared)
}

/// The programs stay loaded while this lives, whether a guard is armed or not.
#[derive(Debug, Clone)]
#[must_use = "dropping it lets the programs go"]
pub struct Loaded(Arc<Shared>);

impl Loaded {
    /// Seed of every random decision. With the variable FLOWFAULT_SEED set to it, a test whose guards are armed in the
    /// same order makes the same decisions.
    pub fn seed(&self) -> u64 {
        self.0.seed
    }
}

/// Loads the programs for guards of this thread's network namespace, so that the first guard need not.
///
/// # Errors
/// Missing privileges, or a kernel that cannot do it.
pub fn load() -> Result<Loaded, GuardError> {
    shared(stream::here()?).map(Loaded)
}

fn seed() -> u64 {
    let given = std::env::var(SEED).ok().and_then(|text| text.parse().ok());
    let drawn =
        || fault_common::rng::mix(clock::monotonic_ns() ^ u64::from(std::process::id())) >> 32;
    given.unwrap_or_else(drawn)
}

/// Unique on this machine at any time.
fn name() -> String {
    let unique = fault_common::rng::mix(clock::monotonic_ns());
    format!("{}-g{:06x}", std::process::id(), unique & 0xff_ffff)
}
