//! The configuration of a fake DAAC.

use crate::knobs::Knobs;

/// The configuration of a fake DAAC.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The data centers; each has an endpoint of its own.
    pub daacs: Vec<Daac>,
    /// The one user of Earthdata Login.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// The region for which requests must be signed.
    pub region: String,
    /// The initial knobs.
    pub knobs: Knobs,
    /// The number of server threads.
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
            // These characters are encoded differently in a URL, in a form and in base64.
            password: "p:w+d/ %41é~>?".into(),
            region: "us-west-2".into(),
            knobs: Knobs::default(),
            threads: 2,
        }
    }
}

impl Setup {
    /// Returns three DAACs of two families with five buckets. The buckets' names are invented, so
    /// that they are not in granulefs' built-in table.
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

/// A data center: an endpoint and the buckets that its credentials open.
#[derive(Clone, Debug)]
pub struct Daac {
    /// Its name, for [`crate::FakeDaac::credentials_url`].
    pub name: String,
    /// The server software that it runs.
    pub family: Family,
    /// Its buckets.
    pub buckets: Vec<String>,
}

/// The two server programs that answer `/s3credentials`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Cumulus, which most DAACs run.
    Cumulus,
    /// The Thin Egress App (TEA), which ASF runs.
    Tea,
}
