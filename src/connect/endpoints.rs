//! Which endpoint hands out the credentials for a bucket, and by whose word.

use super::notes::Note;
use crate::catalog::{BucketTable, ResolvedBucket, UntrustedEndpoint, daac};
use crate::error::Error;

/// The endpoints of the buckets of one source.
#[derive(Debug)]
pub(super) struct Endpoints<'a> {
    /// The one that the user names.
    named: Option<&'a str>,
    buckets: &'a [ResolvedBucket],
    table: &'a BucketTable,
}

impl<'a> Endpoints<'a> {
    pub(super) fn new(
        named: Option<&'a str>,
        buckets: &'a [ResolvedBucket],
        table: &'a BucketTable,
    ) -> Self {
        Self { named, buckets, table }
    }

    /// The endpoint for `bucket`, one of the source's. What the user names is for the one bucket
    /// that is asked for; of several, it serves those that the table does not know. What CMR says
    /// counts last.
    fn of(&self, bucket: &'a ResolvedBucket) -> Option<&'a str> {
        let (named, known) = (self.named, bucket.endpoint.as_deref());
        let sure = if self.buckets.len() == 1 { named.or(known) } else { known.or(named) };
        sure.or_else(|| bucket.catalog_endpoint.as_ref().and_then(UntrustedEndpoint::trusted))
    }

    /// The endpoint for `bucket`, one of the source's.
    ///
    /// # Errors
    /// [`Error::Usage`] when there is none, or none that may see a token.
    pub(super) fn required(&self, bucket: &'a ResolvedBucket) -> Result<&'a str, Error> {
        let name = &bucket.location.bucket;
        self.of(bucket).ok_or_else(|| {
            Error::usage(match &bucket.catalog_endpoint {
                None if daac::name_of(name).is_some() => format!(
                    "{name}/ is a bucket that no table knows; without the slash, {name} is every \
                     bucket there"
                ),
                None => match self.table.similar_to(name) {
                    Some(similar) => format!(
                        "no table knows the bucket {name}; did you mean {similar}? If not, name \
                         its data center's URL with --credentials-endpoint"
                    ),
                    None => format!(
                        "which data center has the bucket {name}? Name its URL with \
                         --credentials-endpoint (`granulefs buckets` lists those that are known); \
                         or is {name} a collection? Then write collection:{name}"
                    ),
                },
                Some(untrusted) => format!(
                    "CMR names {:?} as the endpoint for the bucket {name}, which is neither in \
                     the table of buckets nor an https URL of nasa.gov: nothing was sent there. \
                     If it is right, name it with --credentials-endpoint",
                    untrusted.url()
                ),
            })
        })
    }

    /// What the user should know about where the token goes.
    pub(super) fn notes(&self) -> Vec<Note> {
        self.known_to_cmr().into_iter().chain(self.named_for_known()).collect()
    }

    /// Buckets whose endpoint only CMR knows.
    fn known_to_cmr(&self) -> Option<Note> {
        if self.named.is_some() {
            return None;
        }
        let trusted = self
            .buckets
            .iter()
            .filter_map(|bucket| Some((bucket, bucket.catalog_endpoint.as_ref()?.trusted()?)))
            .collect::<Vec<_>>();
        let (_, endpoint) = trusted.first()?;
        let buckets = trusted.iter().map(|(bucket, _)| bucket.location.bucket.clone());
        Some(Note::EndpointOfCmr { buckets: buckets.collect(), endpoint: (*endpoint).into() })
    }

    /// A variable may be left over from another data center: whether an endpoint that is named for
    /// known buckets is used is worth a note in both cases.
    fn named_for_known(&self) -> Option<Note> {
        let named = self.named?;
        let [bucket] = self.buckets else {
            let is_unused = self.buckets.iter().all(|bucket| bucket.endpoint.is_some());
            return is_unused.then_some(Note::NamedEndpointUnused);
        };
        let known = bucket.endpoint.as_deref()?;
        (named != known).then(|| Note::NamedEndpointDiffers {
            bucket: bucket.location.bucket.clone(),
            known: known.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> ResolvedBucket {
        ResolvedBucket { endpoint: Some("known".into()), ..ResolvedBucket::new("b-1", "", None) }
    }

    fn unknown() -> ResolvedBucket {
        ResolvedBucket::new("b-2", "", None)
    }

    #[test]
    fn a_named_endpoint_is_for_the_one_bucket_asked_for() {
        let endpoint = |bucket: &ResolvedBucket, all: &[ResolvedBucket]| {
            Endpoints::new(Some("named"), all, &BucketTable::built_in())
                .of(bucket)
                .map(str::to_owned)
        };
        assert_eq!(endpoint(&known(), &[known()]).as_deref(), Some("named"));
        assert_eq!(endpoint(&known(), &[known(), unknown()]).as_deref(), Some("known"));
        assert_eq!(endpoint(&unknown(), &[known(), unknown()]).as_deref(), Some("named"));
    }

    #[test]
    fn a_named_endpoint_is_told_where_it_differs_and_where_it_is_not_used() {
        let notes = |named, all: &[ResolvedBucket]| {
            Endpoints::new(named, all, &BucketTable::built_in()).notes()
        };
        let differs = Note::NamedEndpointDiffers { bucket: "b-1".into(), known: "known".into() };
        for (named, all, expected) in [
            (None, vec![known()], vec![]),
            (Some("known"), vec![known()], vec![]),
            (Some("named"), vec![unknown()], vec![]),
            (Some("named"), vec![known()], vec![differs]),
            (Some("named"), vec![known(), unknown()], vec![]),
            (Some("named"), vec![known(), known()], vec![Note::NamedEndpointUnused]),
        ] {
            assert_eq!(notes(named, &all), expected, "{named:?} {all:?}");
        }
    }

    #[test]
    fn a_bucket_without_an_endpoint_says_how_to_name_one() {
        let table = BucketTable::built_in();
        for (name, words) in [
            ("b-2", "--credentials-endpoint"),
            ("podaac", "without the slash"),
            ("lp-prod-protectd", "did you mean lp-prod-protected?"),
        ] {
            let bucket = ResolvedBucket::new(name, "", None);
            let endpoints = Endpoints::new(None, std::slice::from_ref(&bucket), &table);
            let message = endpoints.required(&bucket).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        }
    }
}
