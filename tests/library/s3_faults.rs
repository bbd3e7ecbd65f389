//! Faults of S3: a transient fault is never an error before the deadline, and never ENOENT
//! (docs/semantics.md, "Errors").

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

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
    let environment = TestEnvironment::with_knobs(|knobs| knobs.page_size = 7);
    for number in 0..30 {
        environment.put(&format!("d/{number:02}"), "small");
    }
    environment.put("d/big", Content::synthetic(SIZE));
    environment
}

fn all_names() -> Vec<String> {
    (0..30).map(|number| format!("{number:02}")).chain(["big".to_owned()]).collect()
}

/// Does an operation that sends requests of `kind`, and checks its result.
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

/// After every transient fault of every kind of request, several times in a row, the operation
/// succeeds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_succeeds_after_transient_faults() {
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
        // The parent is looked up first, so that the fault happens to the operation itself.
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

/// With random faults of all requests every operation succeeds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_succeed_with_random_faults() {
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

/// A page that is not the last one and has no continuation token is not taken for a complete
/// listing.
#[tokio::test]
async fn a_page_without_its_continuation_token_is_not_a_complete_listing() {
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

/// A page whose XML is truncated, although its Content-Length is right, is not taken for a complete
/// listing.
#[tokio::test]
async fn a_page_with_truncated_xml_is_not_a_complete_listing() {
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

/// Short and empty pages that are not the last one are continued.
#[tokio::test]
async fn short_and_empty_pages_are_followed_to_the_end() {
    let environment = environment();
    environment.fake_daac.set(|knobs| knobs.short_pages = true);
    for _ in 0..10 {
        let filesystem = environment.filesystem();
        assert_eq!(in_time(filesystem.names("d")).await.unwrap(), all_names());
    }
}

/// An absence is concluded only from an answer that says so, and not from an empty page that is not
/// the last one.
#[tokio::test]
async fn an_empty_page_does_not_prove_the_absence_of_a_directory() {
    for tokenless in [false, true] {
        let environment = TestEnvironment::with_objects(&["d/x/f"]);
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

/// All readers that wait for a fetch share its failure, which is not cached.
#[tokio::test]
async fn a_failed_fetch_is_shared_and_not_cached() {
    let environment = environment();
    let filesystem = environment.filesystem();
    let handle =
        filesystem.open(in_time(filesystem.number("d/big")).await.unwrap()).await.unwrap().handle;
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

/// A denied HEAD proves neither an absence nor a directory; the listing decides.
#[tokio::test]
async fn after_a_denied_head_the_listing_decides() {
    let environment = environment();
    let filesystem = environment.filesystem();
    environment.fake_daac.add_fault(Fault::new(Failure::Denied).on(RequestKind::Head).times(1));
    let (_, attributes) = in_time(filesystem.find("d/05")).await.unwrap().unwrap();
    assert_eq!(
        (attributes.is_directory, attributes.size),
        (false, environment.bytes("d/05").len() as u64)
    );
}

/// Starts a server that gives every request this answer; returns its URL.
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
