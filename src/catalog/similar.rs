//! What was meant by a word that is almost one that is known.

use super::bucket_table::BucketTable;
use super::daac;

/// Returns the bucket or the data center that `word` is almost the name of.
pub(super) fn source(word: &str, table: &BucketTable) -> Option<String> {
    let bucket = nearest(word, table.iter().map(|(bucket, _)| bucket));
    // People write "NSIDC DAAC" as well.
    let name = word.to_uppercase();
    let name =
        name.strip_suffix("DAAC").map_or(word, |name| name.trim_end_matches([' ', '_', '-']));
    let daac = || nearest(word, daac::names()).or_else(|| nearest(name, daac::names()));
    bucket.or_else(daac).map(str::to_owned)
}

/// Returns the one of `known` that is nearest to `word`, where so few letters differ that it is
/// likely meant.
pub(super) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let plain = |text: &str| text.to_lowercase().replace([' ', '_', '.'], "-");
    let word = plain(word);
    let most = 1 + word.chars().count() / 6;
    known
        .map(|name| (strsim::damerau_levenshtein(&word, &plain(name)), name))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_wrong_letters_still_name_what_is_meant() {
        let table = BucketTable::built_in();
        for (word, meant) in [
            ("podaac-ops-cumulus-protcted", Some("podaac-ops-cumulus-protected")),
            ("podaac-ops-cumlus-protectde", Some("podaac-ops-cumulus-protected")),
            ("podacc", Some("PODAAC")),
            ("Ges Disk", Some("GES_DISC")),
            ("NSDIC DAAC", Some("NSIDC")),
            ("nsidc-cumulus-prod-public", Some("nsidc-cumulus-prod-public")),
            ("my-own-bucket", None),
            ("NOAA", None),
            ("", None),
        ] {
            assert_eq!(source(word, &table).as_deref(), meant, "{word}");
        }
    }
}
