//! Refreshing: the filesystem and the kernel forget what they know of names.

use std::sync::Arc;

use super::kernel_cache::KernelCache;
use crate::error::Error;
use crate::filesystem::Filesystem;
use crate::inodes::ROOT;

/// Makes a filesystem and the kernel forget what they know of names. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Refresher {
    filesystem: Arc<Filesystem>,
    kernel_cache: KernelCache,
}

impl Refresher {
    pub(super) fn new(filesystem: Arc<Filesystem>, kernel_cache: KernelCache) -> Self {
        Self { filesystem, kernel_cache }
    }

    /// Forgets everything, also refused logins, and returns when that is done.
    pub async fn refresh_all(self) {
        match self.refresh_for_user(ROOT).await {
            Ok(()) => tracing::info!("all names are forgotten; the next reader asks anew"),
            Err(error) => tracing::warn!(%error, "cannot refresh"),
        }
    }

    /// Does what [`Self::refresh`] does, and lets the next request log in at once.
    pub(super) async fn refresh_for_user(self, number: u64) -> Result<(), Error> {
        self.filesystem.forget_refusals(number);
        self.refresh(number).await
    }

    /// Forgets what is known of names below the directory `number`, or of the file `number`.
    ///
    /// # Errors
    /// [`Error::BadHandle`].
    pub(super) async fn refresh(self, number: u64) -> Result<(), Error> {
        // When this future is dropped, the thread goes on, and the names are forgotten later.
        let forgotten = tokio::task::spawn_blocking(move || {
            self.filesystem.refresh(number).map(|names| self.kernel_cache.invalidate(names))
        });
        let forgotten =
            forgotten.await.map_err(|panic| Error::Defect(panic.to_string().into()))??;
        tracing::debug!(forgotten, "names that the kernel forgot");
        Ok(())
    }
}
