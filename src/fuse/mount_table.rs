//! The kernel's table of mounts, `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
//!
//! The table is read by hand. The crate `procfs` (0.18) leaves the escapes of paths as they are,
//! so the larger half of this code would stay, and it gives up on the whole table when one line is
//! not UTF-8 or not as expected. The table has the mounts of all programs; a strange one must not
//! keep granulefs from mounting.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::error::{Error, Problem};

const MOUNT_TABLE: &str = "/proc/self/mountinfo";
/// The type that the kernel shows for mounts of granulefs.
const GRANULEFS: &str = "fuse.granulefs";

/// The mounts that this process sees, in the kernel's order: of two at one path, the later line is
/// on top.
#[derive(Debug)]
pub(super) struct MountTable {
    mounts: Vec<Mount>,
}

/// One line of the table.
#[derive(Debug)]
pub(super) struct Mount {
    /// The device number of its files, `major:minor`. Each FUSE filesystem has one of its own,
    /// which its bind mounts share.
    pub(super) device: String,
    path: PathBuf,
    filesystem_type: String,
}

impl MountTable {
    /// Reads the table as it is now.
    ///
    /// # Errors
    /// [`Error::Store`] when it cannot be read.
    pub(super) fn read() -> Result<Self, Error> {
        let text =
            std::fs::read(MOUNT_TABLE).map_err(|e| failed("cannot read the table of mounts", e))?;
        Ok(Self::parse(&text))
    }

    /// Parses the table, and leaves out the lines that are not as documented.
    fn parse(text: &[u8]) -> Self {
        Self { mounts: text.split(|byte| *byte == b'\n').filter_map(Mount::parse).collect() }
    }

    /// Returns the topmost mount at `path`.
    pub(super) fn topmost_at(self, path: &Path) -> Option<Mount> {
        self.mounts.into_iter().rfind(|mount| mount.path == path)
    }

    fn has_device(&self, device: &str) -> bool {
        self.mounts.iter().any(|mount| mount.device == device)
    }
}

/// Blocks until no mount in the table has the number `device`.
///
/// # Errors
/// [`Error::Store`] when the table cannot be read or watched.
pub(super) fn wait_until_gone(device: &str) -> Result<(), Error> {
    let failed = |e: std::io::Error| failed("cannot watch the table of mounts", e);
    // Opened before the table is read, so that no change is missed in between.
    let watched = File::open(MOUNT_TABLE).map_err(failed)?;
    while MountTable::read()?.has_device(device) {
        // The kernel raises a priority event on this file whenever the table changes.
        match poll(&mut [PollFd::new(&watched, PollFlags::PRI)], None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(failed(e.into())),
        }
    }
    Ok(())
}

fn failed(words: &'static str, cause: std::io::Error) -> Error {
    Error::store(Problem::new(words).about(MOUNT_TABLE).caused_by(cause))
}

impl Mount {
    /// Parses a line `id parent major:minor root path options [tags] - type source options`.
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b' ');
        let device = String::from_utf8(fields.nth(2)?.to_vec()).ok()?;
        let path = PathBuf::from(OsString::from_vec(unescape(fields.nth(1)?)));
        let filesystem_type = fields.skip_while(|field| *field != b"-").nth(1)?;
        let filesystem_type = String::from_utf8(filesystem_type.to_vec()).ok()?;
        Some(Self { device, path, filesystem_type })
    }

    /// Whether granulefs serves it, or has served it.
    pub(super) fn is_granulefs(&self) -> bool {
        self.filesystem_type == GRANULEFS
    }
}

/// Undoes the kernel's `\ooo` for space, tab, newline and backslash.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = (byte == b'\\')
            .then(|| after.get(..3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match octal {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_table_is_read_with_its_escapes() {
        let line = b"36 35 0:52 / /mnt/a\\040b\\134c rw,nosuid shared:1 master:2 - \
            fuse.granulefs s3://b/p rw,user_id=0";
        let mount = Mount::parse(line).unwrap();
        assert_eq!(mount.path, Path::new(r"/mnt/a b\c"));
        assert_eq!((mount.device.as_str(), mount.is_granulefs()), ("0:52", true));
        assert!(Mount::parse(b"").is_none());
    }

    /// Other programs' mounts may have any bytes in their paths, and fields may be added.
    #[test]
    fn the_topmost_mount_is_found_between_strange_lines() {
        let text: &[u8] = b"21 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            35 21 0:51 / /mnt rw shared:7 - tmpfs tmpfs rw\n\
            no mount at all\n\
            40 21 0:60 / /mnt/\xff rw new:1 - nfs4 server:/ rw,soft more\n\
            36 35 0:52 / /mnt rw - fuse.granulefs s3://b rw\n";
        let topmost = |path: &str| MountTable::parse(text).topmost_at(Path::new(path));
        assert_eq!(topmost("/mnt").map(|mount| mount.device).as_deref(), Some("0:52"));
        assert!(topmost("/").is_some_and(|mount| !mount.is_granulefs()));
        assert!(topmost("/mnt/b").is_none());
        assert!(MountTable::parse(text).has_device("0:60"));
        assert!(!MountTable::parse(text).has_device("0:6"));
    }

    /// Nothing is said about its lines: in a chroot, the table need not have "/".
    #[test]
    fn the_table_of_this_machine_can_be_read() {
        MountTable::read().unwrap();
    }
}
