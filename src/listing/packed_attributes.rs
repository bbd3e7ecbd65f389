//! What a listing tells of one name, in 40 bytes.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::object::{Object, ObjectId};

/// The attributes of a name, without the name. A directory has no storage class.
#[derive(Clone, Copy, Debug)]
pub(super) struct PackedAttributes {
    size: u64,
    /// Seconds since the epoch.
    modified: u64,
    md5: [u8; 16],
    parts: Parts,
    class: Option<StorageClass>,
}

/// How the etag is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parts {
    /// An MD5 alone.
    None,
    /// An MD5 and the number of parts of a multipart upload, of which S3 allows 10,000.
    Some(u16),
    /// In another form, so that it has to be kept as it is.
    Odd,
}

/// The storage classes that S3 has. An unknown one is taken for STANDARD, as it is read like one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum StorageClass {
    Standard,
    ReducedRedundancy,
    StandardIa,
    OnezoneIa,
    IntelligentTiering,
    Glacier,
    DeepArchive,
    GlacierIr,
    Outposts,
    Snow,
    ExpressOnezone,
}

/// In the order of the variants, which number them.
const STORAGE_CLASSES: [(StorageClass, &str); 11] = [
    (StorageClass::Standard, "STANDARD"),
    (StorageClass::ReducedRedundancy, "REDUCED_REDUNDANCY"),
    (StorageClass::StandardIa, "STANDARD_IA"),
    (StorageClass::OnezoneIa, "ONEZONE_IA"),
    (StorageClass::IntelligentTiering, "INTELLIGENT_TIERING"),
    (StorageClass::Glacier, "GLACIER"),
    (StorageClass::DeepArchive, "DEEP_ARCHIVE"),
    (StorageClass::GlacierIr, "GLACIER_IR"),
    (StorageClass::Outposts, "OUTPOSTS"),
    (StorageClass::Snow, "SNOW"),
    (StorageClass::ExpressOnezone, "EXPRESS_ONEZONE"),
];

impl PackedAttributes {
    pub(super) const DIRECTORY: Self =
        Self { size: 0, modified: 0, md5: [0; 16], parts: Parts::None, class: None };

    pub(super) fn of_object(object: &Object) -> Self {
        let (md5, parts) = pack_etag(&object.id.etag);
        Self {
            size: object.size,
            modified: seconds(object.modified),
            md5,
            parts,
            class: Some(StorageClass::of(object)),
        }
    }

    pub(super) fn is_directory(&self) -> bool {
        self.class.is_none()
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Returns whether the etag is not in here, and has to be kept beside.
    pub(super) fn has_odd_etag(&self) -> bool {
        self.parts == Parts::Odd
    }

    /// Returns the object with these attributes; `None` for a directory. The `odd_etag` is that
    /// which was kept beside, if there is one.
    pub(super) fn object(
        &self,
        bucket: &Arc<str>,
        key: String,
        odd_etag: Option<&str>,
    ) -> Option<Object> {
        let class = self.class?;
        let etag = odd_etag.map_or_else(|| unpack_etag(self.md5, self.parts).into(), Arc::from);
        Some(Object {
            id: ObjectId { bucket: bucket.clone(), key: key.into(), etag },
            size: self.size,
            modified: SystemTime::UNIX_EPOCH + Duration::from_secs(self.modified),
            storage_class: STORAGE_CLASSES[class as usize].1.into(),
        })
    }
}

impl StorageClass {
    fn of(object: &Object) -> Self {
        let known = STORAGE_CLASSES.iter().find(|(_, name)| **name == *object.storage_class);
        known.map_or(Self::Standard, |(class, _)| *class)
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Packs `d41d8cd98f00b204e9800998ecf8427e`, or the same with `-17` behind it for an upload in 17
/// parts. Everything that would not come out as it went in is odd.
fn pack_etag(etag: &str) -> ([u8; 16], Parts) {
    let (hex, parts) = etag.split_once('-').map_or((etag, Parts::None), |(hex, parts)| {
        let is_canonical = !parts.starts_with(['0', '+']);
        let number = parts.parse().ok().filter(|_| is_canonical);
        (hex, number.map_or(Parts::Odd, Parts::Some))
    });
    let is_md5 =
        hex.len() == 32 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match u128::from_str_radix(hex, 16) {
        Ok(md5) if is_md5 => (md5.to_be_bytes(), parts),
        _ => ([0; 16], Parts::Odd),
    }
}

fn unpack_etag(md5: [u8; 16], parts: Parts) -> String {
    let hex = u128::from_be_bytes(md5);
    match parts {
        Parts::Some(parts) => format!("{hex:032x}-{parts}"),
        Parts::None | Parts::Odd => format!("{hex:032x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_etag_and_storage_class_comes_out_as_it_went_in() {
        assert_eq!(size_of::<PackedAttributes>(), 40);
        let etags = [
            ("d41d8cd98f00b204e9800998ecf8427e", false),
            ("00000000000000000000000000000000-17", false),
            ("00000000000000000000000000000000-10000", false),
            ("00000000000000000000000000000000-017", true),
            ("00000000000000000000000000000000-100000", true),
            ("00000000000000000000000000000000-+17", true),
            ("00000000000000000000000000000000-", true),
            ("00000000000000000000000000000000-1-7", true),
            ("0000000000000000000000000000000000000000", true),
            ("D41D8CD98F00B204E9800998ECF8427E", true),
            ("+41d8cd98f00b204e9800998ecf8427e", true),
            ("", true),
            ("x-1", true),
        ];
        for (etag, is_odd) in etags {
            for (number, (class, storage_class)) in STORAGE_CLASSES.into_iter().enumerate() {
                assert_eq!(class as usize, number);
                let bucket: Arc<str> = "b".into();
                let object = Object {
                    id: ObjectId { bucket: bucket.clone(), key: "k".into(), etag: etag.into() },
                    size: 1 << 40,
                    modified: SystemTime::UNIX_EPOCH + Duration::from_secs(1_577_836_800),
                    storage_class: storage_class.into(),
                };
                let packed = PackedAttributes::of_object(&object);
                assert_eq!((packed.has_odd_etag(), packed.is_directory()), (is_odd, false));
                let odd_etag = is_odd.then_some(etag);
                assert_eq!(packed.object(&bucket, "k".to_owned(), odd_etag), Some(object));
            }
        }
    }
}
