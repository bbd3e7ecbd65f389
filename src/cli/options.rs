//! The options of `-o`, as mount(8) passes them.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// Options of mount(8), fstab(5) and libfuse that change nothing here: the mount is read-only,
/// nosuid, nodev and noatime in any case, and granulefs unmounts by itself when it ends.
const IGNORED: [&str; 41] = [
    "ro",
    "defaults",
    "auto",
    "noauto",
    "user",
    "nouser",
    "users",
    "owner",
    "noowner",
    "group",
    "nogroup",
    "_netdev",
    "nofail",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "exec",
    "async",
    "sync",
    "dirsync",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
    "lazytime",
    "nolazytime",
    "iversion",
    "noiversion",
    "mand",
    "nomand",
    "silent",
    "loud",
    "default_permissions",
    "auto_unmount",
    "intr",
    "nointr",
];
/// The beginnings of options that are notes for other programs.
const NOTES: [&str; 4] = ["x-", "X-", "comment=", "user="];
/// The security labels of all files, which the kernel takes.
const SECURITY_LABELS: [&str; 4] = ["context=", "fscontext=", "defcontext=", "rootcontext="];

/// Writes `-o name=value` as `--name=value`, and the calls of mount(8) as those of `granulefs
/// mount`: `mount.granulefs SOURCE MOUNTPOINT`, its helper, and what mount.fuse3(8) makes of the
/// type `fuse.granulefs`, `granulefs SOURCE MOUNTPOINT -o OPTIONS`.
///
/// # Errors
/// What is wrong with an option, for the user.
pub(super) fn expanded(
    given: impl IntoIterator<Item = OsString>,
    is_verb: impl Fn(&OsStr) -> bool,
) -> Result<Vec<OsString>, String> {
    let given: Vec<OsString> = given.into_iter().collect();
    let is_helper = given.first().map(Path::new).and_then(Path::file_name);
    let is_helper = is_helper.is_some_and(|name| name.as_encoded_bytes().starts_with(b"mount."));
    let is_by_type = match &given[..] {
        [_, source, _, flag, _] if !is_helper && flag == "-o" => {
            !is_verb(source) && !source.as_encoded_bytes().starts_with(b"-")
        }
        _ => false,
    };
    let is_by_mount = is_helper || is_by_type;
    let mut given = given.into_iter();
    let mut arguments = vec![given.next().unwrap_or_else(|| "granulefs".into())];
    if is_by_mount {
        arguments.push("mount".into());
    }
    while let Some(argument) = given.next() {
        match argument.to_str() {
            Some("-o") => match given.next() {
                Some(options) => expand(&options, is_by_mount, &mut arguments)?,
                None => arguments.push(argument),
            },
            // mount(8) passes "do not write /etc/mtab" and "tolerate unknown options" like this.
            Some("-n" | "-s") if is_helper => {}
            // "Do everything but mount".
            Some("-f") if is_helper => arguments.push("--fake".into()),
            Some("-t") if is_helper => drop(given.next()),
            Some(text) if text.starts_with("-o") => {
                expand(OsStr::new(&text[2..]), is_by_mount, &mut arguments)?;
            }
            _ => arguments.push(argument),
        }
    }
    Ok(arguments)
}

fn expand(options: &OsStr, is_by_mount: bool, arguments: &mut Vec<OsString>) -> Result<(), String> {
    let options = options.to_string_lossy();
    for option in split(&options) {
        let begins = |beginnings: &[&str]| beginnings.iter().any(|one| option.starts_with(one));
        match option {
            option if IGNORED.contains(&option) || begins(&NOTES) => continue,
            // mount(8) passes it when nobody has asked for it.
            "rw" if is_by_mount => continue,
            "rw" => {
                return Err(
                    "a granulefs mount is read-only, and cannot be mounted rw; leave that \
                            option out"
                        .into(),
                );
            }
            "remount" => {
                return Err("a granulefs mount cannot be changed by a remount; unmount it, and \
                            mount it again with the options that it should have"
                    .into());
            }
            option if begins(&SECURITY_LABELS) => {
                arguments.push(format!("--security-label={option}").into());
                continue;
            }
            _ => {}
        }
        let (name, value) =
            option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
        let flag = format!("--{}", name.replace('_', "-"));
        let argument = value.map_or_else(|| flag.clone(), |value| format!("{flag}={value}")).into();
        // Of an option that is given twice, the last one counts, as for mount(8).
        let with_value = format!("{flag}=");
        arguments.retain(|earlier| {
            *earlier != *flag && !earlier.as_encoded_bytes().starts_with(with_value.as_bytes())
        });
        arguments.push(argument);
    }
    Ok(())
}

/// Returns the options between commas. A comma between quotes separates nothing.
fn split(options: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let options = options.split(move |c: char| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    });
    options.map(str::trim).filter(|option| !option.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(given: &[&str]) -> Result<Vec<String>, String> {
        let given = given.iter().map(OsString::from);
        let expanded = super::expanded(given, |word| word == "mount" || word == "path")?;
        Ok(expanded.into_iter().map(|argument| argument.into_string().unwrap()).collect())
    }

    /// The calls are those that mount(8) and mount.fuse3 of util-linux 2.38 and fuse 3.14 make.
    #[test]
    fn the_calls_of_mount_8_are_calls_of_the_verb() {
        for (given, words) in [
            ("/sbin/mount.granulefs b /mnt -o rw", "mount b /mnt"),
            ("/sbin/mount.granulefs b /mnt -v -o ro,nodiratime,,nofail,user", "mount b /mnt -v"),
            ("/sbin/mount.granulefs b /mnt -f -n -s -o rw", "mount b /mnt --fake"),
            ("/sbin/mount.fuse.granulefs b /mnt -t fuse.granulefs -o rw", "mount b /mnt"),
            ("/bin/granulefs b /mnt -o rw,allow_other,dev,suid", "mount b /mnt --allow-other"),
            ("granulefs mount b -o allow_other", "mount b --allow-other"),
            ("granulefs b /mnt", "b /mnt"),
            ("granulefs path b /mnt -o uid=1", "path b /mnt --uid=1"),
        ] {
            let given: Vec<_> = given.split(' ').collect();
            assert_eq!(expanded(&given).unwrap()[1..].join(" "), words, "{given:?}");
        }
    }

    #[test]
    fn what_is_noted_for_other_programs_is_left_out() {
        let options = "defaults,_netdev,x-systemd.automount,X-mount.mkdir,comment=a b,user=jane,\
                       owner,relatime,auto_unmount,noexec,noexec,uid=1,uid=2";
        let given = ["granulefs", "mount", "b", "/mnt", "-o", options];
        assert_eq!(expanded(&given).unwrap()[4..], ["--noexec", "--uid=2"]);
        let labelled = r#"context="system_u:object_r:tmp_t:s0:c1,c2",ro"#;
        let given = ["granulefs", "mount", "b", "/mnt", "-o", labelled];
        let label = r#"--security-label=context="system_u:object_r:tmp_t:s0:c1,c2""#;
        assert_eq!(expanded(&given).unwrap()[4..], [label]);
    }

    #[test]
    fn what_cannot_be_done_is_refused_in_words() {
        for (call, words) in [
            ("granulefs mount b /mnt -o rw", "read-only"),
            ("granulefs mount b /mnt -oro,rw", "read-only"),
            ("mount.granulefs b /mnt -o ro,remount", "unmount it"),
        ] {
            let refused = expanded(&call.split(' ').collect::<Vec<_>>()).unwrap_err();
            assert!(refused.contains(words), "{refused}");
        }
    }
}
