//! Which kernels there are, and which of Debian's packages bring one.

use anyhow::{Context as _, Result};

/// A kernel line and the Debian release that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// What the user says: `6.12`.
    pub version: &'static str,
    pub suite: &'static str,
    /// Whether it boots with two processors when their clock counts instructions. Seen with QEMU
    /// 7.2: those that do not wait for the second one for ever.
    pub counts: bool,
}

/// What is tested when nothing is asked for.
pub const DEFAULT: [Line; 3] = [
    Line { version: "6.1", suite: "bookworm", counts: false },
    Line { version: "6.12", suite: "trixie", counts: true },
    Line { version: "7.2", suite: "forky", counts: true },
];

/// What else can be asked for: below the declared minimum of 5.15.
const MORE: [Line; 1] = [Line { version: "5.10", suite: "bullseye", counts: false }];

/// The flavour for virtual machines: a third of the ordinary one's size, and quick to boot.
const FLAVOUR: &str = "-cloud-amd64";

impl Line {
    /// The line that the user named.
    ///
    /// # Errors
    /// The list of those that there are.
    pub fn parse(version: &str) -> Result<Self, String> {
        let mut all = DEFAULT.iter().chain(&MORE);
        all.find(|line| line.version == version).copied().ok_or_else(|| {
            let known = DEFAULT.iter().chain(&MORE).map(|line| line.version);
            format!("there are {}", known.collect::<Vec<_>>().join(", "))
        })
    }
}

/// One kernel, and what to download for it.
#[derive(Debug, PartialEq, Eq)]
pub struct Release {
    /// As `uname -r` says.
    pub name: String,
    pub packages: Vec<String>,
}

/// The newest kernel of this line among all package names of a release. Since forky image and
/// modules are packages of their own, and `linux-image-*` is empty.
///
/// # Errors
/// There is none: names what there is instead.
pub fn resolve(line: Line, names: &str) -> Result<Release> {
    let names: Vec<&str> = names.lines().map(str::trim).collect();
    let releases = names.iter().filter_map(|name| {
        let release = name.strip_prefix("linux-image-")?;
        release.ends_with(FLAVOUR).then_some(release)
    });
    let releases: Vec<&str> = releases.filter(|r| r.starts_with(char::is_numeric)).collect();
    let of_line = |release: &&&str| {
        let rest = release.strip_prefix(line.version);
        rest.is_some_and(|rest| rest.starts_with(|c: char| !c.is_ascii_digit()))
    };
    let newest = releases.iter().filter(of_line).max_by_key(|release| numbers(release));
    let name = newest.with_context(|| {
        format!(
            "Debian {} has no Linux {}{FLAVOUR}, only [{}]: adapt the table in xtask/src/vm/release.rs",
            line.suite,
            line.version,
            releases.join(", ")
        )
    })?;
    let split = [format!("linux-binary-{name}"), format!("linux-modules-{name}")];
    let packages = if split.iter().all(|package| names.contains(&package.as_str())) {
        split.to_vec()
    } else {
        vec![format!("linux-image-{name}")]
    };
    Ok(Release { name: (*name).to_owned(), packages })
}

/// Its numbers, in order: 6.12.107 is newer than 6.12.94.
fn numbers(release: &str) -> Vec<u64> {
    let parts = release.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    parts.filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(version: &str) -> Line {
        Line::parse(version).unwrap()
    }

    #[test]
    fn the_newest_of_a_line_is_taken() {
        let names = "linux-image-6.12.94+deb13-cloud-amd64\n\
            linux-image-6.12.107+deb13-cloud-amd64\n\
            linux-image-6.12.107+deb13-amd64\n\
            linux-image-6.12.200+deb13-cloud-amd64-unsigned\n\
            linux-image-6.12.201+deb13-cloud-amd64-dbg\n\
            linux-image-6.1.0-99-cloud-amd64\n\
            linux-image-cloud-amd64\nlinux-headers-6.12.300+deb13-cloud-amd64\n";
        let found = resolve(line("6.12"), names).unwrap();
        assert_eq!(found.name, "6.12.107+deb13-cloud-amd64");
        assert_eq!(found.packages, ["linux-image-6.12.107+deb13-cloud-amd64"]);
        // 6.12 does not begin with the number 6.1.
        assert_eq!(resolve(line("6.1"), names).unwrap().name, "6.1.0-99-cloud-amd64");
    }

    #[test]
    fn image_and_modules_of_their_own_are_both_taken() {
        let names = "linux-image-7.2.12+deb14-cloud-amd64\n\
            linux-binary-7.2.12+deb14-cloud-amd64\nlinux-modules-7.2.12+deb14-cloud-amd64\n";
        let packages = resolve(line("7.2"), names).unwrap().packages;
        assert_eq!(
            packages,
            ["linux-binary-7.2.12+deb14-cloud-amd64", "linux-modules-7.2.12+deb14-cloud-amd64"]
        );
    }

    #[test]
    fn a_release_that_has_moved_on_says_what_it_has() {
        let names = "linux-image-7.4.1+deb14-cloud-amd64\n";
        let error = resolve(line("7.2"), names).unwrap_err().to_string();
        assert!(error.contains("no Linux 7.2") && error.contains("7.4.1"), "{error}");
    }

    #[test]
    fn an_unknown_line_is_told_the_known_ones() {
        assert!(Line::parse("6.6").unwrap_err().contains("6.12"));
    }
}
