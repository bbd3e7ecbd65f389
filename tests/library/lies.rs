//! Answers that are not what was asked for, or not S3's own: no byte and no absence is taken from
//! them, and they are waited out (docs/semantics.md, "Reading" and "Errors").

use std::time::{Duration, Instant};

use fake_daac::{Content, Failure, Fault, Knobs, Lie, RequestKind};
use futures_util::future::join_all;
use granulefs::object::Prefix;
use granulefs::s3::Position;

use crate::environment::{TestEnvironment, in_time, within};

const SIZE: u64 = 500_001;
/// Far less than a page of a listing may have.
const MIB: u64 = 1 << 20;

/// Answers to a GET that give no byte of the object where it lies.
const OF_GETS: [Lie; 11] = [
    Lie::CompressedPart,
    Lie::PartOfCompressed,
    Lie::CompressedWhole,
    Lie::Transformed,
    Lie::ShiftedRange,
    Lie::PartAsWhole,
    Lie::PageWithItsEtag,
    Lie::PageWithOwnEtag,
    Lie::NotFound,
    Lie::Forbidden,
    Lie::EndlessError,
];

fn environment() -> TestEnvironment {
    let environment = TestEnvironment::with_objects(&["d/small"]);
    environment.put("d/big", Content::synthetic(SIZE));
    environment
}

fn lie(lie: Lie, kind: RequestKind) -> Fault {
    Fault::new(Failure::Lie(lie)).on(kind)
}

/// After each lie, twice in a row, a download has the object's bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_get_that_is_lied_to_is_sent_again() {
    join_all(OF_GETS.into_iter().chain([Lie::OneByte, Lie::Trickle]).map(|told| async move {
        let environment = environment();
        let bucket = environment.bucket();
        let object = in_time(bucket.head("d/big")).await.unwrap();
        environment.fake_daac.add_fault(lie(told, RequestKind::Get).times(2));
        let mut download = bucket.download(&object.id, object.size, 70_001..400_000);
        let mut bytes = Vec::new();
        while let Some(frame) =
            in_time(download.next()).await.unwrap_or_else(|error| panic!("{told:?}: {error}"))
        {
            bytes.extend_from_slice(&frame);
        }
        assert!(bytes == environment.bytes("d/big")[70_001..400_000], "{told:?}: wrong bytes");
        assert_eq!(environment.fake_daac.stats().faults, 2, "{told:?}");
    }))
    .await;
}

/// While S3 is replaced by lies, a read waits, and gives neither bytes nor an error.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_waits_while_it_is_lied_to() {
    join_all(OF_GETS.map(|told| async move {
        let environment = environment();
        let filesystem = environment.filesystem();
        let number = in_time(filesystem.number("d/big")).await.unwrap();
        let handle = filesystem.open(number).await.unwrap().handle;
        environment.fake_daac.add_fault(lie(told, RequestKind::Get));
        let read = filesystem.read(handle, 70_000, 1000);
        let read = tokio::time::timeout(Duration::from_secs(1), read).await;
        assert!(read.is_err(), "{told:?}: {read:?}");
    }))
    .await;
}

/// A 404 or 403 that is not S3's own proves nothing of a name, and neither does a web page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lookup_believes_only_s3() {
    let lies = [Lie::NotFound, Lie::Forbidden, Lie::PageWithItsEtag, Lie::PageWithOwnEtag];
    join_all(lies.map(|told| async move {
        let environment = environment();
        let filesystem = environment.filesystem();
        in_time(filesystem.find("d")).await.unwrap();
        environment.fake_daac.add_fault(lie(told, RequestKind::Head).times(2));
        let found = in_time(filesystem.find("d/big")).await;
        let attributes = found.unwrap_or_else(|error| panic!("{told:?}: {error}"));
        let attributes = attributes.map(|(_, found)| (found.is_directory, found.size));
        assert_eq!(attributes, Some((false, SIZE)), "{told:?}");
        assert_eq!(environment.fake_daac.stats().faults, 2, "{told:?}");
        assert_eq!(in_time(filesystem.find("d/none")).await.unwrap(), None);
    }))
    .await;
}

/// A page with keys of another prefix makes no directory of a file, and shows no foreign name.
#[tokio::test]
async fn a_page_of_another_prefix_is_no_answer() {
    let environment = environment();
    let filesystem = environment.filesystem();
    let foreign = || lie(Lie::ForeignKeys, RequestKind::List);
    in_time(filesystem.find("d")).await.unwrap();
    environment.fake_daac.add_fault(foreign().containing("d/big/").times(2));
    let (_, attributes) = in_time(filesystem.find("d/big")).await.unwrap().unwrap();
    assert!(!attributes.is_directory);
    environment.fake_daac.add_fault(foreign().times(2));
    assert_eq!(in_time(filesystem.names("d")).await.unwrap(), ["big", "small"]);
    assert_eq!(environment.fake_daac.stats().faults, 4);
}

/// Pages and error documents have a size; what is longer is a fault that passes.
#[tokio::test]
async fn a_page_without_end_is_cut_off_and_asked_for_again() {
    for (told, kind) in [
        (Lie::Endless, RequestKind::List),
        (Lie::EndlessError, RequestKind::List),
        (Lie::EndlessError, RequestKind::Get),
    ] {
        let environment = environment();
        let bucket = environment.bucket();
        let filesystem = environment.filesystem_over(bucket.clone(), "", Duration::from_secs(9));
        in_time(filesystem.find("d/big")).await.unwrap();
        environment.fake_daac.reset_stats();
        environment.fake_daac.add_fault(lie(told, kind));
        let work = async {
            match kind {
                RequestKind::List => drop(filesystem.names("d").await),
                _ => drop(filesystem.bytes("d/big").await),
            }
        };
        let wait = tokio::time::timeout(Duration::from_secs(3), work).await;
        assert!(wait.is_err(), "{told:?} on {kind:?}");
        let cause = bucket.timeout_cause().to_string();
        assert!(cause.contains("is longer than"), "{told:?} on {kind:?}: {cause}");
        let sent = environment.fake_daac.log().iter().map(|request| request.sent).max().unwrap();
        assert!(sent < 32 * MIB, "{told:?} on {kind:?}: {sent} bytes were read");
        environment.fake_daac.set(|knobs| knobs.faults.clear());
        assert_eq!(in_time(filesystem.names("d")).await.unwrap(), ["big", "small"]);
    }
}

/// A HEAD or a page that hangs is sent a second time, and the second answer is used.
#[tokio::test]
async fn a_head_or_a_page_that_hangs_is_hedged() {
    let environment = environment();
    let bucket = environment.bucket();
    for _ in 0..10 {
        in_time(bucket.head("d/big")).await.unwrap();
        in_time(bucket.page(&Prefix::new("d"), &Position::Start)).await.unwrap();
    }
    environment.fake_daac.reset_stats();
    for kind in [RequestKind::Head, RequestKind::List] {
        environment.fake_daac.add_fault(Fault::new(Failure::Stall).on(kind).times(1));
    }
    let soon = Duration::from_secs(5);
    assert_eq!(within(soon, bucket.head("d/big")).await.unwrap().size, SIZE);
    let page = within(soon, bucket.page(&Prefix::new("d"), &Position::Start)).await.unwrap();
    assert_eq!(page.objects.len(), 2);
    let stats = environment.fake_daac.stats();
    assert_eq!((stats.heads, stats.lists, stats.faults), (2, 2, 2));
    // An absence is an answer, and does not wait for the request that hangs.
    environment.fake_daac.add_fault(Fault::new(Failure::Stall).on(RequestKind::Head).times(1));
    assert!(within(soon, bucket.head("d/none")).await.is_err());
}

/// A body that trickles is given up, and the rest is fetched by another request.
#[tokio::test]
async fn a_body_that_trickles_is_given_up() {
    let environment = environment();
    let filesystem = environment.filesystem();
    in_time(filesystem.find("d/big")).await.unwrap();
    environment.fake_daac.add_fault(lie(Lie::Trickle, RequestKind::Get).times(4));
    let began = Instant::now();
    let bytes = within(Duration::from_secs(30), filesystem.bytes("d/big")).await.unwrap();
    assert!(bytes == environment.bytes("d/big"), "after {:?}", began.elapsed());
}

/// A store that never gets further is not asked thousands of times a second.
#[tokio::test]
async fn a_store_that_never_gets_further_is_asked_ever_more_seldom() {
    let empty: fn(&mut Knobs) = |knobs| knobs.page_size = 0;
    let repeated: fn(&mut Knobs) =
        |knobs| knobs.faults.push(lie(Lie::RepeatedToken, RequestKind::List));
    let one_byte: fn(&mut Knobs) = |knobs| knobs.faults.push(lie(Lie::OneByte, RequestKind::Get));
    for (what, change) in
        [("empty pages", empty), ("repeated tokens", repeated), ("single bytes", one_byte)]
    {
        let environment = environment();
        environment.put("e/f", "");
        let filesystem = environment.filesystem();
        in_time(filesystem.find("d/big")).await.unwrap();
        environment.fake_daac.set(change);
        environment.fake_daac.reset_stats();
        let work = async {
            match what {
                "single bytes" => drop(filesystem.bytes("d/big").await),
                _ => drop(filesystem.find("e").await),
            }
        };
        let wait = tokio::time::timeout(Duration::from_secs(3), work).await;
        let stats = environment.fake_daac.stats();
        let sent = stats.lists + stats.gets;
        assert!(wait.is_err() && (4..40).contains(&sent), "{what}: {sent} requests");
    }
}
