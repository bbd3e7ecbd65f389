//! Credentials die and the mount lives on (issue 2, "The swap" and "Done when"). Times are those of
//! credentials that live for seconds instead of an hour.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fake_daac::{Content, Expiration, Kind};
use rustix::process::Signal;

use crate::harness::{BUCKET, PATIENCE, Site, errno, eventually};

const LIFE: Duration = Duration::from_secs(2);
/// Large enough that hardly any read finds its block cached.
const SIZE: u64 = 1 << 40;

fn short_lived() -> Option<Site> {
    let site = Site::start()?;
    site.archive.put(BUCKET, "folder/data", Content::synthetic(SIZE));
    site.archive.set(|knobs| knobs.credential_life = LIFE);
    Some(site)
}

/// The n-th of many places that no other read is near.
fn place(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (SIZE - 4096)
}

/// "A reader that runs through ten expiries of short-lived credentials, with 16 threads and lookups
/// beside it, sees no error and correct bytes; logins are as many as expiries, not as many as
/// requests."
#[test]
fn readers_and_lookups_see_nothing_of_ten_expiries() {
    const READERS: u64 = 16;
    let Some(site) = short_lived() else { return };
    // Paces the readers, so that this test leaves something of the machine for the others.
    site.archive.set(|knobs| knobs.first_byte_latency = Duration::from_millis(60));
    let expected = site.archive.expected(BUCKET, "folder/data").unwrap();
    let mount = site.mount(BUCKET);
    let file = File::open(mount.at("folder/data")).unwrap();
    let began = Instant::now();
    let (is_over, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    let (is_over, reads) = (&is_over, &reads);
    thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                let mut buffer = [0; 4096];
                while !is_over.load(Ordering::Relaxed) {
                    let at = place(reads.fetch_add(1, Ordering::Relaxed));
                    file.read_exact_at(&mut buffer, at).unwrap();
                    assert!(buffer == expected.read(at..at + 4096).unwrap()[..], "at {at}");
                }
            });
        }
        scope.spawn(|| {
            let mut number = 0;
            while !is_over.load(Ordering::Relaxed) {
                number += 1;
                assert_eq!(
                    errno(fs::metadata(mount.at(format!("folder/missing-{number}")))),
                    libc::ENOENT
                );
                assert_eq!(fs::metadata(mount.at("folder/data")).unwrap().len(), SIZE);
            }
        });
        assert!(
            site.archive.wait_for(|stats| stats.issued > 10, LIFE * 15),
            "{:?}",
            site.archive.stats()
        );
        is_over.store(true, Ordering::Relaxed);
    });
    let stats = site.archive.stats();
    let lives = began.elapsed().as_secs_f64() / LIFE.as_secs_f64();
    // They are renewed after three quarters of their life, which the archive tells in whole
    // seconds.
    assert!(
        (stats.credentials as f64) < 2.0 * lives + 2.0,
        "{} logins in {lives:.1} lives",
        stats.credentials
    );
    assert!(stats.gets > 100 * stats.issued / 2 && stats.leaks == 0, "{stats:?}");
    assert_eq!(stats.denied, 0);
    assert!(!mount.log().contains("WARN"), "{}", mount.log());
}

/// "If Earthdata is down and the credentials are dead, the operation waits within its deadline and
/// then fails with EACCES, and the mount recovers by itself when Earthdata is back." What is cached
/// is read all the while.
#[test]
fn dead_credentials_without_earthdata_are_eacces_at_the_deadline() {
    let Some(site) = short_lived() else { return };
    let mount = site.plan(BUCKET).args(&["--timeout=3s"]).mount();
    let file = File::open(mount.at("folder/data")).unwrap();
    let mut buffer = [0; 4096];
    file.read_exact_at(&mut buffer, 0).unwrap();
    site.archive.set(|knobs| knobs.daac_down = true);
    let mut number = 0;
    let mut read = || {
        number += 1;
        let began = Instant::now();
        (errno(file.read_at(&mut [0; 4096], place(number))), began.elapsed())
    };
    // "when it fails the old ones are used as long as they live".
    assert_eq!(read().0, 0);
    let mut took = Duration::ZERO;
    eventually("the credentials are dead", PATIENCE, || {
        let (outcome, elapsed) = read();
        took = elapsed;
        assert!([0, libc::EACCES].contains(&outcome), "errno {outcome}");
        outcome == libc::EACCES
    });
    assert!((2..8).contains(&took.as_secs()), "{took:?}");
    assert_eq!(errno(file.read_at(&mut buffer, 0)), 0);
    assert_eq!(errno(fs::metadata(mount.at("folder/data"))), 0);
    site.archive.set(|knobs| knobs.daac_down = false);
    eventually("it recovers", PATIENCE, || read().0 == 0);
    assert!(mount.log().contains("have expired"), "{}", mount.log());
}

/// "A process that sleeps past the expiry (suspended laptop) recovers on the next read."
#[test]
fn a_process_that_slept_past_the_expiry_recovers_on_the_next_read() {
    let Some(site) = short_lived() else { return };
    let mount = site.mount(BUCKET);
    let file = File::open(mount.at("folder/data")).unwrap();
    for is_denied in [false, true] {
        site.archive.set(|knobs| knobs.expired_is_denied = is_denied);
        mount.server().signal(Signal::STOP);
        let issued = site.archive.stats().issued;
        // Longer than any credentials live that it can have.
        thread::sleep(LIFE + Duration::from_millis(500));
        mount.server().signal(Signal::CONT);
        assert_eq!(
            errno(file.read_at(&mut [0; 4096], place(1 + u64::from(is_denied)))),
            0,
            "{is_denied}"
        );
        assert!(site.archive.stats().issued > issued);
    }
}

/// "A request refused with ExpiredToken ... renews once and is replayed inside the same FUSE
/// operation", where granulefs cannot know when the credentials die.
#[test]
fn credentials_that_die_unannounced_are_renewed_and_the_request_replayed() {
    for expiration in [Expiration::Missing, Expiration::Garbage, Expiration::Null] {
        let Some(site) = short_lived() else { return };
        site.archive.set(|knobs| {
            (knobs.expiration, knobs.credential_life) = (expiration, Duration::from_secs(1))
        });
        let mount = site.mount(BUCKET);
        let file = File::open(mount.at("folder/data")).unwrap();
        let mut number = 0;
        eventually("S3 has refused expired credentials", PATIENCE, || {
            number += 1;
            assert_eq!(errno(file.read_at(&mut [0; 4096], place(number))), 0, "{expiration:?}");
            assert!(fs::read_dir(mount.at("folder")).unwrap().all(|entry| entry.is_ok()));
            site.archive.stats().expired > 0
        });
        let stats = site.archive.stats();
        assert_eq!((stats.issued, stats.credentials), (2, 2), "{expiration:?}");
    }
}

/// "kept cookies so that a renewal is one request": the password is sent once in a mount's life.
#[test]
fn a_renewal_is_one_request_while_the_cookie_is_good() {
    let Some(site) = short_lived() else { return };
    let plan = site.plan(BUCKET).without("EARTHDATA_TOKEN");
    let mount = plan
        .env("EARTHDATA_USERNAME", site.archive.user())
        .env("EARTHDATA_PASSWORD", site.archive.password())
        .mount();
    let file = File::open(mount.at("folder/data")).unwrap();
    let mut number = 0;
    eventually("two renewals", PATIENCE, || {
        number += 1;
        file.read_exact_at(&mut [0; 4096], place(number)).unwrap();
        site.archive.stats().issued >= 3
    });
    let stats = site.archive.stats();
    assert_eq!((stats.authenticated, stats.rejected, stats.leaks), (1, 0, 0));
    // The first login asks twice, before and after Earthdata Login.
    let asked =
        site.archive.log().iter().filter(|request| request.kind == Kind::Credentials).count()
            as u64;
    assert_eq!(asked, stats.issued + 1);
}
