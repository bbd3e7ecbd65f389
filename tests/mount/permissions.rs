//! Users who may list or read only a part of a bucket (docs/semantics.md, "Permissions that allow
//! only part").

use std::fs;

use fake_daac::Listing;

use crate::harness::{BUCKET, Mount, MountCommand, TestEnvironment, errno};

fn environment(listing: Listing) -> Option<TestEnvironment> {
    let environment = TestEnvironment::start()?;
    for key in ["open/2020/a.nc", "open/2021/b.nc", "closed/c.nc"] {
        environment.fake_daac.put(BUCKET, key, key);
    }
    environment.fake_daac.set(|knobs| knobs.listing = listing);
    Some(environment)
}

fn names(mount: &Mount, folder: &str) -> Result<Vec<String>, i32> {
    let entries = fs::read_dir(mount.at(folder)).map_err(|error| error.raw_os_error().unwrap())?;
    entries
        .map(|entry| {
            entry
                .map(|entry| entry.file_name().into_string().unwrap())
                .map_err(|error| error.raw_os_error().unwrap())
        })
        .collect()
}

/// When only some prefixes may be listed, their ancestors can be traversed. `ls` of an ancestor
/// shows the names that were looked up there, and is EACCES when there are none.
#[test]
fn ancestors_of_a_listable_prefix_are_traversable() {
    let Some(environment) = environment(Listing::Under(vec!["open/".into()])) else { return };
    let (mount, warning) = environment.mount_command(BUCKET).mount_with_warning();
    assert!(warning.contains("denies access to s3://granules/"), "{warning}");
    assert_eq!(names(&mount, ""), Err(libc::EACCES));
    assert_eq!(names(&mount, "open").unwrap(), ["2020", "2021"]);
    assert_eq!(names(&mount, "open/2020").unwrap(), ["a.nc"]);
    assert_eq!(fs::read_to_string(mount.at("open/2021/b.nc")).unwrap(), "open/2021/b.nc");
    assert_eq!(names(&mount, "").unwrap(), ["open"]);
    assert_eq!(
        errno(fs::metadata(mount.at("open/2022"))),
        libc::ENOENT,
        "the listing shows that it is absent"
    );
    assert_eq!(names(&environment.mount("granules/open/2020"), "").unwrap(), ["a.nc"]);
}

/// When nothing may be listed, a full path still opens (HEAD), and the directories on it are
/// assumed. The 403s cause no further logins.
#[test]
fn a_full_path_opens_where_nothing_may_be_listed() {
    let Some(environment) = environment(Listing::Denied) else { return };
    let (mount, warning) = environment.mount_command(BUCKET).mount_with_warning();
    assert!(warning.contains("names given in full may still open"), "{warning}");
    for key in ["open/2020/a.nc", "closed/c.nc"] {
        assert_eq!(fs::read_to_string(mount.at(key)).unwrap(), key);
    }
    assert!(fs::metadata(mount.at("open/2020")).unwrap().is_dir());
    assert_eq!(environment.fake_daac.stats().issued, 1);
}

/// A 403 that a renewal of the credentials does not cure is EACCES for that object, and the others
/// can be read.
#[test]
fn an_object_that_may_not_be_read_is_eacces() {
    let Some(environment) = environment(Listing::Allowed) else { return };
    environment.fake_daac.set(|knobs| knobs.unreadable = vec!["closed/".into()]);
    let mount = environment.mount(BUCKET);
    assert_eq!(names(&mount, "closed").unwrap(), ["c.nc"]);
    for _ in 0..20 {
        assert_eq!(errno(fs::read(mount.at("closed/c.nc"))), libc::EACCES);
    }
    assert_eq!(fs::read_to_string(mount.at("open/2020/a.nc")).unwrap(), "open/2020/a.nc");
    assert_eq!(environment.fake_daac.stats().issued, 1);
    assert!(mount.log().contains("AccessDenied"), "{}", mount.log());
}

/// With `--aws-credentials`, a bucket whose role is refused falls back to Earthdata. That happens
/// once and has one log line. Without an Earthdata identity the role's refusal is the error.
#[test]
fn a_refused_role_falls_back_to_earthdata() {
    let Some(environment) = environment(Listing::Allowed) else { return };
    let (key, secret) = environment.fake_daac.static_keys_of(&["another-bucket"]);
    let with_role = |mount_command: MountCommand| {
        mount_command
            .args(&["--aws-credentials"])
            .env("AWS_ACCESS_KEY_ID", &key)
            .env("AWS_SECRET_ACCESS_KEY", &secret)
    };
    let mount = with_role(environment.mount_command(BUCKET)).mount();
    for key in ["open/2020/a.nc", "open/2021/b.nc", "closed/c.nc"] {
        assert_eq!(fs::read_to_string(mount.at(key)).unwrap(), key);
    }
    let refused = environment.fake_daac.log().iter().filter(|logged| logged.status == 403).count();
    assert_eq!((refused, environment.fake_daac.stats().issued), (1, 1));
    assert_eq!(mount.log().matches("preferred from now on").count(), 1, "{}", mount.log());
    let (_mount, warning) = with_role(environment.mount_command(BUCKET))
        .without_env("EARTHDATA_TOKEN")
        .mount_with_warning();
    assert!(warning.contains("denies access to s3://granules/"), "{warning}");
    let without_keys = environment
        .mount_command(BUCKET)
        .args(&["--aws-credentials"])
        .env("AWS_EC2_METADATA_DISABLED", "true");
    assert_eq!(fs::read_to_string(without_keys.mount().at("closed/c.nc")).unwrap(), "closed/c.nc");
}

/// Two users of one bucket with different permissions see different files.
#[test]
fn two_users_of_one_bucket_see_what_each_may_read() {
    let Some(environment) = environment(Listing::Under(vec!["open/".into()])) else { return };
    let token = environment.fake_daac.add_user("eve");
    environment.fake_daac.set(|knobs| {
        let eve = knobs.user("eve", BUCKET);
        (eve.listing, eve.unreadable) =
            (Some(Listing::Under(vec!["closed/".into()])), Some(vec!["open/".into()]));
        knobs.unreadable = vec!["closed/".into()];
    });
    let ada = environment.mount_command(BUCKET).mount_with_warning().0;
    let eve =
        environment.mount_command(BUCKET).env("EARTHDATA_TOKEN", token).mount_with_warning().0;
    for (mine, folder, key) in
        [(&ada, "open/2020", "open/2020/a.nc"), (&eve, "closed", "closed/c.nc")]
    {
        assert_eq!(names(mine, folder).unwrap(), [key.rsplit('/').next().unwrap()]);
        assert_eq!(fs::read_to_string(mine.at(key)).unwrap(), key);
    }
    for (other, folder, key) in
        [(&eve, "open/2020", "open/2020/a.nc"), (&ada, "closed", "closed/c.nc")]
    {
        assert_eq!(names(other, folder), Err(libc::EACCES), "{folder}");
        assert_ne!(errno(fs::read(other.at(key))), 0, "{key}");
    }
    assert_eq!(environment.fake_daac.stats().issued, 2);
}
