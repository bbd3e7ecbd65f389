//! Runs the kernel's operations: at once where possible, as tasks with a deadline otherwise.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fuser::{Errno, INodeNo};
use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tracing::Instrument;

use super::Refresher;
use super::log_dedup::LogDedup;
use super::waiting::WaitingOperations;
use crate::error::{Error, printable};
use crate::filesystem::Filesystem;

/// Answers the kernel's requests from a [`Filesystem`].
#[derive(Debug)]
pub(super) struct Dispatcher {
    pub(super) filesystem: Arc<Filesystem>,
    pub(super) runtime: Handle,
    pub(super) deadline: Duration,
    /// The inode number of the directory that the mount point lies in.
    pub(super) above_root: u64,
    pub(super) refresher: Refresher,
    pub(super) log_dedup: Arc<LogDedup>,
    pub(super) waiting: Arc<WaitingOperations>,
    /// Becomes true when the kernel has ended the session.
    pub(super) ended: watch::Sender<bool>,
}

impl Dispatcher {
    /// Runs one operation and replies.
    ///
    /// An operation that need not wait is answered at once, on the FUSE thread. One that waits
    /// becomes a task with a deadline; the filesystem then says what the operation on `node` was
    /// waiting for. A panic is an error of this operation only.
    pub(super) fn dispatch<T: Send + 'static>(
        &self,
        node: INodeNo,
        span: tracing::Span,
        operation: impl Future<Output = Result<T, Error>> + Send + 'static,
        reply: impl FnOnce(Result<T, Errno>) + Send + 'static,
    ) {
        let _context = self.runtime.enter();
        // A reply that panics is dropped, and fuser then answers EIO.
        let reply = move |outcome| {
            if let Err(panic) = std::panic::catch_unwind(AssertUnwindSafe(|| reply(outcome))) {
                tracing::warn!(error = %defect(&*panic), "failed to reply");
            }
        };
        let operation = AssertUnwindSafe(operation)
            .catch_unwind()
            .map(|outcome| outcome.unwrap_or_else(|panic| Err(defect(&*panic))));
        let mut operation = Box::pin(operation.instrument(span.clone()));
        if let Some(outcome) = operation.as_mut().now_or_never() {
            return reply(span.in_scope(|| to_errno(outcome, &self.log_dedup)));
        }
        let (filesystem, log_dedup) = (self.filesystem.clone(), self.log_dedup.clone());
        let (deadline, wait) = (self.deadline, self.waiting.begin(node.0, Instant::now()));
        self.runtime.spawn(async move {
            let outcome = tokio::time::timeout(deadline, operation).await;
            drop(wait);
            reply(span.in_scope(|| {
                let outcome = outcome.unwrap_or_else(|_| Err(filesystem.timeout_cause(node.0)));
                to_errno(outcome, &log_dedup)
            }));
        });
    }
}

/// Logs the error of an operation, and makes it the errno of the reply. No other place does.
fn to_errno<T>(outcome: Result<T, Error>, log_dedup: &LogDedup) -> Result<T, Errno> {
    outcome.map_err(|error| {
        if error.is_fault() {
            if let Some(suppressed) = log_dedup.record(error.dedup_key(), Instant::now()) {
                let text = printable(&error.to_string());
                tracing::warn!(error = %text, errno = error.errno(), suppressed, "failed");
            }
        } else {
            tracing::trace!(%error, errno = error.errno(), "answered");
        }
        Errno::from_i32(error.errno())
    })
}

fn defect(panic: &(dyn std::any::Any + Send)) -> Error {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Error::Defect(message.unwrap_or("a panic").into())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::super::kernel_cache::KernelCache;
    use super::*;
    use crate::credentials::{CredentialsCache, Provider};
    use crate::filesystem::{CacheSettings, OwnerAndModes};
    use crate::inodes::ROOT;
    use crate::object::Prefix;
    use crate::s3::{Bucket, BucketLocation};

    async fn dispatcher(deadline: Duration) -> Dispatcher {
        let location = BucketLocation {
            bucket: "bucket".into(),
            region: "us-west-2".into(),
            endpoint_url: None,
            path_style: false,
        };
        let credentials = CredentialsCache::new(Provider::environment().await);
        let owner_and_modes = OwnerAndModes { uid: 0, gid: 0, file_mode: 0o644, dir_mode: 0o755 };
        let settings = CacheSettings {
            metadata_ttl: Duration::ZERO,
            cache_size: 1 << 20,
            metadata_memory: 1 << 20,
        };
        let filesystem = Arc::new(Filesystem::new(
            Bucket::new(location, credentials).unwrap(),
            Prefix::new(""),
            owner_and_modes,
            settings,
        ));
        Dispatcher {
            filesystem: filesystem.clone(),
            runtime: Handle::current(),
            deadline,
            above_root: 2,
            refresher: Refresher::new(filesystem, KernelCache::default()),
            log_dedup: Arc::default(),
            waiting: Arc::default(),
            ended: watch::Sender::new(false),
        }
    }

    /// Returns what a program would see of `operation`.
    async fn outcome_of<T: Send + 'static>(
        deadline: Duration,
        operation: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, i32> {
        let (send, receive) = mpsc::channel();
        let dispatcher = dispatcher(deadline).await;
        dispatcher.dispatch(INodeNo(ROOT), tracing::Span::none(), operation, move |outcome| {
            send.send(outcome.map_err(Errno::code)).unwrap();
        });
        tokio::task::spawn_blocking(move || receive.recv().unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_panic_is_an_io_error_of_its_operation_only() {
        let at_once = async { panic!("at once") };
        let later = async {
            tokio::task::yield_now().await;
            panic!("later")
        };
        assert_eq!(
            outcome_of::<()>(Duration::MAX, at_once).await,
            Err(Error::Defect("".into()).errno())
        );
        assert_eq!(
            outcome_of::<()>(Duration::MAX, later).await,
            Err(Error::Defect("".into()).errno())
        );
        assert_eq!(outcome_of(Duration::MAX, async { Ok(7) }).await, Ok(7));
    }

    #[tokio::test]
    async fn a_panic_in_a_reply_does_not_end_the_thread() {
        dispatcher(Duration::MAX).await.dispatch(
            INodeNo(ROOT),
            tracing::Span::none(),
            async { Ok(()) },
            |_| panic!("a reply"),
        );
    }

    #[tokio::test]
    async fn an_operation_that_never_ends_fails_at_its_deadline() {
        let outcome = outcome_of::<()>(Duration::from_millis(20), std::future::pending()).await;
        assert_eq!(outcome, Err(Error::Deadline("".into()).errno()));
    }
}
