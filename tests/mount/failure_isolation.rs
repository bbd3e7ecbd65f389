//! On a mount of several buckets, a failure of one bucket or one DAAC is logged once and affects no
//! other bucket.

use std::fs;
use std::thread;

use fake_daac::{BearerAnswer, EndpointAnswer, Failure, Fault, Knobs, LoginAnswer, RequestKind};

use crate::harness::{BUCKETS, Mount, MountCommand, TIMEOUT, TestEnvironment, errno, eventually};

const FILES: [&str; 3] = ["a/x.nc", "a/y.nc", "b/z.nc"];

/// Reads every file of ASF's buckets three times and returns the outcomes.
fn read_asf(mount: &Mount) -> Vec<i32> {
    let mut outcomes = Vec::new();
    for _ in 0..3 {
        for (bucket, file) in
            BUCKETS[..2].iter().flat_map(|bucket| FILES.map(|file| (bucket, file)))
        {
            outcomes.push(errno(fs::read(mount.at(bucket).join(file))));
        }
    }
    outcomes
}

fn with_password(mount_command: MountCommand, environment: &TestEnvironment) -> MountCommand {
    let mount_command = mount_command.without_env("EARTHDATA_TOKEN");
    mount_command
        .env("EARTHDATA_USERNAME", environment.fake_daac.user())
        .env("EARTHDATA_PASSWORD", environment.fake_daac.password())
}

/// However many buckets and objects of a refusing endpoint are read, there is one log line for the
/// endpoint, which says what the user can do.
#[test]
fn a_refusing_endpoint_has_one_log_line_and_affects_no_other_bucket() {
    type ChangeKnobs = fn(&mut Knobs);
    let rows: [(ChangeKnobs, bool, &[&str]); 5] = [
        (
            |knobs| knobs.daac("ASF").bearer = Some(BearerAnswer::Eula),
            false,
            &["EULA Acceptance Failure", "/approve_app?client_id="],
        ),
        (
            |knobs| knobs.daac("ASF").login = Some(LoginAnswer::Eula),
            true,
            &["EULA Acceptance Failure", "/unaccepted_eulas"],
        ),
        (
            |knobs| knobs.daac("ASF").bearer = Some(BearerAnswer::Refuse),
            false,
            &["refused the token", "s3credentials"],
        ),
        (
            |knobs| knobs.daac("ASF").endpoint = Some(EndpointAnswer::NoPermission),
            false,
            &["may not access any of its data"],
        ),
        (
            |knobs| knobs.daac("ASF").endpoint = Some(EndpointAnswer::BadRequest),
            true,
            &["did not end as it should", "400"],
        ),
    ];
    for (change, by_password, words) in rows {
        let Some(environment) = TestEnvironment::with_three_daacs() else { return };
        environment.fake_daac.set(change);
        let mount_command = environment.mount_command_with_table("earthdata");
        let mount =
            if by_password { with_password(mount_command, &environment) } else { mount_command }
                .mount();
        assert_eq!(read_asf(&mount), [libc::EACCES; 18], "{words:?}");
        for bucket in &BUCKETS[2..] {
            mount.must_read_file_of(bucket);
        }
        let log = mount.log();
        assert!(
            log.lines().count() == 1 && words.iter().all(|words| log.contains(words)),
            "{words:?}: {log}"
        );
    }
}

/// Reads wait for an endpoint that is switched off, which is logged once, and succeed as soon as it
/// is up.
#[test]
fn an_endpoint_that_is_down_is_logged_once_and_reads_recover() {
    let Some(environment) = TestEnvironment::with_three_daacs() else { return };
    environment
        .fake_daac
        .set(|knobs| knobs.daac("ASF").endpoint = Some(EndpointAnswer::Unavailable));
    let mount = environment.mount_command_with_table("earthdata").args(&["--timeout=1s"]).mount();
    for file in FILES {
        assert_eq!(errno(fs::read(mount.at("asf-local-products").join(file))), libc::EACCES);
    }
    for bucket in &BUCKETS[2..] {
        mount.must_read_file_of(bucket);
    }
    let endpoint = environment.fake_daac.credentials_url("ASF");
    let (failed, renewals) =
        (mount.log_lines_with("failed"), mount.log_lines_with("no new S3 credentials"));
    assert!(
        matches!(&failed[..], [line] if line.contains(&endpoint) && line.contains("503")),
        "{}",
        mount.log()
    );
    assert!(matches!(&renewals[..], [line] if line.contains(&endpoint)), "{}", mount.log());
    environment.fake_daac.set(|knobs| knobs.daacs.clear());
    eventually("reads recover", TIMEOUT, || {
        errno(fs::read(mount.at("asf-local-products/a/x.nc"))) == 0
    });
}

/// A bucket that S3 refuses has one log line, with S3's reason; the suppressed repetitions are
/// counted at the end.
#[test]
fn a_bucket_that_s3_refuses_has_one_log_line() {
    type ChangeKnobs = fn(&mut Knobs);
    let rows: [(ChangeKnobs, &str); 2] = [
        (
            |knobs| knobs.daac("ASF").out_of_region = Some(true),
            "these credentials work only from inside AWS us-west-2",
        ),
        (
            |knobs| {
                for bucket in &BUCKETS[..2] {
                    knobs.bucket(bucket).unreadable = Some(vec![String::new()]);
                }
            },
            "AccessDenied",
        ),
    ];
    for (change, words) in rows {
        let Some(environment) = TestEnvironment::with_three_daacs() else { return };
        let mount = environment.mount_command_with_table("earthdata").mount();
        // The directories are listed first, so that only reading fails.
        if words == "AccessDenied" {
            let listed = BUCKETS[..2]
                .iter()
                .flat_map(|bucket| ["a", "b"].map(|folder| mount.at(bucket).join(folder)));
            listed.for_each(|folder| assert!(fs::read_dir(folder).unwrap().count() > 0));
        }
        environment.fake_daac.set(change);
        assert_eq!(read_asf(&mount), [libc::EACCES; 18], "{words}");
        for bucket in &BUCKETS[2..] {
            mount.must_read_file_of(bucket);
        }
        let log = mount.log();
        let is_of = |line: &str, bucket: &str| {
            line.contains(words) && line.contains(&format!("s3://{bucket}/"))
        };
        let lines = log.lines().collect::<Vec<_>>();
        assert!(
            matches!(lines[..], [one, other] if is_of(one, BUCKETS[0]) && is_of(other, BUCKETS[1])),
            "{log}"
        );
        environment.run_granulefs(&["unmount", &mount.path().display().to_string()]).must_succeed();
        eventually("the repetitions are counted", TIMEOUT, || {
            mount.log_lines_with("repeated failures").len() == 2
        });
        let hidden =
            |line: &String| line.rsplit_once("suppressed=").unwrap().1.parse::<u32>().unwrap();
        // The kernel may send two requests for one read that fails.
        assert!(
            mount
                .log_lines_with("repeated failures")
                .iter()
                .all(|line| (8..=17).contains(&hidden(line))),
            "{}",
            mount.log()
        );
    }
}

/// The log line of a deadline names the cause that this operation waited for, not one of another
/// operation.
#[test]
fn each_deadline_names_the_cause_of_its_own_operation() {
    let Some(environment) = TestEnvironment::with_three_daacs() else { return };
    let mount = environment.mount_command_with_table("earthdata").args(&["--timeout=2s"]).mount();
    for bucket in &BUCKETS[1..] {
        assert!(fs::read_dir(mount.at(bucket).join("a")).unwrap().count() > 0);
    }
    let [browse, products, nsidc, protected, public] = BUCKETS;
    for (bucket, failure, kind) in [
        (products, Failure::SlowDown, RequestKind::Get),
        (nsidc, Failure::InternalError, RequestKind::Get),
        (protected, Failure::Stall, RequestKind::List),
    ] {
        environment.fake_daac.add_fault(Fault::new(failure).in_bucket(bucket).on(kind));
    }
    let folders = [(products, "a/x.nc"), (nsidc, "a/x.nc"), (protected, "b/z.nc")];
    thread::scope(|scope| {
        for path in folders.map(|(bucket, file)| mount.at(bucket).join(file)) {
            scope.spawn(move || assert_eq!(errno(fs::read(&path)), libc::ETIMEDOUT, "{path:?}"));
        }
        mount.must_read_file_of(public);
        mount.must_read_file_of(browse);
    });
    for (bucket, words) in
        [(products, "SlowDown"), (nsidc, "InternalError"), (protected, "S3 is slow")]
    {
        let log_lines =
            mount.log_lines_with(&format!("no answer within the deadline: s3://{bucket}/"));
        assert!(
            matches!(&log_lines[..], [line] if line.contains(words)),
            "{bucket}: {}",
            mount.log()
        );
    }
}

/// While an endpoint is slow, the cause of a deadline is the endpoint and not S3.
#[test]
fn a_deadline_during_a_slow_login_names_the_endpoint() {
    let Some(environment) = TestEnvironment::with_three_daacs() else { return };
    environment.fake_daac.set(|knobs| knobs.daac("NSIDC").credentials_latency = Some(TIMEOUT));
    let mount = environment.mount_command_with_table("earthdata").args(&["--timeout=1s"]).mount();
    assert_eq!(errno(fs::read(mount.at("nsidc-local-protected/a/x.nc"))), libc::EACCES);
    mount.must_read_file_of(BUCKETS[0]);
    let failed = mount.log_lines_with("failed");
    let words =
        format!("{} gives none: no answer from", environment.fake_daac.credentials_url("NSIDC"));
    assert!(matches!(&failed[..], [line] if line.contains(&words)), "{}", mount.log());
}
