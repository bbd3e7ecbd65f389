//! An open handle on a directory.

use std::sync::Arc;

use super::directory::Names;
use super::place::Place;
use super::{Directory, MetadataCache};
use crate::error::Error;

/// A directory that somebody reads. Pages are fetched only as long as one of these lives.
#[derive(Debug)]
pub struct DirectoryReader {
    directory: Arc<Directory>,
    number: u64,
    cache: Arc<MetadataCache>,
}

impl DirectoryReader {
    pub(super) fn new(directory: Arc<Directory>, cache: Arc<MetadataCache>) -> Self {
        cache.open(&directory);
        Self { number: directory.open(), directory, cache }
    }

    /// Returns what is read.
    #[must_use]
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Returns names from `place` on; none at the end. Waits for pages as long as it takes.
    ///
    /// # Errors
    /// Those of [`Bucket::page`](crate::s3::Bucket::page) that came since the call.
    pub(super) async fn names(&self, place: Place) -> Result<Names, Error> {
        self.directory.names(self.number, place, &self.cache).await
    }
}

impl Drop for DirectoryReader {
    fn drop(&mut self) {
        self.directory.close(self.number);
        self.cache.close(&self.directory);
    }
}
