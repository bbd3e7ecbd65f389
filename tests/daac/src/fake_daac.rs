//! The fake DAAC as tests hold it: its addresses, users, objects, knobs, counts and keys.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use crate::buckets;
use crate::catalog::{self, CatalogEntry, Collection};
use crate::content::{Content, Object};
use crate::fault::Fault;
use crate::key_pattern::{KeyPattern, SyntheticObjects};
use crate::keys::{AllowedBuckets, Key};
use crate::knobs::Knobs;
use crate::request_log::LoggedRequest;
use crate::server::{self, Role};
use crate::setup::Setup;
use crate::state::{Addresses, ServerState};
use crate::stats::{DaacStats, Stats};
use crate::store::PutOptions;

/// A running fake DAAC, which stops when it is dropped.
#[derive(Debug)]
pub struct FakeDaac {
    state: Arc<ServerState>,
    runtime: Option<Runtime>,
}

impl FakeDaac {
    /// Starts a fake DAAC on free ports of loopback, with threads of its own.
    ///
    /// # Errors
    /// When no thread can be started or no port is free.
    pub fn start(setup: Setup) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(setup.threads)
            .thread_name("fake-daac")
            .enable_all()
            .build()?;
        // Every server has an address of its own, since clients send a cookie to every port of the
        // host that set it.
        let mut roles = vec![
            (Role::Login, 1),
            (Role::S3, 1),
            (Role::ForeignHost, 9),
            (Role::Cmr, 8),
            (Role::Control, 1),
        ];
        roles.extend((0..setup.daacs.len()).map(|index| (Role::Daac(index), 10 + index as u8)));
        let mut listeners = Vec::new();
        for (role, host) in roles {
            let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, host), 0))?;
            listener.set_nonblocking(true)?;
            listeners.push((role, listener.local_addr()?, listener));
        }
        let address = |wanted: Role| {
            let found = listeners.iter().find(|(role, ..)| *role == wanted);
            found.map_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)), |(_, address, _)| *address)
        };
        let addresses = Addresses {
            login: address(Role::Login),
            daacs: (0..setup.daacs.len()).map(|index| address(Role::Daac(index))).collect(),
            s3: address(Role::S3),
            foreign_host: address(Role::ForeignHost),
            cmr: address(Role::Cmr),
            control: address(Role::Control),
        };
        let state = Arc::new(ServerState::new(setup, addresses));
        state.check(&state.knobs()).map_err(io::Error::other)?;
        let context = runtime.enter();
        for (role, _, listener) in listeners {
            runtime.spawn(server::listen(
                Arc::clone(&state),
                role,
                tokio::net::TcpListener::from_std(listener)?,
            ));
        }
        drop(context);
        Ok(Self { state, runtime: Some(runtime) })
    }

    /// Returns the URL of the S3 that serves all buckets.
    #[must_use]
    pub fn s3_url(&self) -> String {
        format!("http://{}", self.state.addresses.s3)
    }

    /// Returns host and port of Earthdata Login.
    #[must_use]
    pub fn login_host(&self) -> String {
        self.state.login_host()
    }

    /// Returns the URL of a DAAC's `/s3credentials`.
    ///
    /// # Panics
    /// When there is no DAAC of that name.
    #[must_use]
    pub fn credentials_url(&self, daac: &str) -> String {
        self.state.credentials_url(self.daac(daac))
    }

    /// Returns host and port of CMR, which is served over http.
    #[must_use]
    pub fn cmr_host(&self) -> String {
        self.state.addresses.cmr.to_string()
    }

    /// Adds a collection to CMR and returns its concept id.
    ///
    /// # Panics
    /// When its bucket belongs to no DAAC.
    #[expect(clippy::expect_used, reason = "a misspelt name is a mistake in the test that calls")]
    pub fn publish(&self, collection: Collection) -> String {
        catalog::publish(&self.state, collection).expect("no DAAC has that bucket")
    }

    /// Adds recorded collections and granules to CMR: the `items` of its answers. They are kept as
    /// they are, except that every endpoint becomes the one of `daac`, so that a client that trusts
    /// a record sends no request to NASA.
    ///
    /// # Panics
    /// When there is no DAAC of that name.
    pub fn publish_recorded(&self, daac: &str, collections: Vec<Value>, granules: &[Value]) {
        let daac = self.daac(daac);
        let entries = collections
            .into_iter()
            .map(|record| CatalogEntry::recorded(&self.state, daac, record, granules));
        self.state.catalog.write().extend(entries);
    }

    /// Returns the bucket table in the form of granulefs' own, for `--buckets-file`: bucket ->
    /// endpoint, providers, region.
    #[must_use]
    pub fn buckets_file(&self) -> String {
        buckets::table(&self.state)
    }

    /// Returns the https link of an object as a granule's page has it:
    /// `http://host:port/bucket/key`, escaped. The object need not exist.
    ///
    /// # Panics
    /// When the bucket belongs to no DAAC.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a misspelt name is a mistake in the test that calls")]
    pub fn https_link(&self, bucket: &str, key: &str) -> String {
        buckets::link(&self.state, bucket, key).expect("no DAAC has that bucket")
    }

    #[expect(clippy::expect_used, reason = "a misspelt name is a mistake in the test that calls")]
    fn daac(&self, name: &str) -> usize {
        self.state
            .setup
            .daacs
            .iter()
            .position(|known| known.name == name)
            .expect("no DAAC of that name")
    }

    /// Returns the URL of the control listener.
    #[must_use]
    pub fn control_url(&self) -> String {
        format!("http://{}", self.state.addresses.control)
    }

    /// Adds another user, who has a token and no password, and returns the token.
    /// [`Knobs::user`] changes that user's permissions.
    #[must_use]
    pub fn add_user(&self, user: &str) -> String {
        self.state.add_user(user)
    }

    /// Returns the first user's Earthdata token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.state.token
    }

    /// Returns the first user's name.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.state.setup.user
    }

    /// Returns the first user's password.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.state.setup.password
    }

    /// Puts an object, or a newer version of it, whose LastModified is at least a second later.
    /// Creates the bucket if it is missing; a bucket of no DAAC opens only to
    /// [`FakeDaac::temporary_keys`] and [`FakeDaac::static_keys`].
    pub fn put(&self, bucket: &str, key: &str, content: impl Into<Content>) {
        self.put_with(bucket, key, content, PutOptions::default());
    }

    /// Puts an object with the given attributes. A file keeps its own.
    pub fn put_with(
        &self,
        bucket: &str,
        key: &str,
        content: impl Into<Content>,
        options: PutOptions,
    ) {
        self.state.store.write().put(bucket, key, content.into(), options);
    }

    /// Deletes an object, stored or generated.
    pub fn delete(&self, bucket: &str, key: &str) {
        self.state.store.write().delete(bucket, key);
    }

    /// Puts every file of a real directory. Each request reads its file anew; new files are found
    /// by the next `put_folder`. An empty directory becomes an object whose key ends in a slash.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn put_folder(
        &self,
        bucket: &str,
        prefix: &str,
        folder: impl AsRef<Path>,
    ) -> io::Result<()> {
        self.state.store.write().put_folder(bucket, prefix, folder.as_ref())
    }

    /// Adds generated objects.
    ///
    /// # Errors
    /// When the pattern cannot be parsed; the error is a sentence.
    pub fn put_synthetic(&self, bucket: &str, set: &SyntheticObjects) -> Result<(), String> {
        let names = KeyPattern::parse(set)?;
        self.state.store.write().create(bucket).add(names);
        Ok(())
    }

    /// Returns the current object, with which a test compares what it read.
    #[must_use]
    pub fn expected(&self, bucket: &str, key: &str) -> Option<Object> {
        self.state.store.read().get(bucket, key)
    }

    /// Changes knobs.
    ///
    /// # Panics
    /// When a DAAC or bucket with knobs of its own does not exist.
    pub fn set(&self, change: impl FnOnce(&mut Knobs)) {
        self.state.live_knobs.change(change);
        let checked = self.state.check(&self.state.knobs());
        assert!(checked.is_ok(), "{checked:?}");
    }

    /// Adds a fault.
    pub fn add_fault(&self, fault: Fault) {
        self.set(|knobs| knobs.faults.push(fault));
    }

    /// Returns the counts.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.state.request_log.stats()
    }

    /// Returns the counts of one DAAC.
    ///
    /// # Panics
    /// When there is no DAAC of that name.
    #[must_use]
    pub fn daac_stats(&self, daac: &str) -> DaacStats {
        let name = self.state.daac_name(self.daac(daac));
        self.stats().daacs.remove(name).unwrap_or_default()
    }

    /// Returns every request since the start or the last reset, oldest first, of the last 200,000.
    #[must_use]
    pub fn log(&self) -> Vec<LoggedRequest> {
        self.state.request_log.log()
    }

    /// Resets the counts and empties the log.
    pub fn reset_stats(&self) {
        self.state.request_log.reset();
    }

    /// Waits until `condition` holds for the counts; returns false when it does not in time.
    pub fn wait_for(&self, condition: impl Fn(&Stats) -> bool, timeout: Duration) -> bool {
        self.state.request_log.wait_for(condition, timeout)
    }

    /// Issues temporary credentials that open every bucket: access key, secret key, session token.
    #[must_use]
    pub fn temporary_keys(&self, life: Duration) -> (String, String, String) {
        self.issue_temporary(life, AllowedBuckets::All)
    }

    /// Issues temporary credentials of a role that open these buckets only: access key, secret key,
    /// session token.
    #[must_use]
    pub fn temporary_keys_of(&self, life: Duration, buckets: &[&str]) -> (String, String, String) {
        self.issue_temporary(
            life,
            AllowedBuckets::Named(buckets.iter().map(|&bucket| bucket.into()).collect()),
        )
    }

    fn issue_temporary(&self, life: Duration, allowed: AllowedBuckets) -> (String, String, String) {
        let Key { id, secret, token, .. } =
            self.state.keys.issue_temporary(self.state.now() + life, allowed);
        (id, secret, token.unwrap_or_default())
    }

    /// Issues keys without a session token that open these buckets only and never expire: access
    /// key, secret key.
    #[must_use]
    pub fn static_keys_of(&self, buckets: &[&str]) -> (String, String) {
        let Key { id, secret, .. } = self.state.keys.issue_static(AllowedBuckets::Named(
            buckets.iter().map(|&bucket| bucket.into()).collect(),
        ));
        (id, secret)
    }

    /// Returns keys without a session token that open every bucket and never expire: access key,
    /// secret key.
    #[must_use]
    pub fn static_keys(&self) -> (String, String) {
        let key = &self.state.static_key;
        (key.id.clone(), key.secret.clone())
    }

    /// Returns every secret so far, which a client's output must not contain: password, also as a
    /// Basic header has it, tokens, secret keys, cookies.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets = vec![self.token().to_owned(), self.password().to_owned()];
        secrets.push(STANDARD.encode(format!("{}:{}", self.user(), self.password())));
        secrets.extend(self.state.knobs().new_password.clone());
        secrets.extend(self.state.other_users.read().keys().cloned());
        for key in self.state.keys.all() {
            secrets.push(key.secret);
            secrets.extend(key.token);
        }
        secrets.extend(self.state.sessions.lock().cookies().cloned());
        secrets
    }
}

impl Drop for FakeDaac {
    fn drop(&mut self) {
        // Dropping a runtime blocks, which panics inside another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
