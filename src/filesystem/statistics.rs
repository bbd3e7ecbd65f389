//! What a mount has done and what it holds, in numbers.

use super::Filesystem;
use crate::governor::Totals;

impl Filesystem {
    /// Returns one line `name value` for each number.
    pub(super) fn statistics(&self) -> String {
        let escaped = self.trees.metadata_cache().escaped();
        let lines = [
            ("s3.list", self.trees.sum(|requests| &requests.list)),
            ("s3.head", self.trees.sum(|requests| &requests.head)),
            ("s3.get", self.trees.sum(|requests| &requests.get)),
            ("s3.bytes", self.trees.sum(|requests| &requests.bytes)),
            ("cache.bytes", self.reader.cache().held() as u64),
            ("names.bytes", self.trees.metadata_cache().bytes() as u64),
            ("inodes", self.inodes.count() as u64),
            ("names.shadowed", escaped.shadowed as u64),
            ("names.unshowable", escaped.unshowable as u64),
        ];
        let guesses = self.reader.guesses().into_iter().flat_map(|(kind, totals)| {
            let Totals { granted, read, wasted } = totals;
            [("granted", granted), ("read", read), ("wasted", wasted)]
                .map(|(what, bytes)| format!("guess.{}.{what} {bytes}\n", kind.name()))
        });
        lines.iter().map(|(name, value)| format!("{name} {value}\n")).chain(guesses).collect()
    }
}
