//! One directory: its pages, fetched one after the other as far as somebody reads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::gathered::{Gathered, Next, Summary};
use crate::error::{Error, Refusal};
use crate::flight::Flights;
use crate::object::{Entry, Prefix, Shown};
use crate::s3::Bucket;

/// Names handed out at once: what fills a few of the kernel's buffers.
const BATCH: usize = 512;
/// When fewer names than this are left, the next page is fetched before it is asked for.
const LOW_WATER: usize = 1000;

/// A listing as it stood from one moment on. Whoever holds it sees each name once, at one position.
#[derive(Debug)]
pub struct Directory {
    prefix: Prefix,
    began: Instant,
    gathered: Mutex<Gathered>,
    pages: Flights<(), ()>,
}

impl Directory {
    pub(super) fn new(prefix: Prefix) -> Self {
        let gathered = Mutex::new(Gathered::new(prefix.clone()));
        Self { prefix, began: Instant::now(), gathered, pages: Flights::default() }
    }

    /// Which directory it is.
    #[must_use]
    pub fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    pub(super) fn began(&self) -> Instant {
        self.began
    }

    pub(super) fn find(&self, name: &str) -> Option<Entry> {
        self.gathered().find(name).cloned()
    }

    /// Whether a name that is not here does not exist.
    pub(super) fn is_whole(&self) -> bool {
        self.gathered().is_whole()
    }

    /// Whether listing is not allowed, and these are the names that were known at the time.
    pub(super) fn is_partial(&self) -> bool {
        self.gathered().is_partial()
    }

    pub(super) async fn names(self: &Arc<Self>, bucket: &Bucket, from: usize) -> Result<Vec<Shown>, Error> {
        loop {
            {
                let gathered = self.gathered();
                let names = gathered.names(from, BATCH);
                if !names.is_empty() || gathered.is_complete() {
                    let is_low = gathered.available() < from + LOW_WATER;
                    if is_low && !gathered.is_complete() && from > 0 && !self.pages.is_aloft(&()) {
                        // Its failure is nobody's: who needs the page asks again.
                        tokio::spawn(self.next_page(bucket));
                    }
                    return Ok(names);
                }
            }
            self.next_page(bucket).await?;
        }
    }

    /// Ends a listing that is refused with what is known of it.
    pub(super) fn settle_for(&self, names: Vec<Shown>) {
        *self.gathered() = Gathered::of_names(self.prefix.clone(), names);
    }

    /// Once, when the listing is complete.
    pub(super) fn take_summary(&self) -> Option<Summary> {
        self.gathered().take_summary()
    }

    fn next_page(self: &Arc<Self>, bucket: &Bucket) -> impl Future<Output = Result<(), Error>> + Send + 'static {
        let (directory, bucket) = (self.clone(), bucket.clone());
        self.pages.join((), || async move {
            let next = directory.gathered().next().clone();
            let Next::Page(token) = next else { return Ok(()) };
            let page = bucket.page(&directory.prefix, token.as_deref()).await?;
            let mut progress = directory.gathered().absorb(page);
            // All names so far start alike, and a directory of just that start would come first. Rather than reading on
            // for a million names, ask.
            while !progress && let Some(stem) = directory.open_stem() {
                let is_directory = match bucket.has_keys(&directory.prefix.child(&stem)).await {
                    Err(Error::Refused(Refusal::Forbidden { .. })) => false,
                    answer => answer?,
                };
                progress = directory.gathered().close_stem(stem, is_directory);
            }
            Ok(())
        })
    }

    fn open_stem(&self) -> Option<String> {
        self.gathered().first_open_stem()
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
