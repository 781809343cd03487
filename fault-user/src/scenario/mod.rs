//! From a scenario file to the validated [`model::Scenario`], or to everything that is wrong
//! with it at once.
//!
//! ```text
//! text ─ syntax ─► tree ─ overrides ─► tree ─ validate ─► model ─ explain ─► text
//!                   every value knows its place          └► ScenarioErrors (file:line:column)
//! ```
//!
//! Nothing here asks the kernel, the network or the clock.

mod address;
mod diagnostic;
mod explain;
pub mod model;
mod names;
mod overrides;
mod plain;
mod quantities;
mod reader;
mod signals;
mod statement;
mod syntax;
mod tree;
pub mod units;
mod validate;
mod values;
mod written;

use std::path::{Path, PathBuf};

/// JSON Schema (draft 2020-12) of the file, for editors and other programs. It says which keys there are and what their values
/// look like; what must fit what only [`parse`] knows. A test compares it with the readers, key by key.
pub const SCHEMA: &str = include_str!("schema.json");

pub use self::address::{AddressError, parse_local, parse_remote};
pub use self::diagnostic::{Problem, ScenarioErrors, Source};
pub use self::explain::{describe_step, explain};
pub use self::model::Scenario;
pub use self::signals::name as signal_name;
pub use self::tree::Place;
pub use self::written::written;

/// Why there is no scenario.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum LoadError {
    /// The file could not be read.
    #[error("cannot read the scenario file {path}: {source}")]
    #[diagnostic(help("check the path and that you may read the file"))]
    Unreadable {
        /// The path as it was given.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file, or an override, is wrong.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Invalid(#[from] ScenarioErrors),
}

/// Reads and validates a scenario file. Relative paths in it are taken from its own directory.
///
/// `overrides` are `path=value`, as given with `--set`; they are applied in their order.
///
/// # Errors
/// The file cannot be read, or it or an override is wrong.
pub fn load(path: &Path, overrides: &[String]) -> Result<Scenario, LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let absolute = std::path::absolute(path).map_err(unreadable)?;
    let base_dir = absolute.parent().unwrap_or(&absolute);
    Ok(parse(&path.display().to_string(), &text, base_dir, overrides)?)
}

/// Validates the text of a scenario. `source_name` stands in messages; relative paths in the
/// text are taken from `base_dir`, which should be absolute.
///
/// # Errors
/// Everything that is wrong with the text and the overrides, sorted by position.
pub fn parse(
    source_name: &str,
    text: &str,
    base_dir: &Path,
    overrides: &[String],
) -> Result<Scenario, ScenarioErrors> {
    let syntax::Parsed { mut root, mut problems, lossy } = syntax::parse(text);
    for (index, change) in overrides.iter().enumerate() {
        if let Err(problem) = overrides::apply(&mut root, change, index + 1) {
            // The entry that the path names may be one that is not TOML.
            if !lossy {
                problems.push(*problem);
            }
        }
    }
    let stem = Path::new(source_name).file_stem().map(|s| s.to_string_lossy().into_owned());
    let fallback_name = stem.unwrap_or_else(|| "scenario".into());
    match validate::document(&root, base_dir, &fallback_name) {
        Ok(scenario) if problems.is_empty() => return Ok(scenario),
        Ok(_) => {}
        // What was left out may have been what is missing.
        Err(more) => problems.extend(more.into_iter().filter(|p| !lossy || !p.relational)),
    }
    // A reader that gives nothing has said why: anything else is a bug in a reader.
    assert!(!problems.is_empty(), "the scenario was refused without a reason");
    let mut sources = vec![Source { name: source_name.to_owned(), text: text.to_owned() }];
    let changes = overrides.iter().map(|o| Source { name: "--set".into(), text: o.clone() });
    sources.extend(changes);
    Err(ScenarioErrors::new(sources, problems))
}
