//! How a call fails.

/// What went wrong; the variants are the codes of gwq_text.h.
#[derive(Debug)]
pub enum Failure {
    Invalid(String),
    Limit(String),
}

pub type Outcome<T> = Result<T, Failure>;
