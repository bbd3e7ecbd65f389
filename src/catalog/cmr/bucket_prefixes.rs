//! The prefixes of a bucket that the records of collections state: what a bucket whose root may not
//! be listed is known to have.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::records::{Answer, CollectionRecord};
use super::{COLLECTIONS, Cmr};
use crate::catalog::bucket_table::BucketTable;
use crate::error::Error;
use crate::object::Prefix;

/// How many collections are asked for at once: records are long, and each answer must come in time.
const PAGE_SIZE: &str = "200";
/// No provider has so many pages.
const MOST_PAGES: usize = 50;

/// Whom to ask for the prefixes of a bucket, and how.
#[derive(Clone, Debug)]
pub struct BucketPrefixes {
    cmr_host: String,
    bucket: String,
    table: Arc<BucketTable>,
}

impl BucketPrefixes {
    /// Returns how CMR at `cmr_host` is asked for the prefixes of `bucket`. Asks nothing yet.
    #[must_use]
    pub fn new(cmr_host: &str, bucket: &str, table: Arc<BucketTable>) -> Self {
        Self { cmr_host: cmr_host.into(), bucket: bucket.into(), table }
    }

    /// Returns the prefixes, of collections of the providers that the bucket table names; none for
    /// a bucket that it does not have.
    ///
    /// # Errors
    /// [`Error::Transient`] when CMR gives no answer, [`Error::Usage`] when it refuses the search.
    pub async fn ask(&self) -> Result<Vec<Prefix>, Error> {
        let cmr = Cmr::new(&self.cmr_host)?;
        let info = self.table.get(&self.bucket);
        let mut prefixes = BTreeSet::new();
        for provider in info.map(|info| &info.providers[..]).unwrap_or_default() {
            for record in cmr.in_cloud_of(provider).await? {
                let stated = record.umm.direct.unwrap_or_default();
                let here = stated
                    .locations(&self.table, Some(&self.bucket))
                    .into_iter()
                    .filter(|location| location.bucket == self.bucket);
                prefixes.extend(here.map(|location| location.prefix));
            }
        }
        Ok(prefixes.into_iter().collect())
    }
}

impl Cmr {
    /// Returns the collections of a provider that are in the cloud.
    async fn in_cloud_of(&self, provider: &str) -> Result<Vec<CollectionRecord>, Error> {
        let query = [("provider", provider), ("cloud_hosted", "true"), ("page_size", PAGE_SIZE)];
        let (mut records, mut after) = (Vec::new(), None);
        for _ in 0..MOST_PAGES {
            let (page, next) = self
                .search_page::<Answer<CollectionRecord>>(COLLECTIONS, &query, after.as_deref())
                .await?;
            records.extend(page.items);
            after = next;
            if after.is_none() {
                break;
            }
        }
        Ok(records)
    }
}
