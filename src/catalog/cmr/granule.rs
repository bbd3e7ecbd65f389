//! From a granule to the buckets that hold its files.

use std::collections::BTreeMap;

use super::direct_distribution::DirectDistribution;
use super::records::{Answer, GranuleRecord};
use super::{Cmr, GRANULES, collection, locations};
use crate::catalog::bucket_table::BucketTable;
use crate::catalog::collection::Collection;
use crate::catalog::granule::{Granule, is_concept_id};
use crate::catalog::location::Location;
use crate::catalog::resolved::ResolvedSource;
use crate::error::Error;
use crate::object::Prefix;

/// What a server of OPeNDAP takes behind a granule's name, for the form of its answer.
const ANSWER_FORMS: [&str; 14] = [
    "ascii", "csv", "dap", "das", "dds", "dmr", "dmrpp", "dods", "html", "info", "json", "nc",
    "nc4", "xml",
];

impl Cmr {
    /// Finds the directories that hold the granule's files, and its file where it has one only.
    ///
    /// # Errors
    /// [`Error::Usage`] when CMR knows no such granule in the cloud, [`Error::Transient`] when it
    /// gives no answer.
    pub(in crate::catalog) async fn resolve_granule(
        &self,
        granule: &Granule,
        table: &BucketTable,
    ) -> Result<ResolvedSource, Error> {
        let mut query = Vec::new();
        match granule {
            Granule::Concept(id) => query.push(("concept_id", id.as_str())),
            Granule::Named { collection, ur } => {
                let by_id = is_concept_id(collection, 'C');
                let name = if by_id { "collection_concept_id" } else { "entry_title" };
                query.push((name, collection));
                query.extend(names(ur).into_iter().map(|name| ("granule_ur[]", name)));
            }
        }
        let records = self.search::<Answer<GranuleRecord>>(GRANULES, &query).await?.items;
        // The name as it is given wins over one without an ending.
        let Some(record) = records.iter().max_by_key(|record| record.umm.ur.len()) else {
            return Err(Error::usage(format!("CMR at {} knows no granule {granule}", self.host)));
        };
        let links = record.direct_links().collect::<Vec<_>>();
        if links.is_empty() {
            return Err(Error::usage(format!(
                "the granule {granule} has no s3:// link at CMR: it is in no bucket"
            )));
        }
        let is_known = links.iter().all(|link| table.get(&link.bucket).is_some());
        let stated =
            if is_known { DirectDistribution::default() } else { self.stated_of(record).await? };
        let mut by_bucket = BTreeMap::<_, Vec<_>>::new();
        for link in &links {
            by_bucket.entry(&link.bucket).or_default().push(Prefix::of_key(&link.key).0);
        }
        let bucket = |(bucket, directories): (&String, Vec<Prefix>)| {
            let prefix = locations::common_directory(&directories);
            let location = Location { bucket: bucket.clone(), prefix };
            collection::resolved_bucket(&location, &stated, table)
        };
        let file = match &links[..] {
            [link] => Some(link.key.clone()),
            _ => None,
        };
        Ok(ResolvedSource {
            buckets: by_bucket.into_iter().map(bucket).collect(),
            file,
            note: None,
        })
    }

    /// Returns what the record of the granule's collection states.
    async fn stated_of(&self, granule: &GranuleRecord) -> Result<DirectDistribution, Error> {
        let Some(id) = &granule.meta.collection_id else {
            return Ok(DirectDistribution::default());
        };
        let records = self.records(&Collection::Concept(id.clone())).await?;
        Ok(records.into_iter().find_map(|record| record.umm.direct).unwrap_or_default())
    }
}

/// Returns the names that a link's last part may mean: itself, and without the endings that ask
/// OPeNDAP for a form.
fn names(ur: &str) -> Vec<&str> {
    let mut names = vec![ur];
    let mut name = ur;
    while let Some((before, ending)) = name.rsplit_once('.')
        && ANSWER_FORMS.contains(&ending)
    {
        names.push(before);
        name = before;
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_for_with_and_without_opendaps_endings() {
        assert_eq!(names("A:b.HDF5"), ["A:b.HDF5"]);
        assert_eq!(names("A.b.nc4.dap.nc4"), ["A.b.nc4.dap.nc4", "A.b.nc4.dap", "A.b.nc4", "A.b"]);
        assert_eq!(names("x-fv04.1.dmr.html"), ["x-fv04.1.dmr.html", "x-fv04.1.dmr", "x-fv04.1"]);
    }
}
