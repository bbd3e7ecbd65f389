//! Objects that change while they are open, and transient faults that a reader must not see
//! (docs/semantics.md, "Reading" and "Errors").

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use fake_daac::{Content, Failure, Fault, Object, RequestKind};

use crate::harness::{BUCKET, TIMEOUT, TestEnvironment, errno, eventually};

const SIZE: u64 = 24 << 20;
const CHUNK: usize = 100_000;

/// Reads the whole file in scattered order and returns the errors.
///
/// # Panics
/// When a byte is not of `version`.
fn read_scattered(file: &File, version: &Object) -> Vec<i32> {
    let mut buffer = vec![0; CHUNK];
    let chunks = SIZE / CHUNK as u64;
    let offsets = (0..chunks).map(|number| number * 7 % chunks * CHUNK as u64);
    offsets
        .filter_map(|at| match file.read_at(&mut buffer, at) {
            Ok(count) => {
                assert!(
                    buffer[..count] == version.read(at..at + count as u64).unwrap()[..],
                    "bytes of another version at {at}"
                );
                None
            }
            Err(error) => error.raw_os_error(),
        })
        .collect()
}

/// Every GET has `If-Match` with the etag that was known at open, so that a replaced object gives
/// old bytes if they are cached, or ESTALE, and never a mix; the next open sees the new object.
#[test]
fn a_replaced_object_gives_old_bytes_or_estale_and_new_bytes_after_the_next_open() {
    let Some(environment) = TestEnvironment::start() else { return };
    environment.fake_daac.put(BUCKET, "folder/data", Content::synthetic(SIZE));
    let old = environment.fake_daac.expected(BUCKET, "folder/data").unwrap();
    let mount = environment.mount(BUCKET);
    let path = mount.at("folder/data");
    let file = File::open(&path).unwrap();
    let mut start = [0; 4096];
    file.read_exact_at(&mut start, 0).unwrap();

    environment.fake_daac.put(BUCKET, "folder/data", Content::synthetic(SIZE));
    let new = environment.fake_daac.expected(BUCKET, "folder/data").unwrap();
    assert_ne!(new.read(0..4096).unwrap()[..], start);
    let errors = read_scattered(&file, &old);
    assert!(!errors.is_empty() && errors.iter().all(|errno| *errno == libc::ESTALE), "{errors:?}");
    let mut again = [0; 4096];
    file.read_exact_at(&mut again, 0).unwrap();
    assert_eq!(again, start, "cached bytes stay readable");

    let reopened = File::open(&path).unwrap();
    assert_eq!(read_scattered(&reopened, &new), [0; 0]);
    let log = environment.fake_daac.log();
    assert!(
        log.iter()
            .filter(|request| request.kind == RequestKind::Get)
            .all(|get| get.if_match.is_some()),
        "a GET without If-Match"
    );
}

/// A removed object is ESTALE for a read, ENOENT for an open, and disappears from the listing.
#[test]
fn a_removed_object_is_estale_where_it_is_open_and_absent_elsewhere() {
    let Some(environment) = TestEnvironment::start() else { return };
    for key in ["folder/data", "folder/other"] {
        environment.fake_daac.put(BUCKET, key, Content::synthetic(SIZE));
    }
    let mount = environment.mount(BUCKET);
    let names = || {
        fs::read_dir(mount.at("folder"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(), ["data", "other"]);
    let file = File::open(mount.at("folder/data")).unwrap();
    environment.fake_daac.delete(BUCKET, "folder/data");
    let mut buffer = [0; 100];
    assert_eq!(errno(file.read_at(&mut buffer, 20 << 20)), libc::ESTALE);
    // The failed read makes the mount drop its listing.
    assert_eq!(errno(File::open(mount.at("folder/data"))), libc::ENOENT);
    assert_eq!(names(), ["other"]);
}

/// The kernel's page cache is kept across opens while the etag is the same, and only then. The
/// file is larger than the block cache.
#[test]
fn the_page_cache_is_kept_while_the_etag_is_the_same() {
    let Some(environment) = TestEnvironment::start() else { return };
    environment.fake_daac.put(BUCKET, "folder/data", Content::synthetic(SIZE));
    let mount = environment
        .mount_command(BUCKET)
        .args(&["--cache-size=16MiB", "--metadata-ttl=1s"])
        .mount();
    let path = mount.at("folder/data");
    let old = environment.fake_daac.expected(BUCKET, "folder/data").unwrap();
    // The kernel may drop pages at any time, so this may take several attempts.
    eventually("a read after a new lookup costs no GET", TIMEOUT, || {
        let before = environment.fake_daac.stats();
        assert!(fs::read(&path).unwrap() == old.read(0..SIZE).unwrap());
        let after = environment.fake_daac.stats();
        after.heads > before.heads && after.gets == before.gets
    });
    environment.fake_daac.put(BUCKET, "folder/data", Content::synthetic(SIZE));
    let new = environment.fake_daac.expected(BUCKET, "folder/data").unwrap();
    // Until the attributes expire, a read gives the old bytes if the kernel has kept their pages,
    // otherwise ESTALE, and never a mix.
    eventually("the new version is read", TIMEOUT, || match fs::read(&path) {
        Ok(bytes) if bytes == new.read(0..SIZE).unwrap() => true,
        Ok(bytes) => {
            assert!(bytes == old.read(0..SIZE).unwrap(), "bytes of neither version");
            false
        }
        Err(error) => {
            assert_eq!(error.raw_os_error(), Some(libc::ESTALE), "{error}");
            false
        }
    });
}

/// A transient fault (throttling, a reset, a short body, a 5xx) is never an error before the
/// deadline, and never ENOENT.
#[test]
fn transient_faults_are_hidden_from_readers() {
    let Some(environment) = TestEnvironment::start() else { return };
    for number in 0..20 {
        environment.fake_daac.put(BUCKET, &format!("folder/{number}"), Content::synthetic(700_000));
    }
    let mount = environment.mount_command(BUCKET).args(&["--metadata-ttl=1s"]).mount();
    let failures = [
        Failure::SlowDown,
        Failure::InternalError,
        Failure::Reset,
        Failure::ResetBody(1000),
        Failure::Truncate(300_000),
    ];
    for (number, failure) in (0..20).zip(failures.into_iter().cycle()) {
        environment.fake_daac.add_fault(
            Fault::new(failure)
                .on(RequestKind::Get)
                .containing(format!("folder/{number}"))
                .times(1),
        );
    }
    for failure in [Failure::SlowDown, Failure::Reset] {
        environment.fake_daac.add_fault(Fault::new(failure).on(RequestKind::List).times(1));
    }
    for number in 0..20 {
        let key = format!("folder/{number}");
        let expected = environment.fake_daac.expected(BUCKET, &key).unwrap();
        assert!(fs::read(mount.at(&key)).unwrap() == expected.read(0..700_000).unwrap(), "{key}");
        assert_eq!(errno(fs::metadata(mount.at(format!("folder/missing-{number}")))), libc::ENOENT);
        assert_eq!(fs::read_dir(mount.at("folder")).unwrap().count(), 20);
    }
    assert_eq!(environment.fake_daac.stats().faults, 22);
}

/// A stalled body is abandoned long before the operation's deadline, and another GET resumes it.
#[test]
fn a_stalled_body_is_resumed() {
    let Some(environment) = TestEnvironment::start() else { return };
    environment.fake_daac.put(BUCKET, "folder/data", Content::synthetic(2 << 20));
    let mount = environment.mount(BUCKET);
    environment
        .fake_daac
        .add_fault(Fault::new(Failure::StallBody(100_000)).on(RequestKind::Get).times(1));
    let expected = environment.fake_daac.expected(BUCKET, "folder/data").unwrap();
    assert!(fs::read(mount.at("folder/data")).unwrap() == expected.read(0..2 << 20).unwrap());
    assert_eq!(environment.fake_daac.stats().faults, 1);
}
