//! CMR, NASA's catalogue: where a collection is.

mod records;
mod versions;

use std::time::Duration;

use reqwest::{Client, StatusCode, Url};
use serde::de::DeserializeOwned;

use self::records::{Answer, GranuleRecord, Hints, Record, common_directory};
use super::archive::Table;
use super::resolve::{Holding, Holdings};
use super::source::{Collection, Location};
use super::{host, http};
use crate::error::Error;

/// A search takes a second; CMR's own limit is longer than anyone would wait.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// CMR's most; no collection has more versions.
const PAGE_SIZE: &str = "2000";

/// The catalogue at one host.
#[derive(Debug)]
pub(super) struct Cmr {
    http: Client,
    host: String,
    search: Url,
}

/// Which granule of a collection: what CMR calls `sort_key`.
const FIRST: &str = "start_date";
const LAST: &str = "-start_date";

impl Cmr {
    /// The catalogue at `host` (`host` or `host:port`). Connects nowhere yet.
    ///
    /// # Errors
    /// [`Error::Usage`] when that is no host.
    pub(super) fn new(host: &str) -> Result<Self, Error> {
        let search = host::root_of(host)?;
        let http = http::build(http::builder(&search).timeout(REQUEST_TIMEOUT))?;
        Ok(Self { http, host: host.into(), search })
    }

    /// Where the data of `collection` are: the prefix that CMR names, as far as a granule's own link bears it out, or else what the
    /// first and the last granule have in common.
    ///
    /// # Errors
    /// [`Error::Usage`] when CMR knows no such collection in the cloud, [`Error::Transient`] when it gives no answer.
    pub(super) async fn holdings(&self, collection: &Collection, table: &Table) -> Result<Holdings, Error> {
        let found = self.records(collection).await?;
        let none = || Error::usage(format!("CMR at {} knows no collection {collection}; check its short name", self.host));
        let in_cloud = found.iter().filter(|record| record.umm.direct.is_some()).collect::<Vec<_>>();
        let Some(chosen) = versions::newest(&in_cloud) else {
            let Some(elsewhere) = found.first() else { return Err(none()) };
            let id = &elsewhere.meta.concept_id;
            return Err(Error::usage(format!(
                "the collection {collection} ({id}) is in no bucket that CMR at {} knows",
                self.host
            )));
        };
        let hints = Hints::new(chosen.umm.direct.as_ref());
        let (location, mut notes) = self.location(chosen, &hints, table).await?;
        notes.extend(versions::note(chosen, &in_cloud, collection));
        let known = table.get(&location.bucket);
        let mut place = Holding::new(&location.bucket, location.prefix.as_str(), known);
        place.endpoint = place.endpoint.or(hints.endpoint);
        place.region = place.region.or(hints.region);
        Ok(Holdings { note: (!notes.is_empty()).then(|| notes.join("; ")), ..Holdings::one(place) })
    }

    async fn location(&self, chosen: &Record, hints: &Hints, table: &Table) -> Result<(Location, Vec<String>), Error> {
        let hinted = || hints.locations(table, None).into_iter().next();
        let id = &chosen.meta.concept_id;
        let first = match self.granule(id, FIRST).await {
            Ok(Some(link)) => link,
            unchecked => {
                let why =
                    unchecked.err().map_or_else(|| "it has no granule with an s3:// link".into(), |error| error.to_string());
                let nowhere = || Error::usage(format!("CMR at {} names no bucket for the collection {id}: {why}", self.host));
                let location = hinted().ok_or_else(nowhere)?;
                return Ok((location, vec![format!("{id} is where CMR says, unchecked: {why}")]));
            }
        };
        if let Some(location) = hints.bearing(&first, table) {
            return Ok((location, Vec::new()));
        }
        let last = self.granule(id, LAST).await?.unwrap_or_else(|| first.clone());
        let location = common_directory(&first, &last);
        let told = if hints.told.is_empty() { "nothing" } else { &hints.told };
        Ok((location.clone(), vec![format!("CMR says {told} for {id}, but its granules are in {location}")]))
    }

    async fn records(&self, collection: &Collection) -> Result<Vec<Record>, Error> {
        let mut query = vec![("page_size", PAGE_SIZE)];
        match collection {
            Collection::Concept(id) => query.push(("concept_id", id)),
            Collection::Named { short_name, version } => {
                query.push(("short_name", short_name));
                query.extend(version.as_deref().map(|version| ("version", version)));
            }
        }
        Ok(self.ask::<Answer<Record>>("search/collections.umm_json", &query).await?.items)
    }

    /// Bucket and key of the data of one granule.
    async fn granule(&self, concept_id: &str, sort_key: &str) -> Result<Option<(String, String)>, Error> {
        let query = [("collection_concept_id", concept_id), ("page_size", "1"), ("sort_key", sort_key)];
        let answer = self.ask::<Answer<GranuleRecord>>("search/granules.umm_json", &query).await?;
        Ok(answer.items.iter().find_map(GranuleRecord::direct_link))
    }

    async fn ask<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, Error> {
        let mut url = self.search.join(path).map_err(|e| Error::usage(format!("{}: {e}", self.host)))?;
        url.query_pairs_mut().extend_pairs(query);
        let mut pause = FIRST_PAUSE;
        for _ in 1..TRIES {
            match self.ask_once(&url).await {
                Err(Error::Transient(fault)) => tracing::debug!(%fault, "asking CMR again"),
                answered => return answered,
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        self.ask_once(&url).await
    }

    async fn ask_once<T: DeserializeOwned>(&self, url: &Url) -> Result<T, Error> {
        let broken = |e: reqwest::Error| self.no_answer(&http::words(e));
        let response = self.http.get(url.clone()).send().await.map_err(broken)?;
        let status = response.status();
        let text = response.text().await.map_err(broken)?;
        match status {
            StatusCode::OK => serde_json::from_str(&text).map_err(|e| self.no_answer(&format!("it cannot be read: {e}"))),
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => Err(self.no_answer(status.as_str())),
            status => {
                let words = records::complaint(&text).unwrap_or_default();
                Err(Error::usage(format!("CMR at {} answered {status} {words}", self.host).trim_end()))
            }
        }
    }

    fn no_answer(&self, why: &str) -> Error {
        let host = &self.host;
        Error::transient(format!(
            "no answer from CMR at {host}, which collection: needs ({why}); a bucket is mounted without it: see granulefs buckets"
        ))
    }
}
