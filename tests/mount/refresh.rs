//! Issue 3, item 7: "SIGHUP (and `granulefs refresh MOUNTPOINT [PATH]`) drops what is remembered
//! and tells the kernel."

use std::fs;
use std::process::Command;

use rustix::process::Signal;

use crate::harness::{BUCKET, Mount, PATIENCE, PROGRAM, Ran, Site, errno, eventually, run};

fn refresh(mount: &Mount, path: &[&str]) -> Ran {
    run(Command::new(PROGRAM).arg("refresh").arg(mount.path()).args(path))
}

/// What a reader sees of a replaced, a removed, a new and a newly shadowed object, here and one
/// directory deeper.
fn seen(mount: &Mount) -> Vec<String> {
    let mut seen = Vec::new();
    for folder in ["", "folder/"] {
        for name in ["replaced", "removed", "new", "file", "file/x"] {
            let path = mount.at(format!("{folder}{name}"));
            let what = fs::read_to_string(path).unwrap_or_else(|error| error.kind().to_string());
            seen.push(format!("{folder}{name}: {what}"));
        }
        let listed = fs::read_dir(mount.at(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        seen.push(listed.collect::<Vec<_>>().join(" "));
    }
    seen
}

fn change(site: &Site, time: &'static str) {
    for folder in ["", "folder/"] {
        let key = |name: &str| format!("{folder}{name}");
        site.archive.put(BUCKET, &key("replaced"), time);
        if time == "old" {
            site.archive.put(BUCKET, &key("removed"), time);
            site.archive.put(BUCKET, &key("file"), time);
        } else {
            site.archive.delete(BUCKET, &key("removed"));
            site.archive.delete(BUCKET, &key("file"));
            site.archive.put(BUCKET, &key("file/x"), time);
            site.archive.put(BUCKET, &key("new"), time);
        }
    }
}

fn changed(folder: &str) -> Vec<String> {
    let lines = [
        format!("{folder}replaced: new"),
        format!("{folder}removed: entity not found"),
        format!("{folder}new: new"),
        format!("{folder}file: is a directory"),
        format!("{folder}file/x: new"),
        if folder.is_empty() {
            "file folder new replaced".into()
        } else {
            "file new replaced".into()
        },
    ];
    lines.into()
}

/// Everything is asked for anew: names listed, looked up, and those that were not there.
#[test]
fn a_refresh_shows_the_bucket_as_it_is_now() {
    let Some(site) = Site::start() else { return };
    change(&site, "old");
    let mount = site.plan(BUCKET).args(&["--metadata-ttl=1h"]).mount();
    let old = seen(&mount);
    change(&site, "new");
    assert_eq!(seen(&mount), old, "names are believed");
    refresh(&mount, &["folder"]).success();
    let now = seen(&mount);
    assert_eq!(
        (&now[..6], &now[6..]),
        (&old[..6], &changed("folder/")[..]),
        "below the path, and only there"
    );
    refresh(&mount, &[]).success();
    assert_eq!(seen(&mount), [changed(""), changed("folder/")].concat());
}

#[test]
fn a_hangup_refreshes_everything() {
    let Some(site) = Site::start() else { return };
    change(&site, "old");
    let mount = site.plan(BUCKET).args(&["--metadata-ttl=1h"]).mount();
    seen(&mount);
    change(&site, "new");
    mount.server().signal(Signal::HUP);
    eventually("the new state", PATIENCE, || {
        seen(&mount) == [changed(""), changed("folder/")].concat()
    });
}

/// Whoever reads a directory that was opened before, reads on what it was, and the kernel does not
/// take it for what it is.
#[test]
fn a_directory_opened_before_a_refresh_brings_nothing_back() {
    let Some(site) = Site::start() else { return };
    change(&site, "old");
    let mount = site.plan(BUCKET).args(&["--metadata-ttl=1h"]).mount();
    seen(&mount);
    let opened = ["", "folder/"].map(|folder| fs::read_dir(mount.at(folder)).unwrap());
    change(&site, "new");
    refresh(&mount, &[]).success();
    for names in opened {
        assert!(names.map(|entry| entry.unwrap().file_name()).any(|name| name == "removed"));
    }
    assert_eq!(seen(&mount), [changed(""), changed("folder/")].concat());
}

/// One file, also one that is not there yet, and whoever works below a refreshed directory goes on
/// doing so.
#[test]
fn a_refresh_of_one_name_leaves_the_others() {
    let Some(site) = Site::start() else { return };
    change(&site, "old");
    let mount = site.plan(BUCKET).args(&["--metadata-ttl=1h"]).mount();
    let old = seen(&mount);
    change(&site, "new");
    refresh(&mount, &["folder/replaced"]).success();
    assert_eq!(fs::read_to_string(mount.at("folder/replaced")).unwrap(), "new");
    assert_eq!(errno(fs::metadata(mount.at("new"))), libc::ENOENT);
    assert_eq!(seen(&mount)[..6], old[..6]);
    refresh(&mount, &["folder/new/and/below"]).success();
    assert_eq!(fs::read_to_string(mount.at("folder/new")).unwrap(), "new");
    let script =
        format!("cd folder && {PROGRAM} refresh {} && pwd && cat new", mount.path().display());
    let there = String::from_utf8(
        run(Command::new("bash").args(["-c", &script]).current_dir(mount.path())).success(),
    )
    .unwrap();
    assert_eq!(there, format!("{}\nnew", mount.at("folder").display()));
}

#[test]
fn what_cannot_be_refreshed_is_named() {
    let Some(site) = Site::with_one_object() else { return };
    let mount = site.mount(BUCKET);
    let elsewhere = run(Command::new(PROGRAM).args(["refresh", "/proc"]));
    assert!(
        elsewhere.code == Some(1) && elsewhere.stderr.contains("/proc is not in a granulefs mount"),
        "{}",
        elsewhere.stderr
    );
    let nowhere = run(Command::new(PROGRAM).args(["refresh", "/no/such/place"]));
    assert!(
        nowhere.code == Some(1) && nowhere.stderr.contains("/no/such/place"),
        "{}",
        nowhere.stderr
    );
    let listed: Vec<_> = xattr::list(mount.path()).unwrap().collect();
    assert!(!listed.iter().any(|name| name.to_string_lossy().contains("refresh")), "{listed:?}");
}
