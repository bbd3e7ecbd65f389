//! Access keys: whose they are, which buckets they open, and when they expire.

use std::collections::HashMap;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;

/// An access key as it was issued.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
    pub(crate) expires: Option<SystemTime>,
    pub(crate) allowed: AllowedBuckets,
    /// The user whose key it is; `None` for the first user.
    pub(crate) user: Option<String>,
}

/// The buckets that a key opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AllowedBuckets {
    All,
    /// The buckets of the DAAC whose role the key belongs to.
    OfDaac(usize),
    /// These buckets, as for a role of another AWS account.
    Named(Vec<String>),
}

/// All keys that were ever issued.
#[derive(Debug, Default)]
pub(crate) struct Keys(Mutex<HashMap<String, Key>>);

impl Keys {
    /// Issues temporary credentials.
    pub(crate) fn issue_temporary(&self, expires: SystemTime, allowed: AllowedBuckets) -> Key {
        // Real session tokens start like this, and have characters that a URL must escape.
        let token = format!("IQoJb3JpZ2luX2VjE+/{}", STANDARD.encode(random(400, 0..=255)));
        let key = Key {
            id: identifier("ASIA"),
            secret: secret(),
            token: Some(token),
            expires: Some(expires),
            allowed,
            user: None,
        };
        self.insert(key)
    }

    /// Issues a key that never expires and needs no session token.
    pub(crate) fn issue_static(&self, allowed: AllowedBuckets) -> Key {
        self.insert(Key {
            id: identifier("AKIA"),
            secret: secret(),
            token: None,
            expires: None,
            allowed,
            user: None,
        })
    }

    /// Issues temporary credentials to another user than the first.
    pub(crate) fn issue_temporary_for(
        &self,
        user: &str,
        expires: SystemTime,
        allowed: AllowedBuckets,
    ) -> Key {
        self.insert(Key { user: Some(user.to_owned()), ..self.issue_temporary(expires, allowed) })
    }

    pub(crate) fn find(&self, id: &str) -> Option<Key> {
        self.0.lock().get(id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Key> {
        self.0.lock().values().cloned().collect()
    }

    fn insert(&self, key: Key) -> Key {
        self.0.lock().insert(key.id.clone(), key.clone());
        key
    }
}

fn random(count: usize, range: std::ops::RangeInclusive<u8>) -> Vec<u8> {
    (0..count).map(|_| fastrand::u8(range.clone())).collect()
}

fn identifier(start: &str) -> String {
    (0..16).fold(start.to_owned(), |id, _| {
        id + fastrand::choice(["2", "3", "4", "5", "6", "7", "A", "K", "Q", "Z"]).unwrap_or("A")
    })
}

fn secret() -> String {
    STANDARD.encode(random(30, 0..=255))
}
