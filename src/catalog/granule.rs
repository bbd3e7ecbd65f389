//! A granule in CMR, as a link names it, and what the ids of CMR look like.

use std::fmt;

/// A granule in CMR, as a link names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Granule {
    /// `G1234-POCLOUD`
    Concept(String),
    /// One of a collection.
    Named {
        /// The collection's concept id, or its title.
        collection: String,
        /// CMR's `GranuleUR`.
        ur: String,
    },
}

impl fmt::Display for Granule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Concept(id) => f.write_str(id),
            Self::Named { collection, ur } => write!(f, "{ur} of {collection}"),
        }
    }
}

/// Returns whether `text` is a concept id: `kind` (`C` for a collection, `G` for a granule),
/// digits, `-` and a provider.
pub(super) fn is_concept_id(text: &str, kind: char) -> bool {
    let parts = text.strip_prefix(kind).and_then(|rest| rest.split_once('-'));
    parts.is_some_and(|(digits, provider)| {
        !digits.is_empty()
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !provider.is_empty()
            && provider.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}
