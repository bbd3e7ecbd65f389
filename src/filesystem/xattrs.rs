//! Extended attributes.

use std::ffi::OsStr;

use super::Filesystem;
use crate::error::Error;
use crate::inodes::{Node, ROOT};
use crate::object::Entry;

const URL: &str = "user.s3.url";
const ETAG: &str = "user.s3.etag";
const STORAGE_CLASS: &str = "user.s3.storage_class";
/// The mount's root has it.
const STATISTICS: &str = "user.granulefs.statistics";

impl Filesystem {
    /// Returns the value of an extended attribute.
    ///
    /// # Errors
    /// [`Error::NoAttribute`], [`Error::NotSupported`], [`Error::BadHandle`].
    pub fn xattr(&self, number: u64, name: &OsStr) -> Result<String, Error> {
        let name = name.to_str();
        // ls(1) asks for two of these for each file, until an answer says that this filesystem has
        // none.
        if name.is_some_and(|name| name.starts_with("security.") || name.starts_with("system.")) {
            return Err(Error::NotSupported);
        }
        if name == Some(STATISTICS) && number == ROOT {
            return Ok(self.statistics());
        }
        let Node::InTree { tree, entry } = self.node(number)? else {
            return Err(Error::NoAttribute);
        };
        match (name, &entry) {
            (Some(URL), Entry::Directory(prefix)) => {
                Ok(self.trees.get(tree).bucket.url(prefix.as_str()))
            }
            (Some(URL), Entry::File(object)) => Ok(object.id.url()),
            (Some(ETAG), Entry::File(object)) if object.id.has_version() => {
                Ok(object.id.etag.to_string())
            }
            (Some(STORAGE_CLASS), Entry::File(object)) => Ok(object.storage_class.to_string()),
            _ => Err(Error::NoAttribute),
        }
    }

    /// Returns the names of the extended attributes.
    ///
    /// # Errors
    /// [`Error::BadHandle`].
    pub fn xattr_names(&self, number: u64) -> Result<&'static [&'static str], Error> {
        Ok(match self.node(number)? {
            Node::BucketsRoot => &[STATISTICS],
            Node::InTree { entry: Entry::File(object), .. } if object.id.has_version() => {
                &[URL, ETAG, STORAGE_CLASS]
            }
            Node::InTree { entry: Entry::File(_), .. } => &[URL, STORAGE_CLASS],
            Node::InTree { .. } if number == ROOT => &[URL, STATISTICS],
            Node::InTree { .. } => &[URL],
        })
    }
}
