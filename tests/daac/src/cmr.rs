//! CMR, NASA's catalog: `/search/collections.umm_json` and `/search/granules.umm_json`.
//!
//! It is stricter than CMR: names are case-sensitive, and a parameter that is not implemented here
//! is an error.

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, Response};
use md5::{Digest, Md5};
use serde_json::{Value, json};

use crate::answers::{html, json as answer_json, with};
use crate::content::hex;
use crate::knobs::{CmrAnswer, Knobs};
use crate::response_body::ResponseBody;
use crate::state::ServerState;

const HITS: HeaderName = HeaderName::from_static("cmr-hits");
const SEARCH_AFTER: HeaderName = HeaderName::from_static("cmr-search-after");
const COLLECTIONS: &str = "/search/collections.umm_json";
const GRANULES: &str = "/search/granules.umm_json";

type Query = Vec<(String, String)>;

/// Answers a request to CMR.
pub(crate) fn answer(
    state: &ServerState,
    request: &Request<Bytes>,
    knobs: &Knobs,
) -> Response<ResponseBody> {
    match knobs.cmr {
        CmrAnswer::Normal => search(state, request)
            .unwrap_or_else(|(status, complaint)| complain(status, &complaint)),
        CmrAnswer::InternalError => complain(500, "An Internal Error has occurred."),
        CmrAnswer::Unavailable => html(503, "<h1>503 Service Temporarily Unavailable</h1>"),
        CmrAnswer::TooMany => complain(429, "Too many requests"),
        CmrAnswer::Malformed => html(200, "<h1>Scheduled maintenance</h1>"),
    }
}

fn complain(status: u16, complaint: &str) -> Response<ResponseBody> {
    answer_json(status, &json!({ "errors": [complaint] }).to_string())
}

fn search(
    state: &ServerState,
    request: &Request<Bytes>,
) -> Result<Response<ResponseBody>, (u16, String)> {
    let query: Query = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
        .into_owned()
        .collect();
    let path = request.uri().path();
    if request.method() != Method::GET {
        return Err((405, "Only GET is implemented here".into()));
    }
    let matches = match path {
        COLLECTIONS => collections(state, &query),
        GRANULES => granules(state, &query),
        _ => return Err((404, "Not Found".into())),
    };
    let matches = matches.map_err(|complaint| (400, complaint))?;
    let size = page_size(&query).map_err(|complaint| (400, complaint))?;
    let fingerprint = fingerprint(path, &query);
    let from = match request.headers().get(SEARCH_AFTER) {
        Some(header) => resume(header, &fingerprint)
            .ok_or((400, "The search-after header is not of this search".into()))?,
        None => 0,
    };
    let page: Vec<_> = matches.iter().skip(from).take(size).collect();
    let mut answer =
        answer_json(200, &json!({ "hits": matches.len(), "took": 7, "items": page }).to_string());
    let kind = HeaderValue::from_static(
        "application/vnd.nasa.cmr.umm_results+json;version=1.6.5; charset=utf-8",
    );
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    let answer = with(answer, HITS, &matches.len().to_string());
    // Every page with a result has the header, the last one included; the page after it is empty
    // and has none.
    Ok(if page.is_empty() {
        answer
    } else {
        with(answer, SEARCH_AFTER, &json!([fingerprint, from + page.len()]).to_string())
    })
}

/// Returns a hash of everything that must be the same for all pages of a search.
fn fingerprint(path: &str, query: &Query) -> String {
    hex(&Md5::digest(format!("{path} {query:?}")))
}

fn resume(header: &HeaderValue, fingerprint: &str) -> Option<usize> {
    let (of, from): (String, usize) = serde_json::from_slice(header.as_bytes()).ok()?;
    (of == fingerprint).then_some(from)
}

fn page_size(query: &Query) -> Result<usize, String> {
    let Some(size) = find(query, "page_size") else { return Ok(10) };
    let wrong = || "page_size must be a number between 0 and 2000".to_owned();
    size.parse().ok().filter(|size| *size <= 2000).ok_or_else(wrong)
}

fn find<'q>(query: &'q Query, name: &str) -> Option<&'q str> {
    query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn find_all<'q>(query: &'q Query, name: &'q str) -> impl Iterator<Item = &'q str> {
    query.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// Checks that every parameter is one of `known`, occurs once unless its name ends in `[]`, and has
/// a value.
fn check(query: &Query, known: &[&str]) -> Result<(), String> {
    for (index, (name, value)) in query.iter().enumerate() {
        if !known.contains(&name.as_str()) {
            return Err(format!("Parameter [{name}] was not recognized."));
        }
        let is_repeated = query[..index].iter().any(|(before, _)| before == name);
        if value.is_empty() || is_repeated && !name.ends_with("[]") {
            return Err(format!("Parameter [{name}] must have a single value."));
        }
    }
    Ok(())
}

fn check_id(id: &str, kind: char) -> Result<(), String> {
    let is_id = id.strip_prefix(kind).and_then(|rest| rest.split_once('-')).is_some_and(
        |(number, provider)| {
            !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit())
                && !provider.is_empty()
        },
    );
    if is_id { Ok(()) } else { Err(format!("Concept-id [{id}] is not valid.")) }
}

fn collections(state: &ServerState, query: &Query) -> Result<Vec<Value>, String> {
    check(
        query,
        &[
            "short_name",
            "short_name[]",
            "options[short_name][pattern]",
            "version",
            "concept_id",
            "provider",
            "cloud_hosted",
            "page_size",
        ],
    )?;
    find(query, "concept_id").map_or(Ok(()), |id| check_id(id, 'C'))?;
    if find(query, "cloud_hosted").is_some_and(|value| value != "true") {
        return Err("cloud_hosted must be true here".into());
    }
    let is_pattern = find(query, "options[short_name][pattern]") == Some("true");
    let names: Vec<_> = find_all(query, "short_name[]").collect();
    let has_name = |record: &Value| {
        let held = record["umm"]["ShortName"].as_str().unwrap_or_default();
        names.is_empty()
            || names.iter().any(|name| if is_pattern { matches(name, held) } else { *name == held })
    };
    let catalog = state.catalog.read();
    let found = catalog.iter().filter(|entry| is_asked(&entry.record, query, "concept_id"));
    Ok(found.filter(|entry| has_name(&entry.record)).map(|entry| entry.record.clone()).collect())
}

/// Returns whether `held` is as `pattern` says, which has one `*`.
fn matches(pattern: &str, held: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => held.strip_prefix(start).is_some_and(|rest| rest.ends_with(end)),
        None => pattern == held,
    }
}

fn granules(state: &ServerState, query: &Query) -> Result<Vec<Value>, String> {
    check(
        query,
        &[
            "collection_concept_id",
            "concept_id",
            "entry_title",
            "granule_ur[]",
            "short_name",
            "version",
            "sort_key",
            "page_size",
        ],
    )?;
    find(query, "collection_concept_id").map_or(Ok(()), |id| check_id(id, 'C'))?;
    find(query, "concept_id").map_or(Ok(()), |id| check_id(id, 'G'))?;
    let needed = ["collection_concept_id", "concept_id", "entry_title", "short_name"];
    if needed.iter().all(|name| find(query, name).is_none()) {
        return Err("Granules are searched by collection or by concept id here".into());
    }
    let catalog = state.catalog.read();
    let found = catalog.iter().filter(|entry| {
        let title = find(query, "entry_title");
        title.is_none_or(|title| entry.record["umm"]["EntryTitle"] == title)
            && is_asked(&entry.record, query, "collection_concept_id")
    });
    let names: Vec<_> = find_all(query, "granule_ur[]").collect();
    let is_wanted = |granule: &Value| {
        let ur = granule["umm"]["GranuleUR"].as_str().unwrap_or_default();
        find(query, "concept_id").is_none_or(|id| granule["meta"]["concept-id"] == id)
            && (names.is_empty() || names.contains(&ur))
    };
    let granules = found.flat_map(|entry| entry.granules(state));
    let mut granules: Vec<_> = granules.filter(is_wanted).collect();
    match find(query, "sort_key") {
        None | Some("start_date") => {}
        Some("-start_date") => granules.reverse(),
        Some(other) => {
            return Err(format!(
                "The sort key [{other}] is not a valid field for sorting granules."
            ));
        }
    }
    Ok(granules)
}

fn is_asked(record: &Value, query: &Query, id: &str) -> bool {
    [(id, &record["meta"]["concept-id"]), ("provider", &record["meta"]["provider-id"])]
        .into_iter()
        .chain([
            ("short_name", &record["umm"]["ShortName"]),
            ("version", &record["umm"]["Version"]),
        ])
        .all(|(name, held)| find(query, name).is_none_or(|asked| held == asked))
        && (find(query, "cloud_hosted").is_none()
            || !record["umm"]["DirectDistributionInformation"].is_null())
}
