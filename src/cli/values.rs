//! Values of flags, in the forms that people write.

use std::time::{Duration, SystemTime};

use bytesize::ByteSize;

/// The size of a cache, bytes.
pub(super) fn cache_size(text: &str) -> Result<usize, String> {
    // The read-ahead of a single stream would not fit in less.
    const LEAST: ByteSize = ByteSize::mib(16);
    let size: ByteSize = text.parse()?;
    if size < LEAST {
        return Err(format!("at least {LEAST} is needed"));
    }
    usize::try_from(size.as_u64()).map_err(|e| e.to_string())
}

/// A time. A plain number means seconds, as in other programs' mount options.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    text.parse()
        .map(Duration::from_secs)
        .or_else(|_| humantime::parse_duration(text))
        .map_err(|e| e.to_string())
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
    fn a_time_is_written_as_aws_reads_it() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_440_600_750);
        assert_eq!(timestamp(time), "2026-11-23T13:30:00Z");
    }
}
