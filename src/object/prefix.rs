//! Key prefixes.

use std::sync::Arc;

/// A key prefix that is empty or ends in `/`. The filesystem shows it as a directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix(Arc<str>);

impl Prefix {
    /// Returns the prefix that `text` names. The last slash may be missing.
    #[must_use]
    pub fn new(text: &str) -> Self {
        if text.is_empty() || text.ends_with('/') {
            Self(text.into())
        } else {
            Self(format!("{text}/").into())
        }
    }

    /// Returns the prefix one `component` deeper. The component may be empty: `a//b` is a key.
    #[must_use]
    pub fn child(&self, component: &str) -> Self {
        Self(format!("{}{component}/", self.0).into())
    }

    /// Returns the prefix one component up. The parent of the empty prefix is itself.
    #[must_use]
    pub fn parent(&self) -> Self {
        Self::of_key(self.0.strip_suffix('/').unwrap_or(&self.0)).0
    }

    /// Returns the key of the object called `component` directly below.
    #[must_use]
    pub fn key(&self, component: &str) -> String {
        format!("{}{component}", self.0)
    }

    /// Returns whether `key`, of an object or a prefix, starts with this prefix.
    #[must_use]
    pub fn holds(&self, key: &str) -> bool {
        key.starts_with(&*self.0)
    }

    /// Returns the text that S3 is asked for.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the prefix that `key` lies in, and the component that `key` has there.
    #[must_use]
    pub fn of_key(key: &str) -> (Self, &str) {
        match key.rfind('/') {
            Some(at) => (Self(key[..=at].into()), &key[at + 1..]),
            None => (Self("".into()), key),
        }
    }
}
