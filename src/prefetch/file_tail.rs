//! What a file's name, and its first bytes, tell about which other bytes will be read.

use std::ops::Range;

/// HDF5 readers look at what was appended last, zip readers at the directory at the end (at most 64
/// KiB and a few bytes).
const TAIL: u64 = 128 * 1024;

/// The bytes that a reader of the file `name`, of `size` bytes, will ask for beside its head.
pub(crate) fn beside_name(name: &str, size: u64) -> Option<Range<u64>> {
    // Most `.nc` of the archive are netCDF-4, which is HDF5.
    let kinds = ["nc", "nc4", "h5", "he5", "hdf5", "zip"];
    let kind = name.rsplit_once('.').map(|(_, kind)| kind)?;
    kinds.iter().any(|known| known.eq_ignore_ascii_case(kind)).then(|| tail(size))
}

/// The bytes that a reader of a file of `size` bytes that begins with `head` will ask for beside
/// its head.
pub(crate) fn beside_head(head: &[u8], size: u64) -> Option<Range<u64>> {
    let has_tail =
        [&b"\x89HDF\r\n\x1a\n"[..], b"PK\x03\x04"].iter().any(|magic| head.starts_with(magic));
    has_tail.then(|| tail(size))
}

fn tail(size: u64) -> Range<u64> {
    size.saturating_sub(TAIL)..size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_hdf5_and_zip_is_wanted_and_of_nothing_else() {
        let tail = Some(872_928..1_004_000);
        for (name, wanted) in [
            ("a.nc", &tail),
            ("d.x/a.HDF5", &tail),
            ("a.zip", &tail),
            ("a.nc.md5", &None),
            ("nc", &None),
            ("a.tif", &None),
        ] {
            assert_eq!(beside_name(name, 1_004_000), *wanted, "{name}");
        }
        for (head, wanted) in [
            (&b"\x89HDF\r\n\x1a\n and more"[..], &tail),
            (b"PK\x03\x04", &tail),
            (b"CDF\x01", &None),
            (b"II*\0", &None),
            (b"", &None),
        ] {
            assert_eq!(beside_head(head, 1_004_000), *wanted, "{head:?}");
        }
        assert_eq!(beside_head(b"PK\x03\x04", 7), Some(0..7));
    }
}
