//! Files that are probably read in the same way.

use std::sync::Arc;

use crate::object::{ObjectId, Prefix};

/// The files of one bucket that have the same extension and whose directories differ in digits
/// only: dates, orbits, tiles and versions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Product {
    bucket: Arc<str>,
    /// The directory without its digits, a slash, and the extension.
    pattern: Arc<str>,
}

impl Product {
    /// Returns the product of an object.
    #[must_use]
    pub fn of(id: &ObjectId) -> Self {
        let (directory, name) = Prefix::of_key(&id.key);
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        let mut pattern: String =
            directory.as_str().chars().filter(|character| !character.is_ascii_digit()).collect();
        pattern.push('.');
        pattern.push_str(extension);
        Self { bucket: id.bucket.clone(), pattern: pattern.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_directories_and_names_of_files_make_no_difference() {
        let product = |key: &str| {
            Product::of(&ObjectId { bucket: "b".into(), key: key.into(), etag: "e".into() })
        };
        assert_eq!(product("ATL03/006/2019/11/30/a_1.h5"), product("ATL03/006/2020/1/2/b.h5"));
        assert_eq!(product("a"), product("b"));
        for other in ["ATL06/x/006/2019/a_1.h5", "ATL03/006/2019/a_1.xml", "a_1.h5"] {
            assert_ne!(product("ATL03/006/2019/a_1.h5"), product(other), "{other}");
        }
    }
}
