//! Machines that are slow by nature.

use std::sync::LazyLock;

/// How much slower than a machine of its own this one is: an emulated guest says so. Deadlines
/// and the times of scenarios are stretched by it; what must hold stays the same.
pub fn slow() -> u32 {
    static SLOW: LazyLock<u32> = LazyLock::new(|| {
        let Some(told) = std::env::var_os("FLOWFAULT_TEST_SLOW") else { return 1 };
        let factor = told.to_str().and_then(|t| t.parse().ok()).filter(|f| (1..=100).contains(f));
        factor.unwrap_or_else(|| panic!("FLOWFAULT_TEST_SLOW is {told:?}, not 1 to 100"))
    });
    *SLOW
}
