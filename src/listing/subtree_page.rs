//! A page of a listing without delimiter: all keys below a prefix, however deep, in a part of the
//! key space.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::key_interpolation::just_before;
use super::memory::{Charge, Memory};
use super::packed_names::PackedNames;
use super::packed_page::PackedPage;
use crate::object::{Name, Page, Prefix};
use crate::s3::Position;

/// Bytes of memory that a page takes beside its keys.
const PAGE_SIZE: usize = 512;

/// What one request told of a subtree: its keys behind one key, up to another.
#[derive(Debug)]
pub(super) struct SubtreePage {
    top: Prefix,
    /// The keys, without the prefix of the subtree.
    keys: PackedNames,
    /// The key behind which the page starts.
    start: String,
    /// The last key, or the start where there is none; `None` where the subtree ends.
    end: Option<String>,
    pub(super) asked: Instant,
    _charge: Charge,
}

impl SubtreePage {
    /// Packs a page of what is below `top` and behind the key `start`, asked for at `asked`.
    pub(super) fn new(
        top: Prefix,
        start: String,
        page: &Page,
        asked: Instant,
        memory: &Arc<Memory>,
    ) -> Self {
        let text = page.objects.iter().map(|object| object.id.key.len() - top.as_str().len()).sum();
        let mut keys = PackedNames::with_capacity(page.objects.len(), text);
        for object in &page.objects {
            keys.push_object(&object.id.key[top.as_str().len()..], object);
        }
        let last = page.objects.last().map_or(&*start, |object| &object.id.key);
        let end = page.next.is_some().then(|| last.to_owned());
        let bytes = PAGE_SIZE + keys.bytes() + 2 * start.len();
        Self { top, keys, start, end, asked, _charge: Charge::new(memory, bytes) }
    }

    pub(super) fn start(&self) -> &str {
        &self.start
    }

    /// Returns the last key that the page tells of; `None` where it tells of all to the end of the
    /// subtree.
    pub(super) fn end(&self) -> Option<&str> {
        self.end.as_deref()
    }

    /// Returns whether the page has passed all keys of the directory `prefix`.
    pub(super) fn is_beyond(&self, prefix: &Prefix) -> bool {
        self.end().is_none_or(|end| !prefix.holds(end) && *end > *prefix.as_str())
    }

    /// Returns whether all keys of the page are names of one directory.
    pub(super) fn is_one_directory(&self) -> bool {
        let parent = |key: &str| key.rfind('/');
        match (self.keys.first_name(), self.keys.last_name()) {
            (Some(first), Some(last)) => {
                let (at, other) = (parent(first), parent(last));
                at == other && first[..at.unwrap_or(0)] == last[..at.unwrap_or(0)]
            }
            _ => false,
        }
    }

    /// Returns the indices of the keys that are below `prefix` and behind the key `after`.
    fn indices_below(&self, prefix: &Prefix, after: &str) -> Range<usize> {
        let top = self.top.as_str();
        let below = prefix.as_str().strip_prefix(top).unwrap_or_default();
        let after = after.strip_prefix(top).unwrap_or_default();
        let start = self.keys.partition_point(|key| key < below || key <= after);
        let end = self.keys.partition_point(|key| key < below || key.starts_with(below));
        start..end.max(start)
    }
}

/// A name, and where its attributes are; `None` for a directory.
type NameOnPage<'a> = (Cow<'a, str>, Option<(&'a SubtreePage, usize)>);

/// Returns what consecutive pages, which may overlap, tell of the directory `prefix`. Where they
/// end within it, the listing goes on behind the last name that they tell of.
pub(super) fn names_of<'a>(
    pages: impl IntoIterator<Item = &'a SubtreePage>,
    prefix: &Prefix,
) -> PackedPage {
    let mut entries: Vec<NameOnPage<'a>> = Vec::new();
    let (mut unshowable, mut after, mut is_whole) = (0, String::new(), false);
    let mut last_component = "";
    for page in pages {
        let below = prefix.as_str().len() - page.top.as_str().len();
        for index in page.indices_below(prefix, &after) {
            let rest = &page.keys.name(index)[below..];
            let (component, object) = match rest.split_once('/') {
                Some((directory, _)) => {
                    let component = &rest[..=directory.len()];
                    if component == last_component {
                        continue;
                    }
                    last_component = component;
                    (directory, None)
                }
                // The marker of the directory itself is no name in it.
                None if rest.is_empty() && page.keys.size(index) == 0 => continue,
                None => {
                    last_component = rest;
                    (rest, Some((page, index)))
                }
            };
            let name = match object {
                None => Name::shown_for_directory(component),
                Some(_) => Name::shown_for_object(component),
            };
            match name {
                Some(name) => entries.push((name, object)),
                None => unshowable += 1,
            }
        }
        is_whole = page.is_beyond(prefix);
        page.end().unwrap_or_default().clone_into(&mut after);
    }
    // A directory comes before an object of the same name.
    entries.sort_by(|(a, object), (b, other)| {
        a.cmp(b).then_with(|| object.is_some().cmp(&other.is_some()))
    });
    let text = entries.iter().map(|(name, _)| name.len()).sum();
    let mut names = PackedNames::with_capacity(entries.len(), text);
    for (name, object) in &entries {
        match object {
            Some((page, index)) => names.push_from(name, &page.keys, *index),
            None => names.push_directory(name),
        }
    }
    let last_key = last_component.to_owned();
    let next = (!is_whole).then(|| match last_key.strip_suffix('/') {
        // Behind all keys of that directory: `0` is the character behind `/`.
        Some(directory) => Position::After(prefix.key(&just_before(&format!("{directory}0")))),
        None => Position::After(prefix.key(&last_key)),
    });
    PackedPage { names, unshowable, last_key, next }
}
