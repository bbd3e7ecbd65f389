//! Fetches the pages of one directory as far as somebody reads: side by side when there are many.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::MetadataCache;
use super::directory::Directory;
use super::packed_page::PackedPage;
use super::partitioned::PageRequest;
use crate::error::{Error, Refusal};
use crate::object::Page;

/// The task that fetches a directory's pages. A directory has one at a time.
pub(super) struct PageFetcher {
    directory: Arc<Directory>,
    cache: Arc<MetadataCache>,
}

impl PageFetcher {
    /// Returns the fetcher of a directory that was marked as having one.
    pub(super) fn new(directory: Arc<Directory>, cache: Arc<MetadataCache>) -> Self {
        Self { directory, cache }
    }

    /// Fetches pages until there are enough, one fails, or nobody reads the directory any more.
    pub(super) async fn run(self) {
        let directory = &*self.directory;
        let mut in_flight = FuturesUnordered::new();
        loop {
            // Readers that come on while pages are on their way may want more of them.
            let mut changed = std::pin::pin!(directory.changed());
            changed.as_mut().enable();
            let requests = {
                let mut state = directory.state();
                if state.is_abandoned() {
                    return state.stop_fetching();
                }
                let ahead = state.pages_ahead(directory.memory());
                let most = state.at_once(directory.bucket().pages_at_once());
                let requests =
                    if ahead > 0 { state.pages.requests(most, ahead) } else { Vec::new() };
                if requests.is_empty() && in_flight.is_empty() {
                    return state.stop_fetching();
                }
                requests
            };
            in_flight.extend(requests.into_iter().map(|request| self.fetch(request)));
            let (request, fetched) = tokio::select! {
                Some(fetched) = in_flight.next() => fetched,
                () = changed => continue,
            };
            let recorded = match fetched {
                Ok(page) => self.record(&request, page).await,
                Err(error) => Err(error),
            };
            if let Err(error) = recorded {
                return directory.state().fail(error);
            }
            self.cache.make_room();
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
        let (mut has_names, mut has_settled) = (false, false);
        // Many pages may have waited for this one, so other tasks come in between.
        while let Some((has_more, has_settled_more)) = self.take_in_next() {
            has_names |= has_more;
            has_settled |= has_settled_more;
            tokio::task::yield_now().await;
        }
        if has_names && !has_settled {
            self.decide_first_names().await?;
        }
        Ok(())
    }

    fn take_in_next(&self) -> Option<(bool, bool)> {
        let mut state = self.directory.state();
        let taken_in = state.take_in_next();
        self.directory.weigh(&state);
        taken_in
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
