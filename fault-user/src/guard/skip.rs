//! Tests that cannot run here say so, and do not pass for having run.

use std::io::Write as _;

use super::{GuardError, Loaded, load};
use crate::chain::told;

/// Set to anything but the empty string, it makes a skip a failure: for machines that are to run everything.
const REQUIRED: &str = "FLOWFAULT_REQUIRED";

/// Loads the programs, or says on stderr (also where the test program captures output) why this machine cannot.
///
/// ```no_run
/// #[test]
/// fn the_client_reconnects() {
///     let Some(_loaded) = fault_user::guard::load_or_skip("the_client_reconnects") else { return };
/// }
/// ```
///
/// # Panics
/// The environment variable FLOWFAULT_REQUIRED is set and not empty, or what went wrong is no matter of this machine:
/// both have to fail the test.
pub fn load_or_skip(test: &str) -> Option<Loaded> {
    let required = std::env::var_os(REQUIRED).is_some_and(|value| !value.is_empty());
    let error = match load() {
        Ok(loaded) => return Some(loaded),
        Err(error) => error,
    };
    match skipped(test, &error, required) {
        // Not eprintln!: what a test prints so is shown only if it fails.
        Ok(words) => match std::io::stderr().write_all(words.as_bytes()) {
            Ok(()) => None,
            Err(e) => fail(&format!("{words}and stderr cannot be written: {e}")),
        },
        Err(why) => fail(&why),
    }
}

/// A test that fails does so by a panic.
fn fail(why: &str) -> ! {
    panic!("{why}")
}

/// What to say of a test that is skipped; an error if it has to fail.
fn skipped(test: &str, error: &GuardError, required: bool) -> Result<String, String> {
    let why = told(error);
    match (error.is_machine(), required) {
        (true, false) => {
            Ok(format!("SKIPPED {test}: {why}. With {REQUIRED}=1 this would be a failure\n"))
        }
        (true, true) => Err(format!("{test} cannot run here, and {REQUIRED} is set: {why}")),
        (false, _) => Err(format!("{test}: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::KernelError;

    #[test]
    fn only_what_this_machine_cannot_do_is_skipped_and_only_where_it_may_be() {
        let machine = GuardError::Kernel(KernelError::Privilege { what: "x".into() });
        let words = skipped("t", &machine, false).unwrap();
        assert!(words.starts_with("SKIPPED t: x: not permitted. Run as root"), "{words}");
        assert!(skipped("t", &machine, true).unwrap_err().contains("FLOWFAULT_REQUIRED"));
        let other = GuardError::Full { what: "x", count: 1 };
        assert!(skipped("t", &other, false).is_err());
    }
}
