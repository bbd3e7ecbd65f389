//! Fetches the pages of one directory as far as somebody reads: side by side when there are many.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::directory::Directory;
use super::packed_page::PackedPage;
use super::partitioned::PageRequest;
use crate::error::{Error, Refusal};
use crate::object::Page;

/// The task that fetches a directory's pages. A directory has one at a time.
pub(super) struct PageFetcher {
    directory: Arc<Directory>,
}

/// What the pages brought that were taken in.
#[derive(Default)]
struct Progress {
    has_names: bool,
    /// Whether more names can be given out.
    has_settled: bool,
}

impl PageFetcher {
    /// Returns the fetcher of a directory that was marked as having one.
    pub(super) fn new(directory: Arc<Directory>) -> Self {
        Self { directory }
    }

    /// Fetches pages until there are enough, one fails, or nobody reads the directory any more.
    pub(super) async fn run(self) {
        let directory = &*self.directory;
        let mut readers = directory.readers();
        let mut in_flight = FuturesUnordered::new();
        loop {
            let requests = {
                let mut state = directory.state();
                if !state.needs_pages() {
                    return state.stop_fetching();
                }
                let most = if state.reads_all() { directory.bucket().pages_at_once() } else { 1 };
                state.pages.requests(most)
            };
            in_flight.extend(requests.into_iter().map(|request| self.fetch(request)));
            let fetched = tokio::select! {
                fetched = in_flight.next() => fetched,
                _ = readers.wait_for(|readers| *readers == 0) => None,
            };
            let Some((request, fetched)) = fetched else {
                return directory.state().stop_fetching();
            };
            let recorded = match fetched {
                Ok(page) => self.record(&request, page).await,
                Err(error) => Err(error),
            };
            if let Err(error) = recorded {
                return directory.state().fail(error);
            }
            directory.notify();
        }
    }

    async fn fetch(&self, request: PageRequest) -> (PageRequest, Result<Page, Error>) {
        let page = self.directory.bucket().page(self.directory.prefix(), &request.at).await;
        (request, page)
    }

    async fn record(&self, request: &PageRequest, mut page: Page) -> Result<(), Error> {
        let directory = &*self.directory;
        directory.state().pages.trim(request, &mut page);
        let page = PackedPage::new(directory.prefix(), &page);
        directory.state().pages.record(request, page);
        let mut progress = Progress::default();
        // Hundreds of pages may have waited for this one, so other tasks come in between.
        while self.take_in_next(&mut progress) {
            tokio::task::yield_now().await;
        }
        if progress.has_names && !progress.has_settled {
            self.decide_first_names().await?;
        }
        Ok(())
    }

    /// Takes in the next page in key order. Returns whether it is there.
    fn take_in_next(&self, progress: &mut Progress) -> bool {
        let mut state = self.directory.state();
        let Some(page) = state.pages.next_page() else {
            if state.pages.is_finished() && !state.entries.is_complete() {
                state.entries.complete();
            }
            return false;
        };
        progress.has_names |= !page.names.is_empty();
        progress.has_settled |= state.entries.add(page);
        true
    }

    /// Asks for what holds all names back, until some can be given out.
    ///
    /// All names so far may start alike, and a directory that is named like their common start
    /// would come before them. A request that asks for it is cheaper than reading on: a million
    /// names may start like that.
    async fn decide_first_names(&self) -> Result<(), Error> {
        let directory = &*self.directory;
        loop {
            let name = {
                let state = directory.state();
                match state.entries.first_undecided_name() {
                    Some(name) if !state.entries.is_complete() => name.to_owned(),
                    _ => return Ok(()),
                }
            };
            let child = directory.prefix().child(&name);
            let is_directory = match directory.bucket().has_keys(&child).await {
                Err(Error::Refused(Refusal::Forbidden { .. })) => false,
                answer => answer?,
            };
            if directory.state().entries.decide(name, is_directory) {
                return Ok(());
            }
        }
    }
}

impl Drop for PageFetcher {
    /// Lets those who wait look again, after a panic as well.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.directory.state().fail(Error::Defect("a listing".into()));
        }
        self.directory.notify();
    }
}
