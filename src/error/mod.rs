//! What can go wrong, by what the caller can do about it, and the only table of errno values.

mod refusal;

use std::sync::Arc;

pub use refusal::Refusal;

/// `error` with its causes, in one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Some write their cause out themselves.
        if !words.ends_with(&text) {
            words = format!("{words}: {text}");
        }
        cause = error.source();
    }
    words.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

/// A failed operation.
///
/// Cheap to clone: everyone who waits for one flight shares its failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An answer said that there is no such key and no such prefix.
    #[error("{0} does not exist")]
    NotFound(Arc<str>),
    /// Earthdata or S3 refused, and trying again without the user doing something will not help.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The object was replaced or removed after it was opened.
    #[error("{0} was replaced or removed since it was opened; open it again")]
    Replaced(Arc<str>),
    /// The object's storage class allows no reading before a restore.
    #[error("{what} is archived ({class}); it must be restored before it can be read")]
    Archived {
        /// The object's URL.
        what: Arc<str>,
        /// The storage class as S3 names it.
        class: Arc<str>,
    },
    /// A fault that passes: throttling, a reset, a stall, a 5xx, a short answer. Worth another try.
    #[error("{0}")]
    Transient(Arc<str>),
    /// The operation's deadline passed while transient faults were still being retried.
    #[error("no answer within the deadline: {0}")]
    Deadline(Arc<str>),
    /// An answer that no retry will change, and that is about neither existence nor permission.
    #[error("{0}")]
    Store(Arc<str>),
    /// The key that a name would have is longer than the 1,024 bytes S3 allows.
    #[error("the key would be longer than 1,024 bytes")]
    NameTooLong,
    /// The name of an extended attribute that the node does not have.
    #[error("no such attribute")]
    NoAttribute,
    /// A kind of extended attribute that no node of any bucket has: labels, capabilities, ACLs.
    #[error("not supported")]
    NotSupported,
    /// An inode number or handle that is not, or no longer, known.
    #[error("stale inode or handle")]
    BadHandle,
    /// The value of an extended attribute that is longer than the caller's buffer.
    #[error("the value is longer than the buffer")]
    BufferTooSmall,
    /// A directory operation on a file.
    #[error("not a directory")]
    NotADirectory,
    /// A file operation on a directory.
    #[error("is a directory")]
    IsADirectory,
    /// A defect of granulefs: an operation panicked.
    #[error("an operation failed inside granulefs: {0}")]
    Defect(Arc<str>),
    /// The kernel, fusermount3 or a signal keeps a mount from being made or taken down.
    #[error("{0}")]
    Mount(Arc<str>),
    /// The command line, the environment or a file named there cannot be used as it is.
    #[error("{0}")]
    Usage(Arc<str>),
}

impl Error {
    /// A [`Error::Transient`] with these words.
    pub fn transient(words: impl Into<Arc<str>>) -> Self {
        Self::Transient(words.into())
    }

    /// A [`Error::Store`] with these words.
    pub fn store(words: impl Into<Arc<str>>) -> Self {
        Self::Store(words.into())
    }

    /// A [`Error::Mount`] with these words.
    pub fn mount(words: impl Into<Arc<str>>) -> Self {
        Self::Mount(words.into())
    }

    /// A [`Error::Usage`] with these words.
    pub fn usage(words: impl Into<Arc<str>>) -> Self {
        Self::Usage(words.into())
    }

    /// The errno that a program reading the mount sees.
    #[must_use]
    pub fn errno(&self) -> i32 {
        match self {
            Self::NotFound(_) => libc::ENOENT,
            Self::Refused(_) | Self::Archived { .. } => libc::EACCES,
            Self::Replaced(_) => libc::ESTALE,
            Self::Deadline(_) => libc::ETIMEDOUT,
            Self::Transient(_) | Self::Store(_) | Self::Defect(_) | Self::Mount(_) => libc::EIO,
            Self::NameTooLong => libc::ENAMETOOLONG,
            Self::NoAttribute => libc::ENODATA,
            Self::NotSupported => libc::EOPNOTSUPP,
            Self::BufferTooSmall => libc::ERANGE,
            Self::BadHandle => libc::EBADF,
            Self::NotADirectory => libc::ENOTDIR,
            Self::IsADirectory => libc::EISDIR,
            Self::Usage(_) => libc::EINVAL,
        }
    }

    /// What this fault has in common with those that are not worth a line of their own in a log:
    /// what is wrong, and where that is wrong for a whole bucket, the bucket instead of the object.
    #[must_use]
    pub fn cause(&self) -> String {
        self.of_bucket().to_string()
    }

    fn of_bucket(&self) -> Self {
        match self {
            Self::Refused(refusal) => refusal.of_bucket().into(),
            Self::Archived { what, class } => {
                Self::Archived { what: refusal::bucket_of(what), class: class.clone() }
            }
            other => other.clone(),
        }
    }

    /// Whether the failure tells of a fault worth a line in the log, rather than of a name that is
    /// not there.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        matches!(
            self,
            Self::Refused(_)
                | Self::Archived { .. }
                | Self::Replaced(_)
                | Self::Transient(_)
                | Self::Deadline(_)
                | Self::Store(_)
                | Self::Defect(_)
                | Self::Mount(_)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "A read that fails later for such a reason leaves one clear log line, not one per read"
    /// (issue 5, item 6).
    #[test]
    fn what_is_wrong_with_a_whole_bucket_is_one_cause() {
        let forbidden = |what: &str, code: &str| {
            Error::from(Refusal::Forbidden {
                what: what.into(),
                code: code.into(),
                also: "".into(),
            })
        };
        let far = |what: &str| {
            Error::from(Refusal::OutOfRegion { what: what.into(), region: "us-west-2".into() })
        };
        let archived = |what: &str| Error::Archived { what: what.into(), class: "GLACIER".into() };
        let replaced = |what: &str| Error::Replaced(what.into());
        let no_data = |endpoint: &str| Error::from(Refusal::NoData { endpoint: endpoint.into() });
        let dead = |what: &str| Refusal::CredentialsRejected {
            what: what.into(),
            code: "status 400".into(),
        };
        let neither = |what: &str, endpoint: &str| {
            Error::from(dead(what).and("the environment", &no_data(endpoint), endpoint))
        };
        let read = forbidden("s3://b/k", "AccessDenied, status 403");
        for (one, other, is_same) in [
            (&read, forbidden("s3://b/l/m", "status 403"), true),
            (&read, forbidden("s3://c/k", "status 403"), false),
            (&read, forbidden("s3://b/l/", "AccessDenied, status 403"), false),
            (&read, far("s3://b/k"), false),
            (&far("s3://b/"), far("s3://b/k"), true),
            (&far("s3://b/k"), far("s3://bb/k"), false),
            (&archived("s3://b/k"), archived("s3://b/l"), true),
            (&replaced("s3://b/k"), replaced("s3://b/l"), false),
            (&no_data("e"), no_data("e"), true),
            (&no_data("e"), no_data("f"), false),
            (&neither("s3://b/k", "e"), neither("s3://b/l", "e"), true),
            (&neither("s3://b/k", "e"), neither("s3://b/k", "f"), false),
        ] {
            assert_eq!(one.cause() == other.cause(), is_same, "{one}, {other}");
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("{words}")]
    struct Caused {
        words: &'static str,
        source: Option<Box<Caused>>,
    }

    #[test]
    fn a_chain_is_one_line_that_says_everything_once() {
        let caused = |words, source: Option<Caused>| Caused { words, source: source.map(Box::new) };
        assert_eq!(chain(&caused("alone", None)), "alone");
        let reset = caused("tried:\n  one\n  two", None);
        assert_eq!(
            chain(&caused("outer", Some(caused("inner", Some(reset))))),
            "outer: inner: tried: one two"
        );
        assert_eq!(
            chain(&caused("dispatch: reset", Some(caused("reset", None)))),
            "dispatch: reset"
        );
    }
}
