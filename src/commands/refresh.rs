//! `granulefs refresh`

use std::path::Path;

use rustix::io::Errno;

use crate::error::Error;
use crate::fuse::REFRESH;

/// Makes the mount at `mountpoint` forget what it knows of the names at and below `path`, relative
/// to it or absolute; of all names without one. Where `path` is not there (yet), the closest
/// directory above it that is there stands in.
///
/// # Errors
/// [`Error::Usage`] when there is no mount of granulefs, [`Error::Mount`] when it does not answer.
pub fn run(mountpoint: &Path, path: Option<&Path>) -> Result<(), Error> {
    let mut place = path.map_or_else(|| mountpoint.to_owned(), |path| mountpoint.join(path));
    loop {
        match rustix::fs::getxattr(&place, REFRESH, &mut [0; 0]) {
            Ok(_) => return Ok(()),
            Err(Errno::NOENT | Errno::NOTDIR) if place != mountpoint && place.pop() => {}
            Err(Errno::NODATA | Errno::NOTSUP) => {
                return Err(Error::usage(format!(
                    "{} is not in a granulefs mount",
                    place.display()
                )));
            }
            Err(e @ (Errno::NOENT | Errno::NOTDIR)) => {
                return Err(Error::usage(format!("{}: {e}", place.display())));
            }
            Err(e) => return Err(Error::mount(format!("cannot refresh {}: {e}", place.display()))),
        }
    }
}
