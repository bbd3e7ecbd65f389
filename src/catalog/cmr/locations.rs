//! Where a collection's granules are: the prefixes that its record states, as far as the granules'
//! own links agree.

use std::collections::BTreeMap;

use super::direct_distribution::DirectDistribution;
use super::records::Link;
use crate::catalog::bucket_table::BucketTable;
use crate::catalog::location::Location;
use crate::object::Prefix;

/// The directory in one bucket that holds granules of a collection.
#[derive(Debug)]
pub(super) struct GranuleDirectory {
    pub(super) location: Location,
    /// Whether the collection's record states it.
    pub(super) is_stated: bool,
}

/// Returns one directory for each bucket that `links` lead to, in byte order: the stated prefixes,
/// or the links' own directories where a link of the bucket is below no stated prefix.
pub(super) fn from_links(
    links: &[Link],
    stated: &DirectDistribution,
    table: &BucketTable,
) -> Vec<GranuleDirectory> {
    let mut by_bucket = BTreeMap::<_, Vec<_>>::new();
    for link in links {
        by_bucket.entry(link.bucket.as_str()).or_default().push(link);
    }
    let directory = |(bucket, links): (&str, Vec<&Link>)| {
        let prefixes =
            links.iter().map(|link| stated.prefix_of(link, table)).collect::<Option<Vec<_>>>();
        let is_stated = prefixes.is_some();
        let prefixes = prefixes
            .unwrap_or_else(|| links.iter().map(|link| Prefix::of_key(&link.key).0).collect());
        let location = Location { bucket: bucket.into(), prefix: common_directory(&prefixes) };
        GranuleDirectory { location, is_stated }
    };
    by_bucket.into_iter().map(directory).collect()
}

/// Returns one location for each bucket that the record states, for a collection without links.
pub(super) fn from_record(stated: &DirectDistribution, table: &BucketTable) -> Vec<Location> {
    let mut by_bucket = BTreeMap::<_, Vec<_>>::new();
    for Location { bucket, prefix } in stated.locations(table, None) {
        by_bucket.entry(bucket).or_default().push(prefix);
    }
    by_bucket
        .into_iter()
        .map(|(bucket, prefixes)| Location { bucket, prefix: common_directory(&prefixes) })
        .collect()
}

/// Returns the deepest directory that holds all of these.
pub(super) fn common_directory(directories: &[Prefix]) -> Prefix {
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

    fn directories(prefixes: &[&str], links: &[&str]) -> Vec<(String, bool)> {
        let table = serde_json::from_str(TABLE).unwrap();
        let links = links.iter().map(|link| Link::parse(link).unwrap()).collect::<Vec<_>>();
        let directories = from_links(&links, &DirectDistribution::of(prefixes), &table);
        directories
            .into_iter()
            .map(|directory| (directory.location.to_string(), directory.is_stated))
            .collect()
    }

    #[test]
    fn a_stated_prefix_counts_where_granules_are_below_it() {
        for (prefixes, links, expected) in [
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
            let expected = expected
                .iter()
                .map(|(location, is_stated)| ((*location).to_owned(), *is_stated))
                .collect::<Vec<_>>();
            assert_eq!(directories(prefixes, links), expected, "{prefixes:?} {links:?}");
        }
    }

    /// No other bucket has a directory, whatever the record states.
    #[test]
    fn granules_in_several_buckets_have_a_directory_in_each() {
        let links =
            ["s3://b-2/X/2020/b.nc", "s3://b-1/X/a.nc", "s3://b-1/X/b.nc", "s3://b-3/Y/c.nc"];
        let stated = ["b-1/X", "b-2/X/", "b-4/X"];
        let expected = [
            ("s3://b-1/X/".into(), true),
            ("s3://b-2/X/".into(), true),
            ("s3://b-3/Y/".into(), false),
        ];
        assert_eq!(directories(&stated, &links), expected);
    }

    #[test]
    fn a_record_without_granules_counts_as_it_stands() {
        let table = serde_json::from_str(TABLE).unwrap();
        let stated = DirectDistribution::of(&["b-2/X", "b-1/X/1", "b-1/X/2", "see the guide"]);
        assert_eq!(
            from_record(&stated, &table).iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["s3://b-1/X/", "s3://b-2/X/"]
        );
    }
}
