//! The `Range` header of a GET or HEAD.

use std::ops::Range;

/// What a `Range` header asks of an object.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RequestedRange {
    /// The whole object: there is no header, or one that S3 ignores.
    Whole,
    Part(Range<u64>),
    /// No byte of the object, which is answered with 416.
    Unsatisfiable,
}

/// Parses `bytes=a-b`, `bytes=a-` and `bytes=-n`. S3 ignores a header that it cannot parse, and one
/// with several ranges.
pub(crate) fn parse(header: Option<&str>, size: u64) -> RequestedRange {
    let parts = header
        .and_then(|header| header.strip_prefix("bytes="))
        .and_then(|spec| spec.split_once('-'));
    let Some((first, last)) = parts else { return RequestedRange::Whole };
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(size),
        (Ok(first), Err(_)) if last.is_empty() => first..size,
        (Err(_), Ok(length)) if first.is_empty() => size.saturating_sub(length)..size,
        _ => return RequestedRange::Whole,
    };
    if range.start < range.end {
        RequestedRange::Part(range)
    } else {
        RequestedRange::Unsatisfiable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_parsed_as_rfc_9110_says() {
        let table = [
            ("bytes=0-9", 100, RequestedRange::Part(0..10)),
            ("bytes=0-0", 100, RequestedRange::Part(0..1)),
            ("bytes=90-200", 100, RequestedRange::Part(90..100)),
            ("bytes=99-", 100, RequestedRange::Part(99..100)),
            ("bytes=-5", 100, RequestedRange::Part(95..100)),
            ("bytes=-500", 100, RequestedRange::Part(0..100)),
            ("bytes=0-18446744073709551615", 100, RequestedRange::Part(0..100)),
            ("bytes=100-", 100, RequestedRange::Unsatisfiable),
            ("bytes=100-200", 100, RequestedRange::Unsatisfiable),
            ("bytes=-0", 100, RequestedRange::Unsatisfiable),
            ("bytes=0-", 0, RequestedRange::Unsatisfiable),
            ("bytes=-5", 0, RequestedRange::Unsatisfiable),
            ("bytes=9-5", 100, RequestedRange::Whole),
            ("bytes=0-1,5-6", 100, RequestedRange::Whole),
            ("bytes=-", 100, RequestedRange::Whole),
            ("items=0-1", 100, RequestedRange::Whole),
        ];
        for (header, size, asked) in table {
            assert_eq!(parse(Some(header), size), asked, "{header} of {size}");
        }
        assert_eq!(parse(None, 100), RequestedRange::Whole);
    }
}
