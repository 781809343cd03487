//! Golden files: compare, or write when `FLOWFAULT_BLESS=1`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::path::Path;

/// What differs between `actual` and the file, if anything does.
pub fn difference(path: &Path, actual: &str) -> Option<String> {
    if std::env::var("FLOWFAULT_BLESS").is_ok_and(|v| v == "1") {
        std::fs::write(path, actual).unwrap();
        return None;
    }
    let expected = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return Some(format!("{}: {error}", path.display())),
    };
    (expected != actual).then(|| {
        format!(
            "{} differs (FLOWFAULT_BLESS=1 writes it anew)\n--- expected\n{expected}--- actual\n{actual}",
            path.display()
        )
    })
}
