//! How entries look to stat(2).

use std::time::SystemTime;

use crate::object::Entry;

/// Owner and modes, the same for the whole tree.
#[derive(Clone, Copy, Debug)]
pub struct OwnerAndModes {
    /// Owner of everything.
    pub uid: u32,
    /// Group of everything.
    pub gid: u32,
    /// Permission bits of files, without write bits.
    pub file_mode: u16,
    /// Permission bits of directories, without write bits.
    pub dir_mode: u16,
}

/// The attributes of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Whether it is a directory; a file otherwise.
    pub is_directory: bool,
    /// Bytes.
    pub size: u64,
    /// LastModified; the epoch for directories, of which S3 knows no time.
    pub modified: SystemTime,
    /// Permission bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl OwnerAndModes {
    /// The attributes of `entry`.
    #[must_use]
    pub fn of(&self, entry: &Entry) -> Attributes {
        match entry {
            Entry::Directory(_) => self.of_directory(),
            Entry::File(object) => {
                let mode = if object.is_archived() { 0 } else { self.file_mode };
                let Self { uid, gid, .. } = *self;
                Attributes {
                    is_directory: false,
                    size: object.size,
                    modified: object.modified,
                    mode,
                    uid,
                    gid,
                }
            }
        }
    }

    /// The attributes of any directory.
    #[must_use]
    pub fn of_directory(&self) -> Attributes {
        let Self { uid, gid, dir_mode: mode, .. } = *self;
        Attributes { is_directory: true, size: 0, modified: SystemTime::UNIX_EPOCH, mode, uid, gid }
    }
}
