//! CMR, NASA's catalogue of collections and granules.

mod bucket_prefixes;
mod collection;
mod direct_distribution;
mod granule;
mod locations;
mod records;
mod versions;

use std::time::Duration;

use serde::de::DeserializeOwned;

pub use self::bucket_prefixes::BucketPrefixes;
use self::records::{Answer, CollectionRecord, GranuleRecord, Link};
use super::collection::Collection;
use crate::error::{Error, Problem};
use crate::http::{self, Client, Failure, StatusCode, Url, host};

/// A search takes a second; CMR's own limit is longer than anyone would wait.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
const ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// CMR's largest page; no collection has more versions.
const PAGE_SIZE: &str = "2000";
/// How many granules of each end of a collection are looked at: more than one, since a granule may
/// lack files that others have.
const SAMPLE_SIZE: &str = "10";
/// The values of CMR's `sort_key` for the two ends of a collection.
const OLDEST_FIRST: &str = "start_date";
const NEWEST_FIRST: &str = "-start_date";

const COLLECTIONS: &str = "search/collections.umm_json";
/// The header, of an answer and of the next request, that leads from page to page.
const SEARCH_AFTER: &str = "cmr-search-after";
const GRANULES: &str = "search/granules.umm_json";

/// CMR at one host.
#[derive(Debug)]
pub(super) struct Cmr {
    client: Client,
    host: String,
    root: Url,
}

impl Cmr {
    /// Returns a client for CMR at `host` (`host` or `host:port`). Connects nowhere yet.
    ///
    /// # Errors
    /// [`Error::Usage`] when that is no host.
    pub(super) fn new(host: &str) -> Result<Self, Error> {
        let root = host::root_url(host)?;
        let client = Client::with_timeout(&root, REQUEST_TIMEOUT)?;
        Ok(Self { client, host: host.into(), root })
    }

    /// Returns the records of all versions of `collection`.
    async fn records(&self, collection: &Collection) -> Result<Vec<CollectionRecord>, Error> {
        let mut query = vec![("page_size", PAGE_SIZE)];
        match collection {
            Collection::Concept(id) => query.push(("concept_id", id)),
            Collection::Named { short_name, version } => {
                query.push(("short_name", short_name));
                query.extend(version.as_deref().map(|version| ("version", version)));
            }
        }
        Ok(self.search::<Answer<CollectionRecord>>(COLLECTIONS, &query).await?.items)
    }

    /// Returns the files of data of a collection's first granules in this order.
    async fn links(&self, concept_id: &str, sort_key: &str) -> Result<Vec<Link>, Error> {
        let query = [
            ("collection_concept_id", concept_id),
            ("page_size", SAMPLE_SIZE),
            ("sort_key", sort_key),
        ];
        let answer = self.search::<Answer<GranuleRecord>>(GRANULES, &query).await?;
        Ok(answer.items.iter().flat_map(GranuleRecord::direct_links).collect())
    }

    /// Returns the first page of a search.
    async fn search<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, Error> {
        Ok(self.search_page(path, query, None).await?.0)
    }

    /// Returns a page of a search, and what leads to the next one. Asks up to [`ATTEMPTS`] times.
    async fn search_page<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        after: Option<&str>,
    ) -> Result<(T, Option<String>), Error> {
        let url = self.url(path, query)?;
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            match self.search_once(&url, after).await {
                Err(Error::Transient(fault)) => tracing::debug!(%fault, "asking CMR again"),
                outcome => return outcome,
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        self.search_once(&url, after).await
    }

    fn url(&self, path: &str, query: &[(&str, &str)]) -> Result<Url, Error> {
        let mut url = self
            .root
            .join(path)
            .map_err(|e| Error::usage(Problem::new("not a host").about(&self.host).caused_by(e)))?;
        url.query_pairs_mut().extend_pairs(query);
        Ok(url)
    }

    async fn search_once<T: DeserializeOwned>(
        &self,
        url: &Url,
        after: Option<&str>,
    ) -> Result<(T, Option<String>), Error> {
        let failed = |e: Failure| Error::transient(self.no_answer().caused_by(e));
        let mut request = self.client.get(url);
        if let Some(after) = after {
            request = request.header(SEARCH_AFTER, after);
        }
        let response = request.send().await.map_err(failed)?;
        let next = response.header(SEARCH_AFTER).map(str::to_owned);
        let (status, store_answer) = (response.status(), response.store_answer());
        let text = response.text().await.map_err(failed)?;
        match status {
            StatusCode::OK => {
                serde_json::from_str(&text).map(|answer| (answer, next)).map_err(|e| {
                    let unreadable = Problem::new("its answer cannot be read").caused_by(e);
                    Error::transient(self.no_answer().caused_by(unreadable))
                })
            }
            status if http::is_transient(status) => {
                let fault = Problem::new("a fault at its end that may pass").answered(store_answer);
                Err(Error::transient(self.no_answer().caused_by(fault)))
            }
            _ => {
                let words = match records::refusal_text(&text) {
                    Some(reason) => format!("CMR refuses the search: {reason}"),
                    None => "CMR refuses the search".into(),
                };
                Err(Error::usage(Problem::new(words).about(&self.host).answered(store_answer)))
            }
        }
    }

    fn no_answer(&self) -> Problem {
        let host = &self.host;
        Problem::new(format!(
            "no answer from CMR at {host}, which knows where collections and granules are (a \
             bucket is mounted without it: see granulefs buckets)"
        ))
    }
}
