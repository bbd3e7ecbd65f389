//! A mount whose credentials expire: they are renewed without an error. The credentials live for
//! seconds instead of an hour.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fake_daac::{Content, Expiration};
use rustix::process::Signal;

use crate::harness::{BUCKET, TIMEOUT, TestEnvironment, errno, eventually};

const LIFE: Duration = Duration::from_secs(2);
/// Large enough that hardly any read finds its block cached.
const SIZE: u64 = 1 << 40;

fn short_lived() -> Option<TestEnvironment> {
    let environment = TestEnvironment::start()?;
    environment.fake_daac.put(BUCKET, "folder/data", Content::synthetic(SIZE));
    environment.fake_daac.set(|knobs| knobs.credential_life = LIFE);
    Some(environment)
}

/// Returns the n-th of many offsets that are far from each other, at distances that do not repeat:
/// none is prefetched.
fn offset(number: u64) -> u64 {
    fastrand::Rng::with_seed(number).u64(0..SIZE - 4096)
}

/// 16 readers, and lookups beside them, get the right bytes and no error while their credentials
/// expire ten times; there are as many logins as expiries, not as many as requests.
#[test]
fn readers_and_lookups_see_no_error_while_credentials_expire_ten_times() {
    const READERS: u64 = 16;
    let Some(environment) = short_lived() else { return };
    // Slows the readers down, so that this test leaves CPU time for the others.
    environment.fake_daac.set(|knobs| knobs.first_byte_latency = Duration::from_millis(60));
    let expected = environment.fake_daac.expected(BUCKET, "folder/data").unwrap();
    let mount = environment.mount(BUCKET);
    let file = File::open(mount.at("folder/data")).unwrap();
    let began = Instant::now();
    let (is_over, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    let (is_over, reads) = (&is_over, &reads);
    thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                let mut buffer = [0; 4096];
                while !is_over.load(Ordering::Relaxed) {
                    let at = offset(reads.fetch_add(1, Ordering::Relaxed));
                    file.read_exact_at(&mut buffer, at).unwrap();
                    assert!(buffer == expected.read(at..at + 4096).unwrap()[..], "at {at}");
                }
            });
        }
        scope.spawn(|| {
            let mut number = 0;
            while !is_over.load(Ordering::Relaxed) {
                number += 1;
                // Escaped names are asked for one by one.
                assert_eq!(
                    errno(fs::metadata(mount.at(format!("folder/{number}.granulefs-object")))),
                    libc::ENOENT
                );
                assert_eq!(fs::metadata(mount.at("folder/data")).unwrap().len(), SIZE);
            }
        });
        assert!(
            environment.fake_daac.wait_for(|stats| stats.issued > 10, LIFE * 15),
            "{:?}",
            environment.fake_daac.stats()
        );
        is_over.store(true, Ordering::Relaxed);
    });
    let stats = environment.fake_daac.stats();
    let lives = began.elapsed().as_secs_f64() / LIFE.as_secs_f64();
    // Credentials are renewed after three quarters of their life, which is known in whole seconds.
    assert!(
        (stats.credentials as f64) < 2.0 * lives + 2.0,
        "{} logins in {lives:.1} lives",
        stats.credentials
    );
    assert!(stats.gets > 100 * stats.issued / 2 && stats.leaked_secrets == 0, "{stats:?}");
    assert_eq!(stats.denied, 0);
    assert!(!mount.log().contains("WARN"), "{}", mount.log());
}

/// While the credentials are expired and Earthdata is down, an operation waits until its deadline
/// and fails with EACCES; cached bytes are still read. When Earthdata is up again, reads succeed.
#[test]
fn expired_credentials_without_earthdata_are_eacces_at_the_deadline() {
    let Some(environment) = short_lived() else { return };
    let mount = environment.mount_command(BUCKET).args(&["--timeout=3s"]).mount();
    let file = File::open(mount.at("folder/data")).unwrap();
    let mut buffer = [0; 4096];
    file.read_exact_at(&mut buffer, 0).unwrap();
    environment.fake_daac.set(|knobs| knobs.daac_down = true);
    let mut number = 0;
    let mut read = || {
        number += 1;
        let began = Instant::now();
        (errno(file.read_at(&mut [0; 4096], offset(number))), began.elapsed())
    };
    // When a renewal fails, the old credentials are used until they expire.
    assert_eq!(read().0, 0);
    let mut took = Duration::ZERO;
    eventually("the credentials expire", TIMEOUT, || {
        let (outcome, elapsed) = read();
        took = elapsed;
        assert!([0, libc::EACCES].contains(&outcome), "errno {outcome}");
        outcome == libc::EACCES
    });
    assert!((2..8).contains(&took.as_secs()), "{took:?}");
    assert_eq!(errno(file.read_at(&mut buffer, 0)), 0);
    assert_eq!(errno(fs::metadata(mount.at("folder/data"))), 0);
    environment.fake_daac.set(|knobs| knobs.daac_down = false);
    eventually("reads recover", TIMEOUT, || read().0 == 0);
    assert!(mount.log().contains("have expired"), "{}", mount.log());
}

/// The first read after the process was stopped for longer than its credentials live succeeds, as
/// after the suspension of a laptop.
#[test]
fn the_first_read_after_a_suspension_past_the_expiry_succeeds() {
    let Some(environment) = short_lived() else { return };
    let mount = environment.mount(BUCKET);
    let file = File::open(mount.at("folder/data")).unwrap();
    for is_denied in [false, true] {
        environment.fake_daac.set(|knobs| knobs.expired_is_denied = is_denied);
        mount.server().send_signal(Signal::STOP);
        let issued = environment.fake_daac.stats().issued;
        // Longer than the life of any credentials that the process can have.
        thread::sleep(LIFE + Duration::from_millis(500));
        mount.server().send_signal(Signal::CONT);
        assert_eq!(
            errno(file.read_at(&mut [0; 4096], offset(1 + u64::from(is_denied)))),
            0,
            "{is_denied}"
        );
        assert!(environment.fake_daac.stats().issued > issued);
    }
}

/// When the expiration is unknown, a request that S3 refuses with ExpiredToken renews the
/// credentials once and is sent again within the same operation.
#[test]
fn credentials_that_expire_unexpectedly_are_renewed_and_the_request_is_repeated() {
    for expiration in [Expiration::Missing, Expiration::Malformed, Expiration::Null] {
        let Some(environment) = short_lived() else { return };
        environment.fake_daac.set(|knobs| {
            (knobs.expiration, knobs.credential_life) = (expiration, Duration::from_secs(1))
        });
        let mount = environment.mount(BUCKET);
        let file = File::open(mount.at("folder/data")).unwrap();
        let mut number = 0;
        eventually("S3 has refused expired credentials", TIMEOUT, || {
            number += 1;
            assert_eq!(errno(file.read_at(&mut [0; 4096], offset(number))), 0, "{expiration:?}");
            assert!(fs::read_dir(mount.at("folder")).unwrap().all(|entry| entry.is_ok()));
            environment.fake_daac.stats().expired > 0
        });
        let stats = environment.fake_daac.stats();
        assert_eq!((stats.issued, stats.credentials), (2, 2), "{expiration:?}");
    }
}

/// The login's cookies are kept, so that a renewal is one request and the password is sent once.
#[test]
fn a_renewal_is_one_request_while_the_cookie_is_valid() {
    let Some(environment) = short_lived() else { return };
    let mount_command = environment.mount_command(BUCKET).without_env("EARTHDATA_TOKEN");
    let mount = mount_command
        .env("EARTHDATA_USERNAME", environment.fake_daac.user())
        .env("EARTHDATA_PASSWORD", environment.fake_daac.password())
        .mount();
    let file = File::open(mount.at("folder/data")).unwrap();
    let mut number = 0;
    eventually("two renewals", TIMEOUT, || {
        number += 1;
        file.read_exact_at(&mut [0; 4096], offset(number)).unwrap();
        environment.fake_daac.stats().issued >= 3
    });
    let stats = environment.fake_daac.stats();
    assert_eq!((stats.authenticated, stats.rejected, stats.leaked_secrets), (1, 0, 0));
    // The first login asks the endpoint twice, before and after Earthdata Login. One renewal may be
    // on its way.
    eventually("one request for each renewal", TIMEOUT, || {
        let stats = environment.fake_daac.stats();
        stats.credentials == stats.issued + 1
    });
}
