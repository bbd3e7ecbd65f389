//! Attributes and bytes: semantics.md, "Attributes" and "Reading".

use std::ffi::OsStr;
use std::time::{Duration, SystemTime};

use fake_daac::{Attributes as PutAttributes, Content, Failure, Fault, Kind};
use granulefs::error::Error;
use granulefs::inodes::ROOT;

use crate::environment::{BUCKET, TestEnvironment, soon};

/// "`st_size`, `st_mtime` from the listing": the same from a listing and from a HEAD; "a
/// directory's mtime never says now".
#[tokio::test]
async fn attributes_are_those_of_the_object_whoever_tells_them() {
    let environment = TestEnvironment::new();
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_234_567_890);
    let attributes = PutAttributes { modified: Some(modified), ..PutAttributes::default() };
    environment.archive.put_with(BUCKET, "d/f", Content::synthetic(5_000_000_000), attributes);
    let by_head = soon(environment.tree().find("d/f")).await.unwrap().unwrap().1;
    let tree = environment.tree();
    soon(tree.names("d")).await.unwrap();
    let by_listing = soon(tree.find("d/f")).await.unwrap().unwrap().1;
    assert_eq!(by_head, by_listing);
    assert_eq!(
        (by_head.size, by_head.modified, by_head.mode, by_head.uid, by_head.gid),
        (5_000_000_000, modified, 0o444, 7, 8)
    );
    let directory = soon(tree.find("d")).await.unwrap().unwrap().1;
    assert!(directory.is_directory && directory.mode == 0o555);
    assert!(directory.modified < modified);
}

/// "xattrs name the source. Unknown names: ENODATA."
#[tokio::test]
async fn extended_attributes_name_the_source() {
    let environment = TestEnvironment::holding(&["d/f \u{e9}"]);
    let tree = environment.tree();
    let (file, directory) =
        (soon(tree.number("d/f \u{e9}")).await.unwrap(), soon(tree.number("d")).await.unwrap());
    let value = |number, name: &str| tree.xattr(number, OsStr::new(name));
    assert_eq!(value(file, "user.s3.url").unwrap(), "s3://granules/d/f \u{e9}");
    assert_eq!(value(file, "user.s3.etag").unwrap(), environment.expected("d/f \u{e9}").etag);
    assert_eq!(value(file, "user.s3.storage_class").unwrap(), "STANDARD");
    assert_eq!(value(directory, "user.s3.url").unwrap(), "s3://granules/d/");
    for number in [file, directory, ROOT] {
        for name in tree.xattr_names(number).unwrap() {
            assert!(!value(number, name).unwrap().is_empty());
        }
        assert!(matches!(value(number, "user.other"), Err(Error::NoAttribute)));
        assert!(matches!(value(number, "security.capability"), Err(Error::NotSupported)));
    }
    assert!(matches!(value(directory, "user.s3.etag"), Err(Error::NoAttribute)));
}

/// "Inode numbers are stable while the mount lives", also across forgets; another version is
/// another inode.
#[tokio::test]
async fn a_number_belongs_to_one_version_for_ever() {
    let environment = TestEnvironment::holding(&["d/f", "d/g"]);
    let tree = environment.tree_at("", Duration::ZERO);
    let first = soon(tree.number("d/f")).await.unwrap();
    let directory = soon(tree.number("d")).await.unwrap();
    tree.forget(first, 1);
    assert!(matches!(tree.attributes(first), Err(Error::BadHandle)));
    assert_eq!(soon(tree.number("d/f")).await.unwrap(), first);
    let listed = soon(tree.list("d")).await.unwrap();
    assert_eq!(tree.inode_number(&listed[0]), first);
    environment.put("d/f", "another");
    let second = soon(tree.number("d/f")).await.unwrap();
    assert_ne!(second, first);
    assert_eq!(soon(tree.number("d")).await.unwrap(), directory);
    environment.put("d/f", "d/f");
    assert_eq!(soon(tree.number("d/f")).await.unwrap(), first);
}

/// "Reads over the end behave as on a local disk", and every other range.
#[tokio::test]
async fn any_range_gives_the_bytes_that_are_there() {
    const BLOCK: u64 = 256 * 1024;
    for size in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 77] {
        let environment = TestEnvironment::new();
        environment.put("f", Content::synthetic(size));
        let right = environment.bytes("f");
        let tree = environment.tree();
        let handle = tree.open(soon(tree.number("f")).await.unwrap()).unwrap();
        let edges = [
            0,
            1,
            BLOCK - 1,
            BLOCK,
            BLOCK + 1,
            size.saturating_sub(1),
            size,
            size + 1,
            10 * BLOCK,
            u64::MAX - 1,
        ];
        for offset in edges {
            for length in [0, 1, 2, 4096, 256 * 1024, 1 << 20] {
                let start = right.len().min(usize::try_from(offset).unwrap());
                let end = right.len().min(start + length as usize);
                let read = soon(tree.read(handle, offset, length)).await.unwrap().concat();
                assert!(read == right[start..end], "{length} at {offset} of {size}");
            }
        }
    }
}

/// "A replaced object gives old bytes (if cached) or ESTALE, never a mix; the next open sees the
/// new object. A removed object: ENOENT on open."
#[tokio::test]
async fn a_replaced_object_is_never_mixed() {
    const SIZE: u64 = 20 << 20;
    let environment = TestEnvironment::new();
    environment.put("d/f", Content::synthetic(SIZE));
    let tree = environment.tree();
    let number = soon(tree.number("d/f")).await.unwrap();
    let handle = tree.open(number).unwrap();
    let old = environment.bytes("d/f");
    assert!(soon(tree.read(handle, 0, 4096)).await.unwrap().concat() == old[..4096]);
    environment.put("d/f", Content::synthetic(SIZE));
    let mut replaced = 0;
    for offset in (0..SIZE).step_by(64 * 1024) {
        match soon(tree.read(handle, offset, 64 * 1024)).await {
            Ok(pieces) => assert!(
                pieces.concat() == old[offset as usize..][..64 * 1024],
                "another version at {offset}"
            ),
            Err(Error::Replaced(_)) => replaced += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(
        replaced > 100 && soon(tree.read(handle, 0, 4096)).await.is_ok(),
        "the block that was read is kept"
    );
    // What the kernel's door does about it.
    let parent = soon(tree.number("d")).await.unwrap();
    let names = ["f", "f.granulefs-object"].map(|name| (parent, name.to_owned()));
    assert!(tree.refresh(number).unwrap().eq(names.clone()));
    assert!(soon(tree.bytes("d/f")).await.unwrap() == environment.bytes("d/f"));
    // What is known of the new one by now is kept when the old one is read once more.
    soon(tree.names("d")).await.unwrap();
    assert!(matches!(soon(tree.read(handle, SIZE - 1, 1)).await, Err(Error::Replaced(_))));
    assert!(tree.refresh(number).unwrap().eq(names));
    environment.archive.reset_stats();
    soon(tree.names("d")).await.unwrap();
    soon(tree.find("d/f")).await.unwrap();
    assert_eq!(environment.archive.stats().s3_requests(), 0);
    environment.delete("d/f");
    assert!(matches!(soon(tree.read(handle, SIZE - 1, 1)).await, Err(Error::Replaced(_))));
    drop(tree.refresh(soon(tree.number("d/f")).await.unwrap()).unwrap());
    assert_eq!(soon(tree.find("d/f")).await.unwrap(), None);
}

/// "Every GET carries `If-Match` with the etag seen at open", and its answer is looked at.
#[tokio::test]
async fn an_answer_of_another_version_is_never_taken() {
    let environment = TestEnvironment::holding(&["f"]);
    let tree = environment.tree();
    soon(tree.bytes("f")).await.unwrap();
    let etag = format!("\"{}\"", environment.expected("f").etag);
    let gets: Vec<_> =
        environment.archive.log().into_iter().filter(|request| request.kind == Kind::Get).collect();
    assert!(
        gets.iter().all(|get| get.if_match.as_deref() == Some(&etag) && get.range.is_some())
            && !gets.is_empty()
    );
    environment.archive.fault(Fault::new(Failure::WrongEtag).on(Kind::Get).next(1));
    assert!(matches!(soon(environment.tree().bytes("f")).await, Err(Error::Replaced(_))));
}

/// "Archived storage classes: visible, mode 0000, EACCES on open"; GLACIER_IR is read like any
/// other.
#[tokio::test]
async fn archived_objects_are_seen_and_not_opened() {
    let environment = TestEnvironment::new();
    for class in ["GLACIER", "DEEP_ARCHIVE", "GLACIER_IR", "STANDARD_IA", "INTELLIGENT_TIERING"] {
        let attributes = PutAttributes { class: Some(class.into()), ..PutAttributes::default() };
        environment.archive.put_with(BUCKET, class, "bytes", attributes);
    }
    let listed = environment.tree();
    assert_eq!(soon(listed.names("")).await.unwrap().len(), 5);
    for tree in [listed, environment.tree()] {
        for class in ["GLACIER", "DEEP_ARCHIVE"] {
            let (number, attributes) = soon(tree.find(class)).await.unwrap().unwrap();
            assert_eq!((attributes.mode, attributes.size), (0, 5));
            assert_eq!(tree.xattr(number, OsStr::new("user.s3.storage_class")).unwrap(), class);
            let error = environment.error_of(tree.open(number));
            assert!(matches!(&error, Error::Archived { class: said, .. } if &**said == class));
        }
        for class in ["GLACIER_IR", "STANDARD_IA", "INTELLIGENT_TIERING"] {
            assert_eq!(soon(tree.bytes(class)).await.unwrap(), b"bytes", "{class}");
        }
    }
    assert_eq!(environment.archive.stats().gets, 6);
}

/// What is no directory is not listed, and what is one is not opened as a file.
#[tokio::test]
async fn files_and_directories_are_not_taken_for_each_other() {
    let environment = TestEnvironment::holding(&["d/f"]);
    let tree = environment.tree();
    let (file, directory) =
        (soon(tree.number("d/f")).await.unwrap(), soon(tree.number("d")).await.unwrap());
    assert!(matches!(tree.open(directory), Err(Error::IsADirectory)));
    assert!(matches!(tree.open_directory(file), Err(Error::NotADirectory)));
    assert!(matches!(soon(tree.lookup(file, OsStr::new("x"))).await, Err(Error::NotADirectory)));
    for unknown in [0, 99] {
        assert!(matches!(tree.open(unknown), Err(Error::BadHandle)));
        assert!(matches!(soon(tree.read(unknown, 0, 1)).await, Err(Error::BadHandle)));
        assert!(matches!(soon(tree.read_directory(unknown, 0)).await, Err(Error::BadHandle)));
    }
}
