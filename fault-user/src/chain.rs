//! An error in one line.

use std::error::Error;

/// An error and its causes, each said once: some errors tell their cause within their own
/// sentence, because the remedy comes after it, and others leave it to whoever prints them.
pub fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::AppError;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot run")]
    struct Silent(#[source] AppError);

    #[test]
    fn each_cause_is_said_once() {
        let io = std::io::Error::from_raw_os_error(libc::EACCES);
        let app = AppError::Io { what: "make a cgroup".into(), source: io };
        let said = "cannot make a cgroup: Permission denied (os error 13)";
        assert_eq!(told(&app), said);
        assert_eq!(told(&Silent(app)), format!("cannot run: {said}"));
    }
}
