//! Open objects: a byte range becomes blocks, and blocks become bytes.

mod open_object;

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

pub use open_object::OpenObject;

use crate::cache::{BlockCache, RemoteObject};
use crate::governor::{Kind, Totals};
use crate::object::{Object, ObjectId};
use crate::prefetch::{Prefetch, Prefetcher};
use crate::s3::Bucket;

/// Open objects by their version. An object removes itself when its last handle is closed.
type OpenObjects = Mutex<HashMap<Arc<ObjectId>, Weak<OpenObject>>>;

/// Opens the objects of a mount.
#[derive(Debug)]
pub struct Reader {
    cache: Arc<BlockCache>,
    prefetch: Arc<Prefetch>,
    open: Arc<OpenObjects>,
}

impl Reader {
    /// Returns a reader through `cache`, with nothing open yet.
    #[must_use]
    pub fn new(cache: Arc<BlockCache>) -> Self {
        Self { prefetch: Prefetch::new(cache.clone()), cache, open: Arc::default() }
    }

    /// Returns the open object of this version in `bucket`, or opens it. Costs no request.
    /// `following(count)` returns up to `count` objects of the same bucket that a reader of one
    /// file after the other would open next.
    #[must_use]
    pub fn open(
        &self,
        bucket: &Bucket,
        object: &Arc<Object>,
        following: impl FnOnce(usize) -> Vec<Arc<Object>>,
    ) -> Arc<OpenObject> {
        // Every open is recorded, also that of an object that is open already.
        let upcoming = self.prefetch.record_open(object, following);
        let remote = RemoteObject::new(bucket, object);
        let mut open = self.open.lock();
        if let Some(shared) = open.get(&remote.id).and_then(Weak::upgrade) {
            return shared;
        }
        let id = remote.id.clone();
        let prefetcher = Prefetcher::new(&self.prefetch, &remote, upcoming);
        let new = OpenObject::new(remote, self.cache.clone(), prefetcher, self.open.clone());
        let new = Arc::new(new);
        open.insert(id, Arc::downgrade(&new));
        drop(open);
        new.begin();
        new
    }

    /// Returns the blocks of all objects.
    #[must_use]
    pub fn cache(&self) -> &BlockCache {
        &self.cache
    }

    /// Returns what became of the guesses of each kind.
    #[must_use]
    pub fn guesses(&self) -> Vec<(Kind, Totals)> {
        self.prefetch.governor().totals()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::credentials::{CredentialsCache, Provider};
    use crate::s3::BucketLocation;

    #[tokio::test]
    async fn handles_of_one_version_share_it_until_the_last_is_closed() {
        let location = BucketLocation {
            bucket: "b".into(),
            region: "us-west-2".into(),
            endpoint_url: None,
            path_style: false,
        };
        let bucket =
            Bucket::new(location, CredentialsCache::new(Provider::environment().await)).unwrap();
        let reader = Reader::new(BlockCache::new(1 << 20));
        let version = |etag: &str| {
            let id = ObjectId { bucket: "b".into(), key: "k".into(), etag: etag.into() };
            Arc::new(Object {
                id,
                size: 1,
                modified: SystemTime::UNIX_EPOCH,
                storage_class: "STANDARD".into(),
            })
        };
        let open = |etag| reader.open(&bucket, &version(etag), |_| Vec::new());
        let (first, other) = (open("1"), open("2"));
        assert!(Arc::ptr_eq(&first, &open("1")) && !Arc::ptr_eq(&first, &other));
        assert_eq!(reader.open.lock().len(), 2);
        drop((first, other));
        assert_eq!(reader.open.lock().len(), 0);
    }
}
