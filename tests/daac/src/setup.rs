//! What an archive is made of.

use crate::knobs::Knobs;

/// What an archive is made of.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The data centers; each has an endpoint of its own.
    pub daacs: Vec<Daac>,
    /// The one user of Earthdata Login.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// The region that requests must be signed for.
    pub region: String,
    /// The knobs to start with.
    pub knobs: Knobs,
    /// Threads that serve.
    pub threads: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            daacs: vec![Daac {
                name: "PODAAC".into(),
                family: Family::Cumulus,
                buckets: vec!["granules".into()],
            }],
            user: "ada".into(),
            // Characters that a URL, a form and base64 each treat in their own way.
            password: "p:w+d/ %41é~>?".into(),
            region: "us-west-2".into(),
            knobs: Knobs::default(),
            threads: 2,
        }
    }
}

impl Setup {
    /// Five buckets behind three DAACs of two families. The names are made up, so that no table
    /// knows them.
    #[must_use]
    pub fn three_daacs() -> Self {
        let daac = |name: &str, family, buckets: &[&str]| Daac {
            name: name.into(),
            family,
            buckets: buckets.iter().map(|bucket| (*bucket).to_owned()).collect(),
        };
        Self {
            daacs: vec![
                daac("PODAAC", Family::Cumulus, &["podaac-local-protected", "podaac-local-public"]),
                daac("NSIDC", Family::Cumulus, &["nsidc-local-protected"]),
                daac("ASF", Family::Tea, &["asf-local-products", "asf-local-browse"]),
            ],
            ..Self::default()
        }
    }
}

/// A data center: an endpoint, and the buckets that its credentials open.
#[derive(Clone, Debug)]
pub struct Daac {
    /// Its name, for [`crate::FakeDaac::credentials_url`].
    pub name: String,
    /// Which server software it runs.
    pub family: Family,
    /// Its buckets.
    pub buckets: Vec<String>,
}

/// The two kinds of servers that answer `/s3credentials`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Cumulus, as most DAACs run.
    Cumulus,
    /// The Thin Egress App, as ASF runs.
    Tea,
}
