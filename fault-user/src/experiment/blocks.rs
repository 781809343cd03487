//! Whether an app buffers its output: then its lines come in blocks, and when each was said nobody knows.

use crate::app::output::Stream;

/// So many lines may follow a marker in one write: messages of several lines are no blocks.
const TAIL: u64 = 3;

/// What a line is to the scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// What became of a send.
    Outcome,
    /// A text that `opened_after` waits for.
    Marker,
    /// Anything else.
    Other,
}

/// The lines of one app, which its writes keep apart.
#[derive(Debug, Default)]
pub struct Blocks {
    /// Stream and moment of the last write, unique to it.
    write: Option<(Stream, u64)>,
    outcomes: u64,
    /// Lines since the marker, if the write had one.
    since_marker: Option<u64>,
    outcomes_together: u64,
    markers_inside: u64,
}

impl Blocks {
    /// Takes the next line.
    pub fn line(&mut self, stream: Stream, at: u64, line: Line) {
        if self.write != Some((stream, at)) {
            (self.write, self.outcomes, self.since_marker) = (Some((stream, at)), 0, None);
        }
        if let Some(since) = &mut self.since_marker {
            *since += 1;
            self.markers_inside += u64::from(*since == TAIL + 1);
        }
        match line {
            Line::Outcome => {
                self.outcomes += 1;
                self.outcomes_together += u64::from(self.outcomes > 1);
            }
            Line::Marker if self.since_marker.is_none() => self.since_marker = Some(0),
            Line::Marker | Line::Other => {}
        }
    }

    /// What there is to say of the app of this name.
    pub fn warning(&self, app: &str) -> Option<String> {
        const REMEDY: &str =
            "have it flush each line (PYTHONUNBUFFERED=1, stdbuf -oL, the logger's own setting)";
        if self.markers_inside > 0 {
            return Some(format!(
                "app `{app}` buffers its output: the text that `opened_after` waits for came in one write with what \
                 was said later, so the connection that it announces may have been opened before it was seen; {REMEDY}"
            ));
        }
        (self.outcomes_together > 0).then(|| {
            format!(
                "app `{app}` buffers its output: {} outcomes came in one write with earlier ones, so when they were said \
                 is not known; {REMEDY}",
                self.outcomes_together
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warned(lines: &[(u64, Line)]) -> Option<String> {
        let mut blocks = Blocks::default();
        lines.iter().for_each(|(at, line)| blocks.line(Stream::Stdout, *at, *line));
        blocks.warning("a")
    }

    #[test]
    fn outcomes_of_one_write_are_a_block_and_those_of_several_are_not() {
        assert_eq!(warned(&[(1, Line::Outcome), (2, Line::Outcome), (2, Line::Other)]), None);
        let text = warned(&[(1, Line::Outcome), (1, Line::Other), (1, Line::Outcome)]).unwrap();
        assert!(text.contains("1 outcomes"), "{text}");
    }

    #[test]
    fn a_marker_with_much_behind_it_is_in_a_block() {
        let behind = |n| [vec![(5, Line::Marker)], vec![(5, Line::Other); n]].concat();
        assert_eq!(warned(&behind(3)), None);
        assert!(warned(&behind(4)).unwrap().contains("opened_after"));
        // The next write is another one.
        assert_eq!(warned(&[behind(2), vec![(6, Line::Other); 9]].concat()), None);
    }
}
