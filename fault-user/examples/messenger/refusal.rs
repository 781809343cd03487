//! Which messages the server refuses.

use std::str::FromStr;

/// Messages of the unidentified websockets to refuse, counted from 1 over the server's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// None.
    Never,
    /// Those from the first to the last of these, both included.
    Between(u64, u64),
    /// Every Nth (above zero).
    Every(u64),
}

impl Refusal {
    /// Whether the message with this number is refused.
    pub fn applies(self, number: u64) -> bool {
        match self {
            Self::Never => false,
            Self::Between(first, last) => (first..=last).contains(&number),
            Self::Every(n) => number.is_multiple_of(n),
        }
    }
}

impl FromStr for Refusal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hint = || {
            format!(
                "`{text}` is no range of messages; write unidentified:3, unidentified:3.. or unidentified:3..=5"
            )
        };
        let range = text.strip_prefix("unidentified:").ok_or_else(hint)?;
        let number = |text: &str| text.parse::<u64>().map_err(|_| hint());
        let (first, last) = match range.split_once("..") {
            None => (number(range)?, number(range)?),
            Some((first, "")) => (number(first)?, u64::MAX),
            Some((first, last)) => {
                let last = last.strip_prefix('=').ok_or_else(hint)?;
                (number(first)?, number(last)?)
            }
        };
        if first == 0 || last < first {
            return Err(hint());
        }
        Ok(Self::Between(first, last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(refusal: Refusal) -> Vec<u64> {
        (1..=6).filter(|n| refusal.applies(*n)).collect()
    }

    #[test]
    fn ranges_count_from_one_and_include_their_end() {
        let parsed = |text: &str| refused(text.parse().unwrap());
        assert_eq!(parsed("unidentified:2"), [2]);
        assert_eq!(parsed("unidentified:4.."), [4, 5, 6]);
        assert_eq!(parsed("unidentified:2..=3"), [2, 3]);
        assert_eq!(refused(Refusal::Every(2)), [2, 4, 6]);
        assert!(refused(Refusal::Never).is_empty());
    }

    #[test]
    fn refuses_other_texts() {
        for text in [
            "",
            "2..",
            "identified:2",
            "unidentified:",
            "unidentified:0..",
            "unidentified:3..2",
            "unidentified:3..=2",
            "unidentified:..",
        ] {
            assert!(text.parse::<Refusal>().is_err(), "{text}");
        }
    }
}
