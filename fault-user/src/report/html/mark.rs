//! The sign of a verdict: a shape for its grade and a letter of its own, so that no reader has to
//! tell it by colour.

use crate::report::view::{self, Grade};
use crate::verdict::Verdict;

/// Class name of a grade in the style sheet.
pub(super) fn class(grade: Grade) -> &'static str {
    match grade {
        Grade::Bad => "bad",
        Grade::Doubtful => "doubtful",
        Grade::Good => "good",
        Grade::Quiet => "quiet",
    }
}

fn letter(verdict: Verdict) -> char {
    match verdict {
        Verdict::Delivered => 'D',
        Verdict::Late => 'L',
        Verdict::Rerouted => 'R',
        Verdict::SilentLoss => 'S',
        Verdict::Unconfirmed => 'U',
        Verdict::FalseFailure => 'F',
        Verdict::CleanFailure => 'C',
        Verdict::AmbiguousFailure => 'A',
        Verdict::Pending => 'P',
        Verdict::Unlogged => 'N',
        Verdict::Unknown => '?',
    }
}

/// How large a sign is in a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    Full,
    /// For crowded lanes: the shape only.
    Small,
}

/// The sign as SVG, its centre at `x`, `y`.
pub(super) fn at(verdict: Verdict, x: f64, y: f64, scale: Scale) -> String {
    let grade = view::grade(verdict);
    let class = class(grade);
    let r = if scale == Scale::Full { 8.0 } else { 3.5 };
    let shape = match grade {
        Grade::Bad => {
            let d = r * 1.25;
            format!(
                "<path class=\"{class} outline\" d=\"M{x:.1} {:.1}L{:.1} {y:.1}L{x:.1} {:.1}L{:.1} {y:.1}Z\"/>",
                y - d,
                x + d,
                y + d,
                x - d
            )
        }
        Grade::Doubtful => {
            let side = r * 1.8;
            format!(
                "<rect class=\"{class} outline\" x=\"{:.1}\" y=\"{:.1}\" width=\"{side:.1}\" height=\"{side:.1}\" rx=\"1\"/>",
                x - side / 2.0,
                y - side / 2.0
            )
        }
        Grade::Good | Grade::Quiet => {
            format!("<circle class=\"{class} outline\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{r}\"/>")
        }
    };
    match scale {
        Scale::Small => shape,
        Scale::Full => format!(
            "{shape}<text class=\"letter\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
            y + 3.6,
            letter(verdict)
        ),
    }
}

/// The sign in running text. The word beside it says the same, so screen readers skip it.
pub(super) fn inline(verdict: Verdict) -> String {
    format!(
        "<svg class=\"mark\" viewBox=\"0 0 22 22\" aria-hidden=\"true\">{}</svg>",
        at(verdict, 11.0, 11.0, Scale::Full)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_has_a_letter_of_its_own() {
        let mut letters = Verdict::ALL.map(letter).to_vec();
        letters.sort_unstable();
        letters.dedup();
        assert_eq!(letters.len(), Verdict::ALL.len());
    }
}
