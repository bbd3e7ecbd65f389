//! A test environment with five buckets of three DAACs.

use std::fs;
use std::path::Path;

use fake_daac::Setup;

use super::{Mount, TestEnvironment};

/// The buckets in the order in which a mount shows them.
pub(crate) const BUCKETS: [&str; 5] = [
    "asf-local-browse",
    "asf-local-products",
    "nsidc-local-protected",
    "podaac-local-protected",
    "podaac-local-public",
];

/// The DAACs, each with an endpoint of its own.
const DAACS: [&str; 3] = ["PODAAC", "NSIDC", "ASF"];

impl TestEnvironment {
    /// Starts three DAACs with the same three files in each of their buckets.
    pub(crate) fn with_three_daacs() -> Option<Self> {
        let environment = Self::with_setup(Setup::three_daacs())?;
        for bucket in BUCKETS {
            for key in ["a/x.nc", "a/y.nc", "b/z.nc"] {
                environment.fake_daac.put(bucket, key, format!("{bucket} {key}").into_bytes());
            }
        }
        Some(environment)
    }

    /// Returns how many credentials each DAAC has issued.
    pub(crate) fn issued(&self) -> [u64; 3] {
        DAACS.map(|daac| self.fake_daac.daac_stats(daac).issued)
    }
}

impl Mount {
    /// Reads a file of a bucket of [`TestEnvironment::with_three_daacs`] and checks its content.
    #[track_caller]
    pub(crate) fn must_read_file_of(&self, bucket: &str) {
        let path = self.at(bucket).join("a/x.nc");
        assert_eq!(
            fs::read_to_string(&path).unwrap_or_else(|e| panic!("{bucket}: {e}")),
            format!("{bucket} a/x.nc")
        );
    }

    /// Returns the lines of the log that contain `words`.
    pub(crate) fn log_lines_with(&self, words: &str) -> Vec<String> {
        self.log().lines().filter(|line| line.contains(words)).map(str::to_owned).collect()
    }
}

/// Returns the names in a directory, in the order of readdir.
///
/// # Panics
/// When the directory cannot be read.
#[track_caller]
pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
