//! What the kernel remembers of the names it was told, and how it is made to forget.

use std::ffi::OsStr;
use std::sync::{Arc, OnceLock};

use fuser::{INodeNo, Notifier};

use crate::error::Error;
use crate::filesystem::Filesystem;

/// The kernel's memory of one mount's names. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct KernelCache {
    /// Set as soon as there is a session.
    notifier: Arc<OnceLock<Notifier>>,
}

impl KernelCache {
    pub(super) fn reach_by(&self, notifier: Notifier) {
        // There is one session in the life of a mount.
        let _ = self.notifier.set(notifier);
    }

    /// Lets granulefs and the kernel forget what they know below the directory `number`, or of the
    /// file `number`. Waits for whoever holds such a directory, so some other thread must be there
    /// to answer the kernel.
    ///
    /// # Errors
    /// [`Error::BadHandle`].
    pub(super) async fn refresh(&self, volume: Arc<Filesystem>, number: u64) -> Result<(), Error> {
        let kernel = self.notifier.clone();
        // Dropping the future does not end the thread, so that names are forgotten all the same,
        // later.
        let forgotten = tokio::task::spawn_blocking(move || {
            let names = volume.refresh(number)?;
            let Some(notifier) = kernel.get() else { return Ok(0) };
            // Names that the kernel does not know are fine.
            Ok::<_, Error>(
                names
                    .filter(|(parent, name)| {
                        notifier.inval_entry(INodeNo(*parent), OsStr::new(name)).is_ok()
                    })
                    .count(),
            )
        });
        let forgotten =
            forgotten.await.map_err(|panic| Error::Defect(panic.to_string().into()))??;
        tracing::debug!(forgotten, "names that the kernel forgot");
        Ok(())
    }
}
