//! semantics.md, "Reading" and "Errors": objects that change while they are open, and faults that
//! nobody may see.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use fake_daac::{Content, Failure, Fault, Kind, Object};

use crate::harness::{BUCKET, PATIENCE, Site, errno, eventually};

const SIZE: u64 = 24 << 20;
const CHUNK: usize = 100_000;

/// Reads the whole file in scattered order. Whatever it gives must be of `version`; returns the
/// errors.
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

/// "Every GET carries `If-Match` with the etag seen at open. A replaced object gives old bytes (if
/// cached) or ESTALE, never a mix; the next open sees the new object."
#[test]
fn a_replaced_object_gives_old_bytes_or_estale_and_the_next_open_the_new_ones() {
    let Some(site) = Site::start() else { return };
    site.archive.put(BUCKET, "folder/data", Content::synthetic(SIZE));
    let old = site.archive.expected(BUCKET, "folder/data").unwrap();
    let mount = site.mount(BUCKET);
    let path = mount.at("folder/data");
    let file = File::open(&path).unwrap();
    let mut start = [0; 4096];
    file.read_exact_at(&mut start, 0).unwrap();

    site.archive.put(BUCKET, "folder/data", Content::synthetic(SIZE));
    let new = site.archive.expected(BUCKET, "folder/data").unwrap();
    assert_ne!(new.read(0..4096).unwrap()[..], start);
    let errors = read_scattered(&file, &old);
    assert!(!errors.is_empty() && errors.iter().all(|errno| *errno == libc::ESTALE), "{errors:?}");
    let mut again = [0; 4096];
    file.read_exact_at(&mut again, 0).unwrap();
    assert_eq!(again, start, "what was read once stays");

    let reopened = File::open(&path).unwrap();
    assert_eq!(read_scattered(&reopened, &new), [0; 0]);
    let log = site.archive.log();
    assert!(
        log.iter().filter(|request| request.kind == Kind::Get).all(|get| get.if_match.is_some()),
        "a GET without If-Match"
    );
}

/// "A removed object: ENOENT on open, its name goes from the listing"; during a read it is ESTALE
/// ("Errors").
#[test]
fn a_removed_object_is_stale_where_it_is_open_and_absent_elsewhere() {
    let Some(site) = Site::start() else { return };
    for key in ["folder/data", "folder/other"] {
        site.archive.put(BUCKET, key, Content::synthetic(SIZE));
    }
    let mount = site.mount(BUCKET);
    let names = || {
        fs::read_dir(mount.at("folder"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(), ["data", "other"]);
    let file = File::open(mount.at("folder/data")).unwrap();
    site.archive.delete(BUCKET, "folder/data");
    let mut buffer = [0; 100];
    assert_eq!(errno(file.read_at(&mut buffer, 20 << 20)), libc::ESTALE);
    // Having seen that, the mount does not believe its listing any longer.
    assert_eq!(errno(File::open(mount.at("folder/data"))), libc::ENOENT);
    assert_eq!(names(), ["other"]);
}

/// "The page cache is kept across opens while the etag is the same, and only then": the block cache
/// alone could not hold this file.
#[test]
fn the_page_cache_is_kept_while_the_etag_is_the_same() {
    let Some(site) = Site::start() else { return };
    site.archive.put(BUCKET, "folder/data", Content::synthetic(SIZE));
    let mount = site.plan(BUCKET).args(&["--cache-size=16MiB", "--metadata-ttl=1s"]).mount();
    let path = mount.at("folder/data");
    let old = site.archive.expected(BUCKET, "folder/data").unwrap();
    // Not at the first try, since the machine may drop pages whenever it likes.
    eventually("a new lookup costs no byte", PATIENCE, || {
        let before = site.archive.stats();
        assert!(fs::read(&path).unwrap() == old.read(0..SIZE).unwrap());
        let after = site.archive.stats();
        after.heads > before.heads && after.gets == before.gets
    });
    site.archive.put(BUCKET, "folder/data", Content::synthetic(SIZE));
    let new = site.archive.expected(BUCKET, "folder/data").unwrap();
    // Until the attributes expire: the old bytes where the machine kept their pages, otherwise
    // ESTALE, never a mixture.
    eventually("the new version is read", PATIENCE, || match fs::read(&path) {
        Ok(bytes) if bytes == new.read(0..SIZE).unwrap() => true,
        Ok(bytes) => {
            assert!(bytes == old.read(0..SIZE).unwrap(), "neither version");
            false
        }
        Err(error) => {
            assert_eq!(error.raw_os_error(), Some(libc::ESTALE), "{error}");
            false
        }
    });
}

/// "A transient fault (throttling, reset, stall, 5xx, renewal under way) is never an error within
/// the deadline, and never ENOENT."
#[test]
fn transient_faults_are_never_seen() {
    let Some(site) = Site::start() else { return };
    for number in 0..20 {
        site.archive.put(BUCKET, &format!("folder/{number}"), Content::synthetic(700_000));
    }
    let mount = site.plan(BUCKET).args(&["--metadata-ttl=1s"]).mount();
    let failures = [
        Failure::SlowDown,
        Failure::InternalError,
        Failure::Reset,
        Failure::ResetBody(1000),
        Failure::Truncate(300_000),
    ];
    for (number, failure) in (0..20).zip(failures.into_iter().cycle()) {
        site.archive.fault(
            Fault::new(failure).on(Kind::Get).containing(format!("folder/{number}")).next(1),
        );
    }
    for failure in [Failure::SlowDown, Failure::Reset] {
        site.archive.fault(Fault::new(failure).on(Kind::List).next(1));
    }
    for number in 0..20 {
        let key = format!("folder/{number}");
        let expected = site.archive.expected(BUCKET, &key).unwrap();
        assert!(fs::read(mount.at(&key)).unwrap() == expected.read(0..700_000).unwrap(), "{key}");
        assert_eq!(errno(fs::metadata(mount.at(format!("folder/missing-{number}")))), libc::ENOENT);
        assert_eq!(fs::read_dir(mount.at("folder")).unwrap().count(), 20);
    }
    assert_eq!(site.archive.stats().faults, 22);
}

/// A body that stalls is given up long before the operation's deadline, and goes on where it
/// stopped.
#[test]
fn a_stalled_body_is_resumed() {
    let Some(site) = Site::start() else { return };
    site.archive.put(BUCKET, "folder/data", Content::synthetic(2 << 20));
    let mount = site.mount(BUCKET);
    site.archive.fault(Fault::new(Failure::StallBody(100_000)).on(Kind::Get).next(1));
    let expected = site.archive.expected(BUCKET, "folder/data").unwrap();
    assert!(fs::read(mount.at("folder/data")).unwrap() == expected.read(0..2 << 20).unwrap());
    assert_eq!(site.archive.stats().faults, 1);
}
