//! Replies: the filesystem's answers in the kernel's form.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fuser::{
    Errno, FileAttr, FileHandle, FileType, FopenFlags, Generation, INodeNo, ReplyAttr, ReplyData,
    ReplyDirectory, ReplyDirectoryPlus, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyXattr,
};

use crate::error::Error;
use crate::filesystem::{Attributes, DirectoryEntry, EntryTtl, Filesystem, Lookup, OpenedFile};

/// The attributes of an inode never change: another version of an object is another inode.
const ATTRIBUTES_TTL: Duration = Duration::from_secs(3600);
/// The size of what stat(2) and statfs(2) call a block, in bytes.
const BLOCK_SIZE: u32 = 4096;
/// The kernel's FUSE_NAME_MAX, which is also S3's limit for a whole key.
const NAME_MAX: u32 = 1024;
/// The size in which statfs(2) counts, in bytes: with it, the size below fits in 32 bits.
const STATFS_BLOCK_SIZE: u32 = 1 << 20;
/// What statfs(2) tells of the size of a bucket, which nobody knows: 1 PiB.
const STATFS_BLOCKS: u64 = 1 << 30;
/// What statfs(2) tells of the number of files.
const STATFS_FILES: u64 = 1 << 30;
/// The names that every directory starts with, and the offsets behind them.
const DOTS: [(&str, u64); 2] = [(".", 1), ("..", 2)];
/// The kernel's offset of the first entry of [`Filesystem::read_directory`].
pub(super) const DOTS_END: u64 = 2;

/// The inode numbers of `.` and `..`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dots {
    pub(super) own: u64,
    pub(super) parent: u64,
}

/// The outcome of reading a directory.
pub(super) type Entries = Result<(Vec<DirectoryEntry>, EntryTtl), Errno>;

pub(super) fn entry(reply: ReplyEntry, outcome: Result<Lookup, Errno>) {
    match outcome {
        Ok(Lookup { node, ttl }) => {
            let attr =
                node.map_or_else(no_entry, |(number, attributes)| file_attr(number, &attributes));
            reply.entry(&ttl, &attr, Generation(0));
        }
        Err(errno) => reply.error(errno),
    }
}

pub(super) fn attributes(reply: ReplyAttr, ino: INodeNo, outcome: Result<Attributes, Errno>) {
    match outcome {
        Ok(attributes) => reply.attr(&ATTRIBUTES_TTL, &file_attr(ino.0, &attributes)),
        Err(errno) => reply.error(errno),
    }
}

pub(super) fn opened_file(reply: ReplyOpen, outcome: Result<OpenedFile, Errno>) {
    match outcome {
        // An inode is one version of an object, so the pages that the kernel has of it are right.
        Ok(OpenedFile { handle, has_own_inode }) => {
            let keep =
                if has_own_inode { FopenFlags::FOPEN_KEEP_CACHE } else { FopenFlags::empty() };
            reply.opened(FileHandle(handle), keep | FopenFlags::FOPEN_NOFLUSH);
        }
        Err(errno) => reply.error(errno),
    }
}

/// `outcome` has the handle, and whether the kernel may keep its cached entries of the directory.
pub(super) fn opened_directory(reply: ReplyOpen, outcome: Result<(u64, bool), Errno>) {
    match outcome {
        Ok((handle, may_keep)) => {
            let keep = if may_keep { FopenFlags::FOPEN_KEEP_CACHE } else { FopenFlags::empty() };
            reply.opened(FileHandle(handle), FopenFlags::FOPEN_CACHE_DIR | keep);
        }
        Err(errno) => reply.error(errno),
    }
}

pub(super) fn data(reply: ReplyData, outcome: Result<Vec<Bytes>, Errno>) {
    match outcome.as_deref() {
        Ok([whole]) => reply.data(whole),
        Ok(pieces) => reply.data(&pieces.concat()),
        Err(errno) => reply.error(*errno),
    }
}

/// Replies with as many entries as the kernel's buffer takes.
pub(super) fn directory(
    mut reply: ReplyDirectory,
    dots: Dots,
    offset: u64,
    outcome: Entries,
    filesystem: &Filesystem,
) {
    let entries = match outcome {
        Ok((entries, _)) => entries,
        Err(errno) => return reply.error(errno),
    };
    let mut is_full = dots
        .from(offset)
        .any(|(number, name, next)| reply.add(INodeNo(number), next, FileType::Directory, name));
    for entry in entries {
        if is_full {
            break;
        }
        let number = INodeNo(filesystem.inode_number(&entry));
        let kind = file_type(entry.entry.is_directory());
        is_full = reply.add(number, entry.next_offset + DOTS_END, kind, &*entry.name);
    }
    reply.ok();
}

/// [`directory`], with the attributes of each entry; each counts as one lookup.
pub(super) fn directory_plus(
    mut reply: ReplyDirectoryPlus,
    dots: Dots,
    offset: u64,
    outcome: Entries,
    filesystem: &Filesystem,
) {
    let (entries, ttl) = match outcome {
        Ok(listed) => listed,
        Err(errno) => return reply.error(errno),
    };
    // The kernel counts no lookup of the dots, and takes no attributes whose time to live is zero.
    let own = filesystem.attributes(dots.own);
    let own = own.map_or_else(|_| no_entry(), |attributes| file_attr(dots.own, &attributes));
    let mut is_full = dots.from(offset).any(|(number, name, next)| {
        let attr = FileAttr { ino: INodeNo(number), ..own };
        reply.add(attr.ino, next, name, &Duration::ZERO, &attr, Generation(0))
    });
    for entry in entries {
        if is_full {
            break;
        }
        let (number, attributes, ttl) = filesystem.record_lookup(&entry, ttl);
        let attr = file_attr(number, &attributes);
        let (ino, next) = (INodeNo(number), entry.next_offset + DOTS_END);
        is_full = reply.add(ino, next, &*entry.name, &ttl, &attr, Generation(0));
        if is_full {
            // The entry did not fit, so the kernel will not give its lookup back.
            filesystem.forget(number, 1);
        }
    }
    reply.ok();
}

/// Replies that there is a lot, and nothing free. df(1) leaves out what has no blocks, and programs
/// divide by them; free space would invite programs to write.
pub(super) fn statfs(reply: ReplyStatfs) {
    let (blocks, files, size) = (STATFS_BLOCKS, STATFS_FILES, STATFS_BLOCK_SIZE);
    reply.statfs(blocks, 0, 0, files, 0, size, NAME_MAX, size);
}

/// The reply to a request for an extended attribute, or for the list of their names.
#[derive(Debug)]
pub(super) enum XattrValue {
    /// The length that the kernel asked for, in bytes.
    Length(u32),
    /// The value itself.
    Bytes(Vec<u8>),
}

impl XattrValue {
    /// Returns the value for a buffer of `size` bytes, or its length where `size` is 0.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`].
    pub(super) fn new(value: impl Into<Vec<u8>>, size: u32) -> Result<Self, Error> {
        let value = value.into();
        match u32::try_from(value.len()) {
            Ok(length) if size == 0 => Ok(Self::Length(length)),
            Ok(length) if length <= size => Ok(Self::Bytes(value)),
            _ => Err(Error::BufferTooSmall),
        }
    }
}

pub(super) fn xattr(reply: ReplyXattr, outcome: Result<XattrValue, Errno>) {
    match outcome {
        Ok(XattrValue::Length(length)) => reply.size(length),
        Ok(XattrValue::Bytes(value)) => reply.data(&value),
        Err(errno) => reply.error(errno),
    }
}

impl Dots {
    /// Returns numbers and names from `offset` on, each with the offset behind it.
    fn from(self, offset: u64) -> impl Iterator<Item = (u64, &'static str, u64)> {
        let numbered = [self.own, self.parent].into_iter().zip(DOTS);
        let all = numbered.map(|(number, (name, next))| (number, name, next));
        all.filter(move |(_, _, next)| offset < *next)
    }
}

fn file_type(is_directory: bool) -> FileType {
    if is_directory { FileType::Directory } else { FileType::RegularFile }
}

fn file_attr(number: u64, attributes: &Attributes) -> FileAttr {
    FileAttr {
        ino: INodeNo(number),
        size: attributes.size,
        // stat(2) counts these in units of 512 bytes, whatever the block size.
        blocks: attributes.size.div_ceil(512),
        atime: attributes.modified,
        mtime: attributes.modified,
        ctime: attributes.modified,
        crtime: attributes.modified,
        kind: file_type(attributes.is_directory),
        perm: attributes.mode,
        nlink: 1,
        uid: attributes.uid,
        gid: attributes.gid,
        rdev: 0,
        blksize: BLOCK_SIZE,
        flags: 0,
    }
}

/// Returns an entry with inode number 0, which lets the kernel cache that there is no such name.
fn no_entry() -> FileAttr {
    let attributes = Attributes {
        is_directory: false,
        size: 0,
        modified: SystemTime::UNIX_EPOCH,
        mode: 0,
        uid: 0,
        gid: 0,
    };
    file_attr(0, &attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_does_not_fit_the_buffer_is_refused() {
        let of_size = |size| XattrValue::new("abc", size);
        assert!(matches!(of_size(0), Ok(XattrValue::Length(3))));
        assert!(matches!(of_size(3), Ok(XattrValue::Bytes(value)) if value == b"abc"));
        assert!(matches!(of_size(2), Err(Error::BufferTooSmall)));
        assert!(matches!(XattrValue::new("", 1), Ok(XattrValue::Bytes(value)) if value.is_empty()));
    }

    #[test]
    fn every_directory_starts_with_the_dots() {
        let dots = Dots { own: 7, parent: 3 };
        let from = |offset| dots.from(offset).map(|(number, name, _)| (number, name));
        let from = |offset| from(offset).collect::<Vec<_>>();
        assert_eq!(from(0), [(7, "."), (3, "..")]);
        assert_eq!([from(1), from(2)], [vec![(3, "..")], vec![]]);
        assert_eq!(DOTS.last().map(|(_, next)| *next), Some(DOTS_END));
    }
}
