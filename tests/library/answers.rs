//! Answers that are well-formed and not what was asked for: semantics.md, "Reading": never a mix;
//! "Errors": short answers are retried.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use granulefs::credentials::{CredentialsCache, Provider};
use granulefs::error::Error;
use granulefs::object::{ObjectId, Prefix};
use granulefs::s3::{Bucket, BucketLocation, Position};

use crate::environment::soon;

/// An object's bytes.
const BYTES: &[u8] = b"0123456789abcdefghij";

/// An S3 that gives each request the next of `answers`, status and headers before bytes, and tells
/// which ranges it was asked for.
fn canned(answers: Vec<(String, &'static [u8])>) -> (Bucket, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (url, (send, ranges)) =
        (format!("http://{}", listener.local_addr().unwrap()), mpsc::channel());
    thread::spawn(move || {
        for ((head, body), stream) in answers.into_iter().zip(listener.incoming()) {
            let stream = stream.unwrap();
            let lines = BufReader::new(&stream)
                .lines()
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty());
            let range =
                lines.filter_map(|line| line.strip_prefix("range: ").map(str::to_owned)).last();
            let _ = send.send(range.unwrap_or_default());
            let head = format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n");
            let _ = (&stream).write_all(head.as_bytes()).and_then(|()| (&stream).write_all(body));
        }
    });
    let provider = SharedCredentialsProvider::new(Credentials::new("A", "s", None, None, "test"));
    let place = BucketLocation {
        bucket: "granules".into(),
        region: "us-west-2".into(),
        endpoint_url: Some(url),
        path_style: true,
    };
    (Bucket::new(place, CredentialsCache::new(Provider::Environment(provider))).unwrap(), ranges)
}

fn version() -> ObjectId {
    ObjectId { bucket: "granules".into(), key: "k".into(), etag: "e".into() }
}

/// The bytes 5 to 14 of the object, from an S3 with these answers, and the ranges that it was asked
/// for.
async fn download(
    answers: Vec<(&'static str, &'static [u8])>,
) -> (Result<Vec<u8>, Error>, Vec<String>) {
    let (bucket, ranges) = canned(
        answers.into_iter().map(|(head, body)| (format!("{head}\r\nETag: \"e\""), body)).collect(),
    );
    let mut download = bucket.download(&version(), 5..15);
    let mut bytes = Vec::new();
    let outcome = soon(async {
        while let Some(frame) = download.next().await? {
            bytes.extend_from_slice(&frame);
        }
        Ok(())
    });
    (outcome.await.map(|()| bytes), ranges.try_iter().collect())
}

/// An answer that says itself that it is a part is gone on from where it ended, and one that goes
/// on too long is cut.
#[tokio::test]
async fn an_answer_of_another_length_still_gives_the_bytes_asked_for() {
    let rest =
        ("206 Partial Content\r\nContent-Range: bytes 8-14/20\r\nContent-Length: 7", &BYTES[8..15]);
    for (short, body) in [
        ("206 Partial Content\r\nContent-Range: bytes 5-7/20\r\nContent-Length: 3", &BYTES[5..8]),
        // Its end is the connection's.
        ("206 Partial Content\r\nContent-Range: bytes 5-14/20", &BYTES[5..8]),
    ] {
        let (bytes, ranges) = download(vec![(short, body), rest]).await;
        assert_eq!(
            (&bytes.unwrap()[..], &ranges[..]),
            (&BYTES[5..15], &["bytes=5-14".to_owned(), "bytes=8-14".into()][..])
        );
    }
    let long =
        ("206 Partial Content\r\nContent-Range: bytes 5-19/20\r\nContent-Length: 15", &BYTES[5..]);
    assert_eq!(download(vec![long]).await.0.unwrap(), BYTES[5..15]);
}

/// Bytes of another place are no bytes, also where a store knows no ranges and gives the whole
/// object.
#[tokio::test]
async fn an_answer_of_another_range_is_never_taken() {
    for other in [
        "206 Partial Content\r\nContent-Range: bytes 4-13/20\r\nContent-Length: 10",
        "206 Partial Content\r\nContent-Range: bytes */20\r\nContent-Length: 10",
        "200 OK\r\nContent-Length: 10",
    ] {
        let (outcome, ranges) = download(vec![(other, &BYTES[..10])]).await;
        assert!(
            matches!(outcome, Err(Error::Store(_))) && ranges.len() == 1,
            "{other}: {outcome:?}"
        );
    }
}

/// Only an answer about a key says that there is none, and only another etag that there is another
/// version: what a proxy or another store says is an error, so that nothing is forgotten for it and
/// nothing taken for absent.
#[tokio::test]
async fn what_is_no_answer_to_the_question_is_neither_an_absence_nor_a_replacement() {
    let not_found = || ("404 Not Found\r\nContent-Length: 0".to_owned(), &b""[..]);
    let whole = (
        "206 Partial Content\r\nContent-Range: bytes 5-14/20\r\nContent-Length: 10".to_owned(),
        &BYTES[5..15],
    );
    let (bucket, _) = canned(vec![not_found(), not_found(), not_found(), whole]);
    assert!(matches!(soon(bucket.head("k")).await, Err(Error::NotFound(_))));
    let page = soon(bucket.page(&Prefix::new("k"), &Position::Start)).await;
    assert!(matches!(page, Err(Error::Store(_))), "{page:?}");
    let replaced = soon(bucket.download(&version(), 5..15).next()).await;
    assert!(matches!(replaced, Err(Error::Replaced(_))), "{replaced:?}");
    let unversioned = soon(bucket.download(&version(), 5..15).next()).await;
    assert!(matches!(unversioned, Err(Error::Store(_))), "{unversioned:?}");
}
