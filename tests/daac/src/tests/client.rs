//! A plain HTTP client over a socket, which signs requests to S3 and logs in.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;

use crate::sigv4::{CanonicalRequest, CredentialScope, EMPTY_PAYLOAD};
use crate::{Content, Daac, FakeDaac, Family, Knobs, Setup};

/// The longest pause within an answer that still comes, also on a machine that is busy with other
/// things.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

pub(super) const SOON: Duration = Duration::from_secs(5);

/// An answer as far as it was received.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
    pub(super) end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Whole,
    Short,
    Reset,
    Silence,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> String {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
            .unwrap_or_default()
    }

    pub(super) fn cookie(&self) -> String {
        self.header("set-cookie").split(';').next().unwrap().to_owned()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends a request to a URL and reads until the body is complete, the connection ends, or no byte
/// comes for half a second.
pub(super) fn ask(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    ask_on(&mut stream, method, host, &format!("/{path}"), headers, body)
}

pub(super) fn ask_on(
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
    stream.set_read_timeout(Some(LONGEST_PAUSE)).unwrap();
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

/// Sends a signed request to S3.
pub(super) fn s3(
    fake_daac: &FakeDaac,
    key: &(String, String, String),
    method: &str,
    target: &str,
    extra: &[(&str, &str)],
) -> Answer {
    let url = fake_daac.s3_url();
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    s3_on(&mut stream, host, key, method, target, extra)
}

pub(super) fn s3_on(
    stream: &mut TcpStream,
    host: &str,
    (id, secret, token): &(String, String, String),
    method: &str,
    target: &str,
    extra: &[(&str, &str)],
) -> Answer {
    let time = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let scope = CredentialScope {
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
    let canonical = CanonicalRequest {
        method,
        path,
        query: &query,
        headers: &headers,
        payload: EMPTY_PAYLOAD,
        time: &time,
    };
    let signature = canonical.signature(secret, &scope, &names);
    let credential = format!("{id}/{}/us-west-2/s3/aws4_request", scope.date);
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={}, Signature={signature}",
        names.join(";")
    );
    let mut all: Vec<_> = own.into_iter().skip(1).chain(extra.iter().copied()).collect();
    all.push(("authorization", &authorization));
    ask_on(stream, method, host, target, &all, "")
}

pub(super) fn two_daacs() -> FakeDaac {
    let daac = |name: &str, family, bucket: &str| Daac {
        name: name.into(),
        family,
        buckets: vec![bucket.into()],
    };
    let daacs = vec![daac("PODAAC", Family::Cumulus, "b"), daac("ASF", Family::Tea, "c")];
    FakeDaac::start(Setup { daacs, ..Setup::default() }).unwrap()
}

pub(super) fn with_one_object(knobs: Knobs) -> (FakeDaac, (String, String, String)) {
    let fake_daac = FakeDaac::start(Setup { knobs, ..Setup::default() }).unwrap();
    fake_daac.put("b", "k", Content::synthetic(100_000));
    let key = fake_daac.temporary_keys(Duration::from_secs(600));
    (fake_daac, key)
}

pub(super) fn log_in(fake_daac: &FakeDaac, daac: &str) -> Answer {
    let endpoint = fake_daac.credentials_url(daac);
    let credentials = STANDARD.encode(format!("{}:{}", fake_daac.user(), fake_daac.password()));
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

pub(super) fn key_in(answer: &Answer) -> (String, String, String) {
    let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let field = |name: &str| json[name].as_str().unwrap().to_owned();
    (field("accessKeyId"), field("secretAccessKey"), field("sessionToken"))
}
