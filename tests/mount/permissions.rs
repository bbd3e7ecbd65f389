//! semantics.md, "Permissions that allow only part".

use std::fs;

use archive::Listing;

use crate::harness::{BUCKET, Mount, Site, errno};

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
        .map(|entry| entry.map(|entry| entry.file_name().into_string().unwrap()).map_err(|error| error.raw_os_error().unwrap()))
        .collect()
}

/// "Listing allowed only under some prefixes: their ancestors are traversable; `ls` on an ancestor shows what is known (the prefixes
/// mounted or named) and otherwise says EACCES."
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
    assert_eq!(errno(fs::metadata(mount.at("open/2022"))), libc::ENOENT, "there the archive says so");
    assert_eq!(names(&site.mount("granules/open/2020"), "").unwrap(), ["a.nc"]);
}

/// "Listing denied, reading allowed: a path given in full still opens (HEAD), directories along it are assumed." Such a 403 is believed
/// and causes no storm of logins (issue 2, "The swap").
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

/// "403 that renewing the credentials did not cure": EACCES for the one, and nothing for the others.
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
