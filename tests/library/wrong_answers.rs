//! Well-formed answers of S3 that do not match the request: short answers are retried, and bytes of
//! another range or version are never taken (docs/semantics.md, "Reading" and "Errors").

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

use crate::environment::in_time;

/// An object's bytes.
const BYTES: &[u8] = b"0123456789abcdefghij";

/// Returns a bucket of a server that gives each request the next of `answers` (status and headers,
/// then the body), and the ranges of the requests.
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
    let location = BucketLocation {
        bucket: "granules".into(),
        region: "us-west-2".into(),
        endpoint_url: Some(url),
        path_style: true,
    };
    (Bucket::new(location, CredentialsCache::new(Provider::Environment(provider))).unwrap(), ranges)
}

fn version() -> ObjectId {
    ObjectId { bucket: "granules".into(), key: "k".into(), etag: "e".into() }
}

/// Downloads the bytes 5 to 14 of the object from a server with these answers, and returns the
/// ranges of the requests as well.
async fn download(
    answers: Vec<(&'static str, &'static [u8])>,
) -> (Result<Vec<u8>, Error>, Vec<String>) {
    let (bucket, ranges) = canned(
        answers.into_iter().map(|(head, body)| (format!("{head}\r\nETag: \"e\""), body)).collect(),
    );
    let mut download = bucket.download(&version(), 5..15);
    let mut bytes = Vec::new();
    let outcome = in_time(async {
        while let Some(frame) = download.next().await? {
            bytes.extend_from_slice(&frame);
        }
        Ok(())
    });
    (outcome.await.map(|()| bytes), ranges.try_iter().collect())
}

/// A short answer is continued by another request where it ended, and a long one is cut off.
#[tokio::test]
async fn an_answer_of_another_length_still_gives_the_requested_bytes() {
    let rest =
        ("206 Partial Content\r\nContent-Range: bytes 8-14/20\r\nContent-Length: 7", &BYTES[8..15]);
    for (short, body) in [
        ("206 Partial Content\r\nContent-Range: bytes 5-7/20\r\nContent-Length: 3", &BYTES[5..8]),
        // Without a length, the body ends with the connection.
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

/// An answer with another range is an error, also from a store that ignores ranges and sends the
/// whole object.
#[tokio::test]
async fn an_answer_with_another_range_is_an_error() {
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

/// Only an answer about a key proves that the key does not exist, and only another etag proves that
/// the object was replaced. Another 404, or an answer without an etag, as from a proxy, is an
/// error.
#[tokio::test]
async fn an_unrelated_answer_proves_neither_absence_nor_replacement() {
    let not_found = || ("404 Not Found\r\nContent-Length: 0".to_owned(), &b""[..]);
    let whole = (
        "206 Partial Content\r\nContent-Range: bytes 5-14/20\r\nContent-Length: 10".to_owned(),
        &BYTES[5..15],
    );
    let (bucket, _) = canned(vec![not_found(), not_found(), not_found(), whole]);
    assert!(matches!(in_time(bucket.head("k")).await, Err(Error::NotFound(_))));
    let page = in_time(bucket.page(&Prefix::new("k"), &Position::Start)).await;
    assert!(matches!(page, Err(Error::Store(_))), "{page:?}");
    let replaced = in_time(bucket.download(&version(), 5..15).next()).await;
    assert!(matches!(replaced, Err(Error::Replaced(_))), "{replaced:?}");
    let unversioned = in_time(bucket.download(&version(), 5..15).next()).await;
    assert!(matches!(unversioned, Err(Error::Store(_))), "{unversioned:?}");
}
