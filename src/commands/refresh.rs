//! `granulefs refresh`

use std::path::Path;

use rustix::io::Errno;

use crate::error::{Error, Problem};
use crate::fuse::REFRESH;

/// Makes the mount at `mountpoint` forget the names at and below `path`, which is absolute or
/// relative to the mount point; without a path, all names. Where there is nothing at `path` (yet),
/// the closest directory above it is refreshed instead.
///
/// # Errors
/// [`Error::Usage`] when there is no mount of granulefs, [`Error::Mount`] when it does not answer.
pub fn run(mountpoint: &Path, path: Option<&Path>) -> Result<(), Error> {
    let mut target = path.map_or_else(|| mountpoint.to_owned(), |path| mountpoint.join(path));
    loop {
        match rustix::fs::getxattr(&target, REFRESH, &mut [0; 0]) {
            Ok(_) => return Ok(()),
            // While the login is refused, no name below the mount point can be looked up.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS)
                if target != mountpoint && target.pop() => {}
            Err(Errno::NODATA | Errno::NOTSUP) => {
                return Err(Error::usage(format!(
                    "{} is not in a granulefs mount",
                    target.display()
                )));
            }
            Err(e @ (Errno::NOENT | Errno::NOTDIR)) => {
                return Err(Error::usage(problem(&target, e)));
            }
            Err(e) => return Err(Error::mount(problem(&target, e))),
        }
    }
}

fn problem(target: &Path, cause: Errno) -> Problem {
    Problem::new("cannot refresh the names here").about(target.display()).caused_by(cause)
}
