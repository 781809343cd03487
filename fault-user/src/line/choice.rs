//! Which line a run has.

use std::io;

use super::fq::{self, Pair};
use super::{LineError, Tap};
use crate::plan::{Backend as Wanted, Plan};

/// The device of a line that is not open yet.
#[derive(Debug)]
pub enum Device<T = Tap, P = Pair> {
    Tap(T),
    Fq(P),
}

/// Makes the device of the line that the plan asks for, or of the one that this machine has.
///
/// # Errors
/// There is none that can carry the plan's faults.
pub fn choose(plan: &Plan) -> Result<Device, LineError> {
    among(plan.line.backend, fq::carries(plan), Tap::open, Pair::open)
}

fn among<T, P>(
    wanted: Wanted,
    carries: Result<(), LineError>,
    tap: impl FnOnce() -> io::Result<T>,
    fq: impl FnOnce() -> Result<P, LineError>,
) -> Result<Device<T, P>, LineError> {
    let tap = || tap().map(Device::Tap).map_err(LineError::Device);
    let fq = || carries.and_then(|()| fq()).map(Device::Fq);
    match wanted {
        // Without a line no fault needs one: whoever asks has found one that does.
        Wanted::Tap | Wanted::None => tap(),
        Wanted::Fq => fq(),
        Wanted::Auto => tap().or_else(|tap| {
            fq().map_err(|fq| LineError::Neither { tap: Box::new(tap), fq: Box::new(fq) })
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unfit() -> Result<(), LineError> {
        Err(LineError::Unfit { fault: "drop = 0.5".into(), why: "it loses packets" })
    }

    fn no_tap() -> io::Result<()> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn chosen(
        wanted: Wanted,
        carries: Result<(), LineError>,
        tap: io::Result<()>,
        fq: Result<(), LineError>,
    ) -> Result<&'static str, String> {
        match among(wanted, carries, || tap, || fq) {
            Ok(Device::Tap(())) => Ok("tap"),
            Ok(Device::Fq(())) => Ok("fq"),
            Err(e) => Err(e.to_string()),
        }
    }

    #[test]
    fn the_tap_is_taken_unless_it_cannot_be_had() {
        assert_eq!(chosen(Wanted::Auto, Ok(()), Ok(()), Ok(())).unwrap(), "tap");
        assert_eq!(chosen(Wanted::Auto, Ok(()), no_tap(), Ok(())).unwrap(), "fq");
        assert_eq!(chosen(Wanted::Tap, Ok(()), Ok(()), Ok(())).unwrap(), "tap");
        assert!(
            chosen(Wanted::Tap, Ok(()), no_tap(), Ok(())).unwrap_err().contains("/dev/net/tun")
        );
    }

    #[test]
    fn fq_is_taken_where_it_is_asked_for_and_can_do_it() {
        assert_eq!(chosen(Wanted::Fq, Ok(()), Ok(()), Ok(())).unwrap(), "fq");
        let none = chosen(Wanted::Fq, Ok(()), Ok(()), Err(LineError::NoFq)).unwrap_err();
        assert!(none.contains("sch_fq"), "{none}");
        let unfit = chosen(Wanted::Fq, unfit(), Ok(()), Ok(())).unwrap_err();
        assert!(unfit.contains("drop = 0.5") && unfit.contains("loses"), "{unfit}");
    }

    #[test]
    fn where_neither_can_be_had_both_reasons_are_told() {
        let why = chosen(Wanted::Auto, unfit(), no_tap(), Ok(())).unwrap_err();
        assert!(why.contains("/dev/net/tun") && why.contains("drop = 0.5"), "{why}");
        let why = chosen(Wanted::Auto, Ok(()), no_tap(), Err(LineError::NoFq)).unwrap_err();
        assert!(why.contains("/dev/net/tun") && why.contains("sch_fq"), "{why}");
    }
}
