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
    pub(crate) opens: Opens,
    /// Whose it is, where not the first user's.
    pub(crate) user: Option<String>,
}

/// Which buckets a key opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Opens {
    All,
    /// Those of a DAAC, whose role it belongs to.
    Daac(usize),
    /// These, as a role of somebody else's account may.
    Buckets(Vec<String>),
}

/// All keys ever handed out.
#[derive(Debug, Default)]
pub(crate) struct Keys(Mutex<HashMap<String, Key>>);

impl Keys {
    /// Makes session credentials.
    pub(crate) fn mint(&self, expires: SystemTime, opens: Opens) -> Key {
        // Real tokens start and look like this, and hold the characters that a URL must escape.
        let token = format!("IQoJb3JpZ2luX2VjE+/{}", STANDARD.encode(random(400, 0..=255)));
        let key = Key {
            id: identifier("ASIA"),
            secret: secret(),
            token: Some(token),
            expires: Some(expires),
            opens,
            user: None,
        };
        self.keep(key)
    }

    /// Makes a key that lives for ever and needs no token.
    pub(crate) fn mint_static(&self, opens: Opens) -> Key {
        self.keep(Key {
            id: identifier("AKIA"),
            secret: secret(),
            token: None,
            expires: None,
            opens,
            user: None,
        })
    }

    /// Makes session credentials for another user than the first.
    pub(crate) fn mint_for(&self, user: &str, expires: SystemTime, opens: Opens) -> Key {
        self.keep(Key { user: Some(user.to_owned()), ..self.mint(expires, opens) })
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
    (0..16).fold(start.to_owned(), |id, _| {
        id + fastrand::choice(["2", "3", "4", "5", "6", "7", "A", "K", "Q", "Z"]).unwrap_or("A")
    })
}

fn secret() -> String {
    STANDARD.encode(random(30, 0..=255))
}
