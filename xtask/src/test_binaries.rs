//! Finding the test targets, and the executables that cargo makes of them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Integration tests whose names begin so need root.
pub const PRIVILEGED: &str = "root_";

/// The names of the integration tests in `dir`: `x.rs` and `x/main.rs`, in order.
pub fn targets(dir: &Path) -> Result<Vec<String>> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    let entries =
        std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    for entry in entries {
        let path = entry?.path();
        let source = path.extension().is_some_and(|ext| ext == "rs");
        if (source || path.join("main.rs").is_file())
            && let Some(name) = path.file_stem()
        {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// The executables of privileged tests in what `cargo test --no-run --message-format=json`
/// printed, one message a line.
pub fn privileged(messages: &str) -> Vec<PathBuf> {
    let paths = messages.lines().filter_map(executable).map(PathBuf::from);
    paths
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(PRIVILEGED)
        })
        .collect()
}

/// The string value of `"executable"` in one message. Not a whole JSON parser: cargo prints
/// messages compactly, and a quote inside a string is escaped.
fn executable(message: &str) -> Option<String> {
    let rest = message.split_once("\"executable\":\"")?.1;
    let mut value = String::new();
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => return Some(value),
            '\\' => value.push(unescape(&mut chars)?),
            c => value.push(c),
        }
    }
}

fn unescape(chars: &mut std::str::Chars<'_>) -> Option<char> {
    match chars.next()? {
        'n' => Some('\n'),
        't' => Some('\t'),
        'u' => {
            let hex: String = chars.take(4).collect();
            char::from_u32(u32::from_str_radix(&hex, 16).ok()?)
        }
        c => Some(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_read_from_cargo_s_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"a"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","executable":"/t/deps/root_lo-12","fresh":true}"#,
            "\n",
            r#"{"reason":"compiler-artifact","executable":"/t/root_dir/golden-34","fresh":true}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(privileged(messages), [PathBuf::from("/t/deps/root_lo-12")]);
    }

    #[test]
    fn escapes_in_paths_are_undone() {
        let message = r#"{"executable":"/a \"b\"\\c\u0041/root_x"}"#;
        assert_eq!(executable(message).unwrap(), "/a \"b\"\\cA/root_x");
        assert_eq!(executable(r#"{"executable":"/cut"#), None);
    }

    #[test]
    fn a_directory_without_main_is_no_target() {
        let dir = std::env::temp_dir().join(format!("xtask-targets-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("support")).unwrap();
        std::fs::create_dir_all(dir.join("root_b")).unwrap();
        for file in ["root_b/main.rs", "a.rs", "notes.txt"] {
            std::fs::write(dir.join(file), "").unwrap();
        }
        let found = targets(&dir);
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(found.unwrap(), ["a", "root_b"]);
    }
}
