//! Whether this machine lets this user mount.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::report::Report;
use crate::error::Error;

pub(super) fn look(report: &mut Report) -> Result<(), Error> {
    let is_root = rustix::process::geteuid().is_root();
    look_at_device(Path::new("/dev/fuse"), report)?;
    look_at_helper(is_root, report)?;
    if !is_root {
        look_at_configuration(
            &std::fs::read_to_string("/etc/fuse.conf").unwrap_or_default(),
            report,
        )?;
    }
    Ok(())
}

fn look_at_device(device: &Path, report: &mut Report) -> Result<(), Error> {
    let name = device.display();
    match File::options().read(true).write(true).open(device) {
        Ok(_) => report.ok("fuse", &format!("{name} can be opened")),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let advice = "modprobe fuse; a container needs --device /dev/fuse, or the mount made on the host";
            report.failed("fuse", &format!("there is no {name}: {advice}"))
        }
        Err(e) => report.failed(
            "fuse",
            &format!("{name} cannot be opened: {e}; may this user read and write it?"),
        ),
    }
}

/// Who is not root mounts with a program that is.
fn look_at_helper(is_root: bool, report: &mut Report) -> Result<(), Error> {
    let found = std::env::var_os("PATH").and_then(|path| in_path(&path, "fusermount3"));
    match found {
        Some(path) => report.ok("fusermount3", &path.display().to_string()),
        None if is_root => {
            report.note("fusermount3", "it is not installed; root mounts without it")
        }
        None => report.failed("fusermount3", "it is not installed; install the package fuse3"),
    }
}

fn in_path(path: &std::ffi::OsStr, program: &str) -> Option<PathBuf> {
    std::env::split_paths(path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn look_at_configuration(text: &str, report: &mut Report) -> Result<(), Error> {
    match allows_others(text) {
        true => report.ok("allow-other", "/etc/fuse.conf says user_allow_other"),
        false => {
            report.note("allow-other", "only you can use the mount; for --allow-other, /etc/fuse.conf must say user_allow_other")
        }
    }
}

fn allows_others(fuse_conf: &str) -> bool {
    fuse_conf
        .lines()
        .any(|line| line.split('#').next().unwrap_or_default().trim() == "user_allow_other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_in_a_comment_is_none() {
        assert!(allows_others("# The file\nuser_allow_other # yes\n"));
        assert!(!allows_others("#user_allow_other\nmount_max = 1000\n"));
    }

    #[test]
    fn a_program_is_found_in_one_of_the_folders() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tool"), "").unwrap();
        let path = std::env::join_paths([Path::new("/nowhere"), folder.path()]).unwrap();
        assert_eq!(in_path(&path, "tool"), Some(folder.path().join("tool")));
        assert_eq!(in_path(&path, "other"), None);
    }
}
