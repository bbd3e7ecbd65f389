//! What an object is made of, and what it looks like from outside.

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

/// The most bytes handed to a connection at once.
pub(crate) const FRAME: usize = 512 * 1024;

/// The largest prime below 4 MiB. No two block-aligned places of a synthetic object lie a multiple
/// of it apart before 8 TB, so a block delivered at a wrong place never looks right.
const PERIOD: usize = 4_194_301;

/// One period of noise and a frame more, so that every frame is one slice of it.
static NOISE: LazyLock<Bytes> = LazyLock::new(|| {
    let mut noise = vec![0; PERIOD + FRAME];
    fastrand::Rng::with_seed(0x0067_7261_6e75_6c65).fill(&mut noise[..PERIOD]);
    noise.copy_within(..FRAME, PERIOD);
    Bytes::from(noise)
});

/// What to put under a key.
#[derive(Clone, Debug)]
pub enum Content {
    /// These bytes.
    Bytes(Bytes),
    /// This many bytes of noise, a function of bucket, key, version and offset; nothing is stored.
    Synthetic {
        /// Length in bytes.
        size: u64,
    },
    /// A file of this machine, looked at anew by every request.
    File(PathBuf),
}

impl Content {
    /// Returns the content that is `size` bytes of noise.
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

/// One version of an object: its attributes, and a reader of the bytes it must have.
#[derive(Clone, Debug)]
pub struct Object {
    /// Length in bytes.
    pub size: u64,
    /// The entity tag, without quotes.
    pub etag: String,
    /// LastModified; S3 speaks of it in whole seconds.
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

    /// An object of noise. `version` tells apart the objects that one key holds in the course of
    /// time.
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
            etag: no_md5(&hash),
            modified,
            class: Cow::Borrowed("STANDARD"),
            data: Data::Noise { rotation: (seed % PERIOD as u64) as usize },
        }
    }

    /// The object that a file is now, or nothing when there is no such file any more.
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
            etag: no_md5(&hash.finalize()),
            modified,
            class: Cow::Borrowed("STANDARD"),
            data: Data::File(path.to_owned()),
        })
    }

    /// Returns the bytes of `range`, cut off at the object's end. Without a copy for up to 512 KiB
    /// of what is not a file.
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

/// The tag of an object uploaded in parts, since what is hashed is not the content: clients hold
/// any other tag for its MD5.
fn no_md5(hash: &[u8]) -> String {
    format!("{}-2", hex(hash))
}

/// Writes bytes as lower-case hexadecimal digits.
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
    fn synthetic_bytes_are_the_same_however_they_are_cut() {
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
    fn keys_and_versions_differ_at_the_same_offset_and_blocks_within_an_object() {
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
