//! Five buckets of three data centers on one mount.

use std::fs;
use std::path::Path;

use fake_daac::Setup;

use super::{Mount, Site};

/// In the order in which a mount shows them.
pub(crate) const BUCKETS: [&str; 5] = [
    "asf-local-browse",
    "asf-local-products",
    "nsidc-local-protected",
    "podaac-local-protected",
    "podaac-local-public",
];

/// The data centers with an endpoint each.
const DAACS: [&str; 3] = ["PODAAC", "NSIDC", "ASF"];

impl Site {
    /// An archive that plays three data centers, with the same few files in each of their buckets.
    pub(crate) fn of_several() -> Option<Self> {
        let site = Self::of(Setup::three_daacs())?;
        for bucket in BUCKETS {
            for key in ["a/x.nc", "a/y.nc", "b/z.nc"] {
                site.archive.put(bucket, key, format!("{bucket} {key}").into_bytes());
            }
        }
        Some(site)
    }

    /// How often each data center has handed out credentials.
    pub(crate) fn issued(&self) -> [u64; 3] {
        DAACS.map(|daac| self.archive.daac_stats(daac).issued)
    }
}

impl Mount {
    /// Reads a file of a bucket of [`Site::of_several`].
    #[track_caller]
    pub(crate) fn must_read(&self, bucket: &str) {
        let path = self.at(bucket).join("a/x.nc");
        assert_eq!(
            fs::read_to_string(&path).unwrap_or_else(|e| panic!("{bucket}: {e}")),
            format!("{bucket} a/x.nc")
        );
    }

    /// The lines of the log that hold `words`.
    pub(crate) fn logged(&self, words: &str) -> Vec<String> {
        self.log().lines().filter(|line| line.contains(words)).map(str::to_owned).collect()
    }
}

/// The names in a directory, in the order in which they come.
///
/// # Panics
/// When it cannot be read.
#[track_caller]
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
