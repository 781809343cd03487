//! Values of fields.

/// A field's value, before anyone knows what it should be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    Text(String),
    Int(i64),
    Float(f64),
}

impl Scalar {
    /// The value as it stands in the line.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Text(t) => t.clone(),
            Self::Int(i) => i.to_string(),
            Self::Float(f) => f.to_string(),
        }
    }

    /// The number, also of a text that is one.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Text(t) => t.trim().parse().ok().filter(|f: &f64| f.is_finite()),
            Self::Int(i) => Some(*i as f64),
            Self::Float(f) => Some(*f),
        }
    }

    /// Whether it has no fraction, so that it may be a rounded one.
    pub(super) fn is_whole(&self) -> bool {
        match self {
            Self::Text(t) => t.trim().parse::<i64>().is_ok(),
            Self::Int(_) => true,
            Self::Float(_) => false,
        }
    }
}
