//! The versions of a collection, and which is the newest.

use std::cmp::Ordering;

use super::records::CollectionRecord;
use crate::catalog::collection::Collection;

/// Returns the record with the newest version; of several with that, the first.
pub(super) fn newest<'r>(records: &[&'r CollectionRecord]) -> Option<&'r CollectionRecord> {
    let newer = |best: &'r CollectionRecord, next: &&'r CollectionRecord| {
        if compare(&next.umm.version, &best.umm.version).is_gt() { *next } else { best }
    };
    let (first, others) = records.split_first()?;
    Some(others.iter().fold(*first, newer))
}

/// Tells a user who named no version which one it is, where there are several.
pub(super) fn note(
    chosen: &CollectionRecord,
    records: &[&CollectionRecord],
    collection: &Collection,
) -> Option<String> {
    let Collection::Named { short_name, version: None } = collection else { return None };
    let mut others = distinct(records);
    others.retain(|version| *version != chosen.umm.version);
    let version = &chosen.umm.version;
    let name = if chosen.umm.short_name.is_empty() { short_name } else { &chosen.umm.short_name };
    (!others.is_empty()).then(|| {
        format!(
            "{name} is version {version}, the newest; others, as {name}@VERSION: {}",
            others.join(", ")
        )
    })
}

/// Returns the different versions, oldest first.
pub(super) fn distinct<'r>(records: &[&'r CollectionRecord]) -> Vec<&'r str> {
    let mut versions = records.iter().map(|record| record.umm.version.as_str()).collect::<Vec<_>>();
    versions.sort_by(|a, b| compare(a, b));
    versions.dedup();
    versions
}

/// Numbers within are compared as numbers: `006` < `6.1` < `7` < `10`.
fn compare(one: &str, other: &str) -> Ordering {
    parts(one).cmp(&parts(other))
}

/// Splits a version into its numbers, each with the text behind it. The flag says that this text
/// starts with a dot: a further number then follows, which sorts after any other text.
fn parts(version: &str) -> Vec<(u64, bool, &str)> {
    let mut parts = Vec::new();
    let mut rest = version;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        parts.push((number.parse().unwrap_or_default(), after.starts_with('.'), &after[..end]));
        rest = &after[end..];
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(version: &str) -> CollectionRecord {
        let text = format!(
            r#"{{
                "meta": {{"concept-id": "C1-P"}},
                "umm": {{"ShortName": "X", "Version": "{version}"}}
            }}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn the_newest_version_has_the_highest_number() {
        for (versions, expected) in [
            (&["006", "007", "005"][..], "007"),
            (&["9", "10"], "10"),
            (&["6", "6.1", "061"], "061"),
            (&["2.0", "2.1", "1.9"], "2.1"),
            (&["RL06Mv03", "RL06.1Mv03", "RL05.9"], "RL06.1Mv03"),
            (&["Operational", "1.0"], "1.0"),
            (&["f"], "f"),
        ] {
            let records = versions.iter().map(|version| record(version)).collect::<Vec<_>>();
            let records = records.iter().collect::<Vec<_>>();
            assert_eq!(newest(&records).unwrap().umm.version, expected, "{versions:?}");
        }
        assert!(newest(&[]).is_none());
    }

    #[test]
    fn a_user_who_named_no_version_learns_of_the_others() {
        let records = ["006", "007", "005", "006"].map(record);
        let records = records.iter().collect::<Vec<_>>();
        let named = |version: Option<&str>| Collection::Named {
            short_name: "x".into(),
            version: version.map(Into::into),
        };
        let text = note(records[1], &records, &named(None)).unwrap();
        assert_eq!(text, "X is version 007, the newest; others, as X@VERSION: 005, 006");
        assert_eq!(note(records[1], &records, &named(Some("007"))), None);
        assert_eq!(note(records[1], &records[1..2], &named(None)), None);
    }
}
