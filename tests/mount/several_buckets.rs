//! A mount of several buckets: credentials are fetched per endpoint at the first access below a
//! bucket and renewed per endpoint, and listing the root costs no request.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use fake_daac::{Content, Failure, Fault, RequestKind, granules};

use crate::harness::{
    BUCKETS, TIMEOUT, TestEnvironment, errno, eventually, names_in, run, run_tool,
};

#[test]
fn the_root_costs_no_request_and_credentials_are_fetched_at_the_first_access_below_a_bucket() {
    let Some(environment) = TestEnvironment::with_three_daacs() else { return };
    let mount = environment.mount_command_with_table("earthdata").mount();
    assert_eq!(names_in(&mount.path()), BUCKETS);
    assert_eq!(
        String::from_utf8(run_tool(&mount.path(), "ls", ["-1"]).must_succeed())
            .unwrap()
            .lines()
            .collect::<Vec<_>>(),
        BUCKETS
    );
    run_tool(&mount.path(), "ls", ["-l"]).must_succeed();
    assert_eq!(errno(fs::metadata(mount.at("no-such-bucket"))), libc::ENOENT);
    assert_eq!(errno(fs::metadata(mount.at(BUCKETS[0]))), 0);
    assert_eq!(
        (
            environment.issued(),
            environment.fake_daac.stats().s3_requests(),
            environment.fake_daac.stats().credentials
        ),
        ([0; 3], 0, 0)
    );
    mount.must_read_file_of("nsidc-local-protected");
    assert_eq!(environment.issued(), [0, 1, 0]);
    for bucket in BUCKETS {
        mount.must_read_file_of(bucket);
    }
    assert_eq!(environment.issued(), [1, 1, 1], "buckets of one endpoint share a login");
    let url = |path: &str| {
        xattr::get(mount.at(path), "user.s3.url")
            .unwrap()
            .map(|url| String::from_utf8(url).unwrap())
    };
    assert_eq!(
        (url(""), url("asf-local-browse").as_deref()),
        (None, Some("s3://asf-local-browse/"))
    );
    let path = |at: &str, from: &Path| {
        run(environment.granulefs(&["path", "s3://asf-local-browse/a/x.nc", at]).current_dir(from))
            .stdout_text()
    };
    let printed = path(&mount.path().display().to_string(), Path::new("/"));
    assert_eq!(printed, format!("{}\n", mount.at("asf-local-browse/a/x.nc").display()));
    let (parent, name) =
        (mount.path().parent().unwrap().to_owned(), mount.path().file_name().unwrap().to_owned());
    let name = name.to_str().unwrap();
    assert_eq!(
        path(name, &parent),
        format!("{name}/asf-local-browse/a/x.nc\n"),
        "where the user is"
    );
}

#[test]
fn a_mount_of_a_data_center_shows_its_buckets() {
    let Some(environment) = TestEnvironment::with_three_daacs() else { return };
    let mount = environment.mount_command_with_table("PO.DAAC").mount();
    assert_eq!(names_in(&mount.path()), BUCKETS[3..]);
    assert!(
        mount.directory().mountinfo_lines()[0].contains(" PO.DAAC "),
        "{:?}",
        mount.directory().mountinfo_lines()
    );
}

/// `cp -r` over all buckets and `ncdump` in each of them work while the credentials of both
/// families expire.
#[test]
fn buckets_of_both_families_are_copied_and_dumped_while_credentials_expire() {
    let Some(environment) = TestEnvironment::with_three_daacs() else { return };
    let original = tempfile::tempdir().unwrap();
    let granules = granules::write(original.path(), 2).unwrap();
    for bucket in BUCKETS {
        environment.fake_daac.put_folder(bucket, "g/", granules[0].parent().unwrap()).unwrap();
    }
    let run_script = |folder: &Path, script: &str| {
        run_tool(folder, "bash", ["-o", "pipefail", "-c", script]).must_succeed()
    };
    let dump =
        "for file in $(find . -name '*.nc' -size +1k | sort); do ncdump $file | md5sum; done";
    let sums = "find . -type f -exec md5sum {} + | sort";
    let original = granules[0].parent().unwrap();
    let expected = [run_script(original, dump), run_script(original, sums)];
    environment.fake_daac.set(|knobs| {
        (knobs.credential_life, knobs.first_byte_latency) =
            (Duration::from_secs(2), Duration::from_millis(10));
    });
    let mount = environment.mount_command_with_table("earthdata").mount();
    eventually("the credentials of each endpoint are renewed", TIMEOUT, || {
        let copy = tempfile::tempdir().unwrap();
        let to = copy.path().display().to_string();
        run_tool(&mount.path(), "cp", ["-r", ".", &to]).must_succeed();
        for bucket in BUCKETS {
            let seen = [
                run_script(&mount.at(bucket), dump),
                run_script(&copy.path().join(bucket).join("g"), sums),
            ];
            assert!(seen == expected, "{bucket}");
            mount.must_read_file_of(bucket);
        }
        run_tool(&mount.path(), env!("CARGO_BIN_EXE_granulefs"), ["refresh", "."]).must_succeed();
        environment.issued().iter().all(|issued| *issued > 2)
    });
    assert_eq!((environment.fake_daac.stats().denied, mount.log().as_str()), (0, ""));
}

/// `granulefs refresh` fetches names anew below one bucket or below all of them.
#[test]
fn a_refresh_covers_one_bucket_or_all() {
    let Some(environment) = TestEnvironment::with_three_daacs() else { return };
    let mount =
        environment.mount_command_with_table("earthdata").args(&["--metadata-ttl=1h"]).mount();
    let (one, other) = (mount.at(BUCKETS[0]).join("a"), mount.at(BUCKETS[4]).join("a"));
    let seen = || [names_in(&one).len(), names_in(&other).len()];
    assert_eq!(seen(), [2, 2]);
    for bucket in BUCKETS {
        environment.fake_daac.put(bucket, "a/new.nc", "new");
    }
    assert_eq!(seen(), [2, 2]);
    let refresh = |path: &[&str]| {
        environment
            .run_granulefs(&[&["refresh", &mount.path().display().to_string()], path].concat())
            .must_succeed()
    };
    refresh(&[BUCKETS[0]]);
    assert_eq!(seen(), [3, 2]);
    refresh(&[]);
    assert_eq!(seen(), [3, 3]);
}

/// A wrong password is sent once (docs/credentials.md), for any number of endpoints and of readers
/// at the same time.
#[test]
fn a_wrong_password_is_sent_once_for_all_endpoints() {
    let Some(environment) = TestEnvironment::with_three_daacs() else { return };
    let mount_command =
        environment.mount_command_with_table("earthdata").without_env("EARTHDATA_TOKEN");
    let mount = mount_command
        .env("EARTHDATA_USERNAME", environment.fake_daac.user())
        .env("EARTHDATA_PASSWORD", "guess")
        .mount();
    let list = |bucket: &str| {
        errno(fs::read_dir(mount.at(bucket).join("a")).and_then(|mut names| names.next().unwrap()))
    };
    for _ in 0..2 {
        thread::scope(|scope| {
            let outcomes = BUCKETS.map(|bucket| scope.spawn(move || list(bucket)));
            assert_eq!(outcomes.map(|outcome| outcome.join().unwrap()), [libc::EACCES; 5]);
        });
    }
    assert_eq!((environment.fake_daac.stats().rejected, environment.issued()), (1, [0; 3]));
    let log_lines =
        mount.log_lines_with("refused the user name or password from EARTHDATA_USERNAME");
    assert_eq!(log_lines.len(), mount.log().lines().count(), "{}", mount.log());
    drop(mount);

    environment.fake_daac.reset_stats();
    let arguments = ["doctor", "earthdata", "--buckets-file", &environment.buckets_file_path()];
    let mut doctor = environment.granulefs(&arguments);
    doctor
        .env_remove("EARTHDATA_TOKEN")
        .env("EARTHDATA_USERNAME", environment.fake_daac.user())
        .env("EARTHDATA_PASSWORD", "guess");
    let output = run(&mut doctor);
    let count =
        |start: &str| output.stdout_text().lines().filter(|line| line.starts_with(start)).count();
    assert_eq!(
        (output.code, count("FAILED   login"), count("skipped  login")),
        (Some(1), 1, 2),
        "shown once: {}",
        output.stdout_text()
    );
    assert_eq!(environment.fake_daac.stats().rejected, 1);
}

/// The right password is sent for every endpoint that needs it.
#[test]
fn a_right_password_opens_all_endpoints() {
    let Some(environment) = TestEnvironment::with_three_daacs() else { return };
    let mount_command =
        environment.mount_command_with_table("earthdata").without_env("EARTHDATA_TOKEN");
    let mount = mount_command
        .env("EARTHDATA_USERNAME", environment.fake_daac.user())
        .env("EARTHDATA_PASSWORD", environment.fake_daac.password())
        .mount();
    thread::scope(|scope| {
        for bucket in BUCKETS {
            scope.spawn(|| mount.must_read_file_of(bucket));
        }
    });
    assert_eq!((environment.issued(), environment.fake_daac.stats().authenticated), ([1; 3], 3));
}

/// In one bucket more reads stall than the kernel sends requests by default. A large file of
/// another bucket is read long before the first of them times out.
#[test]
fn stalled_reads_of_one_bucket_leave_the_kernels_queue_to_the_other_buckets() {
    const READERS: usize = 80;
    let Some(environment) = TestEnvironment::with_three_daacs() else { return };
    for reader in 0..READERS {
        environment.fake_daac.put(
            "asf-local-products",
            &format!("big/{reader}"),
            Content::synthetic(20 << 20),
        );
    }
    environment.fake_daac.put("podaac-local-public", "b/z.nc", Content::synthetic(20 << 20));
    let mount = environment.mount_command_with_table("earthdata").mount();
    let open =
        |reader| fs::File::open(mount.at(format!("asf-local-products/big/{reader}"))).unwrap();
    let files: Vec<_> = (0..READERS).map(open).collect();
    mount.must_read_file_of("podaac-local-public");
    environment
        .fake_daac
        .add_fault(Fault::new(Failure::Stall).on(RequestKind::Get).in_bucket("asf-local-products"));
    environment.fake_daac.reset_stats();
    thread::scope(|scope| {
        for mut file in files {
            scope.spawn(move || file.read(&mut vec![0; 1 << 17]));
        }
        // The kernel's default limit is 12 requests in the background.
        eventually("the reads stall", TIMEOUT, || environment.fake_daac.stats().gets >= 64);
        let began = Instant::now();
        assert_eq!(fs::read(mount.at("podaac-local-public/b/z.nc")).unwrap().len(), 20 << 20);
        assert!(began.elapsed() < TIMEOUT, "{:?}", began.elapsed());
        environment.fake_daac.set(|knobs| knobs.faults.clear());
    });
}
