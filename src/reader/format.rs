//! What the first bytes of a file tell about which others will be read.

use std::ops::Range;

/// HDF5 readers look at what was appended last, zip readers at the directory at the end (at most 64 KiB and a few bytes).
const TAIL: u64 = 128 * 1024;

/// The bytes that a reader of such a file, of `size` bytes, will ask for beside its head.
pub(super) fn beside(head: &[u8], size: u64) -> Option<Range<u64>> {
    let has_tail = [&b"\x89HDF\r\n\x1a\n"[..], b"PK\x03\x04"].iter().any(|magic| head.starts_with(magic));
    has_tail.then(|| size.saturating_sub(TAIL)..size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_hdf5_and_zip_is_wanted_and_of_nothing_else() {
        for (head, tail) in [
            (&b"\x89HDF\r\n\x1a\n and more"[..], Some(872_928..1_004_000)),
            (b"PK\x03\x04", Some(872_928..1_004_000)),
            (b"CDF\x01", None),
            (b"II*\0", None),
            (b"", None),
        ] {
            assert_eq!(beside(head, 1_004_000), tail, "{head:?}");
        }
        assert_eq!(beside(b"PK\x03\x04", 7), Some(0..7));
    }
}
