//! `granulefs unmount`

use std::path::Path;

use crate::error::Error;
use crate::fuse;

/// Ends the mount at `mountpoint`.
///
/// # Errors
/// [`Error::Usage`] when there is none, [`Error::Mount`] when this user may not end it.
pub fn run(mountpoint: &Path) -> Result<(), Error> {
    fuse::unmount(mountpoint)
}
