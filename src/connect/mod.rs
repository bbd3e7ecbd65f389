//! From a source and settings to S3 buckets that can be asked: what every verb of the program, and
//! any other program, shares.
//!
//! [`connect()`] says which buckets a [`Source`] means and whose credentials open each of them. It
//! logs in nowhere: the first request of a [`crate::s3::Bucket`] does, or [`Connection::log_in`]
//! for a caller who would rather know at once.
//!
//! Nothing here prints: what a user should be told is returned as values. Nothing here has a
//! default: that is up to the caller.
//!
//! ```no_run
//! use granulefs::catalog::BucketTable;
//! use granulefs::connect::{EarthdataSettings, RegionSettings, S3Settings, Settings, connect};
//! use granulefs::s3::Position;
//!
//! # async fn print_the_first_keys() -> Result<(), granulefs::error::Error> {
//! let settings = Settings {
//!     earthdata: EarthdataSettings {
//!         login_host: "urs.earthdata.nasa.gov".into(),
//!         cmr_host: "cmr.earthdata.nasa.gov".into(),
//!         credentials_endpoint: None,
//!         bucket_table: BucketTable::built_in(),
//!         identity: None,
//!         token_file: None,
//!     },
//!     s3: S3Settings {
//!         prefer_environment: false,
//!         region: RegionSettings { named: None, otherwise: "us-west-2".into() },
//!         endpoint_url: None,
//!         path_style: false,
//!     },
//! };
//! let source = "podaac-ops-cumulus-protected/MUR-JPL-L4-GLOB-v4.1".parse()?;
//! let connections = connect(&source, &settings).await?;
//! for note in &connections.notes {
//!     eprintln!("note: {note}");
//! }
//! for connection in &connections.buckets {
//!     connection.log_in(|login| eprintln!("{login}")).await?;
//!     let prefix = &connection.location.prefix;
//!     let page = connection.bucket()?.subtree_page(prefix, &Position::Start).await?;
//!     for object in page.objects {
//!         println!("{}", object.id.url());
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod connection;
mod credentials;
mod endpoints;
mod notes;
mod settings;

use std::sync::Arc;

use crate::catalog::{BucketPrefixes, Source, resolve};
use crate::error::Error;
use crate::http;
use crate::object::Prefix;
use crate::s3;
use credentials::Logins;
use endpoints::Endpoints;

pub use connection::Connection;
pub use credentials::FirstCredentials;
pub use notes::{LeftOut, Note, SlowLogin};
pub use settings::{EarthdataSettings, RegionSettings, S3Settings, Settings};

/// What a source means, with all that it takes to ask its buckets.
#[derive(Debug)]
pub struct Connections {
    /// One for each bucket; at least one.
    pub buckets: Vec<Connection>,
    /// The key of the object that the source points at. It is in the only bucket, below its prefix.
    pub file: Option<String>,
    /// What the user did not say and should know.
    pub notes: Vec<Note>,
}

/// The buckets of a source that can be asked.
#[derive(Debug)]
pub struct UsableBuckets {
    /// Each bucket with the prefix that is wanted of it; at least one.
    pub buckets: Vec<(s3::Bucket, Prefix)>,
    /// The others.
    pub left_out: Vec<LeftOut>,
}

/// Looks up which buckets `source` means, and whose credentials open each of them: one login serves
/// all buckets of an endpoint, and one identity serves all logins.
///
/// Sends requests only where the source needs a look-up: collections, granules and their links to
/// CMR, a link that no rule knows to its own host. A bucket whose
/// credentials nobody could ask for is no error here: [`Connection::log_in`] and
/// [`Connection::bucket`] say why.
///
/// # Errors
/// [`Error::Usage`] when the source means nothing that is known, and for certificate authorities of
/// the environment that cannot be used; [`Error::Transient`] when CMR is
/// needed and gives no answer.
pub async fn connect(source: &Source, settings: &Settings) -> Result<Connections, Error> {
    let Settings { earthdata, s3 } = settings;
    // The AWS SDK panics, in a debug build, where there is none to trust.
    http::added_authorities()?;
    let mut resolved = resolve(source, &earthdata.bucket_table, &earthdata.cmr_host).await?;
    resolved.keep_system_of(&earthdata.login_host)?;
    let (named, table) = (earthdata.credentials_endpoint.as_deref(), &earthdata.bucket_table);
    let endpoints = Endpoints::new(named, &resolved.buckets, table);
    let shared_table = Arc::new(table.clone());
    let mut logins = Logins::new(settings).await;
    let buckets = resolved.buckets.iter().map(|bucket| {
        let endpoint = endpoints.required(bucket);
        let name = &bucket.location.bucket;
        let prefixes = BucketPrefixes::new(&earthdata.cmr_host, name, shared_table.clone());
        Connection::new(bucket, endpoint, prefixes, &mut logins, s3)
    });
    Ok(Connections {
        buckets: buckets.collect(),
        notes: resolved.note.map(Note::Source).into_iter().chain(endpoints.notes()).collect(),
        file: resolved.file,
    })
}

impl Connections {
    /// Returns all buckets that can be asked, each with its prefix, and why the others cannot. Logs
    /// in nowhere.
    ///
    /// # Errors
    /// Why the first bucket cannot be asked, when none can.
    pub fn usable_buckets(&self) -> Result<UsableBuckets, Error> {
        let (mut buckets, mut left_out) = (Vec::new(), Vec::new());
        for connection in &self.buckets {
            let location = &connection.location;
            match connection.bucket() {
                Ok(bucket) => buckets.push((bucket, location.prefix.clone())),
                Err(error) => left_out.push(LeftOut { location: location.clone(), error }),
            }
        }
        match left_out.first() {
            Some(first) if buckets.is_empty() => Err(first.error.clone()),
            _ => Ok(UsableBuckets { buckets, left_out }),
        }
    }
}
