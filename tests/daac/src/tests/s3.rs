//! S3: listings, objects and paths.

use std::net::TcpStream;

use super::client::{s3, s3_on, with_one_object};
use crate::{Knobs, PutOptions, granules};

#[test]
fn a_bucket_may_be_named_by_the_host() {
    let (fake_daac, key) = with_one_object(Knobs::default());
    let url = fake_daac.s3_url();
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    let answer = s3_on(&mut stream, "b.localhost:80", &key, "GET", "/?list-type=2&prefix=k", &[]);
    assert!(answer.text().contains("<Key>k</Key>"), "{}", answer.text());
}

#[test]
fn a_listing_shows_changes_that_happen_between_its_pages() {
    let (fake_daac, key) = with_one_object(Knobs { page_size: 2, ..Knobs::default() });
    for name in ["l", "m", "n"] {
        fake_daac.put("b", name, "");
    }
    let first = s3(&fake_daac, &key, "GET", "/b?list-type=2", &[]).text();
    let token =
        first.split("NextContinuationToken>").nth(1).unwrap().trim_end_matches("</").to_owned();
    fake_daac.delete("b", "m");
    fake_daac.put("b", "la", "");
    let second =
        s3(&fake_daac, &key, "GET", &format!("/b?list-type=2&continuation-token={token}"), &[])
            .text();
    let keys = |page: &str| {
        page.split("<Key>")
            .skip(1)
            .map(|rest| rest.split('<').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (keys(&first), keys(&second)),
        (vec!["k".into(), "l".into()], vec!["la".into(), "n".into()])
    );
}

#[test]
fn each_request_reads_the_file_anew() {
    let (fake_daac, key) = with_one_object(Knobs::default());
    let folder = std::env::temp_dir().join(format!("fake-daac-tests-{}", std::process::id()));
    let granule = granules::write(&folder, 1).unwrap().remove(0);
    fake_daac.put_folder("b", "f/", &folder).unwrap();
    let target = format!("/b/f/{}", granule.strip_prefix(&folder).unwrap().display());
    let before = s3(&fake_daac, &key, "GET", &target, &[]);
    assert_eq!(before.body, std::fs::read(&granule).unwrap());
    std::fs::write(&granule, "replaced").unwrap();
    let after = s3(&fake_daac, &key, "GET", &target, &[]);
    assert_eq!(after.body, b"replaced");
    assert_ne!(before.header("etag"), after.header("etag"));
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(s3(&fake_daac, &key, "GET", &target, &[]).status, 404);
}

#[test]
fn archived_objects_are_listed_and_headed_but_not_read() {
    let (fake_daac, key) = with_one_object(Knobs::default());
    fake_daac.put_with(
        "b",
        "cold",
        "x",
        PutOptions { class: Some("GLACIER".into()), ..PutOptions::default() },
    );
    assert_eq!(
        s3(&fake_daac, &key, "HEAD", "/b/cold", &[]).header("x-amz-storage-class"),
        "GLACIER"
    );
    assert!(
        s3(&fake_daac, &key, "GET", "/b?list-type=2", &[])
            .text()
            .contains("<StorageClass>GLACIER<")
    );
    assert!(
        s3(&fake_daac, &key, "GET", "/b/cold", &[]).text().contains("<Code>InvalidObjectState<")
    );
}

#[test]
fn an_unencoded_path_is_refused_although_its_signature_is_right() {
    let (fake_daac, key) = with_one_object(Knobs::default());
    fake_daac.put("b", "a+b", "x");
    assert_eq!(s3(&fake_daac, &key, "GET", "/b/a%2Bb", &[]).status, 200);
    assert_eq!(s3(&fake_daac, &key, "GET", "/b/a+b", &[]).status, 400);
}
