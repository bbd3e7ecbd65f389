//! The `Range` header of a GET or HEAD.

use std::ops::Range;

/// What a `Range` header asks of an object.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// All of it: no header, or one that S3 ignores.
    Whole,
    Part(Range<u64>),
    /// 416.
    Nothing,
}

/// Reads `bytes=a-b`, `bytes=a-` and `bytes=-n`. S3 ignores what it cannot read, several ranges as
/// well.
pub(crate) fn parse(header: Option<&str>, size: u64) -> Asked {
    let parts = header
        .and_then(|header| header.strip_prefix("bytes="))
        .and_then(|spec| spec.split_once('-'));
    let Some((first, last)) = parts else { return Asked::Whole };
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(size),
        (Ok(first), Err(_)) if last.is_empty() => first..size,
        (Err(_), Ok(length)) if first.is_empty() => size.saturating_sub(length)..size,
        _ => return Asked::Whole,
    };
    if range.start < range.end { Asked::Part(range) } else { Asked::Nothing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        let table = [
            ("bytes=0-9", 100, Asked::Part(0..10)),
            ("bytes=0-0", 100, Asked::Part(0..1)),
            ("bytes=90-200", 100, Asked::Part(90..100)),
            ("bytes=99-", 100, Asked::Part(99..100)),
            ("bytes=-5", 100, Asked::Part(95..100)),
            ("bytes=-500", 100, Asked::Part(0..100)),
            ("bytes=0-18446744073709551615", 100, Asked::Part(0..100)),
            ("bytes=100-", 100, Asked::Nothing),
            ("bytes=100-200", 100, Asked::Nothing),
            ("bytes=-0", 100, Asked::Nothing),
            ("bytes=0-", 0, Asked::Nothing),
            ("bytes=-5", 0, Asked::Nothing),
            ("bytes=9-5", 100, Asked::Whole),
            ("bytes=0-1,5-6", 100, Asked::Whole),
            ("bytes=-", 100, Asked::Whole),
            ("items=0-1", 100, Asked::Whole),
        ];
        for (header, size, asked) in table {
            assert_eq!(parse(Some(header), size), asked, "{header} of {size}");
        }
        assert_eq!(parse(None, 100), Asked::Whole);
    }
}
