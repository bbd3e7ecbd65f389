//! The options of `-o`, as mount(8) passes them.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// Options of mount(8) and fstab(5) that change nothing here: the mount is read-only, nosuid and
/// nodev in any case.
const IGNORED: [&str; 22] = [
    "ro",
    "rw",
    "defaults",
    "auto",
    "noauto",
    "user",
    "nouser",
    "users",
    "_netdev",
    "nofail",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "exec",
    "async",
    "sync",
    "atime",
    "noatime",
    "relatime",
    "norelatime",
    "default_permissions",
];

/// Writes `-o name=value` as `--name=value`, and `mount.granulefs SOURCE MOUNTPOINT`, as mount(8)
/// calls its helper, as `granulefs mount SOURCE MOUNTPOINT`.
pub(super) fn expanded(given: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut given = given.into_iter();
    let program = given.next().unwrap_or_else(|| "granulefs".into());
    let is_helper = Path::new(&program)
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"mount."));
    let mut arguments = vec![program];
    if is_helper {
        arguments.push("mount".into());
    }
    while let Some(argument) = given.next() {
        match argument.to_str() {
            Some("-o") => match given.next() {
                Some(options) => expand(&options, &mut arguments),
                None => arguments.push(argument),
            },
            // mount(8) passes "do not write /etc/mtab" and "tolerate unknown options" like this.
            Some("-n" | "-s") if is_helper => {}
            Some(text) if text.starts_with("-o") => expand(OsStr::new(&text[2..]), &mut arguments),
            _ => arguments.push(argument),
        }
    }
    arguments
}

fn expand(options: &OsStr, arguments: &mut Vec<OsString>) {
    for option in options.to_string_lossy().split(',').filter(|option| !option.is_empty()) {
        if IGNORED.contains(&option) || option.starts_with("x-") {
            continue;
        }
        let (name, value) =
            option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
        let name = name.replace('_', "-");
        arguments.push(
            value.map_or_else(|| format!("--{name}"), |value| format!("--{name}={value}")).into(),
        );
    }
}
