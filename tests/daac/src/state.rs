//! What all servers of one archive share.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::{Mutex, RwLock};

use crate::catalogue::Entry;
use crate::journal::Journal;
use crate::keys::{Key, Keys, Opens};
use crate::knobs::Knobs;
use crate::live_knobs::LiveKnobs;
use crate::sessions::{Sessions, random_hex};
use crate::store::Store;
use crate::{Family, Setup};

/// The state of an archive.
#[derive(Debug)]
pub(crate) struct ServerState {
    pub(crate) setup: Setup,
    pub(crate) addresses: Addresses,
    /// The bearer token of the first user.
    pub(crate) token: String,
    /// The names of other users, by their tokens.
    pub(crate) others: RwLock<HashMap<String, String>>,
    pub(crate) static_key: Key,
    pub(crate) store: RwLock<Store>,
    pub(crate) catalogue: RwLock<Vec<Entry>>,
    pub(crate) panel: LiveKnobs,
    pub(crate) journal: Arc<Journal>,
    pub(crate) keys: Keys,
    pub(crate) sessions: Mutex<Sessions>,
}

/// Where the servers listen.
#[derive(Debug)]
pub(crate) struct Addresses {
    pub(crate) login: SocketAddr,
    pub(crate) daacs: Vec<SocketAddr>,
    pub(crate) s3: SocketAddr,
    pub(crate) trap: SocketAddr,
    pub(crate) cmr: SocketAddr,
    pub(crate) control: SocketAddr,
}

impl ServerState {
    pub(crate) fn new(setup: Setup, addresses: Addresses) -> Self {
        let keys = Keys::default();
        let mut store = Store::default();
        for bucket in setup.daacs.iter().flat_map(|daac| &daac.buckets) {
            store.create(bucket);
        }
        Self {
            addresses,
            token: new_token(),
            others: RwLock::default(),
            static_key: keys.mint_static(Opens::All),
            store: RwLock::new(store),
            catalogue: RwLock::default(),
            panel: LiveKnobs::new(setup.knobs.clone()),
            journal: Arc::default(),
            keys,
            sessions: Mutex::default(),
            setup,
        }
    }

    /// Makes another user and returns the token.
    pub(crate) fn admit(&self, user: &str) -> String {
        let token = new_token();
        self.others.write().insert(token.clone(), user.to_owned());
        token
    }

    pub(crate) fn knobs(&self) -> Arc<Knobs> {
        self.panel.read()
    }

    /// The archive's own time.
    pub(crate) fn now(&self) -> SystemTime {
        let shift = self.knobs().clock_shift;
        let seconds = Duration::from_secs(shift.unsigned_abs());
        if shift < 0 { SystemTime::now() - seconds } else { SystemTime::now() + seconds }
    }

    pub(crate) fn daac_name(&self, daac: usize) -> &str {
        &self.setup.daacs[daac].name
    }

    /// The DAAC that a bucket belongs to.
    pub(crate) fn owner(&self, bucket: &str) -> Option<usize> {
        self.setup.daacs.iter().position(|daac| daac.buckets.iter().any(|known| known == bucket))
    }

    /// Whether a key opens a bucket.
    pub(crate) fn opens(&self, key: &Key, bucket: &str) -> bool {
        match &key.opens {
            Opens::All => true,
            Opens::Daac(daac) => self.owner(bucket) == Some(*daac),
            Opens::Buckets(buckets) => buckets.iter().any(|known| known == bucket),
        }
    }

    /// Complains of knobs of a DAAC or bucket that is not there: they would turn nothing.
    pub(crate) fn check(&self, knobs: &Knobs) -> Result<(), String> {
        let store = self.store.read();
        let is_daac = |name: &str| self.setup.daacs.iter().any(|daac| daac.name == name);
        if let Some(name) = knobs.daacs.keys().find(|name| !is_daac(name)) {
            return Err(format!("knobs of {name}, which is no DAAC here"));
        }
        match knobs.buckets.keys().find(|name| store.bucket(name).is_none()) {
            Some(name) => Err(format!("knobs of {name}, which is no bucket here")),
            None => Ok(()),
        }
    }

    /// The host name of Earthdata Login with its port. A name, where the DAACs are numbers, so that
    /// host rules matter.
    pub(crate) fn login_host(&self) -> String {
        format!("localhost:{}", self.addresses.login.port())
    }

    pub(crate) fn credentials_url(&self, daac: usize) -> String {
        format!("http://{}/s3credentials", self.addresses.daacs[daac])
    }

    /// Where a login comes back to.
    pub(crate) fn callback_url(&self, daac: usize) -> String {
        format!("http://{}{}", self.addresses.daacs[daac], self.callback_path(daac))
    }

    pub(crate) fn callback_path(&self, daac: usize) -> &'static str {
        let older = self.setup.daacs[daac].family == Family::Cumulus && self.knobs().older_callback;
        if older { "/redirect" } else { "/login" }
    }

    /// The application id that a DAAC has at Earthdata Login.
    pub(crate) fn client_id(&self, daac: usize) -> String {
        format!("archive-{daac}-AbCdEfGhIjKlMn")
    }

    /// Hands out session credentials of a DAAC to another user than the first.
    pub(crate) fn issue_to(&self, user: &str, daac: usize) -> Key {
        let knobs = self.knobs();
        let life = knobs.of_daac(self.daac_name(daac)).credential_life;
        self.keys.mint_for(user, self.now() + life, Opens::Daac(daac))
    }

    /// Hands out session credentials of a DAAC.
    pub(crate) fn issue(&self, daac: usize) -> Key {
        let knobs = self.knobs();
        let knobs = knobs.of_daac(self.daac_name(daac));
        let now = self.now();
        let mut sessions = self.sessions.lock();
        let alive = sessions
            .issued
            .get(&daac)
            .filter(|key| knobs.same_credentials && key.expires > Some(now))
            .cloned();
        let key =
            alive.unwrap_or_else(|| self.keys.mint(now + knobs.credential_life, Opens::Daac(daac)));
        sessions.issued.insert(daac, key.clone());
        key
    }
}

/// Three parts with dots between: a JWT as far as anyone looks.
fn new_token() -> String {
    format!(
        "eyJ0eXAiOiJKV1QiLCJvcmlnaW4iOiJFYXJ0aGRhdGEgTG9naW4ifQ.{}.{}",
        random_hex(120),
        random_hex(86)
    )
}
