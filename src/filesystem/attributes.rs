//! The attributes of nodes, as stat(2) shows them.

use std::time::SystemTime;

use crate::object::{Entry, modification_time};

/// Owner, group and permission bits, the same for the whole filesystem.
#[derive(Clone, Copy, Debug)]
pub struct OwnerAndModes {
    /// The owner of all nodes.
    pub uid: u32,
    /// The group of all nodes.
    pub gid: u32,
    /// The permission bits of files.
    pub file_mode: u16,
    /// The permission bits of directories.
    pub dir_mode: u16,
}

/// The attributes of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Whether it is a directory; a file otherwise.
    pub is_directory: bool,
    /// The size in bytes; 0 for directories.
    pub size: u64,
    /// S3's LastModified, as [`modification_time`] has it; for directories S3 has no time.
    pub modified: SystemTime,
    /// The permission bits.
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl OwnerAndModes {
    /// Returns the attributes of `entry`. A file that must be restored before it can be read has
    /// no permission bits.
    #[must_use]
    pub fn attributes(&self, entry: &Entry) -> Attributes {
        let Entry::File(object) = entry else { return self.directory_attributes() };
        let Self { uid, gid, file_mode, .. } = *self;
        Attributes {
            is_directory: false,
            size: object.size,
            modified: object.modified,
            mode: if object.is_archived() { 0 } else { file_mode },
            uid,
            gid,
        }
    }

    /// Returns the attributes that all directories have.
    #[must_use]
    pub fn directory_attributes(&self) -> Attributes {
        let Self { uid, gid, dir_mode: mode, .. } = *self;
        Attributes {
            is_directory: true,
            size: 0,
            modified: modification_time(None),
            mode,
            uid,
            gid,
        }
    }
}
