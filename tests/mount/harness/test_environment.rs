//! A fake DAAC, and calls of the program that use it.

use std::path::Path;
use std::process::Command;

use fake_daac::{Daac, FakeDaac, Family, Setup};
use tempfile::TempDir;

use super::{CommandOutput, Mount, MountCommand, MountDirectory, PROGRAM, run};

/// The bucket of the default configuration.
pub(crate) const BUCKET: &str = "granules";

/// A fake DAAC for one test, and a directory for the program's files.
#[derive(Debug)]
pub(crate) struct TestEnvironment {
    pub(crate) fake_daac: FakeDaac,
    folder: TempDir,
}

impl TestEnvironment {
    /// Starts a fake DAAC. Returns `None`, after printing a message, when this machine cannot
    /// mount.
    ///
    /// # Panics
    /// When this machine cannot mount and `GRANULEFS_REQUIRE_MOUNT` is set.
    pub(crate) fn start() -> Option<Self> {
        Self::with_setup(Setup::default())
    }

    pub(crate) fn with_setup(setup: Setup) -> Option<Self> {
        if !Path::new("/dev/fuse").exists() {
            assert!(std::env::var_os("GRANULEFS_REQUIRE_MOUNT").is_none(), "there is no /dev/fuse");
            eprintln!("skipped: there is no /dev/fuse");
            return None;
        }
        let environment = Self {
            fake_daac: FakeDaac::start(setup).unwrap(),
            folder: tempfile::tempdir().unwrap(),
        };
        std::fs::write(environment.buckets_file_path(), environment.fake_daac.buckets_file())
            .unwrap();
        Some(environment)
    }

    /// Starts one DAAC with this server software and one object.
    pub(crate) fn with_family(family: Family) -> Option<Self> {
        let daac = Daac { name: "PODAAC".into(), family, buckets: vec![BUCKET.into()] };
        let environment = Self::with_setup(Setup { daacs: vec![daac], ..Setup::default() })?;
        environment.fake_daac.put(BUCKET, "folder/one.txt", "one\n");
        Some(environment)
    }

    /// Returns the path of the file with the fake DAAC's bucket table.
    pub(crate) fn buckets_file_path(&self) -> String {
        self.folder.path().join("buckets.json").display().to_string()
    }

    /// Returns a mount of `source` with the token, and with the bucket table instead of an
    /// endpoint.
    pub(crate) fn mount_command_with_table(&self, source: &str) -> MountCommand {
        self.mount_command(source)
            .without_env("S3_CREDENTIAL_ENDPOINT")
            .args(&["--buckets-file", &self.buckets_file_path()])
    }

    /// Sets the variables of a command: the token and the fake DAAC's addresses. Of the test's own
    /// environment it gets only `PATH`.
    pub(crate) fn set_variables(&self, command: &mut Command) {
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.folder.path()).env("AWS_EC2_METADATA_DISABLED", "true");
        command
            .env("EARTHDATA_HOST", self.fake_daac.login_host())
            .env("EARTHDATA_CMR_HOST", self.fake_daac.cmr_host())
            .env("EARTHDATA_TOKEN", self.fake_daac.token());
        command.env("AWS_ENDPOINT_URL_S3", self.fake_daac.s3_url());
    }

    /// Returns the program with these arguments and the variables of [`Self::set_variables`].
    pub(crate) fn granulefs(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments);
        self.set_variables(&mut command);
        command
    }

    /// Runs [`Self::granulefs`] to its end.
    #[track_caller]
    pub(crate) fn run_granulefs(&self, arguments: &[&str]) -> CommandOutput {
        run(&mut self.granulefs(arguments))
    }

    /// Starts a DAAC with one small object, for tests that do not depend on the content.
    pub(crate) fn with_one_object() -> Option<Self> {
        Self::with_family(Family::Cumulus)
    }

    /// Returns a mount of `source` at a new directory, with the token.
    pub(crate) fn mount_command(&self, source: &str) -> MountCommand {
        self.mount_command_at(MountDirectory::new(), source)
    }

    pub(crate) fn mount_command_at(&self, directory: MountDirectory, source: &str) -> MountCommand {
        MountCommand::new(directory, source)
            .env("EARTHDATA_HOST", self.fake_daac.login_host())
            .env("EARTHDATA_CMR_HOST", self.fake_daac.cmr_host())
            .env("S3_CREDENTIAL_ENDPOINT", self.fake_daac.credentials_url("PODAAC"))
            .env("AWS_ENDPOINT_URL_S3", self.fake_daac.s3_url())
            .env("EARTHDATA_TOKEN", self.fake_daac.token())
    }

    /// Returns a mount of `source` with AWS credentials in the environment that open every bucket.
    pub(crate) fn mount_command_with_aws_keys(&self, source: &str) -> MountCommand {
        let (access_key, secret_key) = self.fake_daac.static_keys();
        MountCommand::new(MountDirectory::new(), source)
            .args(&["--aws-credentials"])
            .env("AWS_ENDPOINT_URL_S3", self.fake_daac.s3_url())
            .env("AWS_ACCESS_KEY_ID", &access_key)
            .env("AWS_SECRET_ACCESS_KEY", &secret_key)
    }

    /// Mounts `source` by [`Self::mount_command`].
    #[track_caller]
    pub(crate) fn mount(&self, source: &str) -> Mount {
        self.mount_command(source).mount()
    }
}
