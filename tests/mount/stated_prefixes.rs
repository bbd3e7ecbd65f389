//! Roots that may not be listed, and whose prefixes CMR knows (docs/semantics.md, "Permissions that
//! allow only part").

use std::fs;

use fake_daac::{Collection, Listing, RequestKind, Setup};

use crate::harness::{MountCommand, TestEnvironment, names_in};

const BUCKET: &str = "podaac-local-protected";

fn environment() -> Option<TestEnvironment> {
    let environment = TestEnvironment::with_setup(Setup::three_daacs())?;
    for key in ["GCOV_V1/g/g.h5", "DEM/v2/d.tif", "SECRET/s.h5"] {
        environment.fake_daac.put(BUCKET, key, key);
    }
    for (name, prefix) in [("GCOV", "GCOV_V1/"), ("DEM", "DEM/v2/"), ("GONE", "GONE/")] {
        environment.fake_daac.publish(Collection::new(name, "1", BUCKET, prefix));
    }
    environment.fake_daac.publish(Collection::new("X", "1", "podaac-local-public", "ELSEWHERE/"));
    environment.fake_daac.set(|knobs| {
        let prefixes = ["GCOV_V1/", "DEM/v2/", "GONE/"].map(str::to_owned);
        knobs.bucket(BUCKET).listing = Some(Listing::Under(prefixes.into()));
    });
    Some(environment)
}

fn mount_command(environment: &TestEnvironment, source: &str) -> MountCommand {
    environment
        .mount_command_with_table(source)
        .args(&["--cmr-host", &environment.fake_daac.cmr_host()])
}

fn cmr_requests(environment: &TestEnvironment) -> usize {
    let log = environment.fake_daac.log();
    log.iter().filter(|logged| logged.kind == RequestKind::Cmr).count()
}

/// A root that may not be listed shows the prefixes that the collections of its bucket state, and
/// that S3 does not deny. CMR is asked once.
#[test]
fn a_root_that_may_not_be_listed_shows_what_cmr_knows() {
    let Some(environment) = environment() else { return };
    let mount = mount_command(&environment, BUCKET).mount();
    for _ in 0..3 {
        assert_eq!(names_in(&mount.path()), ["DEM", "GCOV_V1"]);
        assert_eq!(names_in(&mount.at("DEM")), ["v2"]);
    }
    assert_eq!(fs::read_to_string(mount.at("GCOV_V1/g/g.h5")).unwrap(), "GCOV_V1/g/g.h5");
    assert_eq!(fs::read_to_string(mount.at("DEM/v2/d.tif")).unwrap(), "DEM/v2/d.tif");
    // A page with an answer names the next one, so that the search ends with an empty page.
    assert_eq!(cmr_requests(&environment), 2);
    // A name that CMR does not know is looked up, and seen from then on.
    assert_eq!(fs::read_to_string(mount.at("SECRET/s.h5")).unwrap(), "SECRET/s.h5");
    assert_eq!(names_in(&mount.path()), ["DEM", "GCOV_V1", "SECRET"]);
    assert_eq!(cmr_requests(&environment), 2);
    let refreshed = environment.run_granulefs(&["refresh", &mount.path().display().to_string()]);
    assert_eq!(refreshed.code, Some(0), "{}", refreshed.stderr);
    environment.fake_daac.publish(Collection::new("NEW", "1", BUCKET, "GCOV_V1/new/"));
    assert_eq!(names_in(&mount.path()), ["DEM", "GCOV_V1"]);
    assert_eq!(cmr_requests(&environment), 4);
}

/// One of several buckets shows its prefixes too.
#[test]
fn a_bucket_of_several_shows_what_cmr_knows() {
    let Some(environment) = environment() else { return };
    let mount = mount_command(&environment, "PODAAC").mount();
    assert_eq!(cmr_requests(&environment), 0, "nobody has needed it");
    assert_eq!(names_in(&mount.at(BUCKET)), ["DEM", "GCOV_V1"]);
    assert_eq!(names_in(&mount.at("podaac-local-public")), [""; 0]);
    assert_eq!(cmr_requests(&environment), 2);
}

/// A directory on the way to a stated prefix opens whatever was listed before it.
#[test]
fn a_directory_on_the_way_opens_before_the_root_was_listed() {
    let Some(environment) = environment() else { return };
    let mount = mount_command(&environment, "PODAAC").mount();
    assert_eq!(names_in(&mount.at(BUCKET).join("DEM")), ["v2"]);
    let refreshed = environment.run_granulefs(&["refresh", &mount.path().display().to_string()]);
    assert_eq!(refreshed.code, Some(0), "{}", refreshed.stderr);
    assert_eq!(names_in(&mount.at(BUCKET).join("DEM")), ["v2"]);
}

/// Without an answer of CMR the root is refused, as if nobody knew any names; what is looked up is
/// served all the same, also while CMR is silent.
#[test]
fn without_cmr_the_root_is_refused_and_names_still_open() {
    let Some(environment) = environment() else { return };
    environment.fake_daac.set(|knobs| knobs.cmr_down = true);
    let (mount, warning) = mount_command(&environment, BUCKET).mount_with_warning();
    assert!(warning.contains("names given in full may still open"), "{warning}");
    let refused = fs::read_dir(mount.path()).unwrap().next().unwrap().unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EACCES));
    assert_eq!(names_in(&mount.at("GCOV_V1")), ["g"]);
    assert_eq!(names_in(&mount.path()), ["GCOV_V1"]);
}

/// While CMR is silent, the other operations of the mount go on.
#[test]
fn a_silent_cmr_holds_up_nobody_but_the_one_who_lists() {
    let Some(environment) = environment() else { return };
    let mount = mount_command(&environment, &format!("{BUCKET}/GCOV_V1/g")).mount();
    drop(mount);
    let mount = mount_command(&environment, "PODAAC").mount();
    environment.fake_daac.set(|knobs| knobs.cmr_latency = std::time::Duration::from_secs(3));
    let root = mount.at(BUCKET);
    let lister = std::thread::spawn(move || names_in(&root));
    let began = std::time::Instant::now();
    let path = mount.at(BUCKET).join("GCOV_V1/g/g.h5");
    assert_eq!(fs::read_to_string(path).unwrap(), "GCOV_V1/g/g.h5");
    assert!(began.elapsed() < std::time::Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(lister.join().unwrap(), ["DEM", "GCOV_V1"]);
}

/// `doctor` reads below a prefix that CMR knows.
#[test]
fn doctor_reads_below_a_prefix_that_cmr_knows() {
    let Some(environment) = environment() else { return };
    let (table, host) = (environment.buckets_file_path(), environment.fake_daac.cmr_host());
    let arguments = ["doctor", BUCKET, "--buckets-file", &table, "--cmr-host", &host];
    let output = environment.run_granulefs(&arguments);
    let text = output.stdout_text();
    assert_eq!(output.code, Some(0), "{text}");
    for words in ["s3://podaac-local-protected/DEM/v2/ can be listed", "d.tif can be read"] {
        assert!(text.contains(words), "{text}");
    }
}
