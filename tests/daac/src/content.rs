//! An object's bytes and attributes.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use md5::{Digest, Md5};

/// The most bytes that a body hands to its connection at once.
pub(crate) const FRAME: usize = 512 * 1024;

/// The largest prime below 4 MiB. In an object below 8 TB no two block-aligned offsets differ by a
/// multiple of it, so a block delivered at a wrong offset never has the expected bytes.
const PERIOD: usize = 4_194_301;

/// One period of noise and one frame more, so that every frame is a slice of it.
static NOISE: LazyLock<Bytes> = LazyLock::new(|| {
    let mut noise = vec![0; PERIOD + FRAME];
    fastrand::Rng::with_seed(0x0067_7261_6e75_6c65).fill(&mut noise[..PERIOD]);
    noise.copy_within(..FRAME, PERIOD);
    Bytes::from(noise)
});

/// The content to put under a key.
#[derive(Clone, Debug)]
pub enum Content {
    /// These bytes.
    Bytes(Bytes),
    /// This many bytes of noise, a function of bucket, key, version and offset; nothing is stored.
    Synthetic {
        /// Length in bytes.
        size: u64,
    },
    /// A file of this machine, which every request reads again.
    File(PathBuf),
}

impl Content {
    /// Returns content of `size` bytes of noise.
    #[must_use]
    pub fn synthetic(size: u64) -> Self {
        Self::Synthetic { size }
    }
}

impl<T: Into<Bytes>> From<T> for Content {
    fn from(bytes: T) -> Self {
        Self::Bytes(bytes.into())
    }
}

/// One version of an object: its attributes, and the bytes that a reader must get.
#[derive(Clone, Debug)]
pub struct Object {
    /// Length in bytes.
    pub size: u64,
    /// The entity tag, without quotes.
    pub etag: String,
    /// LastModified; headers have it in whole seconds.
    pub modified: SystemTime,
    /// The storage class, `STANDARD` unless set.
    pub class: Cow<'static, str>,
    data: Data,
}

#[derive(Clone, Debug)]
enum Data {
    Bytes(Bytes),
    Noise { rotation: usize },
    File(PathBuf),
}

impl Object {
    pub(crate) fn from_bytes(bytes: Bytes, modified: SystemTime) -> Self {
        Self {
            size: bytes.len() as u64,
            etag: hex(&Md5::digest(&bytes)),
            modified,
            class: Cow::Borrowed("STANDARD"),
            data: Data::Bytes(bytes),
        }
    }

    /// Returns an object of noise. Objects that are put under one key after each other differ in
    /// `version`.
    pub(crate) fn synthetic(
        bucket: &str,
        key: &str,
        version: u64,
        size: u64,
        modified: SystemTime,
    ) -> Self {
        let mut hash = Md5::new();
        for part in [bucket.as_bytes(), key.as_bytes(), &version.to_le_bytes(), &size.to_le_bytes()]
        {
            hash.update(part);
            hash.update([0]);
        }
        let hash = hash.finalize();
        let seed = hash.iter().take(8).fold(0, |seed: u64, byte| seed << 8 | u64::from(*byte));
        Self {
            size,
            etag: multipart_etag(&hash),
            modified,
            class: Cow::Borrowed("STANDARD"),
            data: Data::Noise { rotation: (seed % PERIOD as u64) as usize },
        }
    }

    /// Returns the object that a file is now, `None` when the file does not exist any more.
    pub(crate) fn from_file(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
        let modified = metadata.modified().ok()?;
        let mut hash = Md5::new();
        hash.update(path.as_os_str().as_encoded_bytes());
        hash.update(metadata.size().to_le_bytes());
        hash.update(metadata.mtime().to_le_bytes());
        hash.update(metadata.mtime_nsec().to_le_bytes());
        Some(Self {
            size: metadata.size(),
            etag: multipart_etag(&hash.finalize()),
            modified,
            class: Cow::Borrowed("STANDARD"),
            data: Data::File(path.to_owned()),
        })
    }

    /// Returns the bytes of `range`, cut off at the object's end. Up to 512 KiB of an object that
    /// is not a file are not copied.
    ///
    /// # Errors
    /// When the object is a file that cannot be read, or has become shorter.
    pub fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        let end = range.end.min(self.size);
        let start = range.start.min(end);
        let length = (end - start) as usize;
        match &self.data {
            Data::Bytes(bytes) => Ok(bytes.slice(start as usize..end as usize)),
            Data::Noise { rotation } => Ok(noise(*rotation, start, length)),
            Data::File(path) => {
                let mut bytes = vec![0; length];
                File::open(path)?.read_exact_at(&mut bytes, start)?;
                Ok(bytes.into())
            }
        }
    }
}

fn noise(rotation: usize, offset: u64, length: usize) -> Bytes {
    let from =
        |done: usize| (rotation + ((offset + done as u64) % PERIOD as u64) as usize) % PERIOD;
    if length <= FRAME {
        return NOISE.slice(from(0)..from(0) + length);
    }
    let mut bytes = BytesMut::with_capacity(length);
    while bytes.len() < length {
        let step = FRAME.min(length - bytes.len());
        let start = from(bytes.len());
        bytes.extend_from_slice(&NOISE[start..start + step]);
    }
    bytes.freeze()
}

/// Returns the etag of an object that was uploaded in parts. Clients take any other form for the
/// MD5 of the content, which this hash is not.
fn multipart_etag(hash: &[u8]) -> String {
    format!("{}-2", hex(hash))
}

/// Returns bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_of_a_synthetic_object_has_the_bytes_of_the_whole_at_its_offset() {
        let object = Object::synthetic("b", "k", 1, 20 << 20, SystemTime::UNIX_EPOCH);
        let whole = object.read(0..object.size).unwrap();
        assert_eq!(whole.len(), 20 << 20);
        for (start, length) in
            [(0, 1), (PERIOD as u64 - 1, 2), (12_345_678, FRAME as u64), ((20 << 20) - 3, 99)]
        {
            let slice = object.read(start..start + length).unwrap();
            assert_eq!(slice, whole[start as usize..][..slice.len()]);
        }
    }

    #[test]
    fn synthetic_bytes_differ_by_key_version_and_offset() {
        let time = SystemTime::UNIX_EPOCH;
        let first = Object::synthetic("b", "k", 1, 64 << 20, time);
        let second = Object::synthetic("b", "k", 2, 64 << 20, time);
        let other = Object::synthetic("b", "l", 1, 64 << 20, time);
        let block = first.read(0..4096).unwrap();
        assert_ne!(block, second.read(0..4096).unwrap());
        assert_ne!(block, other.read(0..4096).unwrap());
        assert!(
            (1..64)
                .all(|mebibyte| first.read(mebibyte << 20..(mebibyte << 20) + 4096).unwrap()
                    != block)
        );
    }
}
