//! Whether this machine lets this user mount.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::report::Report;
use crate::error::Error;

pub(super) fn check(report: &mut Report) -> Result<(), Error> {
    let is_root = rustix::process::geteuid().is_root();
    check_device(Path::new("/dev/fuse"), report)?;
    check_helper(is_root, report)?;
    if !is_root {
        check_configuration(
            &std::fs::read_to_string("/etc/fuse.conf").unwrap_or_default(),
            report,
        )?;
    }
    Ok(())
}

fn check_device(device: &Path, report: &mut Report) -> Result<(), Error> {
    let name = device.display();
    match File::options().read(true).write(true).open(device) {
        Ok(_) => report.ok("fuse", &format!("{name} can be opened")),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let advice = "modprobe fuse; a container needs --device /dev/fuse, or the mount made \
                          on the host";
            report.failed("fuse", &format!("there is no {name}: {advice}"))
        }
        Err(e) => report.failed(
            "fuse",
            &format!("{name} cannot be opened: {e}; may this user read and write it?"),
        ),
    }
}

/// A user who is not root mounts by a program that root owns.
fn check_helper(is_root: bool, report: &mut Report) -> Result<(), Error> {
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
    std::env::split_paths(path).map(|directory| directory.join(program)).find(|file| file.is_file())
}

fn check_configuration(text: &str, report: &mut Report) -> Result<(), Error> {
    match allows_others(text) {
        true => report.ok("allow-other", "/etc/fuse.conf says user_allow_other"),
        false => {
            let text = "only you can use the mount; for --allow-other, /etc/fuse.conf must say \
                        user_allow_other";
            report.note("allow-other", text)
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
    fn a_commented_out_setting_does_not_count() {
        assert!(allows_others("# The file\nuser_allow_other # yes\n"));
        assert!(!allows_others("#user_allow_other\nmount_max = 1000\n"));
    }

    #[test]
    fn a_program_is_found_in_one_of_the_directories() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("tool"), "").unwrap();
        let path = std::env::join_paths([Path::new("/nowhere"), directory.path()]).unwrap();
        assert_eq!(in_path(&path, "tool"), Some(directory.path().join("tool")));
        assert_eq!(in_path(&path, "other"), None);
    }
}
