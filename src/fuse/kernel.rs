//! What the kernel remembers of the names it was told, and how it is made to forget.

use std::ffi::OsStr;
use std::sync::{Arc, OnceLock};

use fuser::{INodeNo, Notifier};

use crate::error::Error;
use crate::volume::Volume;

/// The kernel's memory of one mount's names. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Kernel {
    /// Set as soon as there is a session.
    notifier: Arc<OnceLock<Notifier>>,
}

impl Kernel {
    pub(super) fn reach_by(&self, notifier: Notifier) {
        // There is one session in the life of a mount.
        let _ = self.notifier.set(notifier);
    }

    /// Waits until the kernel has forgotten `names`, each with the number of its directory. Those that it does not know are fine.
    /// Waits as well for whoever holds such a directory, so some other thread must be there to answer the kernel.
    pub(super) async fn forget(&self, names: Vec<(u64, String)>) {
        let kernel = self.notifier.clone();
        // Dropping the future does not end the thread, so that names are forgotten all the same, later.
        let forgotten = tokio::task::spawn_blocking(move || {
            let Some(notifier) = kernel.get() else { return 0 };
            names.iter().filter(|(parent, name)| notifier.inval_entry(INodeNo(*parent), OsStr::new(name)).is_ok()).count()
        });
        let forgotten = forgotten.await;
        tracing::debug!(?forgotten, "names that the kernel forgot");
    }

    /// Lets granulefs and the kernel forget what they know below the directory `number`, or of the file `number`.
    ///
    /// # Errors
    /// [`Error::BadHandle`].
    pub(super) async fn refresh(&self, volume: &Volume, number: u64) -> Result<(), Error> {
        self.forget(volume.refresh(number)?).await;
        Ok(())
    }
}
