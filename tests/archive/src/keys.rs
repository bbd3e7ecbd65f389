//! Access keys: who they were given to and how long they live.

use std::collections::HashMap;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;

/// A key as it is handed out.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
    pub(crate) expires: Option<SystemTime>,
    /// The DAAC whose buckets it opens; `None` opens all.
    pub(crate) daac: Option<usize>,
}

/// All keys ever handed out.
#[derive(Debug, Default)]
pub(crate) struct Keys(Mutex<HashMap<String, Key>>);

impl Keys {
    /// Makes session credentials.
    pub(crate) fn mint(&self, expires: SystemTime, daac: Option<usize>) -> Key {
        // Real tokens start and look like this, and hold the characters that a URL must escape.
        let token = format!("IQoJb3JpZ2luX2VjE+/{}", STANDARD.encode(random(400, 0..=255)));
        self.keep(Key { id: identifier("ASIA"), secret: secret(), token: Some(token), expires: Some(expires), daac })
    }

    /// Makes a key that opens everything for ever and needs no token.
    pub(crate) fn mint_static(&self) -> Key {
        self.keep(Key { id: identifier("AKIA"), secret: secret(), token: None, expires: None, daac: None })
    }

    pub(crate) fn find(&self, id: &str) -> Option<Key> {
        self.0.lock().get(id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Key> {
        self.0.lock().values().cloned().collect()
    }

    fn keep(&self, key: Key) -> Key {
        self.0.lock().insert(key.id.clone(), key.clone());
        key
    }
}

fn random(count: usize, range: std::ops::RangeInclusive<u8>) -> Vec<u8> {
    (0..count).map(|_| fastrand::u8(range.clone())).collect()
}

fn identifier(start: &str) -> String {
    (0..16)
        .fold(start.to_owned(), |id, _| id + fastrand::choice(["2", "3", "4", "5", "6", "7", "A", "K", "Q", "Z"]).unwrap_or("A"))
}

fn secret() -> String {
    STANDARD.encode(random(30, 0..=255))
}
