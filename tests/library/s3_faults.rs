//! Faults on the way to S3: semantics.md, "Errors": a transient fault is never an error within the
//! deadline, and never ENOENT.

use std::time::Duration;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use fake_daac::{Content, Failure, Fault, RequestKind};
use futures_util::future::join_all;
use granulefs::credentials::{CredentialsCache, Provider};
use granulefs::error::Error;
use granulefs::object::Prefix;
use granulefs::s3::Position;
use granulefs::s3::{Bucket, BucketLocation};

use crate::environment::{TestEnvironment, in_time};
use crate::path_filesystem::PathFilesystem;

const SIZE: u64 = 500_001;

/// A directory of 30 files in pages of 7 names, and a file of eight blocks.
fn environment() -> TestEnvironment {
    let environment = TestEnvironment::with(|knobs| knobs.page_size = 7);
    for number in 0..30 {
        environment.put(&format!("d/{number:02}"), "small");
    }
    environment.put("d/big", Content::synthetic(SIZE));
    environment
}

fn all_names() -> Vec<String> {
    (0..30).map(|number| format!("{number:02}")).chain(["big".to_owned()]).collect()
}

/// Does what sends requests of `kind`, and checks all that comes of it.
async fn operate(
    environment: &TestEnvironment,
    filesystem: &PathFilesystem,
    kind: RequestKind,
) -> Result<(), Error> {
    match kind {
        RequestKind::List => assert_eq!(filesystem.names("d").await?, all_names()),
        RequestKind::Head => {
            let attributes = filesystem
                .find("d/big")
                .await?
                .map(|(_, attributes)| (attributes.is_directory, attributes.size));
            assert_eq!(attributes, Some((false, SIZE)));
            assert_eq!(filesystem.find("d/none").await?, None);
        }
        _ => assert!(filesystem.bytes("d/big").await? == environment.bytes("d/big"), "wrong bytes"),
    }
    Ok(())
}

/// Every fault that passes, on every kind of request, twice in a row: the operation takes longer
/// and is right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_that_passes_is_never_seen() {
    const ALL: [RequestKind; 3] = [RequestKind::List, RequestKind::Head, RequestKind::Get];
    const WITH_BODY: [RequestKind; 2] = [RequestKind::List, RequestKind::Get];
    let rows: [(Failure, &[RequestKind], u64); 10] = [
        (Failure::SlowDown, &ALL, 5),
        (Failure::InternalError, &ALL, 3),
        (Failure::Reset, &ALL, 3),
        (Failure::Truncate(0), &WITH_BODY, 2),
        (Failure::Truncate(500), &WITH_BODY, 2),
        (Failure::ResetBody(300), &WITH_BODY, 2),
        (Failure::Truncate(300_000), &[RequestKind::Get], 1),
        (Failure::ResetBody(270_000), &[RequestKind::Get], 1),
        (Failure::StallBody(400), &WITH_BODY, 1),
        (Failure::Stall, &ALL, 1),
    ];
    let check = |failure: Failure, kind: RequestKind, times: u64| async move {
        let environment = environment();
        let filesystem = environment.filesystem();
        // The way there, so that the fault meets the operation itself.
        let parent = if kind == RequestKind::Get { "d/big" } else { "d" };
        in_time(filesystem.find(parent)).await.unwrap();
        environment.fake_daac.add_fault(Fault::new(failure).on(kind).times(times));
        let outcome = in_time(operate(&environment, &filesystem, kind)).await;
        outcome.unwrap_or_else(|error| panic!("{failure:?} on {kind:?}: {error}"));
        assert_eq!(environment.fake_daac.stats().faults, times, "{failure:?} on {kind:?}");
    };
    join_all(rows.iter().flat_map(|(failure, kinds, times)| {
        kinds.iter().map(|kind| check(*failure, *kind, *times))
    }))
    .await;
}

/// "Done when" of issue 3 asks for it too: faults at random all over, and everything is right in
/// the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_day_at_s3_changes_nothing_but_the_time() {
    let environment = environment();
    let failures = [
        Failure::SlowDown,
        Failure::InternalError,
        Failure::Reset,
        Failure::ResetBody(200),
        Failure::Truncate(100),
    ];
    for failure in failures {
        for kind in [RequestKind::List, RequestKind::Head, RequestKind::Get] {
            environment.fake_daac.add_fault(Fault::new(failure).on(kind).probability(0.1));
        }
    }
    for kind in [RequestKind::List, RequestKind::Head, RequestKind::Get] {
        for _ in 0..5 {
            in_time(operate(&environment, &environment.filesystem(), kind)).await.unwrap();
        }
    }
    assert!(environment.fake_daac.stats().faults > 10);
}

/// Principle 9: a page that is cut without saying where it goes on is no listing.
#[tokio::test]
async fn a_truncated_page_without_a_token_is_never_a_whole_listing() {
    let environment = environment();
    let filesystem = environment.filesystem();
    in_time(filesystem.find("d")).await.unwrap();
    environment.fake_daac.set(|knobs| knobs.tokenless_pages = true);
    let names = filesystem.names("d");
    assert!(
        tokio::time::timeout(Duration::from_secs(1), names).await.is_err(),
        "a part was taken for the whole"
    );
    environment.fake_daac.set(|knobs| knobs.tokenless_pages = false);
    assert_eq!(in_time(filesystem.names("d")).await.unwrap(), all_names());
}

/// Principle 9, when the cut is in the document and the connection knows nothing of it.
#[tokio::test]
async fn a_page_that_ends_in_the_middle_is_never_a_whole_listing() {
    let head = "<ListBucketResult><KeyCount>2</KeyCount><IsTruncated>false</IsTruncated>";
    let one = "<Contents><Key>d/a</Key><ETag>&quot;e&quot;</ETag><Size>1</Size></Contents>";
    for page in [
        String::new(),
        "<ListBucketResult>".into(),
        head.into(),
        format!("{head}{one}"),
        format!("{head}{one}<Contents>"),
    ] {
        let url = canned(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\r\n{page}",
            page.len()
        ));
        let provider =
            SharedCredentialsProvider::new(Credentials::new("A", "s", None, None, "test"));
        let location = BucketLocation {
            bucket: "granules".into(),
            region: "us-west-2".into(),
            endpoint_url: Some(url),
            path_style: true,
        };
        let bucket =
            Bucket::new(location, CredentialsCache::new(Provider::Environment(provider))).unwrap();
        let prefix = Prefix::new("d");
        let listed = tokio::time::timeout(
            Duration::from_millis(300),
            bucket.page(&prefix, &Position::Start),
        )
        .await;
        assert!(listed.is_err(), "{page}: {listed:?}");
    }
}

/// Short pages and empty ones that say that more is to come.
#[tokio::test]
async fn short_and_empty_pages_are_followed_to_the_end() {
    let environment = environment();
    environment.fake_daac.set(|knobs| knobs.short_pages = true);
    for _ in 0..10 {
        let filesystem = environment.filesystem();
        assert_eq!(in_time(filesystem.names("d")).await.unwrap(), all_names());
    }
}

/// Principle 9: absence is only ever concluded from an answer that says so, never from an empty
/// page that is not the last.
#[tokio::test]
async fn an_empty_page_is_not_the_absence_of_a_directory() {
    for tokenless in [false, true] {
        let environment = TestEnvironment::holding(&["d/x/f"]);
        environment.fake_daac.set(|knobs| {
            knobs.page_size = 0;
            knobs.tokenless_pages = tokenless;
        });
        let filesystem = environment.filesystem();
        let found = in_time(filesystem.find("d"));
        let more = async {
            environment.wait_for_stats(|stats| stats.lists > 2).await;
            environment.fake_daac.set(|knobs| knobs.page_size = 1000);
        };
        let (found, ()) = futures_util::future::join(found, more).await;
        assert!(
            found.unwrap().is_some_and(|(_, attributes)| attributes.is_directory),
            "tokenless: {tokenless}"
        );
    }
}

/// Principle 4: everyone who waits for a flight shares its failure, and it is not kept.
#[tokio::test]
async fn a_failed_flight_is_shared_and_not_kept() {
    let environment = environment();
    let filesystem = environment.filesystem();
    let handle = filesystem.open(in_time(filesystem.number("d/big")).await.unwrap()).unwrap();
    environment.fake_daac.set(|knobs| knobs.first_byte_latency = Duration::from_millis(200));
    environment.fake_daac.add_fault(Fault::new(Failure::Denied).on(RequestKind::Get).times(1));
    environment.fake_daac.reset_stats();
    let outcomes = in_time(join_all((0..16).map(|_| filesystem.read(handle, 0, 1000)))).await;
    assert!(
        outcomes.iter().all(|outcome| matches!(outcome, Err(Error::Refused(_)))),
        "{outcomes:?}"
    );
    assert_eq!(environment.fake_daac.stats().gets, 1);
    assert_eq!(
        in_time(filesystem.read(handle, 0, 1000)).await.unwrap().concat(),
        environment.bytes("d/big")[..1000]
    );
}

/// "Absence is only ever concluded from an answer that says so", nor a directory from one denial:
/// the listing tells.
#[tokio::test]
async fn a_denied_head_is_made_good_by_the_listing() {
    let environment = environment();
    let filesystem = environment.filesystem();
    environment.fake_daac.add_fault(Fault::new(Failure::Denied).on(RequestKind::Head).times(1));
    let (_, attributes) = in_time(filesystem.find("d/05")).await.unwrap().unwrap();
    assert_eq!(
        (attributes.is_directory, attributes.size),
        (false, environment.bytes("d/05").len() as u64)
    );
}

fn canned(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            BufReader::new(&stream)
                .lines()
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .for_each(drop);
            let _ = (&stream).write_all(answer.as_bytes());
        }
    });
    url
}
