//! Options do what they say, from whichever of their homes they come: flag, environment, `-o`,
//! netrc (issue 2, "Options at least").

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fake_daac::{FakeDaac, Setup};

use crate::harness::{BUCKET, PATIENCE, PROGRAM, Plan, Site, eventually, run};

/// A netrc file for the archive's user.
fn netrc(archive: &FakeDaac, path: &Path) {
    let password = archive.password().replace('\\', "\\\\").replace('"', "\\\"");
    fs::write(
        path,
        format!("machine localhost login {} password \"{password}\"\n", archive.user()),
    )
    .unwrap();
}

#[track_caller]
fn must_read(plan: Plan) {
    assert_eq!(fs::read_to_string(plan.mount().at("folder/one.txt")).unwrap(), "one\n");
}

/// "identity from token, environment, `$NETRC`, `~/.netrc` in that order": what comes first is
/// used, and what comes later is not.
#[test]
fn the_identity_comes_from_the_first_place_that_has_one() {
    let Some(site) = Site::with_one_object() else { return };
    let archive = &site.archive;
    let with_netrc_at = |plan: Plan, path: PathBuf| {
        netrc(archive, &path);
        plan
    };
    let nobody = || site.plan(BUCKET).without("EARTHDATA_TOKEN").env("NETRC", "");
    let home = nobody();
    let path = home.place().home().join(".netrc");
    let named = nobody();
    let elsewhere = named.place().home().join("elsewhere");
    let wrong = nobody();
    let wrong_path = wrong.place().home().join(".netrc");
    fs::write(&wrong_path, "machine localhost login ada password guess\n").unwrap();
    for (origin, plan, logins) in [
        ("~/.netrc", with_netrc_at(home, path), 1),
        (
            "$NETRC",
            with_netrc_at(named, elsewhere.clone()).env("NETRC", elsewhere.to_str().unwrap()),
            1,
        ),
        (
            "environment before netrc",
            wrong
                .env("EARTHDATA_USERNAME", archive.user())
                .env("EARTHDATA_PASSWORD", archive.password()),
            1,
        ),
        (
            "token before password",
            site.plan(BUCKET).env("EARTHDATA_USERNAME", "ada").env("EARTHDATA_PASSWORD", "guess"),
            0,
        ),
        (
            "password when the token is refused",
            site.plan(BUCKET)
                .env("EARTHDATA_TOKEN", "stale")
                .env("EARTHDATA_USERNAME", archive.user())
                .env("EARTHDATA_PASSWORD", archive.password()),
            1,
        ),
    ] {
        archive.reset_stats();
        must_read(plan);
        let stats = archive.stats();
        assert_eq!((stats.authenticated, stats.rejected, stats.leaks), (logins, 0, 0), "{origin}");
    }
}

/// A blank at its end is part of a password; and where there is a token, what is wrong with the
/// password does not matter.
#[test]
fn only_what_is_used_must_be_right() {
    let password = "p w ";
    let Some(site) = Site::of(Setup { password: password.into(), ..Setup::default() }) else {
        return;
    };
    site.archive.put(BUCKET, "folder/one.txt", "one\n");
    let by_password =
        |plan: Plan| plan.without("EARTHDATA_TOKEN").env("EARTHDATA_USERNAME", site.archive.user());
    must_read(by_password(site.plan(BUCKET)).env("EARTHDATA_PASSWORD", format!("{password}\n")));
    must_read(site.plan(BUCKET).env("NETRC", "/nowhere/netrc"));
    must_read(site.plan(BUCKET).env("EARTHDATA_USERNAME", "ada"));
    let message = site.plan(BUCKET).env("EARTHDATA_TOKEN", "two\nlines").refusal();
    assert!(message.contains("EARTHDATA_TOKEN") && !message.contains("two"), "{message}");
}

/// A netrc that is named must be there; the one at home need not.
#[test]
fn a_netrc_that_is_named_must_be_readable() {
    let Some(site) = Site::with_one_object() else { return };
    let message =
        site.plan(BUCKET).without("EARTHDATA_TOKEN").env("NETRC", "/nowhere/netrc").refusal();
    assert!(message.contains("/nowhere/netrc"), "{message}");
}

/// Every variable has its flag, and the flag wins over the variable.
#[test]
fn flags_win_over_the_environment() {
    let Some(site) = Site::of(Setup { region: "eu-central-1".into(), ..Setup::default() }) else {
        return;
    };
    site.archive.put(BUCKET, "folder/one.txt", "one\n");
    let (endpoint, host, s3) =
        (site.archive.credentials_url("PODAAC"), site.archive.edl_host(), site.archive.s3_url());
    must_read(site.plan(BUCKET).env("AWS_REGION", "eu-central-1"));
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
    let plan = site.plan(BUCKET).args(&flags).args(&["--path-style"]);
    let plan = ["S3_CREDENTIAL_ENDPOINT", "EARTHDATA_HOST", "AWS_ENDPOINT_URL_S3", "AWS_REGION"]
        .iter()
        .fold(plan, |plan, name| plan.env(name, "http://192.0.2.1/"));
    // The password, since it is for the host's sake.
    let (user, password) = (site.archive.user(), site.archive.password());
    must_read(
        plan.without("EARTHDATA_TOKEN")
            .env("EARTHDATA_USERNAME", user)
            .env("EARTHDATA_PASSWORD", password),
    );
}

/// "`--aws-credentials` (no Earthdata: the environment's own AWS credentials)".
#[test]
fn aws_credentials_need_no_earthdata() {
    let Some(site) = Site::with_one_object() else { return };
    // The endpoint in the environment is for other mounts.
    must_read(
        site.plan_with_keys(BUCKET)
            .env("S3_CREDENTIAL_ENDPOINT", site.archive.credentials_url("PODAAC")),
    );
    let stats = site.archive.stats();
    assert_eq!((stats.credentials, stats.logins), (0, 0));
    let message = site
        .plan_with_keys(BUCKET)
        .without("AWS_ACCESS_KEY_ID")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .refusal();
    assert!(message.contains("no AWS credentials in the environment"), "{message}");
}

/// Owner and modes as asked for, and the mounting user's otherwise (semantics.md, "Attributes").
#[test]
fn owner_and_modes_are_as_asked_for() {
    let Some(site) = Site::with_one_object() else { return };
    let look = |plan: Plan| {
        let mount = plan.mount();
        ["folder", "folder/one.txt"].map(|name| {
            let metadata = fs::metadata(mount.at(name)).unwrap();
            (metadata.uid(), metadata.gid(), metadata.permissions().mode() & 0o7777)
        })
    };
    assert_eq!(look(site.plan(BUCKET)), [(0, 0, 0o555), (0, 0, 0o444)]);
    let asked = ["--uid=1234", "--gid=2345", "--file-mode=0440", "--dir-mode=550"];
    assert_eq!(look(site.plan(BUCKET).args(&asked)), [(1234, 2345, 0o550), (1234, 2345, 0o440)]);
}

/// "Listings and attributes are kept for `--metadata-ttl`": within it nothing is asked again, after
/// it what is new is seen.
#[test]
fn names_are_believed_for_the_metadata_ttl() {
    let Some(site) = Site::with_one_object() else { return };
    let names = |folder: &Path| fs::read_dir(folder).unwrap().count();

    let mount = site.mount(BUCKET);
    let folder = mount.at("folder");
    assert_eq!(names(&folder), 1);
    site.archive.reset_stats();
    site.archive.put(BUCKET, "folder/two.txt", "two\n");
    assert_eq!((names(&folder), fs::metadata(folder.join("one.txt")).unwrap().len()), (1, 4));
    assert!(!folder.join("two.txt").exists());
    assert_eq!(site.archive.stats().s3_requests(), 0);

    let mount = site.plan(BUCKET).args(&["--metadata-ttl=1s"]).mount();
    let folder = mount.at("folder");
    assert_eq!((names(&folder), folder.join("three.txt").exists()), (2, false));
    site.archive.put(BUCKET, "folder/three.txt", "three\n");
    eventually("the new name is found", PATIENCE, || folder.join("three.txt").exists());
    eventually("the new name is listed", PATIENCE, || names(&folder) == 3);
    site.archive.delete(BUCKET, "folder/one.txt");
    eventually("the deleted name is not found", PATIENCE, || !folder.join("one.txt").exists());
    eventually("the deleted name is not listed", PATIENCE, || names(&folder) == 2);
    assert!(!site.archive.wait_for(|stats| stats.forbidden > 0, Duration::ZERO));
}

/// "`--help` reads like a good man page", and it shows what the environment has set: but no secret
/// of it.
#[test]
fn help_names_every_option_and_shows_no_secret() {
    let options = "--foreground --credentials-endpoint --earthdata-host --cmr-host --buckets-file --region \
                   --endpoint-url --path-style --aws-credentials \
                   --cache-size --metadata-ttl --allow-other --uid --gid --file-mode --dir-mode --log-file --verbose -o \
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
        String::from_utf8(run(&mut command).success()).unwrap()
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

/// "`-o` options as mount(8) passes them", to the program or to a helper that is a link to it.
#[test]
fn mount_options_are_the_long_options() {
    let Some(site) = Site::with_one_object() else { return };
    let options = "rw,_netdev,noauto,uid=7,file_mode=0400,metadata_ttl=90,cache_size=32MiB,noexec,x-systemd.automount";
    let is_as_asked = |plan: Plan| {
        let mount = plan.mount();
        let metadata = fs::metadata(mount.at("folder/one.txt")).unwrap();
        assert_eq!((metadata.uid(), metadata.permissions().mode() & 0o777), (7, 0o400));
        assert!(mount.place().mounts()[0].contains("noexec"), "{}", mount.place().mounts()[0]);
    };
    is_as_asked(site.plan(BUCKET).args(&["-o", options]));
    is_as_asked(site.plan(BUCKET).called_as_helper(options));
}

/// A link in /sbin that goes away again.
struct Helper;

const HELPER: &str = "/sbin/mount.granulefs";

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = fs::remove_file(HELPER);
    }
}

/// `mount -t granulefs SOURCE MOUNTPOINT`, as in fstab(5), works where the helper is installed.
#[test]
fn mount_8_finds_the_helper() {
    let Some(site) = Site::with_one_object() else { return };
    if symlink(PROGRAM, HELPER).is_err() {
        return eprintln!("skipped: {HELPER} exists, or cannot be made");
    }
    let _helper = Helper;
    let mount =
        site.plan("s3://granules/folder").by_mount_8("ro,allow_other,dir_mode=0500").mount();
    assert_eq!(fs::read_to_string(mount.at("one.txt")).unwrap(), "one\n");
    assert_eq!(fs::metadata(mount.path()).unwrap().permissions().mode() & 0o777, 0o500);
    assert!(mount.place().mounts()[0].contains("allow_other"), "{}", mount.place().mounts()[0]);
}
