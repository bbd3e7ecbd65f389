//! A volume, walked by paths the way that the kernel walks it.

use std::ffi::OsStr;
use std::ops::Deref;

use granulefs::error::Error;
use granulefs::filesystem::{Attributes, DirectoryEntry, Filesystem};
use granulefs::inodes::ROOT;

#[derive(Debug)]
pub(crate) struct Tree {
    volume: Filesystem,
}

impl Deref for Tree {
    type Target = Filesystem;

    fn deref(&self) -> &Filesystem {
        &self.volume
    }
}

impl Tree {
    pub(crate) fn new(volume: Filesystem) -> Self {
        Self { volume }
    }

    /// Looks up one component after the other. The empty path is the root.
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

    /// The number of what is there.
    pub(crate) async fn number(&self, path: &str) -> Result<u64, Error> {
        self.find(path).await?.map(|(number, _)| number).ok_or_else(|| Error::NotFound(path.into()))
    }

    /// The names of a directory in the order in which they come, with what they are.
    pub(crate) async fn list(&self, path: &str) -> Result<Vec<DirectoryEntry>, Error> {
        let (handle, _) = self.open_directory(self.number(path).await?)?;
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

    /// The names of a directory, those of directories with a slash behind them.
    pub(crate) async fn names(&self, path: &str) -> Result<Vec<String>, Error> {
        let name = |listed: DirectoryEntry| {
            let slash = if listed.entry.is_directory() { "/" } else { "" };
            format!("{}{slash}", listed.name)
        };
        Ok(self.list(path).await?.into_iter().map(name).collect())
    }

    /// Bytes that the cache's budget counts.
    pub(crate) fn held(&self) -> u64 {
        let statistics = self.xattr(ROOT, OsStr::new("user.granulefs.statistics")).unwrap();
        let line = statistics.lines().find_map(|line| line.strip_prefix("cache.bytes ")).unwrap();
        line.parse().unwrap()
    }

    /// The bytes of a file, read in pieces of `step` bytes, from its start to its end.
    pub(crate) async fn read_in_steps(&self, path: &str, step: u32) -> Result<Vec<u8>, Error> {
        let number = self.number(path).await?;
        let handle = self.open(number)?;
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
