//! An archive, and the program set up to use it.

use std::path::Path;

use archive::{Archive, Setup};

use super::{Mount, Place, Plan};

/// The bucket of the default set-up.
pub(crate) const BUCKET: &str = "granules";

/// An archive for one test.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) archive: Archive,
}

impl Site {
    /// Starts an archive. `None`: this machine cannot mount, which was printed.
    ///
    /// # Panics
    /// When it cannot mount and `GRANULEFS_REQUIRE_MOUNT` is set.
    pub(crate) fn start() -> Option<Self> {
        Self::of(Setup::default())
    }

    pub(crate) fn of(setup: Setup) -> Option<Self> {
        if !Path::new("/dev/fuse").exists() {
            assert!(std::env::var_os("GRANULEFS_REQUIRE_MOUNT").is_none(), "there is no /dev/fuse");
            eprintln!("skipped: there is no /dev/fuse");
            return None;
        }
        Some(Self { archive: Archive::start(setup).unwrap() })
    }

    /// An archive with one object of a few bytes, where it does not matter what is in it.
    pub(crate) fn with_one_object() -> Option<Self> {
        let site = Self::start()?;
        site.archive.put(BUCKET, "folder/one.txt", "one\n");
        Some(site)
    }

    /// A mount of `source` on a place of its own, for the one who has the token.
    pub(crate) fn plan(&self, source: &str) -> Plan {
        self.plan_on(Place::new(), source)
    }

    pub(crate) fn plan_on(&self, place: Place, source: &str) -> Plan {
        Plan::new(place, source)
            .env("EARTHDATA_HOST", self.archive.edl_host())
            .env("S3_CREDENTIAL_ENDPOINT", self.archive.credentials_url("PODAAC"))
            .env("AWS_ENDPOINT_URL_S3", self.archive.s3_url())
            .env("EARTHDATA_TOKEN", self.archive.token())
    }

    /// A mount of `source` for one who has AWS credentials of their own, that open every bucket.
    pub(crate) fn plan_with_keys(&self, source: &str) -> Plan {
        let (access_key, secret_key) = self.archive.static_keys();
        Plan::new(Place::new(), source)
            .args(&["--aws-credentials"])
            .env("AWS_ENDPOINT_URL_S3", self.archive.s3_url())
            .env("AWS_ACCESS_KEY_ID", &access_key)
            .env("AWS_SECRET_ACCESS_KEY", &secret_key)
    }

    /// [`Self::plan`] carried out.
    #[track_caller]
    pub(crate) fn mount(&self, source: &str) -> Mount {
        self.plan(source).mount()
    }
}
