//! One page of a listing: which keys and common prefixes, and where the next page starts.

use crate::content::Object;
use crate::store::Bucket;

/// What a page is asked for.
pub(crate) struct Query<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) delimiter: &'a str,
    /// No key before this one is looked at. "After `k`" is "from `k\0`".
    pub(crate) from: String,
    /// The most items on the page.
    pub(crate) most: usize,
}

/// A line of a page.
pub(crate) enum Item {
    Key(String, Object),
    /// A common prefix.
    Group(String),
}

/// A page and, unless it is the last one, where to go on.
pub(crate) struct Page {
    pub(crate) items: Vec<Item>,
    pub(crate) next: Option<String>,
}

/// Lists one page.
pub(crate) fn page(bucket: &Bucket, query: &Query<'_>) -> Page {
    let mut items = Vec::new();
    let mut from = query.from.clone().max(query.prefix.to_owned());
    let mut entries = bucket.entries(&from);
    while let Some((key, object)) = entries.next().filter(|(key, _)| key.starts_with(query.prefix))
    {
        if items.len() == query.most {
            return Page { items, next: Some(from) };
        }
        if let Some(group) = group(&key, query.prefix, query.delimiter) {
            let beyond = successor(group);
            items.push(Item::Group(group.to_owned()));
            let Some(beyond) = beyond else { break };
            entries = bucket.entries(&beyond);
            from = beyond;
        } else {
            from = format!("{key}\0");
            items.push(Item::Key(key, object));
        }
    }
    Page { items, next: None }
}

/// The common prefix that stands for `key`, if one does.
pub(crate) fn group<'k>(key: &'k str, prefix: &str, delimiter: &str) -> Option<&'k str> {
    let rest = key.strip_prefix(prefix).filter(|_| !delimiter.is_empty())?;
    rest.find(delimiter).map(|at| &key[..prefix.len() + at + delimiter.len()])
}

/// The smallest string after all that start with `prefix`. Byte order of UTF-8 is order of code
/// points.
pub(crate) fn successor(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        if let Some(next) = (last..=char::MAX).nth(1) {
            text.push(next);
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Attributes, Store};
    use std::collections::BTreeSet;

    fn random_key(random: &mut fastrand::Rng) -> String {
        let alphabet = [
            "a",
            "b",
            "/",
            "/",
            "-",
            "0",
            "\u{1}",
            "é",
            "\u{d7ff}",
            "\u{10ffff}",
            "//",
            "2020",
            "%",
        ];
        (0..random.usize(1..8)).map(|_| random.choice(alphabet).unwrap()).collect()
    }

    /// What S3's documentation says, in the slowest and plainest way.
    fn naive(
        keys: &BTreeSet<String>,
        prefix: &str,
        delimiter: &str,
        after: Option<&str>,
    ) -> Vec<String> {
        let mut items = Vec::new();
        for key in keys
            .iter()
            .filter(|key| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after))
        {
            let rest = &key[prefix.len()..];
            let item = match rest.find(delimiter) {
                Some(at) if !delimiter.is_empty() => format!("{prefix}{}{delimiter}*", &rest[..at]),
                _ => key.clone(),
            };
            if items.last() != Some(&item) {
                items.push(item);
            }
        }
        items
    }

    #[test]
    fn pages_of_any_size_join_to_the_naive_listing() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..400 {
            let keys: BTreeSet<_> =
                (0..random.usize(0..40)).map(|_| random_key(&mut random)).collect();
            let mut store = Store::default();
            store.create("b");
            for key in &keys {
                store.put("b", key, "".into(), Attributes::default());
            }
            let bucket = store.bucket("b").unwrap();
            for _ in 0..20 {
                let prefix = if random.bool() { String::new() } else { random_key(&mut random) };
                let delimiter = ["", "/", "/", "//", "é", "2020"][random.usize(0..6)];
                let after = random.bool().then(|| random_key(&mut random));
                let wanted = naive(&keys, &prefix, delimiter, after.as_deref());
                for most in 1..=wanted.len() + 1 {
                    let mut from =
                        after.as_ref().map_or(String::new(), |after| format!("{after}\0"));
                    let mut listed = Vec::new();
                    let mut pages = 0;
                    loop {
                        let page = page(bucket, &Query { prefix: &prefix, delimiter, from, most });
                        pages += 1;
                        listed.extend(page.items.into_iter().map(|item| match item {
                            Item::Key(key, _) => key,
                            Item::Group(group) => format!("{group}*"),
                        }));
                        match page.next {
                            Some(next) => from = next,
                            None => break,
                        }
                    }
                    assert_eq!(
                        listed, wanted,
                        "{keys:?} {prefix:?} {delimiter:?} {after:?} {most}"
                    );
                    assert_eq!(pages, wanted.len().div_ceil(most).max(1));
                }
            }
        }
    }

    #[test]
    fn successors_skip_all_that_starts_alike() {
        assert_eq!(successor("a/").as_deref(), Some("a0"));
        assert_eq!(successor("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(successor("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(successor("\u{10ffff}"), None);
    }
}
