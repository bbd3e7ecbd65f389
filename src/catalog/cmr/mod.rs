//! CMR, NASA's catalogue: where a collection is.

mod locations;
mod records;
mod versions;

use std::time::Duration;

use reqwest::{Client, StatusCode, Url};
use serde::de::DeserializeOwned;

use self::records::{Answer, GranuleRecord, Hints, Link, Record};
use super::bucket_table::BucketTable;
use super::resolve::{ResolvedBucket, ResolvedSource};
use super::source::{Collection, Location};
use super::untrusted_endpoint::UntrustedEndpoint;
use crate::error::Error;
use crate::http::{self, host};

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

/// How many granules of each end of a collection tell where it is: more than one, since a granule
/// may lack what others have.
const SAMPLE: &str = "10";
/// Which end: what CMR calls `sort_key`.
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

    /// Where the data of `collection` are: in each bucket that its first and last granules are in,
    /// the prefix that CMR names, as far as their own links bear it out, or else what those have in
    /// common.
    ///
    /// # Errors
    /// [`Error::Usage`] when CMR knows no such collection in the cloud, [`Error::Transient`] when
    /// it gives no answer.
    pub(super) async fn resolved(
        &self,
        collection: &Collection,
        table: &BucketTable,
    ) -> Result<ResolvedSource, Error> {
        let found = self.records(collection).await?;
        let in_cloud =
            found.iter().filter(|record| record.umm.direct.is_some()).collect::<Vec<_>>();
        let Some(chosen) = versions::newest(&in_cloud) else {
            let Some(elsewhere) = found.first() else { return Err(self.unknown(collection).await) };
            let id = &elsewhere.meta.concept_id;
            return Err(Error::usage(format!(
                "the collection {collection} ({id}) is in no bucket that CMR at {} knows",
                self.host
            )));
        };
        let hints = Hints::new(chosen.umm.direct.as_ref());
        let (locations, mut notes) = self.locations(&chosen.meta.concept_id, &hints, table).await?;
        if let [_, _, ..] = locations[..] {
            notes.push(format!(
                "{collection} is in {} buckets: the mount has a directory for each",
                locations.len()
            ));
        }
        notes.extend(versions::note(chosen, &in_cloud, collection));
        let place = |location: &Location| {
            let place = ResolvedBucket::new(
                &location.bucket,
                location.prefix.as_str(),
                table.get(&location.bucket),
            );
            let told = hints.endpoint.as_deref().filter(|_| place.endpoint.is_none());
            let told = told.map(|url| UntrustedEndpoint::new(url, table));
            ResolvedBucket { told, region: place.region.or_else(|| hints.region.clone()), ..place }
        };
        let places = locations.iter().map(place).collect();
        Ok(ResolvedSource {
            places,
            file: None,
            note: (!notes.is_empty()).then(|| notes.join("; ")),
        })
    }

    /// Why nothing was found: a short name may have other versions than the one named.
    async fn unknown(&self, collection: &Collection) -> Error {
        let text = format!("CMR at {} knows no collection {collection}", self.host);
        if let Collection::Named { short_name, version: Some(_) } = collection {
            let any = Collection::Named { short_name: short_name.clone(), version: None };
            let others = match self.records(&any).await {
                Ok(others) => versions::of(&others.iter().collect::<Vec<_>>()).join(", "),
                Err(error) => return error,
            };
            if !others.is_empty() {
                return Error::usage(format!("{text}; its versions are {others}"));
            }
        }
        Error::usage(format!("{text}; check its short name"))
    }

    /// At least one location, and what the user should know of them.
    async fn locations(
        &self,
        id: &str,
        hints: &Hints,
        table: &BucketTable,
    ) -> Result<(Vec<Location>, Vec<String>), Error> {
        let (first, last) = tokio::join!(self.links(id, FIRST), self.links(id, LAST));
        let failure = first.as_ref().and(last.as_ref()).err().map(ToString::to_string);
        let links = [first, last].into_iter().filter_map(Result::ok).flatten().collect::<Vec<_>>();
        if links.is_empty() {
            let why = failure.unwrap_or_else(|| "it has no granule with an s3:// link".into());
            let locations = locations::unchecked(hints, table);
            if locations.is_empty() {
                return Err(Error::usage(format!(
                    "CMR at {} names no bucket for the collection {id}: {why}",
                    self.host
                )));
            }
            return Ok((locations, vec![format!("{id} is where CMR says, unchecked: {why}")]));
        }
        let found = locations::of(&links, hints, table);
        let untold = found
            .iter()
            .filter(|found| !found.is_told)
            .map(|found| found.location.to_string())
            .collect::<Vec<_>>();
        let mut notes = Vec::new();
        if !untold.is_empty() {
            let told = if hints.told.is_empty() { "nothing" } else { &hints.told };
            notes.push(format!(
                "CMR says {told} for {id}, but its granules are in {}",
                untold.join(", ")
            ));
        }
        Ok((found.into_iter().map(|found| found.location).collect(), notes))
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

    /// Where the data of some granules are.
    async fn links(&self, concept_id: &str, sort_key: &str) -> Result<Vec<Link>, Error> {
        let query =
            [("collection_concept_id", concept_id), ("page_size", SAMPLE), ("sort_key", sort_key)];
        let answer = self.ask::<Answer<GranuleRecord>>("search/granules.umm_json", &query).await?;
        Ok(answer.items.iter().flat_map(GranuleRecord::direct_links).collect())
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, Error> {
        let mut url =
            self.search.join(path).map_err(|e| Error::usage(format!("{}: {e}", self.host)))?;
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
            StatusCode::OK => serde_json::from_str(&text)
                .map_err(|e| self.no_answer(&format!("it cannot be read: {e}"))),
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(self.no_answer(status.as_str()))
            }
            status => {
                let words = records::complaint(&text).unwrap_or_default();
                Err(Error::usage(
                    format!("CMR at {} answered {status} {words}", self.host).trim_end(),
                ))
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
