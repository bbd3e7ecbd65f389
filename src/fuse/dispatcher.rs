//! Runs the kernel's operations: at once where possible, as tasks with a deadline otherwise.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fuser::{Errno, INodeNo};
use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tracing::Instrument;

use super::kernel_cache::KernelCache;
use super::log_dedup::LogDedup;
use crate::error::Error;
use crate::filesystem::Filesystem;

/// Answers the kernel's requests out of a [`Filesystem`].
#[derive(Debug)]
pub(super) struct Dispatcher {
    pub(super) volume: Arc<Filesystem>,
    pub(super) runtime: Handle,
    pub(super) deadline: Duration,
    pub(super) kernel: KernelCache,
    pub(super) repeats: Arc<LogDedup>,
    pub(super) ended: watch::Sender<bool>,
}

impl Dispatcher {
    /// Runs one operation and replies.
    ///
    /// What is known is answered at once, on the FUSE thread. What has to wait becomes a task with
    /// a deadline; `node` then tells what it was waiting for. A panic is an error of this operation
    /// only.
    pub(super) fn dispatch<T: Send + 'static>(
        &self,
        node: INodeNo,
        span: tracing::Span,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
        reply: impl FnOnce(Result<T, Errno>) + Send + 'static,
    ) {
        let _context = self.runtime.enter();
        // fuser answers EIO for a reply that is dropped.
        let reply = move |outcome| {
            if let Err(panic) = std::panic::catch_unwind(AssertUnwindSafe(|| reply(outcome))) {
                tracing::warn!(error = %defect(&*panic), "failed to reply");
            }
        };
        let work = AssertUnwindSafe(work)
            .catch_unwind()
            .map(|outcome| outcome.unwrap_or_else(|panic| Err(defect(&*panic))));
        let mut work = Box::pin(work.instrument(span.clone()));
        if let Some(outcome) = work.as_mut().now_or_never() {
            return reply(span.in_scope(|| settle(outcome, &self.repeats)));
        }
        let (volume, repeats, deadline) =
            (self.volume.clone(), self.repeats.clone(), self.deadline);
        self.runtime.spawn(async move {
            let outcome = tokio::time::timeout(deadline, work).await;
            reply(span.in_scope(|| {
                settle(outcome.unwrap_or_else(|_| Err(volume.timeout_cause(node.0))), &repeats)
            }));
        });
    }

    /// [`Self::dispatch`] for what never waits.
    pub(super) fn answer<T: Send + 'static>(
        &self,
        node: INodeNo,
        span: tracing::Span,
        work: impl FnOnce(&Filesystem) -> Result<T, Error> + Send + 'static,
        reply: impl FnOnce(Result<T, Errno>) + Send + 'static,
    ) {
        let volume = self.volume.clone();
        self.dispatch(node, span, async move { work(&volume) }, reply);
    }
}

/// The one place where an operation's error is logged and becomes an errno.
fn settle<T>(outcome: Result<T, Error>, repeats: &LogDedup) -> Result<T, Errno> {
    outcome.map_err(|error| {
        if error.is_fault() {
            if let Some(hidden) = repeats.note(error.dedup_key(), Instant::now()) {
                tracing::warn!(%error, errno = error.errno(), hidden, "failed");
            }
        } else {
            tracing::trace!(%error, errno = error.errno(), "answered");
        }
        Errno::from_i32(error.errno())
    })
}

fn defect(panic: &(dyn std::any::Any + Send)) -> Error {
    let words = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Error::Defect(words.unwrap_or("a panic").into())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::credentials::{CredentialsCache, Provider};
    use crate::filesystem::{Limits, OwnerAndModes};
    use crate::inodes::ROOT;
    use crate::object::Prefix;
    use crate::s3::{Bucket, BucketLocation};

    async fn door(deadline: Duration) -> Dispatcher {
        let place = BucketLocation {
            bucket: "bucket".into(),
            region: "us-west-2".into(),
            endpoint_url: None,
            path_style: false,
        };
        let credentials = CredentialsCache::new(Provider::environment().await);
        let appearance = OwnerAndModes { uid: 0, gid: 0, file_mode: 0o444, dir_mode: 0o555 };
        let limits = Limits { metadata_ttl: Duration::ZERO, cache_size: 1 << 20 };
        let volume = Filesystem::new(
            Bucket::new(place, credentials).unwrap(),
            Prefix::new(""),
            appearance,
            limits,
        );
        Dispatcher {
            volume: Arc::new(volume),
            runtime: Handle::current(),
            deadline,
            kernel: KernelCache::default(),
            repeats: Arc::default(),
            ended: watch::Sender::new(false),
        }
    }

    /// What a program would see of `work`.
    async fn outcome_of<T: Send + 'static>(
        deadline: Duration,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, i32> {
        let (send, receive) = mpsc::channel();
        door(deadline).await.dispatch(INodeNo(ROOT), tracing::Span::none(), work, move |outcome| {
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
    async fn a_panic_in_a_reply_does_not_take_the_thread_along() {
        door(Duration::MAX).await.dispatch(
            INodeNo(ROOT),
            tracing::Span::none(),
            async { Ok(()) },
            |_| panic!("a reply"),
        );
    }

    #[tokio::test]
    async fn an_operation_that_never_ends_meets_its_deadline() {
        let outcome = outcome_of::<()>(Duration::from_millis(20), std::future::pending()).await;
        assert_eq!(outcome, Err(Error::Deadline("".into()).errno()));
    }
}
