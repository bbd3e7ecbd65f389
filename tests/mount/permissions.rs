//! semantics.md, "Permissions that allow only part".

use std::fs;

use fake_daac::Listing;

use crate::harness::{BUCKET, Mount, Plan, Site, errno};

fn site(listing: Listing) -> Option<Site> {
    let site = Site::start()?;
    for key in ["open/2020/a.nc", "open/2021/b.nc", "closed/c.nc"] {
        site.archive.put(BUCKET, key, key);
    }
    site.archive.set(|knobs| knobs.listing = listing);
    Some(site)
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

/// "Listing allowed only under some prefixes: their ancestors are traversable; `ls` on an ancestor
/// shows what is known (the prefixes mounted or named) and otherwise says EACCES."
#[test]
fn ancestors_of_a_listable_prefix_are_traversable() {
    let Some(site) = site(Listing::Under(vec!["open/".into()])) else { return };
    let (mount, warning) = site.plan(BUCKET).mount_warned();
    assert!(warning.contains("denies access to s3://granules/"), "{warning}");
    assert_eq!(names(&mount, ""), Err(libc::EACCES));
    assert_eq!(names(&mount, "open").unwrap(), ["2020", "2021"]);
    assert_eq!(names(&mount, "open/2020").unwrap(), ["a.nc"]);
    assert_eq!(fs::read_to_string(mount.at("open/2021/b.nc")).unwrap(), "open/2021/b.nc");
    assert_eq!(names(&mount, "").unwrap(), ["open"]);
    assert_eq!(
        errno(fs::metadata(mount.at("open/2022"))),
        libc::ENOENT,
        "there the archive says so"
    );
    assert_eq!(names(&site.mount("granules/open/2020"), "").unwrap(), ["a.nc"]);
}

/// "Listing denied, reading allowed: a path given in full still opens (HEAD), directories along it
/// are assumed." Such a 403 is believed and causes no storm of logins (issue 2, "The swap").
#[test]
fn a_path_given_in_full_opens_where_nothing_may_be_listed() {
    let Some(site) = site(Listing::Denied) else { return };
    let (mount, warning) = site.plan(BUCKET).mount_warned();
    assert!(warning.contains("names given in full may still open"), "{warning}");
    for key in ["open/2020/a.nc", "closed/c.nc"] {
        assert_eq!(fs::read_to_string(mount.at(key)).unwrap(), key);
    }
    assert!(fs::metadata(mount.at("open/2020")).unwrap().is_dir());
    assert_eq!(site.archive.stats().issued, 1);
}

/// "403 that renewing the credentials did not cure": EACCES for the one, and nothing for the
/// others.
#[test]
fn objects_that_may_not_be_read_are_eacces() {
    let Some(site) = site(Listing::Allowed) else { return };
    site.archive.set(|knobs| knobs.unreadable = vec!["closed/".into()]);
    let mount = site.mount(BUCKET);
    assert_eq!(names(&mount, "closed").unwrap(), ["c.nc"]);
    for _ in 0..20 {
        assert_eq!(errno(fs::read(mount.at("closed/c.nc"))), libc::EACCES);
    }
    assert_eq!(fs::read_to_string(mount.at("open/2020/a.nc")).unwrap(), "open/2020/a.nc");
    assert_eq!(site.archive.stats().issued, 1);
    assert!(mount.log().contains("AccessDenied"), "{}", mount.log());
}

/// "`--aws-credentials` with the instance's or pod's role, per bucket falls back to Earthdata when
/// the role is refused (...), once, remembered" (issue 5, item 8), and a line in the log says so.
/// Without a way to Earthdata it is the role's refusal.
#[test]
fn a_role_that_is_refused_falls_back_to_earthdata() {
    let Some(site) = site(Listing::Allowed) else { return };
    let (key, secret) = site.archive.static_keys_of(&["another-bucket"]);
    let with_role = |plan: Plan| {
        plan.args(&["--aws-credentials"])
            .env("AWS_ACCESS_KEY_ID", &key)
            .env("AWS_SECRET_ACCESS_KEY", &secret)
    };
    let mount = with_role(site.plan(BUCKET)).mount();
    for key in ["open/2020/a.nc", "open/2021/b.nc", "closed/c.nc"] {
        assert_eq!(fs::read_to_string(mount.at(key)).unwrap(), key);
    }
    let refused = site.archive.log().iter().filter(|logged| logged.status == 403).count();
    assert_eq!((refused, site.archive.stats().issued), (1, 1));
    assert_eq!(mount.log().matches("preferred from now on").count(), 1, "{}", mount.log());
    let (_mount, warning) = with_role(site.plan(BUCKET)).without("EARTHDATA_TOKEN").mount_warned();
    assert!(warning.contains("denies access to s3://granules/"), "{warning}");
    let nobody =
        site.plan(BUCKET).args(&["--aws-credentials"]).env("AWS_EC2_METADATA_DISABLED", "true");
    assert_eq!(fs::read_to_string(nobody.mount().at("closed/c.nc")).unwrap(), "closed/c.nc");
}

/// "Trees that differ by user" (issue 5, item 7): two users, one URL, two trees (`earthdata.md`,
/// section 3).
#[test]
fn two_users_of_one_bucket_see_a_tree_each() {
    let Some(site) = site(Listing::Under(vec!["open/".into()])) else { return };
    let token = site.archive.admit("eve");
    site.archive.set(|knobs| {
        let eve = knobs.user("eve", BUCKET);
        (eve.listing, eve.unreadable) =
            (Some(Listing::Under(vec!["closed/".into()])), Some(vec!["open/".into()]));
        knobs.unreadable = vec!["closed/".into()];
    });
    let ada = site.plan(BUCKET).mount_warned().0;
    let eve = site.plan(BUCKET).env("EARTHDATA_TOKEN", token).mount_warned().0;
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
    assert_eq!(site.archive.stats().issued, 2);
}
