//! S3: parses requests, checks permissions, and answers GetObject and HeadObject.

use bytes::Bytes;
use hyper::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
    LAST_MODIFIED,
};
use hyper::{Method, Request, Response, StatusCode};

use crate::answers;
use crate::authentication;
use crate::content::Object;
use crate::keys::{AllowedBuckets, Key};
use crate::knobs::{Knobs, Listing};
use crate::list_objects::{self, Parameters};
use crate::range::{self, RequestedRange};
use crate::request_log::{LoggedRequest, RequestKind};
use crate::response_body::ResponseBody;
use crate::s3_error::S3Error;
use crate::sigv4::decode_path;
use crate::state::ServerState;

const CLASS: HeaderName = HeaderName::from_static("x-amz-storage-class");

/// The operation that a request asks for, and its object.
pub(crate) struct Target {
    kind: RequestKind,
    bucket: String,
    key: String,
    query: Vec<(String, String)>,
}

/// Parses a request and returns its log entry as well. The error is for paths that S3 refuses.
pub(crate) fn read(request: &Request<Bytes>) -> (LoggedRequest, Result<Target, S3Error>) {
    let query = request.uri().query().unwrap_or_default();
    let query: Vec<(String, String)> =
        form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let path = decode_path(request.uri().path());
    let (bucket, key) =
        split(header(request, "host").unwrap_or_default(), path.as_deref().unwrap_or_default());
    let kind = operation(request.method(), &bucket, &key, &query);
    let target = Target { kind, bucket, key, query };
    let logged = log(request, &target);
    if path.is_none() {
        return (logged, Err(S3Error::new(400, "InvalidURI", "Couldn't parse the specified URI.")));
    }
    (logged, Ok(target))
}

fn header<'r>(request: &'r Request<Bytes>, name: &str) -> Option<&'r str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}

/// Returns bucket and key of `/bucket/key`, or of `/key` on a host named `bucket.localhost` or
/// `bucket.s3.anything`.
fn split(host: &str, path: &str) -> (String, String) {
    let host = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let path = path.strip_prefix('/').unwrap_or(path);
    let named = host
        .strip_suffix(".localhost")
        .or_else(|| host.split_once(".s3.").map(|(bucket, _)| bucket));
    match named {
        Some(bucket) => (bucket.to_owned(), path.to_owned()),
        None => {
            let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
            (bucket.to_owned(), key.to_owned())
        }
    }
}

fn operation(method: &Method, bucket: &str, key: &str, query: &[(String, String)]) -> RequestKind {
    let has = |name: &str, value: &str| {
        query.iter().any(|(known, given)| known == name && given == value)
    };
    let plain = query.iter().all(|(name, _)| name == "x-id" || name.starts_with("X-Amz-"));
    match (method, bucket.is_empty(), key.is_empty()) {
        (&Method::GET, false, true) if has("list-type", "2") => RequestKind::List,
        (&Method::GET, false, true) if has("location", "") => RequestKind::Probe,
        (&Method::HEAD, false, true) if plain => RequestKind::Probe,
        (&Method::GET, false, false) if plain => RequestKind::Get,
        (&Method::HEAD, false, false) if plain => RequestKind::Head,
        _ => RequestKind::Forbidden,
    }
}

fn log(request: &Request<Bytes>, target: &Target) -> LoggedRequest {
    let find = |name: &str| {
        target.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    let mut logged =
        LoggedRequest::new(target.kind, request.method().as_str(), &request.uri().to_string());
    logged.bucket.clone_from(&target.bucket);
    logged.key = if target.kind == RequestKind::List {
        find("prefix").unwrap_or_default()
    } else {
        target.key.clone()
    };
    logged.range = header(request, "range").map(str::to_owned);
    logged.if_match = header(request, "if-match").map(str::to_owned);
    logged.delimiter = find("delimiter");
    logged.start_after = find("start-after");
    logged.continued = find("continuation-token").is_some();
    let credential = find("X-Amz-Credential");
    logged.presigned = credential.is_some();
    let credential = credential.as_deref().or_else(|| {
        header(request, "authorization")?.split_once("Credential=").map(|(_, rest)| rest)
    });
    logged.access_key =
        credential.and_then(|credential| credential.split('/').next()).map(str::to_owned);
    logged
}

/// Answers a request.
pub(crate) fn answer(
    state: &ServerState,
    request: &Request<Bytes>,
    target: &Target,
    knobs: &Knobs,
) -> Result<Response<ResponseBody>, S3Error> {
    if let Some(status) = knobs.web_page {
        return Ok(answers::html(status, "<!DOCTYPE html><p>Welcome to this network."));
    }
    match target.kind {
        RequestKind::Forbidden if matches!(*request.method(), Method::GET | Method::HEAD) => {
            return Err(S3Error::new(
                501,
                "NotImplemented",
                "A header or query you provided implies functionality that is not implemented.",
            ));
        }
        RequestKind::Forbidden => {
            return Err(S3Error::new(
                405,
                "MethodNotAllowed",
                "The specified method is not allowed against this resource.",
            ));
        }
        _ => {}
    }
    let key = authorize(state, request, target, knobs)?;
    let knobs = match &key.user {
        Some(user) => &*knobs.for_user(user, &target.bucket),
        None => &*knobs.for_bucket(&target.bucket),
    };
    let store = state.store.read();
    let bucket = store
        .bucket(&target.bucket)
        .ok_or_else(|| S3Error::new(404, "NoSuchBucket", "The specified bucket does not exist"))?;
    if !state.allows(&key, &target.bucket) {
        return Err(S3Error::denied());
    }
    match target.kind {
        RequestKind::List => {
            let mut parameters = Parameters::parse(&target.query)?;
            parameters.apply(knobs);
            if !knobs.listing.allows(&parameters.prefix) {
                return Err(S3Error::denied());
            }
            list_objects::answer(&target.bucket, bucket, &parameters, knobs)
        }
        RequestKind::Get | RequestKind::Head => {
            if target.key.len() > 1024 {
                return Err(S3Error::new(400, "KeyTooLongError", "Your key is too long"));
            }
            if knobs.unreadable.iter().any(|prefix| target.key.starts_with(prefix)) {
                return Err(S3Error::denied());
            }
            let missing = if knobs.listing == Listing::Allowed {
                S3Error::no_such_key
            } else {
                S3Error::denied
            };
            let object = bucket.get(&target.key).ok_or_else(missing)?;
            drop(store);
            if knobs.customer_key.iter().any(|prefix| target.key.starts_with(prefix)) {
                let message = "The object was stored using a form of Server Side Encryption. The \
                               correct parameters must be provided to retrieve the object.";
                return Err(S3Error::new(400, "InvalidRequest", message));
            }
            let mut answer = open(request, object, target.kind == RequestKind::Head)?;
            if knobs.undated {
                answer.headers_mut().remove(LAST_MODIFIED);
            }
            Ok(answer)
        }
        _ => Err(S3Error::denied()),
    }
}

fn authorize(
    state: &ServerState,
    request: &Request<Bytes>,
    target: &Target,
    knobs: &Knobs,
) -> Result<Key, S3Error> {
    let region = knobs.regions.get(&target.bucket).unwrap_or(&state.setup.region);
    let redirected = |error: S3Error| match error.code {
        "AuthorizationHeaderMalformed" if *region != state.setup.region => {
            let message = "The bucket you are attempting to access must be addressed using the \
                           specified endpoint.";
            let error = S3Error::new(301, "PermanentRedirect", message);
            error.with_header("x-amz-bucket-region", region)
        }
        _ => error,
    };
    let key =
        authentication::authenticate(state, request, &target.query, region).map_err(redirected)?;
    // The policy belongs to the role of the DAAC that issued the temporary credentials.
    let is_out_of_region = match key.allowed {
        AllowedBuckets::OfDaac(daac) => knobs.for_daac(state.daac_name(daac)).out_of_region,
        AllowedBuckets::All | AllowedBuckets::Named(_) => knobs.out_of_region,
    };
    if is_out_of_region {
        let action =
            if target.kind == RequestKind::List { "s3:ListBucket" } else { "s3:GetObject" };
        let message = format!(
            "User: arn:aws:sts::000000000000:assumed-role/s3-same-region-access-role/fake-daac \
             is not authorized to perform: {action} with an explicit deny in an identity-based \
             policy"
        );
        return Err(S3Error::new(403, "AccessDenied", message));
    }
    Ok(key)
}

/// Answers GET or HEAD of an object that may be read. Conditions come before the range.
fn open(
    request: &Request<Bytes>,
    object: Object,
    head: bool,
) -> Result<Response<ResponseBody>, S3Error> {
    let etag = format!("\"{}\"", object.etag);
    let names = |list: &str| {
        list.split(',')
            .map(str::trim)
            .any(|name| name == "*" || name == etag || name == object.etag)
    };
    if header(request, "if-match").is_some_and(|list| !names(list)) {
        return Err(S3Error::new(
            412,
            "PreconditionFailed",
            "At least one of the pre-conditions you specified did not hold",
        ));
    }
    if header(request, "if-none-match").is_some_and(names) {
        let mut answer = Response::new(ResponseBody::empty());
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        describe(&mut answer, &object);
        return Ok(answer);
    }
    if !head && ["GLACIER", "DEEP_ARCHIVE"].contains(&&*object.class) {
        return Err(S3Error::new(
            403,
            "InvalidObjectState",
            "The operation is not valid for the object's storage class",
        ));
    }
    let size = object.size;
    let (status, range) = match range::parse(header(request, "range"), size) {
        RequestedRange::Whole => (StatusCode::OK, 0..size),
        RequestedRange::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        RequestedRange::Unsatisfiable => {
            let error = S3Error::new(416, "InvalidRange", "The requested range is not satisfiable");
            return Err(error.with_header("content-range", format!("bytes */{size}")));
        }
    };
    let length = range.end - range.start;
    let mut answer = Response::new(ResponseBody::empty());
    *answer.status_mut() = status;
    describe(&mut answer, &object);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_LENGTH, length.into());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("binary/octet-stream"));
    if status == StatusCode::PARTIAL_CONTENT {
        insert(
            &mut answer,
            CONTENT_RANGE,
            &format!("bytes {}-{}/{size}", range.start, range.end - 1),
        );
    }
    if !head {
        *answer.body_mut() = ResponseBody::object(object, range.start, length);
    }
    Ok(answer)
}

fn describe(answer: &mut Response<ResponseBody>, object: &Object) {
    answer.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    insert(answer, ETAG, &format!("\"{}\"", object.etag));
    insert(answer, LAST_MODIFIED, &httpdate::fmt_http_date(object.modified));
    if object.class != "STANDARD" {
        insert(answer, CLASS, &object.class);
    }
}

fn insert(answer: &mut Response<ResponseBody>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_named_by_the_path_or_the_host() {
        for (host, path, bucket, key) in [
            ("127.0.0.1:80", "/b/k/l", "b", "k/l"),
            ("127.0.0.1:80", "/b", "b", ""),
            ("127.0.0.1:80", "/b/", "b", ""),
            ("localhost", "/b//k", "b", "/k"),
            ("b.localhost:80", "/k/l", "b", "k/l"),
            ("b.s3.us-west-2.amazonaws.com", "/k", "b", "k"),
            ("127.0.0.1", "/", "", ""),
        ] {
            assert_eq!(split(host, path), (bucket.to_owned(), key.to_owned()), "{host} {path}");
        }
    }

    #[test]
    fn only_reading_operations_are_permitted() {
        let query =
            |text: &str| form_urlencoded::parse(text.as_bytes()).into_owned().collect::<Vec<_>>();
        for (method, key, text, kind) in [
            (Method::GET, "", "list-type=2&prefix=a", RequestKind::List),
            (Method::GET, "", "prefix=a", RequestKind::Forbidden),
            (Method::GET, "", "location", RequestKind::Probe),
            (Method::HEAD, "", "", RequestKind::Probe),
            (Method::GET, "k", "x-id=GetObject", RequestKind::Get),
            (Method::GET, "k", "X-Amz-Date=1", RequestKind::Get),
            (Method::GET, "k", "acl", RequestKind::Forbidden),
            (Method::HEAD, "k", "", RequestKind::Head),
            (Method::PUT, "k", "", RequestKind::Forbidden),
            (Method::DELETE, "k", "", RequestKind::Forbidden),
            (Method::POST, "", "delete", RequestKind::Forbidden),
        ] {
            assert_eq!(operation(&method, "b", key, &query(text)), kind, "{method} {key} {text}");
        }
    }
}
