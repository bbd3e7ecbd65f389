//! From a collection to the buckets that hold its data.

use super::direct_distribution::DirectDistribution;
use super::records::{Answer, CollectionRecord};
use super::{COLLECTIONS, Cmr, NEWEST_FIRST, OLDEST_FIRST, locations, versions};
use crate::catalog::bucket_table::BucketTable;
use crate::catalog::collection::Collection;
use crate::catalog::location::Location;
use crate::catalog::resolved::{ResolvedBucket, ResolvedSource};
use crate::catalog::similar;
use crate::catalog::untrusted_endpoint::UntrustedEndpoint;
use crate::error::{Cause, Error, Problem};

impl Cmr {
    /// Finds the buckets that hold `collection`, by the links of its oldest and newest granules. In
    /// each bucket, the prefix is the one that the collection's record states, if the links are
    /// below it, or else the directory that the links have in common.
    ///
    /// # Errors
    /// [`Error::Usage`] when CMR knows no such collection in the cloud, [`Error::Transient`] when
    /// it gives no answer.
    pub(in crate::catalog) async fn resolve(
        &self,
        collection: &Collection,
        table: &BucketTable,
    ) -> Result<ResolvedSource, Error> {
        let records = self.records(collection).await?;
        let in_cloud =
            records.iter().filter(|record| record.umm.direct.is_some()).collect::<Vec<_>>();
        let newest = versions::newest(&in_cloud);
        let Some((chosen, stated)) =
            newest.and_then(|record| Some((record, record.umm.direct.as_ref()?)))
        else {
            let Some(elsewhere) = records.first() else {
                return Err(self.unknown(collection).await);
            };
            let id = &elsewhere.meta.concept_id;
            return Err(Error::usage(format!(
                "the collection {collection} ({id}) is in no bucket that CMR at {} knows",
                self.host
            )));
        };
        let id = &chosen.meta.concept_id;
        let (locations, mut notes) = self.locations(id, stated, table).await?;
        if locations.len() > 1 {
            notes.push(format!(
                "{collection} is in {} buckets: the mount has a directory for each",
                locations.len()
            ));
        }
        notes.extend(versions::note(chosen, &in_cloud, collection));
        Ok(ResolvedSource {
            buckets: locations.iter().map(|at| resolved_bucket(at, stated, table)).collect(),
            file: None,
            note: (!notes.is_empty()).then(|| notes.join("; ")),
        })
    }

    /// Returns why nothing was found: a short name may have other versions than the one named.
    async fn unknown(&self, collection: &Collection) -> Error {
        let text = format!("CMR at {} knows no collection {collection}", self.host);
        if let Collection::Named { short_name, version: Some(_) } = collection {
            let any = Collection::Named { short_name: short_name.clone(), version: None };
            let others = match self.records(&any).await {
                Ok(others) => versions::distinct(&others.iter().collect::<Vec<_>>()).join(", "),
                Err(error) => return error,
            };
            if !others.is_empty() {
                return Error::usage(format!("{text}; its versions are {others}"));
            }
        }
        match self.similar(collection).await {
            Some(similar) => Error::usage(format!("{text}; did you mean {similar}?")),
            None => Error::usage(format!("{text}; check its short name")),
        }
    }

    /// Returns the short name that is nearest to that of `collection`, of those that begin or end
    /// alike.
    async fn similar(&self, collection: &Collection) -> Option<String> {
        const MOST: &str = "200";
        let Collection::Named { short_name, .. } = collection else { return None };
        // Shorter ends would match collections by the thousand.
        const LEAST: usize = 3;
        let letters = short_name.chars().collect::<Vec<_>>();
        let end = (letters.len() / 2).max(LEAST);
        if letters.len() <= LEAST || short_name.contains(['*', '?']) {
            return None;
        }
        let start = format!("{}*", letters[..end].iter().collect::<String>());
        let end = format!("*{}", letters[letters.len() - end..].iter().collect::<String>());
        let query = [
            ("short_name[]", start.as_str()),
            ("short_name[]", end.as_str()),
            ("options[short_name][pattern]", "true"),
            ("page_size", MOST),
        ];
        // It is nice to know, and nothing that would be asked for twice.
        let url = self.url(COLLECTIONS, &query).ok()?;
        let (found, _) = self.search_once::<Answer<CollectionRecord>>(&url, None).await.ok()?;
        let records = found.items;
        let names = records.iter().map(|record| record.umm.short_name.as_str());
        similar::nearest(short_name, names).map(str::to_owned)
    }

    /// Returns where the granules of the collection `id` are, at least one location, and what the
    /// user should know about that.
    async fn locations(
        &self,
        id: &str,
        stated: &DirectDistribution,
        table: &BucketTable,
    ) -> Result<(Vec<Location>, Vec<String>), Error> {
        let (oldest, newest) =
            tokio::join!(self.links(id, OLDEST_FIRST), self.links(id, NEWEST_FIRST));
        let failure = oldest.as_ref().and(newest.as_ref()).err().cloned();
        let links =
            [oldest, newest].into_iter().filter_map(Result::ok).flatten().collect::<Vec<_>>();
        if links.is_empty() {
            let why = failure.map_or_else(
                || Cause::from(Problem::new("it has no granule with an s3:// link")),
                Cause::from,
            );
            let locations = locations::from_record(stated, table);
            if locations.is_empty() {
                let problem = Problem::new(format!("CMR names no bucket for the collection {id}"));
                return Err(Error::usage(problem.about(&self.host).caused_by(why)));
            }
            return Ok((locations, vec![format!("{id} is where CMR says, unchecked: {why}")]));
        }
        let directories = locations::from_links(&links, stated, table);
        let unstated = directories
            .iter()
            .filter(|directory| !directory.is_stated)
            .map(|directory| directory.location.to_string())
            .collect::<Vec<_>>();
        let mut notes = Vec::new();
        if !unstated.is_empty() {
            let text = match stated.prefixes_text.as_str() {
                "" => "nothing",
                text => text,
            };
            notes.push(format!(
                "CMR says {text} for {id}, but its granules are in {}",
                unstated.join(", ")
            ));
        }
        Ok((directories.into_iter().map(|directory| directory.location).collect(), notes))
    }
}

/// Prefers what the bucket table says of a bucket to what CMR says.
pub(super) fn resolved_bucket(
    location: &Location,
    stated: &DirectDistribution,
    table: &BucketTable,
) -> ResolvedBucket {
    let info = table.get(&location.bucket);
    let resolved = ResolvedBucket::new(&location.bucket, location.prefix.as_str(), info);
    let stated_endpoint = stated.endpoint.as_deref().filter(|_| info.is_none());
    ResolvedBucket {
        catalog_endpoint: stated_endpoint.map(|url| UntrustedEndpoint::new(url, table)),
        region: resolved.region.or_else(|| stated.region.clone()),
        ..resolved
    }
}
