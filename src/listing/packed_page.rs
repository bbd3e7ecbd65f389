//! A page of a listing in the form in which its names are kept.

use super::packed_names::PackedNames;
use crate::object::{Page, Prefix};
use crate::s3::Position;

/// What a page tells of one directory.
#[derive(Debug)]
pub(super) struct PackedPage {
    pub(super) names: PackedNames,
    /// How many keys have no name that the kernel would accept.
    pub(super) unshowable: usize,
    /// The last key, without the directory's prefix; empty when the page is.
    pub(super) last_key: String,
    /// Where the next page starts; `None` on the last page.
    pub(super) next: Option<Position>,
}

impl PackedPage {
    /// Packs the names that `page` adds to the directory `prefix`.
    pub(super) fn new(prefix: &Prefix, page: &Page) -> Self {
        let (entries, unshowable) = page.entries(prefix);
        let text = entries.iter().map(|entry| entry.name.len()).sum();
        let mut names = PackedNames::with_capacity(entries.len(), text);
        for entry in &entries {
            match entry.object {
                Some(object) => names.push_object(&entry.name, object),
                None => names.push_directory(&entry.name),
            }
        }
        let last_key = page.last_key().strip_prefix(prefix.as_str()).unwrap_or_default().to_owned();
        Self { names, unshowable, last_key, next: page.next.clone().map(Position::Token) }
    }
}
