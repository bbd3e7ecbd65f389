//! Attributes and bytes of objects (docs/semantics.md, "Attributes" and "Reading").

use std::ffi::OsStr;
use std::time::{Duration, SystemTime};

use fake_daac::{Content, Failure, Fault, PutOptions, RequestKind};
use granulefs::error::Error;
use granulefs::inodes::ROOT;

use crate::environment::{BUCKET, TestEnvironment, in_time};

/// Size and mtime are the same from a listing and from a HEAD; a directory's mtime is never the
/// current time.
#[tokio::test]
async fn attributes_are_the_same_from_a_listing_and_from_a_head() {
    let environment = TestEnvironment::new();
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_234_567_890);
    let attributes = PutOptions { modified: Some(modified), ..PutOptions::default() };
    environment.fake_daac.put_with(BUCKET, "d/f", Content::synthetic(5_000_000_000), attributes);
    let by_head = in_time(environment.filesystem().find("d/f")).await.unwrap().unwrap().1;
    let filesystem = environment.filesystem();
    in_time(filesystem.names("d")).await.unwrap();
    let by_listing = in_time(filesystem.find("d/f")).await.unwrap().unwrap().1;
    assert_eq!(by_head, by_listing);
    assert_eq!(
        (by_head.size, by_head.modified, by_head.mode, by_head.uid, by_head.gid),
        (5_000_000_000, modified, 0o444, 7, 8)
    );
    let directory = in_time(filesystem.find("d")).await.unwrap().unwrap().1;
    assert!(directory.is_directory && directory.mode == 0o555);
    assert!(directory.modified < modified);
}

/// A store whose listings know milliseconds, and whose HEADs do not, has one time for a file.
#[tokio::test]
async fn times_are_whole_seconds_from_a_listing_as_from_a_head() {
    let environment = TestEnvironment::new();
    let modified = SystemTime::UNIX_EPOCH + Duration::from_millis(1_234_567_890_789);
    let attributes = PutOptions { modified: Some(modified), ..PutOptions::default() };
    environment.fake_daac.put_with(BUCKET, "d/f", "f", attributes);
    let bucket = environment.bucket();
    let by_head = in_time(bucket.head("d/f")).await.unwrap().modified;
    let by_listing = in_time(bucket.listed("d/f")).await.unwrap().unwrap().modified;
    let seconds = SystemTime::UNIX_EPOCH + Duration::from_secs(1_234_567_890);
    assert_eq!((by_head, by_listing), (seconds, seconds));
}

/// Extended attributes describe the object; unknown names are ENODATA, and the kernel's own names
/// are EOPNOTSUPP.
#[tokio::test]
async fn extended_attributes_describe_the_object() {
    let environment = TestEnvironment::with_objects(&["d/f \u{e9}"]);
    let filesystem = environment.filesystem();
    let (file, directory) = (
        in_time(filesystem.number("d/f \u{e9}")).await.unwrap(),
        in_time(filesystem.number("d")).await.unwrap(),
    );
    let value = |number, name: &str| filesystem.xattr(number, OsStr::new(name));
    assert_eq!(value(file, "user.s3.url").unwrap(), "s3://granules/d/f \u{e9}");
    assert_eq!(value(file, "user.s3.etag").unwrap(), environment.expected("d/f \u{e9}").etag);
    assert_eq!(value(file, "user.s3.storage_class").unwrap(), "STANDARD");
    assert_eq!(value(directory, "user.s3.url").unwrap(), "s3://granules/d/");
    for number in [file, directory, ROOT] {
        for name in filesystem.xattr_names(number).unwrap() {
            assert!(!value(number, name).unwrap().is_empty());
        }
        assert!(matches!(value(number, "user.other"), Err(Error::NoAttribute)));
        assert!(matches!(value(number, "security.capability"), Err(Error::NotSupported)));
    }
    assert!(matches!(value(directory, "user.s3.etag"), Err(Error::NoAttribute)));
}

/// An inode number stays the same for the life of the mount, even after the kernel has forgotten
/// it; another version of an object is another inode.
#[tokio::test]
async fn an_inode_number_belongs_to_one_version() {
    let environment = TestEnvironment::with_objects(&["d/f", "d/g"]);
    let filesystem = environment.filesystem_at("", Duration::ZERO);
    let first = in_time(filesystem.number("d/f")).await.unwrap();
    let directory = in_time(filesystem.number("d")).await.unwrap();
    filesystem.forget(first, 1);
    assert!(matches!(filesystem.attributes(first), Err(Error::BadHandle)));
    assert_eq!(in_time(filesystem.number("d/f")).await.unwrap(), first);
    let listed = in_time(filesystem.list("d")).await.unwrap();
    assert_eq!(filesystem.inode_number(&listed[0]), first);
    environment.put("d/f", "another");
    let second = in_time(filesystem.number("d/f")).await.unwrap();
    assert_ne!(second, first);
    assert_eq!(in_time(filesystem.number("d")).await.unwrap(), directory);
    environment.put("d/f", "d/f");
    assert_eq!(in_time(filesystem.number("d/f")).await.unwrap(), first);
}

/// A read of any range returns the bytes that exist in it, as on a local disk.
#[tokio::test]
async fn any_range_returns_its_existing_bytes() {
    const STEP: u64 = 256 * 1024;
    for size in [0, 1, STEP - 1, STEP, STEP + 1, 3 * STEP + 77] {
        let environment = TestEnvironment::new();
        environment.put("f", Content::synthetic(size));
        let expected = environment.bytes("f");
        let filesystem = environment.filesystem();
        let handle =
            filesystem.open(in_time(filesystem.number("f")).await.unwrap()).await.unwrap().handle;
        let edges = [
            0,
            1,
            STEP - 1,
            STEP,
            STEP + 1,
            size.saturating_sub(1),
            size,
            size + 1,
            10 * STEP,
            u64::MAX - 1,
        ];
        for offset in edges {
            for length in [0, 1, 2, 4096, 256 * 1024, 1 << 20] {
                let start = expected.len().min(usize::try_from(offset).unwrap());
                let end = expected.len().min(start + length as usize);
                let read = in_time(filesystem.read(handle, offset, length)).await.unwrap().concat();
                assert!(read == expected[start..end], "{length} at {offset} of {size}");
            }
        }
    }
}

/// A replaced object gives old bytes if they are cached, or ESTALE, and never a mix; the next open
/// sees the new object. A removed object is ENOENT on open.
#[tokio::test]
async fn a_replaced_object_is_never_mixed() {
    const SIZE: u64 = 20 << 20;
    let environment = TestEnvironment::new();
    environment.put("d/f", Content::synthetic(SIZE));
    let filesystem = environment.filesystem();
    let number = in_time(filesystem.number("d/f")).await.unwrap();
    let handle = filesystem.open(number).await.unwrap().handle;
    let old = environment.bytes("d/f");
    assert!(in_time(filesystem.read(handle, 0, 4096)).await.unwrap().concat() == old[..4096]);
    environment.put("d/f", Content::synthetic(SIZE));
    let mut replaced = 0;
    for offset in (0..SIZE).step_by(64 * 1024) {
        match in_time(filesystem.read(handle, offset, 64 * 1024)).await {
            Ok(pieces) => assert!(
                pieces.concat() == old[offset as usize..][..64 * 1024],
                "another version at {offset}"
            ),
            Err(Error::Replaced(_)) => replaced += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(
        replaced > 100 && in_time(filesystem.read(handle, 0, 4096)).await.is_ok(),
        "the block that was read is still cached"
    );
    // The FUSE side refreshes the name after ESTALE.
    let parent = in_time(filesystem.number("d")).await.unwrap();
    let names = ["f", "f.granulefs-object"].map(|name| (parent, name.to_owned()));
    assert!(filesystem.refresh(number).unwrap().eq(names.clone()));
    assert!(in_time(filesystem.bytes("d/f")).await.unwrap() == environment.bytes("d/f"));
    // Another ESTALE of the old version keeps what is cached of the new one.
    in_time(filesystem.names("d")).await.unwrap();
    assert!(matches!(in_time(filesystem.read(handle, SIZE - 1, 1)).await, Err(Error::Replaced(_))));
    assert!(filesystem.refresh(number).unwrap().eq(names));
    environment.fake_daac.reset_stats();
    in_time(filesystem.names("d")).await.unwrap();
    in_time(filesystem.find("d/f")).await.unwrap();
    assert_eq!(environment.fake_daac.stats().s3_requests(), 0);
    environment.delete("d/f");
    assert!(matches!(in_time(filesystem.read(handle, SIZE - 1, 1)).await, Err(Error::Replaced(_))));
    drop(filesystem.refresh(in_time(filesystem.number("d/f")).await.unwrap()).unwrap());
    assert_eq!(in_time(filesystem.find("d/f")).await.unwrap(), None);
}

/// Every GET has `If-Match` with the etag that was known at open, and an answer with another etag
/// is ESTALE.
#[tokio::test]
async fn an_answer_of_another_version_is_estale() {
    let environment = TestEnvironment::with_objects(&["f"]);
    let filesystem = environment.filesystem();
    in_time(filesystem.bytes("f")).await.unwrap();
    let etag = format!("\"{}\"", environment.expected("f").etag);
    let gets: Vec<_> = environment
        .fake_daac
        .log()
        .into_iter()
        .filter(|request| request.kind == RequestKind::Get)
        .collect();
    assert!(
        gets.iter().all(|get| get.if_match.as_deref() == Some(&etag) && get.range.is_some())
            && !gets.is_empty()
    );
    environment.fake_daac.add_fault(Fault::new(Failure::WrongEtag).on(RequestKind::Get).times(1));
    assert!(matches!(in_time(environment.filesystem().bytes("f")).await, Err(Error::Replaced(_))));
}

/// Objects of the archived storage classes are visible with mode 0000, and opening them is EACCES;
/// GLACIER_IR is read like any other class.
#[tokio::test]
async fn archived_objects_are_visible_and_cannot_be_opened() {
    let environment = TestEnvironment::new();
    for class in ["GLACIER", "DEEP_ARCHIVE", "GLACIER_IR", "STANDARD_IA", "INTELLIGENT_TIERING"] {
        let attributes = PutOptions { class: Some(class.into()), ..PutOptions::default() };
        environment.fake_daac.put_with(BUCKET, class, "bytes", attributes);
    }
    let listed = environment.filesystem();
    assert_eq!(in_time(listed.names("")).await.unwrap().len(), 5);
    for filesystem in [listed, environment.filesystem()] {
        for class in ["GLACIER", "DEEP_ARCHIVE"] {
            let (number, attributes) = in_time(filesystem.find(class)).await.unwrap().unwrap();
            assert_eq!((attributes.mode, attributes.size), (0, 5));
            assert_eq!(
                filesystem.xattr(number, OsStr::new("user.s3.storage_class")).unwrap(),
                class
            );
            let error = environment.error_of(filesystem.open(number).await);
            assert!(matches!(&error, Error::Archived { class: named, .. } if &**named == class));
        }
        for class in ["GLACIER_IR", "STANDARD_IA", "INTELLIGENT_TIERING"] {
            assert_eq!(in_time(filesystem.bytes(class)).await.unwrap(), b"bytes", "{class}");
        }
    }
    assert_eq!(environment.fake_daac.stats().gets, 6);
}

/// A file cannot be listed, and a directory cannot be opened as a file.
#[tokio::test]
async fn files_and_directories_are_not_confused() {
    let environment = TestEnvironment::with_objects(&["d/f"]);
    let filesystem = environment.filesystem();
    let (file, directory) = (
        in_time(filesystem.number("d/f")).await.unwrap(),
        in_time(filesystem.number("d")).await.unwrap(),
    );
    assert!(matches!(filesystem.open(directory).await, Err(Error::IsADirectory)));
    assert!(matches!(filesystem.open_directory(file).await, Err(Error::NotADirectory)));
    assert!(matches!(
        in_time(filesystem.lookup(file, OsStr::new("x"))).await,
        Err(Error::NotADirectory)
    ));
    for unknown in [0, 99] {
        assert!(matches!(filesystem.open(unknown).await, Err(Error::BadHandle)));
        assert!(matches!(in_time(filesystem.read(unknown, 0, 1)).await, Err(Error::BadHandle)));
        assert!(matches!(
            in_time(filesystem.read_directory(unknown, 0)).await,
            Err(Error::BadHandle)
        ));
    }
}
