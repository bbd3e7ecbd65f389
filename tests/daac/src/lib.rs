//! A DAAC on loopback: Earthdata Login, `/s3credentials` in the manner of both server families, and
//! an S3 that is stricter than AWS.
//!
//! Tests hold an [`FakeDaac`], fill its buckets, turn its [`Knobs`] while it runs, and ask it
//! afterwards what was requested of it.
//!
//! | wanted | how |
//! |---|---|
//! | five buckets behind three DAACs, two families | [`Setup::three_daacs`]; the table for `--buckets-file`: [`FakeDaac::buckets_file`] |
//! | one DAAC broken, the others well | `set(\|knobs\| knobs.daac("ASF").endpoint = Some(EndpointAnswer::Unavailable))`; [`DaacKnobs`] has the rest |
//! | what one bucket allows | `set(\|knobs\| knobs.bucket("asf-local-browse").listing = Some(Listing::Denied))`; [`BucketKnobs`] |
//! | another user, who sees another tree | [`FakeDaac::admit`], `set(\|knobs\| knobs.user("eve", "granules").listing = Some(Listing::Denied))` |
//! | all well again | `set(\|knobs\| knobs.daacs.clear())`, `set(\|knobs\| knobs.buckets.clear())` |
//! | that credentials were fetched lazily, and by whom | [`FakeDaac::daac_stats`] |
//! | credentials of a role, for some buckets | [`FakeDaac::mint_role`], [`FakeDaac::static_keys_of`] |
//! | the https link of a granule | [`FakeDaac::https_link`]; whoever fetches one is counted in [`Stats::links`] |
//! | CMR | [`FakeDaac::cmr_host`], [`FakeDaac::publish`] with a clean or dirty [`Hint`], [`FakeDaac::publish_recorded`]; [`Knobs::cmr`], `cmr_down`, `cmr_latency` |
//! | one thing gone wrong, now and then or n times | [`FakeDaac::fault`] with a [`Fault`] `.on(Kind)`, `.containing(key)`, `.covering(byte)`, `.at(daac)`, `.in_bucket(bucket)`, `.next(n)` |
//!
//! The program `archive` has the same: `--daac`, `--collection`, `--knobs`, and the control
//! listener for the rest.

mod access;
mod answers;
mod buckets;
mod catalogue;
mod cmr;
mod content;
mod control;
mod daac;
mod exchange;
mod fault;
pub mod granules;
mod journal;
mod keys;
mod knobs;
mod leak;
mod list;
mod listing;
mod live_knobs;
mod login;
mod names;
mod netcdf;
mod overrides;
mod payload;
mod range;
mod refusal;
mod s3;
mod server;
mod sessions;
mod setup;
mod sigv4;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod wire;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

pub use catalogue::{Collection, Hint};
pub use content::{Content, Object};
pub use fault::{Failure, Fault};
pub use journal::{DaacStats, Kind, Logged, Stats};
pub use knobs::{
    BearerAnswer, CmrAnswer, EndpointAnswer, Expiration, Knobs, Listing, LoginAnswer, PasswordWays,
    Trap,
};
pub use names::Synthetic;
pub use overrides::{BucketKnobs, DaacKnobs};
pub use setup::{Daac, Family, Setup};
pub use store::Attributes;

use catalogue::Entry;
use keys::{Key, Opens};
use names::Names;
use server::Role;
use state::{Addresses, ServerState};

/// A running archive; it stops when dropped.
#[derive(Debug)]
pub struct FakeDaac {
    world: Arc<ServerState>,
    runtime: Option<Runtime>,
}

impl FakeDaac {
    /// Starts an archive on free ports of loopback, with threads of its own.
    ///
    /// # Errors
    /// When no thread can be started or no port be had.
    pub fn start(setup: Setup) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(setup.threads)
            .thread_name("archive")
            .enable_all()
            .build()?;
        // Every server has an address of its own, since cookies know no ports.
        let mut roles = vec![
            (Role::Login, 1),
            (Role::S3, 1),
            (Role::Trap, 9),
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
            trap: address(Role::Trap),
            cmr: address(Role::Cmr),
            control: address(Role::Control),
        };
        let world = Arc::new(ServerState::new(setup, addresses));
        world.check(&world.knobs()).map_err(io::Error::other)?;
        let context = runtime.enter();
        for (role, _, listener) in listeners {
            runtime.spawn(server::listen(
                Arc::clone(&world),
                role,
                tokio::net::TcpListener::from_std(listener)?,
            ));
        }
        drop(context);
        Ok(Self { world, runtime: Some(runtime) })
    }

    /// Returns the URL of the one S3 that serves all buckets.
    #[must_use]
    pub fn s3_url(&self) -> String {
        format!("http://{}", self.world.addresses.s3)
    }

    /// Returns name and port of Earthdata Login.
    #[must_use]
    pub fn edl_host(&self) -> String {
        self.world.login_host()
    }

    /// Returns the endpoint of a DAAC.
    ///
    /// # Panics
    /// When there is no DAAC of that name.
    #[must_use]
    pub fn credentials_url(&self, daac: &str) -> String {
        self.world.credentials_url(self.daac(daac))
    }

    /// Returns name and port of the catalogue, CMR, which is spoken to by `http`.
    #[must_use]
    pub fn cmr_host(&self) -> String {
        self.world.addresses.cmr.to_string()
    }

    /// Makes CMR know a collection, and returns its concept id.
    ///
    /// # Panics
    /// When its bucket belongs to no DAAC.
    #[expect(clippy::expect_used, reason = "a misspelt name is a mistake in the test that calls")]
    pub fn publish(&self, collection: Collection) -> String {
        catalogue::publish(&self.world, collection).expect("no DAAC has that bucket")
    }

    /// Makes CMR know recorded collections and granules: the `items` of its answers. What they say
    /// is kept, but for the endpoints, which all become the one of `daac`: a client that believes a
    /// record must not find itself at NASA's.
    ///
    /// # Panics
    /// When there is no DAAC of that name.
    pub fn publish_recorded(&self, daac: &str, collections: Vec<Value>, granules: &[Value]) {
        let daac = self.daac(daac);
        let entries = collections
            .into_iter()
            .map(|record| Entry::recorded(&self.world, daac, record, granules));
        self.world.catalogue.write().extend(entries);
    }

    /// Returns the table of buckets in the shape of granulefs' own, for `--buckets-file`: bucket ->
    /// endpoint, providers, region.
    #[must_use]
    pub fn buckets_file(&self) -> String {
        buckets::table(&self.world)
    }

    /// Returns the https link of an object as a granule's page has it:
    /// `http://host:port/bucket/key`, escaped. The object need not exist.
    ///
    /// # Panics
    /// When the bucket belongs to no DAAC.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a misspelt name is a mistake in the test that calls")]
    pub fn https_link(&self, bucket: &str, key: &str) -> String {
        buckets::link(&self.world, bucket, key).expect("no DAAC has that bucket")
    }

    #[expect(clippy::expect_used, reason = "a misspelt name is a mistake in the test that calls")]
    fn daac(&self, name: &str) -> usize {
        self.world
            .setup
            .daacs
            .iter()
            .position(|known| known.name == name)
            .expect("no DAAC of that name")
    }

    /// Returns the URL of the control listener.
    #[must_use]
    pub fn control_url(&self) -> String {
        format!("http://{}", self.world.addresses.control)
    }

    /// Makes another user, who has a token and no password, and returns the token. What that one
    /// may differs by [`Knobs::user`].
    #[must_use]
    pub fn admit(&self, user: &str) -> String {
        self.world.admit(user)
    }

    /// Returns the user's Earthdata token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.world.token
    }

    /// Returns the user's name.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.world.setup.user
    }

    /// Returns the user's password.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.world.setup.password
    }

    /// Puts an object, or a newer version of it: LastModified grows by a second at least. Makes the
    /// bucket if need be; a bucket of no DAAC opens only to [`FakeDaac::mint`] and
    /// [`FakeDaac::static_keys`].
    pub fn put(&self, bucket: &str, key: &str, content: impl Into<Content>) {
        self.put_with(bucket, key, content, Attributes::default());
    }

    /// Puts an object with attributes of one's own choice. A file keeps its own.
    pub fn put_with(
        &self,
        bucket: &str,
        key: &str,
        content: impl Into<Content>,
        attributes: Attributes,
    ) {
        self.world.store.write().put(bucket, key, content.into(), attributes);
    }

    /// Deletes an object, a generated one too.
    pub fn delete(&self, bucket: &str, key: &str) {
        self.world.store.write().delete(bucket, key);
    }

    /// Puts every file of a real folder. The files are looked at by each request; new ones are seen
    /// by the next `put_folder`. An empty directory becomes a marker.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn put_folder(
        &self,
        bucket: &str,
        prefix: &str,
        folder: impl AsRef<Path>,
    ) -> io::Result<()> {
        self.world.store.write().put_folder(bucket, prefix, folder.as_ref())
    }

    /// Adds a set of generated objects.
    ///
    /// # Errors
    /// When the pattern cannot be read, in words.
    pub fn synthetic(&self, bucket: &str, set: &Synthetic) -> Result<(), String> {
        let names = Names::parse(set)?;
        self.world.store.write().create(bucket).add(names);
        Ok(())
    }

    /// Returns the object as it is now, to compare bytes and attributes with.
    #[must_use]
    pub fn expected(&self, bucket: &str, key: &str) -> Option<Object> {
        self.world.store.read().get(bucket, key)
    }

    /// Turns knobs.
    ///
    /// # Panics
    /// When there are knobs of a DAAC or bucket that is not there.
    pub fn set(&self, change: impl FnOnce(&mut Knobs)) {
        self.world.panel.turn(change);
        let checked = self.world.check(&self.world.knobs());
        assert!(checked.is_ok(), "{checked:?}");
    }

    /// Adds a fault.
    pub fn fault(&self, fault: Fault) {
        self.set(|knobs| knobs.faults.push(fault));
    }

    /// Returns the counts.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.world.journal.stats()
    }

    /// Returns the counts of one DAAC.
    ///
    /// # Panics
    /// When there is no DAAC of that name.
    #[must_use]
    pub fn daac_stats(&self, daac: &str) -> DaacStats {
        let name = self.world.daac_name(self.daac(daac));
        self.stats().daacs.remove(name).unwrap_or_default()
    }

    /// Returns every request since the start or the last reset, oldest first, of the last 200,000.
    #[must_use]
    pub fn log(&self) -> Vec<Logged> {
        self.world.journal.log()
    }

    /// Forgets counts and log.
    pub fn reset_stats(&self) {
        self.world.journal.reset();
    }

    /// Waits until the counts fulfil a condition; false when they did not in time.
    pub fn wait_for(&self, condition: impl Fn(&Stats) -> bool, timeout: Duration) -> bool {
        self.world.journal.wait_for(condition, timeout)
    }

    /// Makes session credentials that open every bucket: access key, secret key, session token.
    #[must_use]
    pub fn mint(&self, life: Duration) -> (String, String, String) {
        self.mint_key(life, Opens::All)
    }

    /// Makes credentials of a role, with a session token, that open these buckets only: access key,
    /// secret key, session token.
    #[must_use]
    pub fn mint_role(&self, life: Duration, buckets: &[&str]) -> (String, String, String) {
        self.mint_key(life, Opens::Buckets(buckets.iter().map(|&bucket| bucket.into()).collect()))
    }

    fn mint_key(&self, life: Duration, opens: Opens) -> (String, String, String) {
        let Key { id, secret, token, .. } = self.world.keys.mint(self.world.now() + life, opens);
        (id, secret, token.unwrap_or_default())
    }

    /// Makes keys without a session token that open these buckets only, for ever: access key,
    /// secret key.
    #[must_use]
    pub fn static_keys_of(&self, buckets: &[&str]) -> (String, String) {
        let Key { id, secret, .. } = self
            .world
            .keys
            .mint_static(Opens::Buckets(buckets.iter().map(|&bucket| bucket.into()).collect()));
        (id, secret)
    }

    /// Returns keys without a session token that open every bucket for ever: access key, secret
    /// key.
    #[must_use]
    pub fn static_keys(&self) -> (String, String) {
        let key = &self.world.static_key;
        (key.id.clone(), key.secret.clone())
    }

    /// Returns every secret there is so far, to search a client's output for: password, tokens,
    /// secret keys, cookies.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets = vec![self.token().to_owned(), self.password().to_owned()];
        secrets.extend(self.world.others.read().keys().cloned());
        for key in self.world.keys.all() {
            secrets.push(key.secret);
            secrets.extend(key.token);
        }
        secrets.extend(self.world.sessions.lock().cookies().cloned());
        secrets
    }
}

impl Drop for FakeDaac {
    fn drop(&mut self) {
        // Dropping a runtime waits for it, which is forbidden inside another one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
