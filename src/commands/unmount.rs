//! `granulefs unmount`

use std::path::Path;

use crate::error::Error;
use crate::fuse;

/// Ends the mount at `mountpoint`.
///
/// # Errors
/// [`Error::Usage`] when there is none, or it may not be ended by this user.
pub fn run(mountpoint: &Path) -> Result<(), Error> {
    fuse::unmount(mountpoint)
}
