//! An object version together with the bucket that it is fetched from.

use std::sync::Arc;

use crate::object::{Object, ObjectId};
use crate::s3::Bucket;

/// A version of an object, and the bucket that it is fetched from. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RemoteObject {
    /// Answers with the bytes.
    pub bucket: Bucket,
    /// What is known of the object.
    pub object: Arc<Object>,
    /// The object's own id, shared with all of its blocks.
    pub id: Arc<ObjectId>,
}

impl RemoteObject {
    /// Returns `object` as it is fetched from `bucket`. Costs no request.
    #[must_use]
    pub fn new(bucket: &Bucket, object: &Arc<Object>) -> Self {
        let id = Arc::new(object.id.clone());
        Self { bucket: bucket.clone(), object: object.clone(), id }
    }

    /// Returns the size of the object, bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.object.size
    }
}
