//! What failed, what went wrong and why: kept apart, and put into words only when it is shown.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::{Error, StoreAnswer};

/// One failure in its parts.
///
/// Displays as `SUBJECT: WORDS (ANSWER): CAUSE`, on one line, without the parts that are missing
/// and without a cause that the words have already.
/// Cheap to clone. Two are equal when they read the same.
#[derive(Clone, Debug)]
pub struct Problem {
    subject: Option<Arc<str>>,
    words: Cow<'static, str>,
    answer: Option<StoreAnswer>,
    cause: Option<Cause>,
}

impl Problem {
    /// Returns a problem that has only words so far.
    pub fn new(words: impl Into<Cow<'static, str>>) -> Self {
        Self { subject: None, words: words.into(), answer: None, cause: None }
    }

    /// Adds what it is about: a URL, a host, a path or a flag. Never a secret.
    #[must_use]
    pub fn about(mut self, subject: impl fmt::Display) -> Self {
        self.subject = Some(subject.to_string().into());
        self
    }

    /// Adds the answer of the store that says so.
    #[must_use]
    pub fn answered(mut self, answer: StoreAnswer) -> Self {
        self.answer = Some(answer);
        self
    }

    /// Adds the error that led to it.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Cause>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Returns it without the ids of the requests that met it, also in its causes: equal for all
    /// requests that meet the same problem.
    pub(super) fn generalized(&self) -> Self {
        let answer = self.answer.as_ref().map(StoreAnswer::without_request_id);
        let cause = self.cause.as_ref().map(|cause| match cause.downcast_ref::<Error>() {
            Some(error) => Cause::from(error.generalized()),
            None => cause.clone(),
        });
        Self { answer, cause, ..self.clone() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(subject) = &self.subject {
            write!(f, "{subject}: ")?;
        }
        f.write_str(&self.words)?;
        if let Some(answer) = &self.answer {
            write!(f, " ({answer})")?;
        }
        let cause = self.cause.as_ref().map(ToString::to_string);
        match cause.filter(|cause| !self.words.contains(cause)) {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

impl StdError for Problem {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_ref().map(|cause| &**cause as &(dyn StdError + 'static))
    }
}

impl PartialEq for Problem {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Problem {}

impl From<&str> for Problem {
    fn from(words: &str) -> Self {
        Self::new(words.to_owned())
    }
}

impl From<String> for Problem {
    fn from(words: String) -> Self {
        Self::new(words)
    }
}

/// An error of another crate or of the operating system, shared by all who hear of it.
///
/// Displays, also as `Debug`, as the whole chain of causes on one line.
#[derive(Clone)]
pub struct Cause(Arc<dyn StdError + Send + Sync>);

impl Deref for Cause {
    type Target = dyn StdError + Send + Sync;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Cause {
    fn from(error: E) -> Self {
        Self(Arc::new(error))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&chain(&**self))
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", chain(&**self))
    }
}

impl PartialEq for Cause {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Cause {}

/// Returns `text` with its control characters escaped: names of objects, which others choose, must
/// neither end a line of the log nor command a terminal.
#[must_use]
pub fn printable(text: &str) -> String {
    let escape = |c: char| -> String {
        if c.is_control() { c.escape_default().collect() } else { c.into() }
    };
    text.chars().map(escape).collect()
}

/// Returns `error` and its causes on one line.
#[must_use]
pub fn chain(error: &dyn StdError) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Some errors, as those of granulefs, repeat their causes in their own text.
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        cause = error.source();
    }
    words.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{words}")]
    struct Caused {
        words: &'static str,
        source: Option<Box<Caused>>,
    }

    fn caused(words: &'static str, source: Option<Caused>) -> Caused {
        Caused { words, source: source.map(Box::new) }
    }

    #[test]
    fn a_chain_is_one_line_that_says_everything_once() {
        assert_eq!(chain(&caused("alone", None)), "alone");
        let reset = caused("tried:\n  one\n  two", None);
        let nested = caused("outer", Some(caused("inner", Some(reset))));
        assert_eq!(chain(&nested), "outer: inner: tried: one two");
        let repeated = caused("dispatch: reset", Some(caused("reset", None)));
        assert_eq!(chain(&repeated), "dispatch: reset");
    }

    #[test]
    fn a_problem_reads_as_one_line_and_keeps_its_parts() {
        let answer = StoreAnswer {
            status: 503,
            code: Some("SlowDown".into()),
            request_id: Some("4442587FB7D0A2F9".into()),
        };
        let problem = Problem::new("S3 failed").about("s3://b/k").answered(answer);
        assert_eq!(
            problem.to_string(),
            "s3://b/k: S3 failed (SlowDown, status 503, request id 4442587FB7D0A2F9)"
        );
        let bare = problem.generalized();
        assert_eq!(bare.to_string(), "s3://b/k: S3 failed (SlowDown, status 503)");
        let problem = Problem::new("cannot read the table")
            .about("t.json")
            .caused_by(caused("parse", Some(caused("line 1", None))));
        assert_eq!(problem.to_string(), "t.json: cannot read the table: parse: line 1");
        assert_eq!(problem.source().map(ToString::to_string).as_deref(), Some("parse"));
    }
}
