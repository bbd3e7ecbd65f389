//! Values of flags, in the forms that people write.

use std::time::{Duration, SystemTime};

use bytesize::ByteSize;
use nix::unistd::{Group, User};

use super::memory;
use crate::http::host::parse_url;

/// How much memory something may take, bytes.
pub(super) fn memory_size(text: &str) -> Result<usize, String> {
    memory_size_within(text, memory::limit())
}

fn memory_size_within(text: &str, memory: Option<memory::Limit>) -> Result<usize, String> {
    // The read-ahead of a single stream, or of a few directories, would not fit in less.
    const LEAST: ByteSize = ByteSize::mib(16);
    const FORMS: &str = "write a size as 256MiB, 2GB, ...";
    let size: ByteSize = text.parse().map_err(|_| FORMS)?;
    if size < LEAST {
        let is_bare = text.trim().bytes().all(|byte| byte.is_ascii_digit());
        return Err(match is_bare && size.as_u64() >= 16 {
            true => {
                format!("that is {size}, and at least {LEAST} is needed; did you mean {text}MiB?")
            }
            false => format!("at least {LEAST} is needed; {FORMS}"),
        });
    }
    match memory {
        Some(memory) if size.as_u64() > memory.bytes => {
            Err(format!("{size} is more than {}, {}", memory.whose, ByteSize::b(memory.bytes)))
        }
        _ => usize::try_from(size.as_u64()).map_err(|_| FORMS.into()),
    }
}

/// A time. A plain number means seconds, as in other programs' mount options.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    text.parse()
        .map(Duration::from_secs)
        .or_else(|_| humantime::parse_duration(text))
        .map_err(|_| "write a time as 90s, 5m, 1h30m, ..., or as a number of seconds".into())
}

/// The id or the name of a user.
pub(super) fn user(text: &str) -> Result<u32, String> {
    id(text, "user", || Ok(User::from_name(text)?.map(|user| user.uid.as_raw())))
}

/// The id or the name of a group.
pub(super) fn group(text: &str) -> Result<u32, String> {
    id(text, "group", || Ok(Group::from_name(text)?.map(|group| group.gid.as_raw())))
}

fn id(
    text: &str,
    kind: &str,
    look_up: impl Fn() -> nix::Result<Option<u32>>,
) -> Result<u32, String> {
    // The greatest id means "none" to the kernel.
    if let Some(id) = text.parse().ok().filter(|id| *id != u32::MAX) {
        return Ok(id);
    }
    let found = look_up().map_err(|e| format!("cannot look up the {kind}: {}", e.desc()))?;
    found.ok_or_else(|| format!("this machine has no such {kind}; write a name or a number"))
}

/// An URL; nothing counts as not set.
pub(super) fn url(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    parse_url(text).map(|_| text.to_owned()).map_err(|words| words.to_owned())
}

/// A time in which something can happen: not zero.
pub(super) fn time_limit(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("with no time at all, everything would fail".into()),
        limit => Ok(limit),
    }
}

/// Permission bits, octal. Write bits are for those who copy files out of the mount, which itself
/// is read-only.
pub(super) fn mode(text: &str) -> Result<u16, String> {
    let mode = u16::from_str_radix(text, 8).map_err(|_| "this is no octal number".to_owned())?;
    match mode {
        mode if mode > 0o777 => Err("this is more than 0777".into()),
        mode => Ok(mode),
    }
}

/// Returns `time` as ISO 8601 in UTC, in whole seconds, as the AWS tools read it.
#[must_use]
pub fn timestamp(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

/// Returns a time in words, `1h 2m 3s`.
#[must_use]
pub fn time_span(seconds: u64) -> String {
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_a_unit_and_fits_into_the_memory() {
        let memory = || Some(memory::Limit { bytes: 1 << 30, whose: "the memory of this machine" });
        let size = |text: &str| memory_size_within(text, memory());
        for (text, bytes) in [("256MiB", 256 << 20), ("1GiB", 1 << 30), ("20000000", 20_000_000)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for (text, words) in [
            ("256", "that is 256 B, and at least 16.0 MiB is needed; did you mean 256MiB?"),
            ("1k", "at least 16.0 MiB is needed; write a size as 256MiB, 2GB, ..."),
            ("", "write a size as 256MiB, 2GB, ..."),
            ("5XB", "write a size as 256MiB, 2GB, ..."),
            ("2GiB", "2.0 GiB is more than the memory of this machine, 1.0 GiB"),
        ] {
            assert_eq!(size(text), Err(words.into()), "{text}");
        }
        assert_eq!(memory_size_within("2GiB", None), Ok(2 << 30));
    }

    #[test]
    fn users_and_groups_have_names_and_numbers() {
        for read in [user, group] {
            assert_eq!((read("0"), read("root"), read("1000")), (Ok(0), Ok(0), Ok(1000)));
            for text in ["", "-1", "4294967295", "no such name"] {
                assert!(read(text).unwrap_err().contains("write a name or a number"), "{text}");
            }
        }
    }

    #[test]
    fn a_time_is_written_as_aws_reads_it() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_440_600_750);
        assert_eq!(timestamp(time), "2026-11-23T13:30:00Z");
    }
}
