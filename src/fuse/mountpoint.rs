//! Mount points: checked before a mount, and unmounted.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;

use super::mount_table::{Mount, MountTable};
use crate::error::{Error, Problem};

/// A mount takes milliseconds. Whoever holds the lock for so long is no granulefs that mounts.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);
/// How often the lock is tried.
const LOCK_INTERVAL: Duration = Duration::from_millis(10);

/// A directory that granulefs may mount on, or has mounted on.
#[derive(Clone, Debug)]
pub struct Mountpoint {
    path: PathBuf,
}

impl Mountpoint {
    /// Makes `path` ready to be mounted on. What a killed granulefs left there is unmounted.
    ///
    /// # Errors
    /// [`Error::Usage`] when `path` is not a directory, or is in use by a mount that lives.
    pub fn claim(path: &Path) -> Result<Self, Error> {
        let path = resolve(path).map_err(|e| {
            let words = match e.kind() {
                ErrorKind::NotFound => "cannot mount here; create the directory first",
                _ => "cannot mount here",
            };
            Error::usage(Problem::new(words).about(path.display()).caused_by(e))
        })?;
        let mounted = mount_at(&path)?.filter(Mount::is_granulefs);
        let is_granulefs = mounted.is_some();
        // The kernel may still have the attributes of a dead mount in its cache, but it always asks
        // the server for the figures of statfs(2).
        let probed = rustix::fs::statfs(&path)
            .map_err(std::io::Error::from)
            .and_then(|_| std::fs::metadata(&path));
        match probed {
            Err(e) if is_dead(&e) && is_granulefs => {
                tracing::info!(path = %path.display(), "replacing what a killed granulefs left");
                // Another granulefs may have replaced it in the meantime.
                let dead = Self { path };
                dead.detach_device(mounted.map(|mount| mount.device).as_deref())?;
                Self::claim(&dead.path)
            }
            Err(e) if is_dead(&e) => Err(Error::usage(
                Problem::new("another program's dead mount is here; unmount it first")
                    .about(path.display()),
            )),
            // Another user's mount may be closed to this one.
            _ if is_granulefs => {
                let path = path.display();
                Err(Error::usage(format!(
                    "{path} is a granulefs mount already; end it with: granulefs unmount {path}"
                )))
            }
            Err(e) => Err(Error::usage(
                Problem::new("cannot mount here").about(path.display()).caused_by(e),
            )),
            Ok(metadata) if !metadata.is_dir() => Err(Error::usage(
                Problem::new("cannot mount here; it is not a directory").about(path.display()),
            )),
            Ok(_) => Ok(Self { path }),
        }
    }

    /// Returns its path, absolute and without links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Unmounts at once; files that are open there stay open.
    ///
    /// # Errors
    /// [`Error::Mount`] when neither the kernel nor fusermount3 will.
    pub fn detach(&self) -> Result<(), Error> {
        let problem = |words: String| Problem::new(words).about(self.path.display());
        match rustix::mount::unmount(&self.path, UnmountFlags::DETACH) {
            Ok(()) => Ok(()),
            // An ordinary user unmounts with a program that is set-user-ID root.
            Err(Errno::PERM) => {
                let output =
                    Command::new("fusermount3").args(["-uz", "--"]).arg(&self.path).output();
                let output = output.map_err(|e| {
                    let words = "cannot unmount without fusermount3; install the package fuse3";
                    Error::mount(problem(words.into()).caused_by(e))
                })?;
                if output.status.success() {
                    return Ok(());
                }
                let said = String::from_utf8_lossy(&output.stderr);
                Err(Error::mount(problem(format!("cannot unmount: {}", said.trim()))))
            }
            Err(e) => Err(Error::mount(problem("cannot unmount".into()).caused_by(e))),
        }
    }

    /// Unmounts `device`, if it is still there: somebody else may have unmounted it, and mounted
    /// something else since.
    ///
    /// # Errors
    /// Those of [`Self::detach`].
    pub(super) fn detach_device(&self, device: Option<&str>) -> Result<(), Error> {
        let is_there = || Ok::<_, Error>(device.is_some() && self.device()?.as_deref() == device);
        if !is_there()? {
            return Ok(());
        }
        match self.detach() {
            Err(error) if is_there()? => Err(error),
            _ => Ok(()),
        }
    }

    /// Returns whether files are there, which a mount hides. What cannot be read counts as empty.
    #[must_use]
    pub fn has_files(&self) -> bool {
        self.path.read_dir().is_ok_and(|mut entries| entries.next().is_some())
    }

    /// Keeps other processes of granulefs from mounting here until the file is closed. They may be
    /// ahead: this waits for them, and [`Self::claim`] then finds their mount.
    ///
    /// Where the directory cannot be locked, or somebody holds its lock for good, there is no lock:
    /// that is not worth a refusal.
    pub(super) fn lock(&self) -> Option<File> {
        let directory = File::open(&self.path).ok()?;
        let deadline = Instant::now() + LOCK_TIMEOUT;
        loop {
            match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Some(directory),
                Err(Errno::WOULDBLOCK) if Instant::now() < deadline => {
                    std::thread::sleep(LOCK_INTERVAL);
                }
                Err(_) => return None,
            }
        }
    }

    /// Returns the inode number of the directory that it lies in.
    pub(super) fn above(&self) -> std::io::Result<u64> {
        Ok(std::fs::metadata(self.path.join(".."))?.ino())
    }

    /// Returns the device number of the topmost mount here, `major:minor`.
    pub(super) fn device(&self) -> Result<Option<String>, Error> {
        Ok(mount_at(&self.path)?.map(|mount| mount.device))
    }
}

/// Unmounts the granulefs mount at `path`, also while files are open there.
///
/// # Errors
/// [`Error::Usage`] when there is none, [`Error::Mount`] when this user may not unmount it.
pub fn unmount(path: &Path) -> Result<(), Error> {
    let path = resolve(path).map_err(|e| {
        Error::usage(Problem::new("cannot unmount").about(path.display()).caused_by(e))
    })?;
    if !mount_at(&path)?.is_some_and(|mount| mount.is_granulefs()) {
        return Err(Error::usage(Problem::new("not a granulefs mount").about(path.display())));
    }
    Mountpoint { path }.detach()
}

/// A granulefs mount, found by a path in it.
#[derive(Clone, Debug)]
pub struct MountAround {
    /// Its mount point, absolute and without links.
    pub mountpoint: PathBuf,
    /// Whether the path is the mount point itself.
    pub is_mountpoint: bool,
}

impl MountAround {
    /// Finds the granulefs mount that `path` is in. Nothing inside of it is looked at, since that
    /// may wait for long, or be dead.
    #[must_use]
    pub fn find(path: &Path) -> Option<Self> {
        let path = std::path::absolute(path).ok()?;
        let ancestors: Vec<_> = path.ancestors().collect();
        ancestors.into_iter().rev().find_map(|ancestor| {
            let mountpoint = resolve(ancestor).ok()?;
            let mount = mount_at(&mountpoint).ok()??;
            mount.is_granulefs().then(|| Self::at(mountpoint, path.strip_prefix(ancestor).ok()?))?
        })
    }

    /// The mount at `mountpoint`, or the one around it when `below` leads out of it again. No link
    /// is below.
    fn at(mountpoint: PathBuf, below: &Path) -> Option<Self> {
        let mut depth = 0_usize;
        let mut parts = below.components();
        while let Some(part) = parts.next() {
            depth = match (part, depth.checked_sub(1)) {
                (Component::ParentDir, None) => {
                    return Self::find(&mountpoint.parent()?.join(parts.as_path()));
                }
                (Component::ParentDir, Some(above)) => above,
                _ => depth + 1,
            };
        }
        Some(Self { mountpoint, is_mountpoint: depth == 0 })
    }
}

fn mount_at(path: &Path) -> Result<Option<Mount>, Error> {
    Ok(MountTable::read()?.topmost_at(path))
}

/// Whether the error says that nobody serves the mount at a path.
fn is_dead(error: &std::io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::NOTCONN)
}

/// Returns the path without links and dots. Its last part may be, or lead to, a dead mount,
/// which cannot be looked into.
fn resolve(path: &Path) -> std::io::Result<PathBuf> {
    let error = match path.canonicalize() {
        Ok(path) => return Ok(path),
        Err(error) => error,
    };
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if is_dead(&error) => {
            let parent =
                if parent.as_os_str().as_bytes().is_empty() { Path::new(".") } else { parent };
            match path.read_link() {
                Ok(target) => resolve(&parent.join(target)),
                Err(_) => Ok(parent.canonicalize()?.join(name)),
            }
        }
        _ => Err(error),
    }
}
