//! Mount points: claimed, found in the kernel's table, released.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;

use crate::error::Error;

/// What the kernel calls our mounts.
const FILESYSTEM_TYPE: &str = "fuse.granulefs";
const MOUNT_TABLE: &str = "/proc/self/mountinfo";
/// What FUSE servers need to hear of is megabytes; the kernel's default is 128 kB.
const READ_AHEAD_KB: &str = "1024";

/// A directory that granulefs may mount on, or has.
#[derive(Clone, Debug)]
pub struct Mountpoint {
    path: PathBuf,
}

impl Mountpoint {
    /// Makes `path` ready to be mounted on. What a killed granulefs left there is replaced.
    ///
    /// # Errors
    /// [`Error::Usage`] when `path` is not a directory, or is in use by a mount that lives.
    pub fn claim(path: &Path) -> Result<Self, Error> {
        let path = resolve(path).map_err(|e| {
            let advice =
                if e.kind() == ErrorKind::NotFound { "; create the directory first" } else { "" };
            Error::usage(format!("cannot mount on {}: {e}{advice}", path.display()))
        })?;
        let mounted = mounted_at(&path)?;
        // The kernel may still have the attributes of a dead mount, but it never keeps these
        // figures.
        let probed = rustix::fs::statfs(&path)
            .map_err(std::io::Error::from)
            .and_then(|_| std::fs::metadata(&path));
        match probed {
            Err(e) if e.raw_os_error() == Some(Errno::NOTCONN.raw_os_error()) => {
                if mounted.is_none_or(|mount| mount.kind != FILESYSTEM_TYPE) {
                    return Err(Error::usage(format!(
                        "{} holds another program's dead mount; unmount it first",
                        path.display()
                    )));
                }
                tracing::info!(path = %path.display(), "replacing what a killed granulefs left");
                Self { path: path.clone() }.detach()?;
                Self::claim(&path)
            }
            Err(e) => Err(Error::usage(format!("cannot mount on {}: {e}", path.display()))),
            Ok(_) if mounted.is_some_and(|mount| mount.kind == FILESYSTEM_TYPE) => {
                let path = path.display();
                Err(Error::usage(format!(
                    "{path} is a granulefs mount already; end it with: granulefs unmount {path}"
                )))
            }
            Ok(metadata) if !metadata.is_dir() => {
                Err(Error::usage(format!("cannot mount on {}: not a directory", path.display())))
            }
            Ok(_) => Ok(Self { path }),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the mount out of the tree at once; files that are open there stay open.
    ///
    /// # Errors
    /// [`Error::Mount`] when neither the kernel nor fusermount3 will.
    pub fn detach(&self) -> Result<(), Error> {
        let failed = |e: &dyn std::fmt::Display| {
            Error::mount(format!("cannot unmount {}: {e}", self.path.display()))
        };
        match rustix::mount::unmount(&self.path, UnmountFlags::DETACH) {
            Ok(()) => Ok(()),
            Err(Errno::PERM) => {
                let output =
                    Command::new("fusermount3").args(["-uz", "--"]).arg(&self.path).output();
                let output = output
                    .map_err(|e| failed(&format!("fusermount3: {e}; install the package fuse3")))?;
                if output.status.success() {
                    Ok(())
                } else {
                    Err(failed(&String::from_utf8_lossy(&output.stderr).trim()))
                }
            }
            Err(e) => Err(failed(&e)),
        }
    }

    /// The kernel's number of the mount here, `major:minor`.
    pub(super) fn device(&self) -> Result<Option<String>, Error> {
        Ok(mounted_at(&self.path)?.map(|mount| mount.device))
    }
}

/// Ends the granulefs mount at `path`, also while files are open there.
///
/// # Errors
/// [`Error::Usage`] when there is none, [`Error::Mount`] when this user may not end it.
pub fn unmount(path: &Path) -> Result<(), Error> {
    let path = resolve(path)
        .map_err(|e| Error::usage(format!("cannot unmount {}: {e}", path.display())))?;
    if mounted_at(&path)?.is_none_or(|mount| mount.kind != FILESYSTEM_TYPE) {
        return Err(Error::usage(format!("{} is not a granulefs mount", path.display())));
    }
    Mountpoint { path }.detach()
}

/// Lets the kernel read ahead of a stream in large requests. Needs root, and does without.
pub(super) fn widen_read_ahead(device: &str) {
    if let Err(error) =
        std::fs::write(format!("/sys/class/bdi/{device}/read_ahead_kb"), READ_AHEAD_KB)
    {
        tracing::debug!(%error, "the kernel's read-ahead stays as it is");
    }
}

/// Blocks until the mount `device` is nowhere in the tree any more.
pub(super) fn wait_until_gone(device: &str) -> Result<(), Error> {
    let failed = |e: std::io::Error| Error::store(format!("cannot watch {MOUNT_TABLE}: {e}"));
    let table = File::open(MOUNT_TABLE).map_err(failed)?;
    while mount_table()?.iter().any(|mount| mount.device == device) {
        // The kernel raises a priority event on this file whenever the table changes.
        match poll(&mut [PollFd::new(&table, PollFlags::PRI)], None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(failed(e.into())),
        }
    }
    Ok(())
}

struct Mount {
    device: String,
    path: PathBuf,
    kind: String,
}

/// The topmost mount at `path`.
fn mounted_at(path: &Path) -> Result<Option<Mount>, Error> {
    Ok(mount_table()?.into_iter().rfind(|mount| mount.path == path))
}

fn mount_table() -> Result<Vec<Mount>, Error> {
    let table = std::fs::read(MOUNT_TABLE)
        .map_err(|e| Error::store(format!("cannot read {MOUNT_TABLE}: {e}")))?;
    Ok(table.split(|byte| *byte == b'\n').filter_map(parse_mount).collect())
}

/// Reads a line of proc(5)'s mountinfo: `id parent major:minor root path options [tags] - type
/// source options`.
fn parse_mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let device = String::from_utf8(fields.nth(2)?.to_vec()).ok()?;
    let path = unescape(fields.nth(1)?);
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    Some(Mount {
        device,
        path: PathBuf::from(std::ffi::OsString::from_vec(path)),
        kind: String::from_utf8(kind.to_vec()).ok()?,
    })
}

/// Undoes the kernel's `\ooo` for space, tab, newline and backslash.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = (byte == b'\\')
            .then(|| after.get(..3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(value) => {
                bytes.push(value);
                rest = &after[3..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    bytes
}

/// The path without links and dots. Its last part may be a dead mount, which nothing can look into.
fn resolve(path: &Path) -> std::io::Result<PathBuf> {
    let error = match path.canonicalize() {
        Ok(path) => return Ok(path),
        Err(error) => error,
    };
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name))
            if error.raw_os_error() == Some(Errno::NOTCONN.raw_os_error()) =>
        {
            let parent =
                if parent.as_os_str().as_bytes().is_empty() { Path::new(".") } else { parent };
            Ok(parent.canonicalize()?.join(name))
        }
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_table_is_read_with_its_escapes() {
        let line = br"36 35 0:52 / /mnt/a\040b\134c rw,nosuid shared:1 master:2 - fuse.granulefs s3://b/p rw,user_id=0";
        let mount = parse_mount(line).unwrap();
        assert_eq!(mount.path, Path::new(r"/mnt/a b\c"));
        assert_eq!((mount.device.as_str(), mount.kind.as_str()), ("0:52", FILESYSTEM_TYPE));
        assert!(parse_mount(b"").is_none());
    }

    #[test]
    fn this_machine_has_a_root() {
        assert!(mounted_at(Path::new("/")).unwrap().is_some());
    }
}
