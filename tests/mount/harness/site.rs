//! An archive, and the program set up to use it.

use std::path::Path;
use std::process::Command;

use fake_daac::{Daac, FakeDaac, Family, Setup};
use tempfile::TempDir;

use super::{Mount, PROGRAM, Place, Plan, Ran, run};

/// The bucket of the default set-up.
pub(crate) const BUCKET: &str = "granules";

/// An archive for one test.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) archive: FakeDaac,
    folder: TempDir,
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
        let site =
            Self { archive: FakeDaac::start(setup).unwrap(), folder: tempfile::tempdir().unwrap() };
        std::fs::write(site.table(), site.archive.buckets_file()).unwrap();
        Some(site)
    }

    /// An archive of one data center that runs this server software, with one object.
    pub(crate) fn of_family(family: Family) -> Option<Self> {
        let daac = Daac { name: "PODAAC".into(), family, buckets: vec![BUCKET.into()] };
        let site = Self::of(Setup { daacs: vec![daac], ..Setup::default() })?;
        site.archive.put(BUCKET, "folder/one.txt", "one\n");
        Some(site)
    }

    /// The file with the archive's own table of buckets.
    pub(crate) fn table(&self) -> String {
        self.folder.path().join("buckets.json").display().to_string()
    }

    /// A mount of `source` for one who has the token, and the archive's table rather than an
    /// endpoint.
    pub(crate) fn plan_by_table(&self, source: &str) -> Plan {
        self.plan(source).without("S3_CREDENTIAL_ENDPOINT").args(&["--buckets-file", &self.table()])
    }

    /// `command` for one who has the token. It gets nothing else of the test's own environment than
    /// the way to the tools.
    pub(crate) fn equip(&self, command: &mut Command) {
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.folder.path()).env("AWS_EC2_METADATA_DISABLED", "true");
        command
            .env("EARTHDATA_HOST", self.archive.edl_host())
            .env("EARTHDATA_TOKEN", self.archive.token());
        command.env("AWS_ENDPOINT_URL_S3", self.archive.s3_url());
    }

    /// The program with these arguments, [equipped](Self::equip).
    pub(crate) fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments);
        self.equip(&mut command);
        command
    }

    /// [`Self::program`] run to its end.
    #[track_caller]
    pub(crate) fn ask(&self, arguments: &[&str]) -> Ran {
        run(&mut self.program(arguments))
    }

    /// An archive with one object of a few bytes, where it does not matter what is in it.
    pub(crate) fn with_one_object() -> Option<Self> {
        Self::of_family(Family::Cumulus)
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
