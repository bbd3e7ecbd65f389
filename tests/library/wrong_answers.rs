//! Well-formed answers of S3 that do not match the request: they are retried, and bytes of another
//! range or version are never taken (docs/semantics.md, "Reading" and "Errors").

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
const SIZE: u64 = 20;

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
    let mut download = bucket.download(&version(), SIZE, 5..15);
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

/// An answer with another range or length, also the whole object from a store that ignores ranges,
/// is passed over, and the bytes are asked for again.
#[tokio::test]
async fn an_answer_with_another_range_is_asked_for_again() {
    const WHOLE: &str = "206 Partial Content\r\nContent-Range: bytes 5-14/20\r\nContent-Length: 10";
    for other in [
        "206 Partial Content\r\nContent-Range: bytes 4-13/20\r\nContent-Length: 10",
        "206 Partial Content\r\nContent-Range: bytes */20\r\nContent-Length: 10",
        "206 Partial Content\r\nContent-Range: bytes 5-14/21\r\nContent-Length: 10",
        "206 Partial Content\r\nContent-Range: bytes 5-15/20\r\nContent-Length: 10",
        "206 Partial Content\r\nContent-Range: bytes 5-14/20\r\nContent-Encoding: gzip",
        "206 Partial Content\r\nContent-Length: 10",
        "200 OK\r\nContent-Range: bytes 5-14/20\r\nContent-Length: 10",
        "200 OK\r\nContent-Length: 10",
    ] {
        let (bytes, ranges) = download(vec![(other, &BYTES[..10]), (WHOLE, &BYTES[5..15])]).await;
        assert_eq!(bytes.unwrap(), BYTES[5..15], "{other}");
        assert_eq!(ranges, ["bytes=5-14", "bytes=5-14"], "{other}");
    }
}

/// Bytes that were stored in a coding are given as they are stored; S3 says how many they are.
#[tokio::test]
async fn an_object_that_is_stored_in_a_coding_is_read_as_it_is_stored() {
    let coded = "206 Partial Content\r\nContent-Range: bytes 5-14/20\r\nContent-Length: 10\r\n\
                 Content-Encoding: gzip";
    let (bytes, ranges) = download(vec![(coded, &BYTES[5..15])]).await;
    assert_eq!((&bytes.unwrap()[..], ranges.len()), (&BYTES[5..15], 1));
}

/// What a body has beyond its Content-Range is not taken.
#[tokio::test]
async fn bytes_beyond_the_stated_range_are_not_taken() {
    let longer = ("206 Partial Content\r\nContent-Range: bytes 5-7/20", &b"567?????????"[..]);
    let rest =
        ("206 Partial Content\r\nContent-Range: bytes 8-14/20\r\nContent-Length: 7", &BYTES[8..15]);
    let (bytes, ranges) = download(vec![longer, rest]).await;
    assert_eq!(bytes.unwrap(), BYTES[5..15]);
    assert_eq!(ranges, ["bytes=5-14", "bytes=8-14"]);
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
    let replaced = in_time(bucket.download(&version(), SIZE, 5..15).next()).await;
    assert!(matches!(replaced, Err(Error::Replaced(_))), "{replaced:?}");
    let unversioned = in_time(bucket.download(&version(), SIZE, 5..15).next()).await;
    assert!(matches!(unversioned, Err(Error::Store(_))), "{unversioned:?}");
}
