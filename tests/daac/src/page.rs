//! One page of a listing: which keys and common prefixes, and where the next page starts.

use crate::content::Object;
use crate::store::Bucket;

/// The parameters of a page.
pub(crate) struct PageRequest<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) delimiter: &'a str,
    /// The first key that the page may hold. "After `k`" is "from `k\0`".
    pub(crate) from: String,
    /// The maximum number of items.
    pub(crate) max_items: usize,
}

/// An entry of a page.
pub(crate) enum Item {
    Key(String, Object),
    /// A common prefix.
    CommonPrefix(String),
}

/// A page and, unless it is the last one, the first key of the next one.
pub(crate) struct Page {
    pub(crate) items: Vec<Item>,
    pub(crate) next: Option<String>,
}

/// Returns one page of a listing.
pub(crate) fn page(bucket: &Bucket, request: &PageRequest<'_>) -> Page {
    let mut items = Vec::new();
    let mut from = request.from.clone().max(request.prefix.to_owned());
    let mut entries = bucket.entries(&from);
    while let Some((key, object)) =
        entries.next().filter(|(key, _)| key.starts_with(request.prefix))
    {
        if items.len() == request.max_items {
            return Page { items, next: Some(from) };
        }
        if let Some(prefix) = common_prefix(&key, request.prefix, request.delimiter) {
            let beyond = successor(prefix);
            items.push(Item::CommonPrefix(prefix.to_owned()));
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

/// Returns the common prefix that replaces `key` in a listing, if one does.
pub(crate) fn common_prefix<'k>(key: &'k str, prefix: &str, delimiter: &str) -> Option<&'k str> {
    let rest = key.strip_prefix(prefix).filter(|_| !delimiter.is_empty())?;
    rest.find(delimiter).map(|at| &key[..prefix.len() + at + delimiter.len()])
}

/// Returns the smallest string greater than every string that starts with `prefix`. In UTF-8 the
/// order of bytes is the order of code points.
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
    use crate::store::{PutOptions, Store};
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

    /// A listing as S3's documentation describes it, without any optimization.
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
                store.put("b", key, "".into(), PutOptions::default());
            }
            let bucket = store.bucket("b").unwrap();
            for _ in 0..20 {
                let prefix = if random.bool() { String::new() } else { random_key(&mut random) };
                let delimiter = ["", "/", "/", "//", "é", "2020"][random.usize(0..6)];
                let after = random.bool().then(|| random_key(&mut random));
                let wanted = naive(&keys, &prefix, delimiter, after.as_deref());
                for max_items in 1..=wanted.len() + 1 {
                    let mut from =
                        after.as_ref().map_or(String::new(), |after| format!("{after}\0"));
                    let mut listed = Vec::new();
                    let mut pages = 0;
                    loop {
                        let page = page(
                            bucket,
                            &PageRequest { prefix: &prefix, delimiter, from, max_items },
                        );
                        pages += 1;
                        listed.extend(page.items.into_iter().map(|item| match item {
                            Item::Key(key, _) => key,
                            Item::CommonPrefix(prefix) => format!("{prefix}*"),
                        }));
                        match page.next {
                            Some(next) => from = next,
                            None => break,
                        }
                    }
                    assert_eq!(
                        listed, wanted,
                        "{keys:?} {prefix:?} {delimiter:?} {after:?} {max_items}"
                    );
                    assert_eq!(pages, wanted.len().div_ceil(max_items).max(1));
                }
            }
        }
    }

    #[test]
    fn a_successor_is_greater_than_every_string_with_the_prefix() {
        assert_eq!(successor("a/").as_deref(), Some("a0"));
        assert_eq!(successor("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(successor("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(successor("\u{10ffff}"), None);
    }
}
