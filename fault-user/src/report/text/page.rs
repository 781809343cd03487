//! Lines, hanging indents and colours; knows nothing of reports.

use super::Style;
use crate::report::view::Grade;
use crate::report::words;

const MIN_WIDTH: usize = 40;

/// A page under construction. Colours are added after the layout, so they never shift it.
pub(super) struct Page {
    out: String,
    colour: bool,
    width: usize,
}

impl Page {
    pub(super) fn new(style: Style) -> Self {
        Self { out: String::new(), colour: style.colour, width: style.width.max(MIN_WIDTH) }
    }

    pub(super) fn finish(self) -> String {
        self.out
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn blank(&mut self) {
        self.out.push('\n');
    }

    /// A blank line, then the title.
    pub(super) fn heading(&mut self, title: &str) {
        self.blank();
        let painted = self.paint(title, "1");
        self.line(&painted);
    }

    /// `text`, wrapped, every line indented.
    pub(super) fn indented(&mut self, indent: usize, text: &str) {
        for line in wrap(text, self.width.saturating_sub(indent)) {
            self.line(&format!("{:indent$}{line}", ""));
        }
    }

    /// A coloured mark, then `text` from column `hang` on; its further lines hang under it.
    pub(super) fn item(&mut self, mark: (&str, Grade), indent: usize, hang: usize, text: &str) {
        let used = indent + mark.0.chars().count();
        let painted = self.graded(&words::shorten(mark.0, self.width - indent), mark.1);
        // On a narrow page a wide mark would leave the text a sliver: it goes below instead.
        if used >= hang || hang + MIN_WIDTH / 2 > self.width {
            self.line(&format!("{:indent$}{painted}", ""));
            self.indented(indent + 2, text);
            return;
        }
        let gap = hang - used;
        let mut lines = wrap(text, self.width - hang).into_iter();
        let first = lines.next().unwrap_or_default();
        self.line(&format!("{:indent$}{painted}{:gap$}{first}", "", ""));
        for line in lines {
            self.line(&format!("{:hang$}{line}", ""));
        }
    }

    /// A mark and a text that is never wrapped.
    pub(super) fn unbroken(&mut self, mark: &str, hang: usize, text: &str) {
        let gap = hang.saturating_sub(mark.chars().count());
        let painted = self.graded(mark, Grade::Quiet);
        self.line(&format!("{painted}{:gap$}{text}", ""));
    }

    /// Words of several grades side by side, as many to a line as fit.
    pub(super) fn list(&mut self, indent: usize, entries: &[(String, Grade)]) {
        let mut line = String::new();
        let mut used = indent;
        for (i, (text, grade)) in entries.iter().enumerate() {
            let comma = if i + 1 < entries.len() { "," } else { "" };
            let len = text.chars().count() + comma.len();
            if !line.is_empty() && used + 1 + len > self.width {
                self.line(&format!("{:indent$}{line}", ""));
                line.clear();
                used = indent;
            }
            if !line.is_empty() {
                line.push(' ');
                used += 1;
            }
            line += &self.graded(text, *grade);
            line += comma;
            used += len;
        }
        if !line.is_empty() {
            self.line(&format!("{:indent$}{line}", ""));
        }
    }

    pub(super) fn line(&mut self, text: &str) {
        self.out.push_str(text.trim_end_matches(' '));
        self.out.push('\n');
    }

    pub(super) fn graded(&self, text: &str, grade: Grade) -> String {
        let code = match grade {
            Grade::Bad => "1;31",
            Grade::Doubtful => "33",
            Grade::Good => "32",
            Grade::Quiet => "2",
        };
        self.paint(text, code)
    }

    fn paint(&self, text: &str, code: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Columns of the widest of `texts`.
pub(super) fn widest<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or(0)
}

/// Lines of at most `width` columns, broken at spaces; only a word longer than a line is cut.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let chars: Vec<char> = word.chars().collect();
        for (i, piece) in chars.chunks(width).enumerate() {
            // A long word begins on a line of its own and goes on where it was cut.
            if i > 0 || (used > 0 && used + 1 + chars.len() > width) {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            line.extend(piece);
            used += piece.len();
        }
    }
    lines.push(line);
    lines
}
