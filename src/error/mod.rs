//! What can go wrong, by what the caller can do about it, and the only table of errno values.
//!
//! An error keeps what failed, the store's answer and its cause ([`std::error::Error::source`]);
//! it becomes words when it is displayed, always on one line and with its causes.

mod problem;
mod refusal;
mod store_answer;

use std::sync::Arc;

pub use problem::{Cause, Problem, chain, printable};
pub use refusal::{FallbackRefusal, Refusal};
pub use store_answer::StoreAnswer;

/// A failed operation.
///
/// Cheap to clone: everyone who waits for one fetch shares its failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An answer said that there is no such key and no such prefix; the URL.
    #[error("{0} does not exist")]
    NotFound(Arc<str>),
    /// Earthdata or S3 refused, and trying again without the user doing something will not help.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The object was replaced or removed after it was opened; the URL.
    #[error("{0} was replaced or removed since it was opened; open it again")]
    Replaced(Arc<str>),
    /// The object's storage class allows no reading before a restore.
    #[error("{url} is archived ({class}); it must be restored before it can be read")]
    Archived {
        /// The object's URL.
        url: Arc<str>,
        /// The storage class as S3 names it.
        class: Arc<str>,
    },
    /// A fault that passes: throttling, a reset, a stall, a 5xx, a short answer. Worth another try.
    #[error(transparent)]
    Transient(Problem),
    /// The operation's deadline passed while transient faults were still being retried.
    #[error("no answer within the deadline: {0}")]
    Deadline(#[source] Problem),
    /// An answer that no retry will change, and that is about neither existence nor permission.
    #[error(transparent)]
    Store(Problem),
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
    #[error(transparent)]
    Mount(Problem),
    /// The command line, the environment or a file named there cannot be used as it is.
    #[error(transparent)]
    Usage(Problem),
}

impl Error {
    /// Returns an [`Error::Transient`].
    pub fn transient(problem: impl Into<Problem>) -> Self {
        Self::Transient(problem.into())
    }

    /// Returns an [`Error::Store`].
    pub fn store(problem: impl Into<Problem>) -> Self {
        Self::Store(problem.into())
    }

    /// Returns an [`Error::Mount`].
    pub fn mount(problem: impl Into<Problem>) -> Self {
        Self::Mount(problem.into())
    }

    /// Returns an [`Error::Usage`].
    pub fn usage(problem: impl Into<Problem>) -> Self {
        Self::Usage(problem.into())
    }

    /// Returns the errno that a program reading the mount sees.
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

    /// Returns what this fault has in common with others that do not deserve a log line of their
    /// own: the text without the request's id and, where the problem is that of a whole bucket,
    /// with the bucket instead of the object.
    #[must_use]
    pub fn dedup_key(&self) -> String {
        self.generalized().to_string()
    }

    fn generalized(&self) -> Self {
        match self {
            Self::Refused(refusal) => refusal.generalized().into(),
            Self::Archived { url, class } => {
                Self::Archived { url: refusal::bucket_of(url), class: class.clone() }
            }
            Self::Transient(problem) => Self::Transient(problem.generalized()),
            Self::Deadline(problem) => Self::Deadline(problem.generalized()),
            Self::Store(problem) => Self::Store(problem.generalized()),
            other => other.clone(),
        }
    }

    /// Returns whether this is a fault worth a line in the log, and not just a name that is
    /// missing.
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

    fn answer(code: Option<&str>, request_id: &str) -> StoreAnswer {
        let (code, request_id) = (code.map(Into::into), Some(request_id.into()));
        StoreAnswer { status: 403, code, request_id }
    }

    /// A read that is denied leaves one clear log line for its bucket, not one for each object.
    #[test]
    fn what_is_wrong_with_a_whole_bucket_is_one_cause() {
        let forbidden = |url: &str, code: Option<&str>, id: &str| {
            let also = FallbackRefusal::default();
            Error::from(Refusal::Forbidden { url: url.into(), answer: answer(code, id), also })
        };
        let far = |url: &str| {
            Error::from(Refusal::OutOfRegion {
                url: url.into(),
                region: "us-west-2".into(),
                answer: answer(None, url),
            })
        };
        let archived = |url: &str| Error::Archived { url: url.into(), class: "GLACIER".into() };
        let replaced = |url: &str| Error::Replaced(url.into());
        let no_data = |endpoint: &str| Error::from(Refusal::NoData { endpoint: endpoint.into() });
        let dead = |url: &str| Refusal::CredentialsRejected {
            url: url.into(),
            answer: StoreAnswer { status: 400, code: None, request_id: Some("1".into()) },
        };
        let neither = |url: &str, endpoint: &str| {
            Error::from(dead(url).and("the environment", &no_data(endpoint), endpoint))
        };
        let down = |id: &str| {
            let answered = StoreAnswer { status: 503, ..answer(None, id) };
            Error::transient(Problem::new("it may pass").about("e").answered(answered))
        };
        let expired =
            |cause: Error| Refusal::NoCredentials { endpoint: "e".into(), cause: Arc::new(cause) };
        let no_credentials = |id: &str| Error::from(expired(down(id)));
        let also_down = |url: &str, id: &str| {
            let also = FallbackRefusal::default();
            let denied = Refusal::Forbidden { url: url.into(), answer: answer(None, id), also };
            Error::from(denied.and("the environment", &no_credentials(id), "e"))
        };
        let late = |id: &str| {
            let cause = forbidden("s3://b/k", None, id);
            Error::Deadline(Problem::new("the last request failed").caused_by(cause))
        };
        let slow = |id: &str| {
            let answered = StoreAnswer { status: 503, ..answer(Some("SlowDown"), id) };
            Error::transient(Problem::new("S3 answered").about("s3://b/k").answered(answered))
        };
        let read = forbidden("s3://b/k", Some("AccessDenied"), "1");
        for (one, other, is_same) in [
            (&read, forbidden("s3://b/l/m", None, "2"), true),
            (&read, forbidden("s3://c/k", None, "1"), false),
            (&read, forbidden("s3://b/l/", Some("AccessDenied"), "1"), false),
            (&read, far("s3://b/k"), false),
            (&far("s3://b/"), far("s3://b/k"), true),
            (&far("s3://b/k"), far("s3://bb/k"), false),
            (&archived("s3://b/k"), archived("s3://b/l"), true),
            (&replaced("s3://b/k"), replaced("s3://b/l"), false),
            (&no_data("e"), no_data("e"), true),
            (&no_data("e"), no_data("f"), false),
            (&neither("s3://b/k", "e"), neither("s3://b/l", "e"), true),
            (&neither("s3://b/k", "e"), neither("s3://b/k", "f"), false),
            (&slow("1"), slow("2"), true),
            (&no_credentials("1"), no_credentials("2"), true),
            (&also_down("s3://b/k", "1"), also_down("s3://b/l", "2"), true),
            (&late("1"), late("2"), true),
        ] {
            assert_eq!(one.dedup_key() == other.dedup_key(), is_same, "{one}, {other}");
        }
    }

    #[test]
    fn an_error_keeps_its_cause() {
        let refused = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let error = Error::usage(Problem::new("cannot read").about("a.json").caused_by(refused));
        let cause = std::error::Error::source(&error).and_then(|e| e.downcast_ref());
        let kind = cause.map(std::io::Error::kind);
        assert_eq!(kind, Some(std::io::ErrorKind::PermissionDenied));
        assert_eq!(error.to_string(), "a.json: cannot read: permission denied");
    }
}
