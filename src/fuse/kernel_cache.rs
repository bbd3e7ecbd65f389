//! The kernel's cache of names, and how it is invalidated.

use std::ffi::OsStr;
use std::sync::{Arc, OnceLock};

use fuser::{INodeNo, Notifier};

/// The names of one mount that the kernel has in its cache. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct KernelCache {
    /// Set as soon as there is a session.
    notifier: Arc<OnceLock<Notifier>>,
}

impl KernelCache {
    /// Sets the channel to the kernel, once in the life of a mount.
    pub(super) fn connect(&self, notifier: Notifier) {
        let _ = self.notifier.set(notifier);
    }

    /// Makes the kernel forget these names, each given with its directory. Returns how many it had.
    ///
    /// Blocks while an operation in one of the directories is not answered, so it must not run on
    /// a thread that answers operations.
    pub(super) fn invalidate(&self, names: impl Iterator<Item = (u64, String)>) -> usize {
        let Some(notifier) = self.notifier.get() else { return 0 };
        // The kernel refuses names that it does not have, which is fine.
        names
            .filter(|(parent, name)| {
                notifier.inval_entry(INodeNo(*parent), OsStr::new(name)).is_ok()
            })
            .count()
    }
}
