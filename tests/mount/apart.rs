//! What is wrong with one bucket, or one data center, of a mount of several: it is told once, and
//! touches nothing else (issue 5, items 1 and 6).

use std::fs;
use std::thread;

use fake_daac::{BearerAnswer, EndpointAnswer, Failure, Fault, Kind, Knobs, LoginAnswer};

use crate::harness::{BUCKETS, Mount, PATIENCE, Plan, Site, errno, eventually};

const FILES: [&str; 3] = ["a/x.nc", "a/y.nc", "b/z.nc"];

/// Reads everything of ASF, again and again.
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

fn with_password(plan: Plan, site: &Site) -> Plan {
    let plan = plan.without("EARTHDATA_TOKEN");
    plan.env("EARTHDATA_USERNAME", site.archive.user())
        .env("EARTHDATA_PASSWORD", site.archive.password())
}

/// "One endpoint's failure touches no other bucket" and "a read that fails later for such a reason
/// leaves one clear log line, not one per read": a line for the endpoint however many of its
/// buckets and objects are read, with what to do about it.
#[test]
fn an_endpoint_that_refuses_is_told_in_one_line_and_the_others_work() {
    type Turn = fn(&mut Knobs);
    let rows: [(Turn, bool, &[&str]); 5] = [
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
    for (turn, by_password, words) in rows {
        let Some(site) = Site::of_several() else { return };
        site.archive.set(turn);
        let plan = site.plan_by_table("earthdata");
        let mount = if by_password { with_password(plan, &site) } else { plan }.mount();
        assert_eq!(read_asf(&mount), [libc::EACCES; 18], "{words:?}");
        for bucket in &BUCKETS[2..] {
            mount.must_read(bucket);
        }
        let log = mount.log();
        assert!(
            log.lines().count() == 1 && words.iter().all(|words| log.contains(words)),
            "{words:?}: {log}"
        );
    }
}

/// An endpoint that is switched off is waited for, and told once; it is used as soon as it is
/// there.
#[test]
fn an_endpoint_that_is_down_is_told_once_and_recovers() {
    let Some(site) = Site::of_several() else { return };
    site.archive.set(|knobs| knobs.daac("ASF").endpoint = Some(EndpointAnswer::Unavailable));
    let mount = site.plan_by_table("earthdata").args(&["--timeout=1s"]).mount();
    for file in FILES {
        assert_eq!(errno(fs::read(mount.at("asf-local-products").join(file))), libc::EACCES);
    }
    for bucket in &BUCKETS[2..] {
        mount.must_read(bucket);
    }
    let endpoint = site.archive.credentials_url("ASF");
    let (failed, renewals) = (mount.logged("failed"), mount.logged("no new S3 credentials"));
    assert!(
        matches!(&failed[..], [line] if line.contains(&endpoint) && line.contains("503")),
        "{}",
        mount.log()
    );
    assert!(matches!(&renewals[..], [line] if line.contains(&endpoint)), "{}", mount.log());
    site.archive.set(|knobs| knobs.daacs.clear());
    eventually("it recovers", PATIENCE, || {
        errno(fs::read(mount.at("asf-local-products/a/x.nc"))) == 0
    });
}

/// What S3 refuses for a whole bucket has one line a bucket, with S3's reason; what was not logged
/// is counted at the end.
#[test]
fn what_s3_refuses_for_a_bucket_is_told_in_one_line_a_bucket() {
    type Turn = fn(&mut Knobs);
    let rows: [(Turn, &str); 2] = [
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
    for (turn, words) in rows {
        let Some(site) = Site::of_several() else { return };
        let mount = site.plan_by_table("earthdata").mount();
        // Listed before, so that all that fails is reading.
        if words == "AccessDenied" {
            let listed = BUCKETS[..2]
                .iter()
                .flat_map(|bucket| ["a", "b"].map(|folder| mount.at(bucket).join(folder)));
            listed.for_each(|folder| assert!(fs::read_dir(folder).unwrap().count() > 0));
        }
        site.archive.set(turn);
        assert_eq!(read_asf(&mount), [libc::EACCES; 18], "{words}");
        for bucket in &BUCKETS[2..] {
            mount.must_read(bucket);
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
        site.ask(&["unmount", &mount.path().display().to_string()]).success();
        eventually("the rest is counted", PATIENCE, || {
            mount.logged("repeated failures").len() == 2
        });
        let suppressed =
            |line: &String| line.rsplit_once("suppressed=").unwrap().1.parse::<u32>().unwrap();
        // The kernel may ask twice for what fails once.
        assert!(
            mount
                .logged("repeated failures")
                .iter()
                .all(|line| (8..=17).contains(&suppressed(line))),
            "{}",
            mount.log()
        );
    }
}

/// architecture.md, "Waiting and giving up": what an operation was waiting for when its deadline
/// passed is what *it* waited for.
#[test]
fn each_deadline_names_what_its_own_operation_waited_for() {
    let Some(site) = Site::of_several() else { return };
    let mount = site.plan_by_table("earthdata").args(&["--timeout=2s"]).mount();
    for bucket in &BUCKETS[1..] {
        assert!(fs::read_dir(mount.at(bucket).join("a")).unwrap().count() > 0);
    }
    let [browse, products, nsidc, protected, public] = BUCKETS;
    for (bucket, failure, kind) in [
        (products, Failure::SlowDown, Kind::Get),
        (nsidc, Failure::InternalError, Kind::Get),
        (protected, Failure::Stall, Kind::List),
    ] {
        site.archive.fault(Fault::new(failure).in_bucket(bucket).on(kind));
    }
    let folders = [(products, "a/x.nc"), (nsidc, "a/x.nc"), (protected, "b/z.nc")];
    thread::scope(|scope| {
        for path in folders.map(|(bucket, file)| mount.at(bucket).join(file)) {
            scope.spawn(move || assert_eq!(errno(fs::read(&path)), libc::ETIMEDOUT, "{path:?}"));
        }
        mount.must_read(public);
        mount.must_read(browse);
    });
    for (bucket, words) in
        [(products, "SlowDown"), (nsidc, "InternalError"), (protected, "S3 is slow")]
    {
        let told = mount.logged(&format!("no answer within the deadline: s3://{bucket}/"));
        assert!(matches!(&told[..], [line] if line.contains(words)), "{bucket}: {}", mount.log());
    }
}

/// An endpoint that takes its time is what is waited for, not S3.
#[test]
fn a_deadline_during_a_slow_login_names_the_endpoint() {
    let Some(site) = Site::of_several() else { return };
    site.archive.set(|knobs| knobs.daac("NSIDC").credentials_latency = Some(PATIENCE));
    let mount = site.plan_by_table("earthdata").args(&["--timeout=1s"]).mount();
    assert_eq!(errno(fs::read(mount.at("nsidc-local-protected/a/x.nc"))), libc::EACCES);
    mount.must_read(BUCKETS[0]);
    let failed = mount.logged("failed");
    let words = format!("{} gives none: no answer from", site.archive.credentials_url("NSIDC"));
    assert!(matches!(&failed[..], [line] if line.contains(&words)), "{}", mount.log());
}
