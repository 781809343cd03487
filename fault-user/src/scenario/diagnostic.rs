//! What is wrong with a scenario: problems with their places, and the errors made of them.

use std::fmt;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, Severity,
    SourceCode,
};

use super::plain;
use super::tree::Place;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub at: Place,
    /// What, in one line.
    pub message: String,
    /// What to write under the place; may be empty.
    pub label: String,
    /// A second place that has a part in it.
    pub also: Option<(Place, String)>,
    /// What would be right.
    pub help: String,
    /// Whether it may be the mere consequence of another part that could not be read
    /// (a missing key, a name that nothing has).
    pub relational: bool,
}

impl Problem {
    /// A problem at a place; `help` says what would be right.
    pub fn new(at: Place, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
            label: String::new(),
            also: None,
            help: help.into(),
            relational: false,
        }
    }

    /// Adds the words under the place.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds a second place.
    #[must_use]
    pub fn also(mut self, at: Place, label: impl Into<String>) -> Self {
        self.also = Some((at, label.into()));
        self
    }

    /// Marks it as depending on other parts of the file, see [`Problem::relational`].
    #[must_use]
    pub fn relational(mut self) -> Self {
        self.relational = true;
        self
    }
}

/// A text that problems point into: the file, or an override.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// How to name it: the path as the user gave it, or `--set`.
    pub name: String,
    /// The text.
    pub text: String,
}

/// Everything that is wrong with a scenario, in the order of the text.
///
/// As a miette diagnostic it is a list of related diagnostics; [`ScenarioErrors::plain`] is the
/// same for logs.
#[derive(Debug)]
pub struct ScenarioErrors {
    sources: Vec<Source>,
    problems: Vec<Problem>,
    related: Vec<Related>,
}

impl ScenarioErrors {
    /// Sorts the problems by position and drops exact repetitions.
    pub(super) fn new(sources: Vec<Source>, mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| a.at.cmp(&b.at).then_with(|| a.message.cmp(&b.message)));
        problems.dedup();
        let related = problems.iter().map(|p| Related::new(p, &sources)).collect();
        Self { sources, problems, related }
    }

    /// The problems, sorted by position; there is at least one.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The text without colours or boxes, the same on every machine: for logs and tests.
    pub fn plain(&self) -> String {
        plain::render(&self.sources, &self.problems, &self.to_string())
    }

    /// The text for a terminal of this width, in columns.
    ///
    /// # Errors
    /// None in practice: formatting into a string fails only if a source cannot be read, and
    /// these are held in memory.
    pub fn graphical(&self, width: usize, colour: bool) -> Result<String, fmt::Error> {
        let theme =
            if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let mut text = String::new();
        GraphicalReportHandler::new_themed(theme)
            .with_width(width)
            .without_syntax_highlighting()
            .render_report(&mut text, self)?;
        Ok(text)
    }

    /// The form that suits stderr: graphical on a terminal, else plain.
    pub fn for_stderr(&self) -> String {
        use std::io::IsTerminal as _;
        if !std::io::stderr().is_terminal() {
            return self.plain();
        }
        let colour = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        self.graphical(100, colour).unwrap_or_else(|_| self.plain())
    }
}

impl fmt::Display for ScenarioErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.sources.first().map_or("scenario", |s| s.name.as_str());
        match self.problems.len() {
            1 => write!(f, "{name}: 1 error"),
            n => write!(f, "{name}: {n} errors"),
        }
    }
}

impl std::error::Error for ScenarioErrors {}

impl Diagnostic for ScenarioErrors {
    fn severity(&self) -> Option<Severity> {
        Some(Severity::Error)
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.related.iter().map(|r| r as &dyn Diagnostic)))
    }
}

/// One problem together with the text it points into, as miette wants it.
#[derive(Debug)]
struct Related {
    message: String,
    help: String,
    source: NamedSource<String>,
    labels: Vec<LabeledSpan>,
}

impl Related {
    fn new(problem: &Problem, sources: &[Source]) -> Self {
        let source = &sources[problem.at.source];
        let span = |at: Place| (at.start, at.end - at.start);
        let label = (!problem.label.is_empty()).then(|| problem.label.clone());
        let mut labels = vec![LabeledSpan::new_primary_with_span(label, span(problem.at))];
        // miette has one source per diagnostic; a place in another text stays in the plain form.
        if let Some((at, text)) = &problem.also
            && at.source == problem.at.source
        {
            labels.push(LabeledSpan::new_with_span(Some(text.clone()), span(*at)));
        }
        Self {
            message: problem.message.clone(),
            help: problem.help.clone(),
            source: NamedSource::new(&source.name, source.text.clone()),
            labels,
        }
    }
}

impl fmt::Display for Related {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Related {}

impl Diagnostic for Related {
    fn severity(&self) -> Option<Severity> {
        Some(Severity::Error)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}
