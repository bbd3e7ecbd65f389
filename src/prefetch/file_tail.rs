//! Formats that keep at the end of a file what is read first, recognised by the file's name or its
//! first bytes.

use std::ops::Range;

/// Bytes to fetch of the end. HDF5 readers look at what was appended last, zip readers at the
/// directory (at most 64 KiB and a few bytes).
const TAIL_SIZE: u64 = 128 * 1024;

/// Returns the bytes that a reader of the file `name`, of `size` bytes, will ask for beside its
/// head.
pub(super) fn of_name(name: &str, size: u64) -> Option<Range<u64>> {
    // Most of NASA's `.nc` files are netCDF-4, which is HDF5.
    let kinds = ["nc", "nc4", "h5", "he5", "hdf5", "zip"];
    let kind = name.rsplit_once('.').map(|(_, kind)| kind)?;
    kinds.iter().any(|known| known.eq_ignore_ascii_case(kind)).then(|| tail(size))
}

/// Returns the bytes that a reader of a file of `size` bytes that begins with `head` will ask for
/// beside its head.
pub(super) fn of_head(head: &[u8], size: u64) -> Option<Range<u64>> {
    let has_tail =
        [&b"\x89HDF\r\n\x1a\n"[..], b"PK\x03\x04"].iter().any(|magic| head.starts_with(magic));
    has_tail.then(|| tail(size))
}

fn tail(size: u64) -> Range<u64> {
    size.saturating_sub(TAIL_SIZE)..size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_hdf5_and_zip_is_fetched_and_of_nothing_else() {
        let tail = Some(872_928..1_004_000);
        for (name, expected) in [
            ("a.nc", &tail),
            ("d.x/a.HDF5", &tail),
            ("a.zip", &tail),
            ("a.nc.md5", &None),
            ("nc", &None),
            ("a.tif", &None),
        ] {
            assert_eq!(of_name(name, 1_004_000), *expected, "{name}");
        }
        for (head, expected) in [
            (&b"\x89HDF\r\n\x1a\n and more"[..], &tail),
            (b"PK\x03\x04", &tail),
            (b"CDF\x01", &None),
            (b"II*\0", &None),
            (b"", &None),
        ] {
            assert_eq!(of_head(head, 1_004_000), *expected, "{head:?}");
        }
        assert_eq!(of_head(b"PK\x03\x04", 7), Some(0..7));
    }
}
