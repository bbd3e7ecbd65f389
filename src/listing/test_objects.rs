//! Objects for the tests of this room.

use std::time::SystemTime;

use crate::object::{Object, ObjectId};

pub(super) fn object(key: &str, etag: &str) -> Object {
    Object {
        id: ObjectId { bucket: "b".into(), key: key.into(), etag: etag.into() },
        size: 1,
        modified: SystemTime::UNIX_EPOCH,
        storage_class: "STANDARD".into(),
    }
}
