//! Where a collection's granules are: what its record says, as far as the granules' own links bear
//! it out.

use std::collections::BTreeMap;

use super::records::{Hints, Link};
use crate::catalog::bucket_table::BucketTable;
use crate::catalog::source::Location;
use crate::object::Prefix;

/// The directory in one bucket that holds what is known to be there.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) location: Location,
    /// Whether the record says so.
    pub(super) is_told: bool,
}

/// One place for each bucket that `links` need, in byte order. Where the record does not hold, the
/// links' own directories count.
pub(super) fn of(links: &[Link], hints: &Hints, table: &BucketTable) -> Vec<Found> {
    let mut keys = BTreeMap::<_, Vec<_>>::new();
    for link in links {
        keys.entry(link.bucket.as_str()).or_default().push(link);
    }
    let place = |(bucket, links): (&str, Vec<&Link>)| {
        let told = links.iter().map(|link| hints.bearing(link, table)).collect::<Option<Vec<_>>>();
        let is_told = told.is_some();
        let directories =
            told.unwrap_or_else(|| links.iter().map(|link| Prefix::of_key(&link.key).0).collect());
        Found {
            location: Location { bucket: bucket.into(), prefix: common(&directories) },
            is_told,
        }
    };
    keys.into_iter().map(place).collect()
}

/// The same by the record alone.
pub(super) fn unchecked(hints: &Hints, table: &BucketTable) -> Vec<Location> {
    let mut prefixes = BTreeMap::<_, Vec<_>>::new();
    for Location { bucket, prefix } in hints.locations(table, None) {
        prefixes.entry(bucket).or_default().push(prefix);
    }
    prefixes
        .into_iter()
        .map(|(bucket, prefixes)| Location { bucket, prefix: common(&prefixes) })
        .collect()
}

/// The deepest directory that holds all of these.
fn common(directories: &[Prefix]) -> Prefix {
    let Some((first, others)) = directories.split_first() else { return Prefix::new("") };
    let mut directory = first.clone();
    for other in others {
        while !other.as_str().starts_with(directory.as_str()) {
            directory = directory.parent();
        }
    }
    directory
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str =
        r#"{"b-1": {"endpoint": "https://d.org/s3credentials", "region": "us-west-2"}}"#;

    fn found(prefixes: &[&str], links: &[&str]) -> Vec<(String, bool)> {
        let table = serde_json::from_str(TABLE).unwrap();
        let links = links.iter().map(|link| Link::read(link).unwrap()).collect::<Vec<_>>();
        let found = of(&links, &Hints::of(prefixes), &table);
        found.into_iter().map(|found| (found.location.to_string(), found.is_told)).collect()
    }

    #[test]
    fn a_prefix_counts_where_granules_bear_it_out() {
        for (prefixes, links, places) in [
            (
                &["b-1/X", "b-2/X"][..],
                &["s3://b-1/X/2001/a.nc", "s3://b-1/X/2020/b.nc"][..],
                &[("s3://b-1/X/", true)][..],
            ),
            (&["b-2/X", "b-1X", "b-1"], &["s3://b-1/X/a.nc"], &[("s3://b-1/X/", true)]),
            (&["b-1/X", "b-1"], &["s3://b-1/X/a.nc", "s3://b-1/Y/a.nc"], &[("s3://b-1/", true)]),
            (
                &["b-1/X/1", "b-1/X/2"],
                &["s3://b-1/X/1/a.nc", "s3://b-1/X/2/a.nc"],
                &[("s3://b-1/X/", true)],
            ),
            (
                &["b-1/PROVISIONAL"],
                &["s3://b-1/PROVISIONAL_V1/a.nc"],
                &[("s3://b-1/PROVISIONAL_V1/", false)],
            ),
            (&[], &["s3://b-1/X/2001/a.nc", "s3://b-1/X/2020/b.nc"], &[("s3://b-1/X/", false)]),
            (&["b-1/Z"], &["s3://b-1/X/a.nc", "s3://b-1/Y/a.nc"], &[("s3://b-1/", false)]),
            (&["b-1/Z"], &["s3://b-1/a.nc"], &[("s3://b-1/", false)]),
        ] {
            let places = places
                .iter()
                .map(|(place, is_told)| ((*place).to_owned(), *is_told))
                .collect::<Vec<_>>();
            assert_eq!(found(prefixes, links), places, "{prefixes:?} {links:?}");
        }
    }

    /// Each bucket that a granule is in has its place, and no other has one, whatever the record
    /// claims.
    #[test]
    fn granules_in_several_buckets_have_a_place_in_each() {
        let links =
            ["s3://b-2/X/2020/b.nc", "s3://b-1/X/a.nc", "s3://b-1/X/b.nc", "s3://b-3/Y/c.nc"];
        let told = ["b-1/X", "b-2/X/", "b-4/X"];
        let places = [
            ("s3://b-1/X/".into(), true),
            ("s3://b-2/X/".into(), true),
            ("s3://b-3/Y/".into(), false),
        ];
        assert_eq!(found(&told, &links), places);
    }

    #[test]
    fn a_record_without_granules_is_taken_at_its_word() {
        let table = serde_json::from_str(TABLE).unwrap();
        let places =
            unchecked(&Hints::of(&["b-2/X", "b-1/X/1", "b-1/X/2", "see the guide"]), &table);
        assert_eq!(
            places.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["s3://b-1/X/", "s3://b-2/X/"]
        );
    }
}
