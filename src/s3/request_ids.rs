//! Whether a store gives each of its answers an id: what lacks one is then somebody else's.

use std::sync::atomic::{AtomicBool, Ordering};

/// Amazon's S3 does, and so do MinIO, Ceph and most others. Of another store it is known once one
/// of its answers had an id.
#[derive(Debug)]
pub(super) struct RequestIds(AtomicBool);

impl RequestIds {
    pub(super) fn new(is_amazon: bool) -> Self {
        Self(AtomicBool::new(is_amazon))
    }

    /// Takes note of an answer's id.
    pub(super) fn record(&self, id: Option<&str>) {
        if id.is_some() {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// Returns whether each answer of the store has an id.
    pub(super) fn are_given(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
