//! S3: which operation a request is, whether it may, and GetObject and HeadObject.

use bytes::Bytes;
use hyper::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
    LAST_MODIFIED,
};
use hyper::{Method, Request, Response, StatusCode};

use crate::access;
use crate::content::Object;
use crate::journal::{Kind, Logged};
use crate::keys::{Key, Opens};
use crate::knobs::{Knobs, Listing};
use crate::list::{self, Parameters};
use crate::payload::Payload;
use crate::range::{self, Asked};
use crate::refusal::Refusal;
use crate::sigv4::decode_path;
use crate::state::ServerState;

const CLASS: HeaderName = HeaderName::from_static("x-amz-storage-class");

/// What a request is about.
pub(crate) struct Target {
    kind: Kind,
    bucket: String,
    key: String,
    query: Vec<(String, String)>,
}

/// Reads what a request is about, and starts its log entry. The refusal is for paths that S3 would
/// not understand.
pub(crate) fn read(request: &Request<Bytes>) -> (Logged, Result<Target, Refusal>) {
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
        return (logged, Err(Refusal::new(400, "InvalidURI", "Couldn't parse the specified URI.")));
    }
    (logged, Ok(target))
}

fn header<'r>(request: &'r Request<Bytes>, name: &str) -> Option<&'r str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}

/// Bucket and key: `/bucket/key`, or `/key` on a host named `bucket.localhost` or
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

fn operation(method: &Method, bucket: &str, key: &str, query: &[(String, String)]) -> Kind {
    let has = |name: &str, value: &str| {
        query.iter().any(|(known, given)| known == name && given == value)
    };
    let plain = query.iter().all(|(name, _)| name == "x-id" || name.starts_with("X-Amz-"));
    match (method, bucket.is_empty(), key.is_empty()) {
        (&Method::GET, false, true) if has("list-type", "2") => Kind::List,
        (&Method::GET, false, true) if has("location", "") => Kind::Probe,
        (&Method::HEAD, false, true) if plain => Kind::Probe,
        (&Method::GET, false, false) if plain => Kind::Get,
        (&Method::HEAD, false, false) if plain => Kind::Head,
        _ => Kind::Forbidden,
    }
}

fn log(request: &Request<Bytes>, target: &Target) -> Logged {
    let find = |name: &str| {
        target.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    let mut logged =
        Logged::new(target.kind, request.method().as_str(), &request.uri().to_string());
    logged.bucket.clone_from(&target.bucket);
    logged.key = if target.kind == Kind::List {
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
    world: &ServerState,
    request: &Request<Bytes>,
    target: &Target,
    knobs: &Knobs,
) -> Result<Response<Payload>, Refusal> {
    match target.kind {
        Kind::Forbidden if matches!(*request.method(), Method::GET | Method::HEAD) => {
            return Err(Refusal::new(
                501,
                "NotImplemented",
                "A header or query you provided implies functionality that is not implemented.",
            ));
        }
        Kind::Forbidden => {
            return Err(Refusal::new(
                405,
                "MethodNotAllowed",
                "The specified method is not allowed against this resource.",
            ));
        }
        _ => {}
    }
    let key = authorize(world, request, target, knobs)?;
    let knobs = match &key.user {
        Some(user) => &*knobs.of_user(user, &target.bucket),
        None => &*knobs.of_bucket(&target.bucket),
    };
    let store = world.store.read();
    let bucket = store
        .bucket(&target.bucket)
        .ok_or_else(|| Refusal::new(404, "NoSuchBucket", "The specified bucket does not exist"))?;
    if !world.opens(&key, &target.bucket) {
        return Err(Refusal::denied());
    }
    match target.kind {
        Kind::List => {
            let parameters = Parameters::parse(&target.query)?;
            if !knobs.listing.allows(&parameters.prefix) {
                return Err(Refusal::denied());
            }
            list::answer(&target.bucket, bucket, &parameters, knobs)
        }
        Kind::Get | Kind::Head => {
            if target.key.len() > 1024 {
                return Err(Refusal::new(400, "KeyTooLongError", "Your key is too long"));
            }
            if knobs.unreadable.iter().any(|prefix| target.key.starts_with(prefix)) {
                return Err(Refusal::denied());
            }
            let missing = if knobs.listing == Listing::Allowed {
                Refusal::no_such_key
            } else {
                Refusal::denied
            };
            let object = bucket.get(&target.key).ok_or_else(missing)?;
            drop(store);
            open(request, object, target.kind == Kind::Head)
        }
        _ => Err(Refusal::denied()),
    }
}

fn authorize(
    world: &ServerState,
    request: &Request<Bytes>,
    target: &Target,
    knobs: &Knobs,
) -> Result<Key, Refusal> {
    let region = knobs.regions.get(&target.bucket).unwrap_or(&world.setup.region);
    let key = access::admit(world, request, &target.query, region).map_err(|refusal| match refusal.code {
        "AuthorizationHeaderMalformed" if *region != world.setup.region => {
            let message = "The bucket you are attempting to access must be addressed using the specified endpoint.";
            Refusal::new(301, "PermanentRedirect", message).with_header("x-amz-bucket-region", region)
        }
        _ => refusal,
    })?;
    // The policy is of the role that the DAACs' session credentials belong to.
    let is_far = match key.opens {
        Opens::Daac(daac) => knobs.of_daac(world.daac_name(daac)).out_of_region,
        Opens::All | Opens::Buckets(_) => knobs.out_of_region,
    };
    if is_far {
        let action = if target.kind == Kind::List { "s3:ListBucket" } else { "s3:GetObject" };
        let message = format!(
            "User: arn:aws:sts::000000000000:assumed-role/s3-same-region-access-role/archive is not authorized to perform: \
             {action} with an explicit deny in an identity-based policy"
        );
        return Err(Refusal::new(403, "AccessDenied", message));
    }
    Ok(key)
}

/// Answers GET or HEAD of an object that may be read: conditions first, then the range.
fn open(
    request: &Request<Bytes>,
    object: Object,
    head: bool,
) -> Result<Response<Payload>, Refusal> {
    let etag = format!("\"{}\"", object.etag);
    let names = |list: &str| {
        list.split(',')
            .map(str::trim)
            .any(|name| name == "*" || name == etag || name == object.etag)
    };
    if header(request, "if-match").is_some_and(|list| !names(list)) {
        return Err(Refusal::new(
            412,
            "PreconditionFailed",
            "At least one of the pre-conditions you specified did not hold",
        ));
    }
    if header(request, "if-none-match").is_some_and(names) {
        let mut answer = Response::new(Payload::empty());
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        describe(&mut answer, &object);
        return Ok(answer);
    }
    if !head && ["GLACIER", "DEEP_ARCHIVE"].contains(&&*object.class) {
        return Err(Refusal::new(
            403,
            "InvalidObjectState",
            "The operation is not valid for the object's storage class",
        ));
    }
    let size = object.size;
    let (status, range) = match range::parse(header(request, "range"), size) {
        Asked::Whole => (StatusCode::OK, 0..size),
        Asked::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Asked::Nothing => {
            let refusal =
                Refusal::new(416, "InvalidRange", "The requested range is not satisfiable");
            return Err(refusal.with_header("content-range", format!("bytes */{size}")));
        }
    };
    let length = range.end - range.start;
    let mut answer = Response::new(Payload::empty());
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
        *answer.body_mut() = Payload::object(object, range.start, length);
    }
    Ok(answer)
}

fn describe(answer: &mut Response<Payload>, object: &Object) {
    answer.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    insert(answer, ETAG, &format!("\"{}\"", object.etag));
    insert(answer, LAST_MODIFIED, &httpdate::fmt_http_date(object.modified));
    if object.class != "STANDARD" {
        insert(answer, CLASS, &object.class);
    }
}

fn insert(answer: &mut Response<Payload>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_found_in_path_and_host() {
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
    fn only_reading_operations_are_known() {
        let query =
            |text: &str| form_urlencoded::parse(text.as_bytes()).into_owned().collect::<Vec<_>>();
        for (method, key, text, kind) in [
            (Method::GET, "", "list-type=2&prefix=a", Kind::List),
            (Method::GET, "", "prefix=a", Kind::Forbidden),
            (Method::GET, "", "location", Kind::Probe),
            (Method::HEAD, "", "", Kind::Probe),
            (Method::GET, "k", "x-id=GetObject", Kind::Get),
            (Method::GET, "k", "X-Amz-Date=1", Kind::Get),
            (Method::GET, "k", "acl", Kind::Forbidden),
            (Method::HEAD, "k", "", Kind::Head),
            (Method::PUT, "k", "", Kind::Forbidden),
            (Method::DELETE, "k", "", Kind::Forbidden),
            (Method::POST, "", "delete", Kind::Forbidden),
        ] {
            assert_eq!(operation(&method, "b", key, &query(text)), kind, "{method} {key} {text}");
        }
    }
}
