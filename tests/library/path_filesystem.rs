//! A filesystem that a test uses by paths, with the calls that the kernel would make.

use std::ffi::OsStr;
use std::ops::Deref;

use granulefs::error::Error;
use granulefs::filesystem::{Attributes, DirectoryEntry, Filesystem};
use granulefs::inodes::ROOT;

/// A filesystem with methods that take paths.
#[derive(Debug)]
pub(crate) struct PathFilesystem {
    filesystem: Filesystem,
}

impl Deref for PathFilesystem {
    type Target = Filesystem;

    fn deref(&self) -> &Filesystem {
        &self.filesystem
    }
}

impl PathFilesystem {
    pub(crate) fn new(filesystem: Filesystem) -> Self {
        Self { filesystem }
    }

    /// Looks up a path component by component. The empty path is the root.
    pub(crate) async fn find(&self, path: &str) -> Result<Option<(u64, Attributes)>, Error> {
        let mut node = (ROOT, self.attributes(ROOT)?);
        for component in path.split('/').filter(|component| !component.is_empty()) {
            match self.lookup(node.0, OsStr::new(component)).await?.node {
                Some(found) => node = found,
                None => return Ok(None),
            }
        }
        Ok(Some(node))
    }

    /// Returns the inode number of a path.
    pub(crate) async fn number(&self, path: &str) -> Result<u64, Error> {
        self.find(path).await?.map(|(number, _)| number).ok_or_else(|| Error::NotFound(path.into()))
    }

    /// Returns the entries of a directory in the order of readdir.
    pub(crate) async fn list(&self, path: &str) -> Result<Vec<DirectoryEntry>, Error> {
        let (handle, _) = self.open_directory(self.number(path).await?).await?;
        let mut listed: Vec<DirectoryEntry> = Vec::new();
        loop {
            let from = listed.last().map_or(0, |last| last.next_offset);
            let (more, _) = self.read_directory(handle, from).await?;
            if more.is_empty() {
                break;
            }
            listed.extend(more);
        }
        self.release_directory(handle);
        Ok(listed)
    }

    /// Returns the names in a directory, with a slash after the names of directories.
    pub(crate) async fn names(&self, path: &str) -> Result<Vec<String>, Error> {
        let name = |listed: DirectoryEntry| {
            let slash = if listed.entry.is_directory() { "/" } else { "" };
            format!("{}{slash}", listed.name)
        };
        Ok(self.list(path).await?.into_iter().map(name).collect())
    }

    /// Returns the number of bytes that the cache counts against its limit.
    pub(crate) fn cached_bytes(&self) -> u64 {
        self.statistic("cache.bytes")
    }

    /// Returns the number of bytes that names take.
    pub(crate) fn name_bytes(&self) -> u64 {
        self.statistic("names.bytes")
    }

    /// Returns the number of bytes of objects that reached the cache. Of a hedged GET only one
    /// answer does.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.statistic("s3.bytes")
    }

    fn statistic(&self, name: &str) -> u64 {
        let statistics = self.xattr(ROOT, OsStr::new("user.granulefs.statistics")).unwrap();
        let mut lines = statistics.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(known, _)| *known == name).unwrap().1.parse().unwrap()
    }

    /// Reads a file from its start to its end, `step` bytes at a time.
    pub(crate) async fn read_in_steps(&self, path: &str, step: u32) -> Result<Vec<u8>, Error> {
        let number = self.number(path).await?;
        let handle = self.open(number).await?.handle;
        let mut bytes = Vec::new();
        loop {
            let pieces = self.read(handle, bytes.len() as u64, step).await?;
            if pieces.is_empty() {
                break;
            }
            bytes.extend(pieces.iter().flatten());
        }
        self.release(handle);
        Ok(bytes)
    }

    pub(crate) async fn bytes(&self, path: &str) -> Result<Vec<u8>, Error> {
        self.read_in_steps(path, 128 * 1024).await
    }
}
