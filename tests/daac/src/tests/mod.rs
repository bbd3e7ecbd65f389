//! The whole archive seen from a socket. `check.py` says the same with clients that are not ours.

mod cmr;
mod daacs;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;

use crate::sigv4::{EMPTY_PAYLOAD, Scope, Signable};
use crate::{
    Attributes, Content, Daac, Failure, FakeDaac, Family, Fault, Kind, Knobs, Setup, Stats,
    granules,
};

const SOON: Duration = Duration::from_secs(5);

/// What came back, as far as it did.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Whole,
    Short,
    Reset,
    Silence,
}

impl Answer {
    fn header(&self, name: &str) -> String {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
            .unwrap_or_default()
    }

    fn cookie(&self) -> String {
        self.header("set-cookie").split(';').next().unwrap().to_owned()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends a request to a URL and reads until the body is whole, the connection ends, or nothing
/// comes for half a second.
fn ask(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    ask_on(&mut stream, method, host, &format!("/{path}"), headers, body)
}

fn ask_on(
    stream: &mut TcpStream,
    method: &str,
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let headers: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    if stream.write_all(request.as_bytes()).is_err() {
        return Answer { status: 0, head: String::new(), body: Vec::new(), end: End::Reset };
    }
    let (mut received, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        let end = match stream.read(&mut buffer) {
            Ok(0) => Some(End::Short),
            Ok(count) => {
                received.extend(&buffer[..count]);
                None
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Some(End::Silence),
            Err(_) => Some(End::Reset),
        };
        let head = received.windows(4).position(|window| window == b"\r\n\r\n");
        let mut answer = Answer {
            status: 0,
            head: String::new(),
            body: Vec::new(),
            end: end.unwrap_or(End::Whole),
        };
        if let Some(at) = head {
            answer.head = String::from_utf8_lossy(&received[..at]).into_owned();
            answer.status = answer.head.split(' ').nth(1).unwrap().parse().unwrap();
            answer.body = received[at + 4..].to_vec();
            let length = answer.header("content-length").parse().unwrap_or(0);
            if answer.body.len() == length || method == "HEAD" {
                return Answer { end: End::Whole, ..answer };
            }
        }
        if end.is_some() {
            return answer;
        }
    }
}

/// A signed request to S3.
fn s3(
    archive: &FakeDaac,
    key: &(String, String, String),
    method: &str,
    target: &str,
    extra: &[(&str, &str)],
) -> Answer {
    let url = archive.s3_url();
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    s3_on(&mut stream, host, key, method, target, extra)
}

fn s3_on(
    stream: &mut TcpStream,
    host: &str,
    (id, secret, token): &(String, String, String),
    method: &str,
    target: &str,
    extra: &[(&str, &str)],
) -> Answer {
    let time = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let scope = Scope {
        access_key: id.clone(),
        date: time[..8].into(),
        region: "us-west-2".into(),
        service: "s3".into(),
    };
    let mut own = vec![
        ("host", host),
        ("x-amz-content-sha256", EMPTY_PAYLOAD),
        ("x-amz-date", time.as_str()),
    ];
    if !token.is_empty() {
        own.push(("x-amz-security-token", token));
    }
    let headers: HeaderMap = own
        .iter()
        .map(|(name, value)| {
            (HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap())
        })
        .collect();
    let names: Vec<_> = own.iter().map(|(name, _)| (*name).to_owned()).collect();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let signable = Signable {
        method,
        path,
        query: &query,
        headers: &headers,
        payload: EMPTY_PAYLOAD,
        time: &time,
    };
    let signature = signable.signature(secret, &scope, &names);
    let credential = format!("{id}/{}/us-west-2/s3/aws4_request", scope.date);
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={}, Signature={signature}",
        names.join(";")
    );
    let mut all: Vec<_> = own.into_iter().skip(1).chain(extra.iter().copied()).collect();
    all.push(("authorization", &authorization));
    ask_on(stream, method, host, target, &all, "")
}

fn two_daacs() -> FakeDaac {
    let daac = |name: &str, family, bucket: &str| Daac {
        name: name.into(),
        family,
        buckets: vec![bucket.into()],
    };
    let daacs = vec![daac("PODAAC", Family::Cumulus, "b"), daac("ASF", Family::Tea, "c")];
    FakeDaac::start(Setup { daacs, ..Setup::default() }).unwrap()
}

fn with_one_object(knobs: Knobs) -> (FakeDaac, (String, String, String)) {
    let archive = FakeDaac::start(Setup { knobs, ..Setup::default() }).unwrap();
    archive.put("b", "k", Content::synthetic(100_000));
    let key = archive.mint(Duration::from_secs(600));
    (archive, key)
}

fn log_in(archive: &FakeDaac, daac: &str) -> Answer {
    let endpoint = archive.credentials_url(daac);
    let credentials = STANDARD.encode(format!("{}:{}", archive.user(), archive.password()));
    let body = form_urlencoded::Serializer::new(String::new())
        .append_pair("credentials", &credentials)
        .finish();
    let first = ask("GET", &endpoint, &[], "");
    let form =
        [("origin", endpoint.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    let second = ask("POST", &first.header("location"), &form, &body);
    let third = ask("GET", &second.header("location"), &[], "");
    ask("GET", &endpoint, &[("cookie", &third.cookie())], "")
}

fn key_in(answer: &Answer) -> (String, String, String) {
    let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let field = |name: &str| json[name].as_str().unwrap().to_owned();
    (field("accessKeyId"), field("secretAccessKey"), field("sessionToken"))
}

#[test]
fn a_login_ends_in_credentials_that_open_the_buckets_of_its_daac_only() {
    let archive = two_daacs();
    archive.put("b", "k", "x");
    archive.put("c", "k", "x");
    for (daac, own, other) in [("PODAAC", "/b/k", "/c/k"), ("ASF", "/c/k", "/b/k")] {
        let answer = log_in(&archive, daac);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let key = key_in(&answer);
        assert_eq!(s3(&archive, &key, "GET", own, &[]).text(), "x");
        assert_eq!(s3(&archive, &key, "GET", other, &[]).status, 403);
        assert!([&key.1, &key.2].iter().all(|secret| archive.secrets().contains(secret)));
    }
    let Stats { issued, authenticated, leaks, denied, .. } = archive.stats();
    assert_eq!((issued, authenticated, leaks, denied), (2, 2, 0, 2));
}

#[test]
fn expired_credentials_are_refused_and_counted() {
    let (archive, key) = with_one_object(Knobs::default());
    assert_eq!(s3(&archive, &key, "GET", "/b/k", &[]).status, 200);
    archive.set(|knobs| knobs.clock_shift = 601);
    let answer = s3(&archive, &key, "GET", "/b/k", &[]);
    assert!(answer.status == 400 && answer.text().contains("<Code>ExpiredToken</Code>"));
    assert_eq!(s3(&archive, &key, "HEAD", "/b/k", &[]).status, 400);
    archive.set(|knobs| knobs.expired_is_denied = true);
    assert_eq!(s3(&archive, &key, "GET", "/b/k", &[]).status, 403);
    assert_eq!(archive.stats().expired, 3);
    let (id, secret) = archive.static_keys();
    assert_eq!(s3(&archive, &(id, secret, String::new()), "GET", "/b/k", &[]).status, 200);
}

#[test]
fn each_fault_ends_an_answer_its_own_way_and_only_once() {
    let (archive, key) = with_one_object(Knobs::default());
    for (failure, status, length, end) in [
        (Failure::SlowDown, 503, None, End::Whole),
        (Failure::InternalError, 500, None, End::Whole),
        (Failure::Denied, 403, None, End::Whole),
        (Failure::WrongEtag, 200, Some(100_000), End::Whole),
        (Failure::Truncate(70_001), 200, Some(70_001), End::Short),
        (Failure::Truncate(u64::MAX), 200, Some(99_999), End::Short),
        (Failure::StallBody(10), 200, Some(10), End::Silence),
        (Failure::ResetBody(10), 200, Some(10), End::Reset),
        (Failure::ResetBody(0), 200, Some(0), End::Reset),
        (Failure::StallBody(0), 200, Some(0), End::Silence),
        (Failure::Truncate(0), 200, Some(0), End::Short),
        (Failure::Reset, 0, Some(0), End::Reset),
        (Failure::Stall, 0, Some(0), End::Silence),
    ] {
        archive.reset_stats();
        archive.fault(Fault::new(failure).on(Kind::Get).containing("k").next(1));
        let answer = s3(&archive, &key, "GET", "/b/k", &[]);
        assert_eq!((answer.status, answer.end), (status, end), "{failure:?}");
        assert!(
            length.is_none_or(|length| answer.body.len() == length),
            "{failure:?} {}",
            answer.body.len()
        );
        let whole = s3(&archive, &key, "GET", "/b/k", &[]);
        assert_eq!(whole.body, archive.expected("b", "k").unwrap().read(0..u64::MAX).unwrap());
        assert_eq!(
            whole.header("etag") == answer.header("etag"),
            length.is_some() && status == 200 && failure != Failure::WrongEtag
        );
        let log = archive.log();
        assert_eq!(
            (log[0].fault.is_some(), log[0].status, log[1].sent),
            (true, status, 100_000),
            "{failure:?}"
        );
        assert!(
            archive.wait_for(|stats| stats.in_flight == 0 && stats.faults == 1, SOON),
            "{failure:?}"
        );
    }
}

/// [`Fault::covering`]: the byte is the object's, the ends of a range are both its own, and a GET
/// without a range holds every byte.
#[test]
fn a_fault_that_covers_a_byte_happens_to_the_gets_that_hold_it() {
    let (archive, key) = with_one_object(Knobs::default());
    archive.fault(Fault::new(Failure::SlowDown).on(Kind::Get).covering(5_000));
    for (range, status) in [
        (None, 503),
        (Some("bytes=0-4999"), 206),
        (Some("bytes=0-5000"), 503),
        (Some("bytes=5000-5000"), 503),
        (Some("bytes=5001-5999"), 206),
        (Some("bytes=5000-"), 503),
        (Some("bytes=5001-"), 206),
    ] {
        let headers: Vec<_> = range.iter().map(|range| ("range", *range)).collect();
        assert_eq!(s3(&archive, &key, "GET", "/b/k", &headers).status, status, "{range:?}");
    }
    assert_eq!(archive.stats().faults, 4);
}

#[test]
fn a_late_or_interrupted_answer_is_whole_in_the_end() {
    let (archive, key) = with_one_object(Knobs { bandwidth: 1_000_000, ..Knobs::default() });
    for failure in [
        Failure::Late(300),
        Failure::PauseBody { at: 0, millis: 300 },
        Failure::PauseBody { at: 50_000, millis: 300 },
        Failure::PauseBody { at: u64::MAX, millis: 300 },
    ] {
        archive.fault(Fault::new(failure).next(1));
        let started = Instant::now();
        let answer = s3(&archive, &key, "GET", "/b/k", &[]);
        // The pause comes on top of the 100 milliseconds that the bandwidth asks for.
        assert!(
            started.elapsed() >= Duration::from_millis(395),
            "{failure:?} {:?}",
            started.elapsed()
        );
        assert_eq!(
            (answer.status, answer.body.len(), answer.end),
            (200, 100_000, End::Whole),
            "{failure:?}"
        );
    }
    archive.fault(Fault::new(Failure::PauseBody { at: 50_000, millis: 60_000 }).next(1));
    let answer = s3(&archive, &key, "GET", "/b/k", &[]);
    assert_eq!((answer.body.len(), answer.end), (50_000, End::Silence));
}

#[test]
fn a_server_that_is_down_resets_open_and_new_connections_and_comes_back() {
    let (archive, key) = with_one_object(Knobs::default());
    let url = archive.s3_url();
    let host = url.strip_prefix("http://").unwrap();
    let mut open = TcpStream::connect(host).unwrap();
    assert_eq!(s3_on(&mut open, host, &key, "GET", "/b/k", &[]).status, 200);
    archive.set(|knobs| knobs.s3_down = true);
    assert_eq!(open.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(s3(&archive, &key, "GET", "/b/k", &[]).end, End::Reset);
    archive.set(|knobs| knobs.s3_down = false);
    assert_eq!(s3(&archive, &key, "GET", "/b/k", &[]).status, 200);
}

#[test]
fn bandwidth_is_kept_on_average() {
    let (archive, key) = with_one_object(Knobs { bandwidth: 20_000_000, ..Knobs::default() });
    archive.put("b", "big", Content::synthetic(10_000_000));
    let started = Instant::now();
    assert_eq!(s3(&archive, &key, "GET", "/b/big", &[]).body.len(), 10_000_000);
    let taken = started.elapsed().as_secs_f64();
    assert!((0.5..0.65).contains(&taken), "{taken}");
}

#[test]
fn a_slow_request_delays_nobody() {
    let (archive, key) =
        with_one_object(Knobs { list_latency: Duration::from_millis(400), ..Knobs::default() });
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope
                .spawn(|| assert_eq!(s3(&archive, &key, "GET", "/b?list-type=2", &[]).status, 200));
        }
        assert!(archive.wait_for(|stats| stats.lists == 8, SOON));
        let started = Instant::now();
        assert_eq!(s3(&archive, &key, "HEAD", "/b/k", &[]).status, 200);
        assert!(started.elapsed() < Duration::from_millis(200));
    });
    assert_eq!(archive.stats().most_in_flight, 9);
}

#[test]
fn a_bucket_may_be_named_by_the_host() {
    let (archive, key) = with_one_object(Knobs::default());
    let url = archive.s3_url();
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    let answer = s3_on(&mut stream, "b.localhost:80", &key, "GET", "/?list-type=2&prefix=k", &[]);
    assert!(answer.text().contains("<Key>k</Key>"), "{}", answer.text());
}

#[test]
fn a_listing_sees_what_changes_between_its_pages() {
    let (archive, key) = with_one_object(Knobs { page_size: 2, ..Knobs::default() });
    for name in ["l", "m", "n"] {
        archive.put("b", name, "");
    }
    let first = s3(&archive, &key, "GET", "/b?list-type=2", &[]).text();
    let token =
        first.split("NextContinuationToken>").nth(1).unwrap().trim_end_matches("</").to_owned();
    archive.delete("b", "m");
    archive.put("b", "la", "");
    let second =
        s3(&archive, &key, "GET", &format!("/b?list-type=2&continuation-token={token}"), &[])
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
fn files_are_looked_at_by_each_request() {
    let (archive, key) = with_one_object(Knobs::default());
    let folder = std::env::temp_dir().join(format!("archive-proof-{}", std::process::id()));
    let granule = granules::write(&folder, 1).unwrap().remove(0);
    archive.put_folder("b", "f/", &folder).unwrap();
    let target = format!("/b/f/{}", granule.strip_prefix(&folder).unwrap().display());
    let before = s3(&archive, &key, "GET", &target, &[]);
    assert_eq!(before.body, std::fs::read(&granule).unwrap());
    std::fs::write(&granule, "replaced").unwrap();
    let after = s3(&archive, &key, "GET", &target, &[]);
    assert_eq!(after.body, b"replaced");
    assert_ne!(before.header("etag"), after.header("etag"));
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(s3(&archive, &key, "GET", &target, &[]).status, 404);
}

#[test]
fn archived_objects_are_listed_and_headed_but_not_read() {
    let (archive, key) = with_one_object(Knobs::default());
    archive.put_with(
        "b",
        "cold",
        "x",
        Attributes { class: Some("GLACIER".into()), ..Attributes::default() },
    );
    assert_eq!(s3(&archive, &key, "HEAD", "/b/cold", &[]).header("x-amz-storage-class"), "GLACIER");
    assert!(
        s3(&archive, &key, "GET", "/b?list-type=2", &[]).text().contains("<StorageClass>GLACIER<")
    );
    assert!(s3(&archive, &key, "GET", "/b/cold", &[]).text().contains("<Code>InvalidObjectState<"));
}

#[test]
fn a_secret_at_the_wrong_host_is_a_leak() {
    let archive = two_daacs();
    let endpoint = archive.credentials_url("PODAAC");
    let bearer = format!("Bearer {}", archive.token());
    assert_eq!(ask("GET", &endpoint, &[("authorization", &bearer)], "").status, 200);
    assert_eq!(archive.stats().leaks, 0);
    let elsewhere = format!("http://{}/oauth/authorize", archive.edl_host());
    ask("GET", &elsewhere, &[("authorization", &bearer)], "");
    ask("GET", &endpoint, &[("authorization", "Basic YTpi")], "");
    let first = ask("GET", &endpoint, &[], "").header("location");
    let basic =
        format!("Basic {}", STANDARD.encode(format!("{}:{}", archive.user(), archive.password())));
    let session = ask("GET", &first, &[("authorization", &basic)], "").cookie();
    ask("GET", &endpoint, &[("cookie", &session)], "");
    ask("GET", &format!("{endpoint}?token={}", archive.token()), &[], "");
    let leaks: Vec<_> = archive.log().into_iter().filter_map(|logged| logged.leak).collect();
    assert_eq!(
        leaks,
        ["bearer token", "Basic credentials", "cookie of another host", "secret in a URL"]
    );
    assert_eq!(archive.stats().leaks, 4);
}

#[test]
fn an_unencoded_path_is_refused_though_its_signature_is_right() {
    let (archive, key) = with_one_object(Knobs::default());
    archive.put("b", "a+b", "x");
    assert_eq!(s3(&archive, &key, "GET", "/b/a%2Bb", &[]).status, 200);
    assert_eq!(s3(&archive, &key, "GET", "/b/a+b", &[]).status, 400);
}
