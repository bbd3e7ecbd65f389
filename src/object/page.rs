//! A page of a listing, and the names that it adds to a directory.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Name, Object, Prefix};

/// One page of a listing, keys decoded.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The objects, in byte order of their keys.
    pub objects: Vec<Object>,
    /// The common prefixes in byte order; none in a listing without delimiter.
    pub prefixes: Vec<Prefix>,
    /// How many keys could not be decoded to UTF-8.
    pub undecodable: usize,
    /// The token of the next page; `None` on the last page.
    pub next: Option<Arc<str>>,
}

/// A name that a page adds to a directory.
#[derive(Clone, Debug)]
pub struct PageEntry<'page> {
    /// The name that the directory shows, escaped where the component cannot stand for itself.
    pub name: Cow<'page, str>,
    /// The object; `None` for a directory.
    pub object: Option<&'page Object>,
}

impl Page {
    /// Returns whether the page tells of no key at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.prefixes.is_empty() && self.undecodable == 0
    }

    /// Returns a key that a listing of `prefix` with this delimiter must not have, if there is one.
    #[must_use]
    pub fn key_across(&self, prefix: &str, delimiter: &str) -> Option<&str> {
        let keys = self.objects.iter().map(|object| &*object.id.key);
        keys.into_iter().find(|key| {
            key.strip_prefix(prefix).is_some_and(|component| component.contains(delimiter))
        })
    }

    /// Returns the last key or common prefix of the page, empty when there is none.
    #[must_use]
    pub fn last_key(&self) -> &str {
        let object = self.objects.last().map_or("", |object| &object.id.key);
        let prefix = self.prefixes.last().map_or("", Prefix::as_str);
        object.max(prefix)
    }

    /// Returns the entries that the page adds to the directory `prefix`, and how many of its keys
    /// have no name that the kernel would accept.
    ///
    /// The entries are in byte order of names. Where an object and a directory have the same name,
    /// the directory comes first. The marker of the directory itself adds no entry.
    #[must_use]
    pub fn entries<'page>(&'page self, prefix: &Prefix) -> (Vec<PageEntry<'page>>, usize) {
        let mut unshowable = self.undecodable;
        let mut entries = Vec::with_capacity(self.objects.len() + self.prefixes.len());
        let mut add = |name: Option<Cow<'page, str>>, object| match name {
            Some(name) => entries.push(PageEntry { name, object }),
            None => unshowable += 1,
        };
        for directory in &self.prefixes {
            if let Some(component) = directory.as_str().strip_prefix(prefix.as_str()) {
                let component = component.strip_suffix('/').unwrap_or(component);
                add(Name::shown_for_directory(component), None);
            }
        }
        for object in &self.objects {
            if let Some(component) = object.id.key.strip_prefix(prefix.as_str()) {
                let is_marker = component.is_empty() && object.size == 0;
                if !is_marker {
                    add(Name::shown_for_object(component), Some(object));
                }
            }
        }
        // The sort is stable, so that directories stay before objects of the same name.
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        // Some stores repeat a prefix within a page.
        entries.dedup_by(|a, b| a.name == b.name && a.object.is_some() == b.object.is_some());
        (entries, unshowable)
    }
}

/// Returns the names that a directory may still have although the listing has passed names that
/// sort behind them, shortest first.
///
/// The listing has reached the key `last`, given without the prefix of the listed directory. S3
/// orders a directory as `name/`, readdir orders it as `name`. So a directory `D` may still come,
/// and belong before names that came already, when `last` starts with `D` and the byte after it in
/// `last` sorts below `/`.
pub fn undecided_names(last: &str) -> impl Iterator<Item = &str> {
    let bytes = last.as_bytes();
    let is_undecided = move |&end: &usize| match bytes.get(end) {
        Some(&next) => next < b'/',
        // The whole key: `blue` may be followed by `blue-x`, and that by `blue/`.
        None => !last.ends_with('/'),
    };
    (1..=last.len()).filter(is_undecided).map(move |end| &last[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_undecided_until_the_listing_has_passed_its_slash() {
        let names = |last: &str| undecided_names(last).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(names("MOD09.A2000-h08x"), ["MOD09", "MOD09.A2000", "MOD09.A2000-h08x"]);
        assert_eq!(names("blue"), ["blue"]);
        assert_eq!(names("a0b/"), Vec::<String>::new());
    }

    #[test]
    fn a_prefix_that_a_page_repeats_is_one_entry() {
        let prefixes = ["p/a/", "p/b/", "p/a/"].map(Prefix::new).to_vec();
        let page = Page { prefixes, ..Page::default() };
        let (entries, _) = page.entries(&Prefix::new("p"));
        let names: Vec<_> = entries.iter().map(|entry| &*entry.name).collect();
        assert_eq!(names, ["a", "b"]);
    }
}
