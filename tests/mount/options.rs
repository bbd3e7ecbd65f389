//! Options, whether they come from a flag, the environment, `-o` or a netrc file.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fake_daac::{FakeDaac, Setup};

use crate::harness::{BUCKET, MountCommand, PROGRAM, TIMEOUT, TestEnvironment, eventually, run};

/// Writes a netrc file for the fake DAAC's user.
fn netrc(fake_daac: &FakeDaac, path: &Path) {
    let password = fake_daac.password().replace('\\', "\\\\").replace('"', "\\\"");
    fs::write(
        path,
        format!("machine localhost login {} password \"{password}\"\n", fake_daac.user()),
    )
    .unwrap();
}

#[track_caller]
fn must_read(mount_command: MountCommand) {
    assert_eq!(fs::read_to_string(mount_command.mount().at("folder/one.txt")).unwrap(), "one\n");
}

/// The identity comes from the token, the environment, `$NETRC` or `~/.netrc`, in this order; later
/// sources are not used.
#[test]
fn the_identity_comes_from_the_first_source_that_has_one() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let fake_daac = &environment.fake_daac;
    let with_netrc_at = |mount_command: MountCommand, path: PathBuf| {
        netrc(fake_daac, &path);
        mount_command
    };
    let without_token =
        || environment.mount_command(BUCKET).without_env("EARTHDATA_TOKEN").env("NETRC", "");
    let home = without_token();
    let path = home.directory().home().join(".netrc");
    let named = without_token();
    let elsewhere = named.directory().home().join("elsewhere");
    let wrong = without_token();
    let wrong_path = wrong.directory().home().join(".netrc");
    fs::write(&wrong_path, "machine localhost login ada password guess\n").unwrap();
    for (origin, mount_command, logins) in [
        ("~/.netrc", with_netrc_at(home, path), 1),
        (
            "$NETRC",
            with_netrc_at(named, elsewhere.clone()).env("NETRC", elsewhere.to_str().unwrap()),
            1,
        ),
        (
            "environment before netrc",
            wrong
                .env("EARTHDATA_USERNAME", fake_daac.user())
                .env("EARTHDATA_PASSWORD", fake_daac.password()),
            1,
        ),
        (
            "token before password",
            environment
                .mount_command(BUCKET)
                .env("EARTHDATA_USERNAME", "ada")
                .env("EARTHDATA_PASSWORD", "guess"),
            0,
        ),
        (
            "password when the token is refused",
            environment
                .mount_command(BUCKET)
                .env("EARTHDATA_TOKEN", "stale")
                .env("EARTHDATA_USERNAME", fake_daac.user())
                .env("EARTHDATA_PASSWORD", fake_daac.password()),
            1,
        ),
    ] {
        fake_daac.reset_stats();
        must_read(mount_command);
        let stats = fake_daac.stats();
        assert_eq!(
            (stats.authenticated, stats.rejected, stats.leaked_secrets),
            (logins, 0, 0),
            "{origin}"
        );
    }
}

/// A space at the end is part of a password. With a token, a missing or wrong password does no
/// harm.
#[test]
fn only_the_identity_that_is_used_must_be_valid() {
    let password = "p w ";
    let Some(environment) =
        TestEnvironment::with_setup(Setup { password: password.into(), ..Setup::default() })
    else {
        return;
    };
    environment.fake_daac.put(BUCKET, "folder/one.txt", "one\n");
    let by_password = |mount_command: MountCommand| {
        mount_command
            .without_env("EARTHDATA_TOKEN")
            .env("EARTHDATA_USERNAME", environment.fake_daac.user())
    };
    must_read(
        by_password(environment.mount_command(BUCKET))
            .env("EARTHDATA_PASSWORD", format!("{password}\n")),
    );
    must_read(environment.mount_command(BUCKET).env("NETRC", "/nowhere/netrc"));
    must_read(environment.mount_command(BUCKET).env("EARTHDATA_USERNAME", "ada"));
    let message =
        environment.mount_command(BUCKET).env("EARTHDATA_TOKEN", "two\nlines").must_fail();
    assert!(message.contains("EARTHDATA_TOKEN") && !message.contains("two"), "{message}");
}

/// The file that `NETRC` names must exist; `~/.netrc` may be missing.
#[test]
fn the_file_that_netrc_names_must_be_readable() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let message = environment
        .mount_command(BUCKET)
        .without_env("EARTHDATA_TOKEN")
        .env("NETRC", "/nowhere/netrc")
        .must_fail();
    assert!(message.contains("/nowhere/netrc"), "{message}");
}

/// Every variable has a flag, which takes precedence over the variable.
#[test]
fn flags_take_precedence_over_the_environment() {
    let Some(environment) =
        TestEnvironment::with_setup(Setup { region: "eu-central-1".into(), ..Setup::default() })
    else {
        return;
    };
    environment.fake_daac.put(BUCKET, "folder/one.txt", "one\n");
    let (endpoint, host, s3) = (
        environment.fake_daac.credentials_url("PODAAC"),
        environment.fake_daac.login_host(),
        environment.fake_daac.s3_url(),
    );
    must_read(environment.mount_command(BUCKET).env("AWS_REGION", "eu-central-1"));
    let flags = [
        "--credentials-endpoint",
        &endpoint,
        "--earthdata-host",
        &host,
        "--endpoint-url",
        &s3,
        "--region",
        "eu-central-1",
    ];
    let mount_command = environment.mount_command(BUCKET).args(&flags).args(&["--path-style"]);
    let mount_command =
        ["S3_CREDENTIAL_ENDPOINT", "EARTHDATA_HOST", "AWS_ENDPOINT_URL_S3", "AWS_REGION"]
            .iter()
            .fold(mount_command, |mount_command, name| {
                mount_command.env(name, "http://192.0.2.1/")
            });
    // A password is used, since a token needs no Earthdata Login host.
    let (user, password) = (environment.fake_daac.user(), environment.fake_daac.password());
    must_read(
        mount_command
            .without_env("EARTHDATA_TOKEN")
            .env("EARTHDATA_USERNAME", user)
            .env("EARTHDATA_PASSWORD", password),
    );
}

/// `--aws-credentials` uses the AWS credentials of the environment, without a login.
#[test]
fn aws_credentials_need_no_earthdata() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    // The endpoint in the environment belongs to other mounts.
    must_read(
        environment
            .mount_command_with_aws_keys(BUCKET)
            .env("S3_CREDENTIAL_ENDPOINT", environment.fake_daac.credentials_url("PODAAC")),
    );
    let stats = environment.fake_daac.stats();
    assert_eq!((stats.credentials, stats.logins), (0, 0));
    let message = environment
        .mount_command_with_aws_keys(BUCKET)
        .without_env("AWS_ACCESS_KEY_ID")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .must_fail();
    assert!(message.contains("no AWS credentials in the environment"), "{message}");
}

/// Options set owner and modes; by default the owner is the mounting user (docs/semantics.md,
/// "Attributes").
#[test]
fn options_set_owner_and_modes() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let owner_and_modes = |mount_command: MountCommand| {
        let mount = mount_command.mount();
        ["folder", "folder/one.txt"].map(|name| {
            let metadata = fs::metadata(mount.at(name)).unwrap();
            (metadata.uid(), metadata.gid(), metadata.permissions().mode() & 0o7777)
        })
    };
    assert_eq!(owner_and_modes(environment.mount_command(BUCKET)), [(0, 0, 0o755), (0, 0, 0o644)]);
    let asked = ["--uid=1234", "--gid=2345", "--file-mode=0640", "--dir-mode=770"];
    assert_eq!(
        owner_and_modes(environment.mount_command(BUCKET).args(&asked)),
        [(1234, 2345, 0o770), (1234, 2345, 0o640)]
    );
}

/// Listings and attributes are cached for `--metadata-ttl`: before it ends no request is sent, and
/// afterwards changes are seen.
#[test]
fn names_are_cached_for_the_metadata_ttl() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let names = |folder: &Path| fs::read_dir(folder).unwrap().count();

    let mount = environment.mount(BUCKET);
    let folder = mount.at("folder");
    assert_eq!(names(&folder), 1);
    environment.fake_daac.reset_stats();
    environment.fake_daac.put(BUCKET, "folder/two.txt", "two\n");
    assert_eq!((names(&folder), fs::metadata(folder.join("one.txt")).unwrap().len()), (1, 4));
    assert!(!folder.join("two.txt").exists());
    assert_eq!(environment.fake_daac.stats().s3_requests(), 0);

    let mount = environment.mount_command(BUCKET).args(&["--metadata-ttl=1s"]).mount();
    let folder = mount.at("folder");
    assert_eq!((names(&folder), folder.join("three.txt").exists()), (2, false));
    environment.fake_daac.put(BUCKET, "folder/three.txt", "three\n");
    eventually("the new name is found", TIMEOUT, || folder.join("three.txt").exists());
    eventually("the new name is listed", TIMEOUT, || names(&folder) == 3);
    environment.fake_daac.delete(BUCKET, "folder/one.txt");
    eventually("the deleted name is not found", TIMEOUT, || !folder.join("one.txt").exists());
    eventually("the deleted name is not listed", TIMEOUT, || names(&folder) == 2);
    assert!(!environment.fake_daac.wait_for(|stats| stats.forbidden > 0, Duration::ZERO));
}

/// `--help` lists every option, and shows no secret of the environment.
#[test]
fn help_lists_every_option_and_shows_no_secret() {
    let options = "--foreground --credentials-endpoint --earthdata-host --cmr-host \
        --buckets-file --region \
                   --endpoint-url --path-style --aws-credentials \
                   --cache-size --metadata-memory --metadata-ttl --allow-other --uid --gid \
                   --file-mode --dir-mode \
                   --log-file --verbose -o --token-file EARTHDATA_TOKEN_FILE \
                   S3_CREDENTIAL_ENDPOINT AWS_ENDPOINT_URL_S3 AWS_REGION";
    let identities = "EARTHDATA_TOKEN EARTHDATA_USERNAME EARTHDATA_PASSWORD NETRC";
    let help = |arguments: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.args(arguments);
        for name in
            ["EARTHDATA_TOKEN", "EARTHDATA_PASSWORD", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
        {
            command.env(name, "tell-nobody");
        }
        String::from_utf8(run(&mut command).must_succeed()).unwrap()
    };
    let (mount, general) = (help(&["mount", "--help"]), help(&["--help"]));
    for (page, words) in [(&mount, options), (&general, identities)] {
        for word in words.split_whitespace() {
            assert!(page.contains(word), "{word} is not in {page}");
        }
    }
    for page in [mount, general, help(&["mount", "-h"]), help(&["unmount", "--help"])] {
        assert!(!page.contains("tell-nobody"), "{page}");
    }
}

/// `-o` takes options as mount(8) passes them, to the program or to a mount helper that is a link
/// to it.
#[test]
fn mount_options_are_the_long_options() {
    let Some(environment) = TestEnvironment::with_one_object() else { return };
    let options = "ro,_netdev,noauto,uid=7,file_mode=0400,metadata_ttl=90,cache_size=32MiB,\
        noexec,x-systemd.automount";
    let is_as_asked = |mount_command: MountCommand| {
        let mount = mount_command.mount();
        let metadata = fs::metadata(mount.at("folder/one.txt")).unwrap();
        assert_eq!((metadata.uid(), metadata.permissions().mode() & 0o777), (7, 0o400));
        assert!(
            mount.directory().mountinfo_lines()[0].contains("noexec"),
            "{}",
            mount.directory().mountinfo_lines()[0]
        );
    };
    is_as_asked(environment.mount_command(BUCKET).args(&["-o", options]));
    is_as_asked(environment.mount_command(BUCKET).called_as_mount_helper(options));
}
