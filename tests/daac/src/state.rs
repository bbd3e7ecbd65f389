//! The state that all servers of a fake DAAC share.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::{Mutex, RwLock};

use crate::catalog::CatalogEntry;
use crate::keys::{AllowedBuckets, Key, Keys};
use crate::knobs::Knobs;
use crate::live_knobs::LiveKnobs;
use crate::request_log::RequestLog;
use crate::sessions::{Sessions, random_hex};
use crate::store::Store;
use crate::{Family, Setup};

/// The state of a fake DAAC.
#[derive(Debug)]
pub(crate) struct ServerState {
    pub(crate) setup: Setup,
    pub(crate) addresses: Addresses,
    /// The bearer token of the first user.
    pub(crate) token: String,
    /// The names of other users, by their tokens.
    pub(crate) other_users: RwLock<HashMap<String, String>>,
    pub(crate) static_key: Key,
    pub(crate) store: RwLock<Store>,
    pub(crate) catalog: RwLock<Vec<CatalogEntry>>,
    pub(crate) live_knobs: LiveKnobs,
    pub(crate) request_log: Arc<RequestLog>,
    pub(crate) keys: Keys,
    pub(crate) sessions: Mutex<Sessions>,
}

/// The addresses at which the servers listen.
#[derive(Debug)]
pub(crate) struct Addresses {
    pub(crate) login: SocketAddr,
    pub(crate) daacs: Vec<SocketAddr>,
    pub(crate) s3: SocketAddr,
    pub(crate) foreign_host: SocketAddr,
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
            other_users: RwLock::default(),
            static_key: keys.issue_static(AllowedBuckets::All),
            store: RwLock::new(store),
            catalog: RwLock::default(),
            live_knobs: LiveKnobs::new(setup.knobs.clone()),
            request_log: Arc::default(),
            keys,
            sessions: Mutex::default(),
            setup,
        }
    }

    /// Adds another user and returns that user's token.
    pub(crate) fn add_user(&self, user: &str) -> String {
        let token = new_token();
        self.other_users.write().insert(token.clone(), user.to_owned());
        token
    }

    pub(crate) fn knobs(&self) -> Arc<Knobs> {
        self.live_knobs.read()
    }

    /// Returns the current time of all servers' clocks.
    pub(crate) fn now(&self) -> SystemTime {
        let shift = self.knobs().clock_shift;
        let seconds = Duration::from_secs(shift.unsigned_abs());
        if shift < 0 { SystemTime::now() - seconds } else { SystemTime::now() + seconds }
    }

    pub(crate) fn daac_name(&self, daac: usize) -> &str {
        &self.setup.daacs[daac].name
    }

    /// Returns the DAAC that a bucket belongs to.
    pub(crate) fn owner(&self, bucket: &str) -> Option<usize> {
        self.setup.daacs.iter().position(|daac| daac.buckets.iter().any(|known| known == bucket))
    }

    /// Returns whether a key opens a bucket.
    pub(crate) fn allows(&self, key: &Key, bucket: &str) -> bool {
        match &key.allowed {
            AllowedBuckets::All => true,
            AllowedBuckets::OfDaac(daac) => self.owner(bucket) == Some(*daac),
            AllowedBuckets::Named(buckets) => buckets.iter().any(|known| known == bucket),
        }
    }

    /// Checks that every DAAC and bucket with knobs of its own exists, since knobs of another one
    /// would have no effect.
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

    /// Returns the host name of Earthdata Login with its port. It is a name, and the DAACs' hosts
    /// are IP addresses, so that a client's rules for host names take effect.
    pub(crate) fn login_host(&self) -> String {
        format!("localhost:{}", self.addresses.login.port())
    }

    pub(crate) fn credentials_url(&self, daac: usize) -> String {
        format!("http://{}/s3credentials", self.addresses.daacs[daac])
    }

    /// Returns the URL to which Earthdata Login redirects after a login.
    pub(crate) fn callback_url(&self, daac: usize) -> String {
        format!("http://{}{}", self.addresses.daacs[daac], self.callback_path(daac))
    }

    pub(crate) fn callback_path(&self, daac: usize) -> &'static str {
        let older = self.setup.daacs[daac].family == Family::Cumulus && self.knobs().older_callback;
        if older { "/redirect" } else { "/login" }
    }

    /// Returns the application id of a DAAC at Earthdata Login.
    pub(crate) fn client_id(&self, daac: usize) -> String {
        format!("fake-daac-{daac}-AbCdEfGhIjKlMn")
    }

    /// Issues temporary credentials of a DAAC to another user than the first.
    pub(crate) fn issue_credentials_to(&self, user: &str, daac: usize) -> Key {
        let knobs = self.knobs();
        let life = knobs.for_daac(self.daac_name(daac)).credential_life;
        self.keys.issue_temporary_for(user, self.now() + life, AllowedBuckets::OfDaac(daac))
    }

    /// Issues temporary credentials of a DAAC.
    pub(crate) fn issue_credentials(&self, daac: usize) -> Key {
        let knobs = self.knobs();
        let knobs = knobs.for_daac(self.daac_name(daac));
        let now = self.now();
        let mut sessions = self.sessions.lock();
        let alive = sessions
            .issued
            .get(&daac)
            .filter(|key| knobs.same_credentials && key.expires > Some(now))
            .cloned();
        let key = alive.unwrap_or_else(|| {
            self.keys.issue_temporary(now + knobs.credential_life, AllowedBuckets::OfDaac(daac))
        });
        sessions.issued.insert(daac, key.clone());
        key
    }
}

/// Returns a token of three parts separated by dots, as a JWT has.
fn new_token() -> String {
    format!(
        "eyJ0eXAiOiJKV1QiLCJvcmlnaW4iOiJFYXJ0aGRhdGEgTG9naW4ifQ.{}.{}",
        random_hex(120),
        random_hex(86)
    )
}
