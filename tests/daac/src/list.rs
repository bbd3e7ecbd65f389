//! ListObjectsV2: from the query to XML.

use std::fmt::Write;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use jiff::Timestamp;
use md5::{Digest, Md5};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::knobs::Knobs;
use crate::listing::{self, Item, Page, Query};
use crate::payload::Payload;
use crate::refusal::{Refusal, escape};
use crate::store::Bucket;

/// What `encoding-type=url` leaves as it is.
const KEPT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*').remove(b'/');

/// The parameters of a listing.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    pub(crate) prefix: String,
    pub(crate) delimiter: Option<String>,
    pub(crate) start_after: Option<String>,
    pub(crate) continuation: Option<String>,
    most: Option<usize>,
    url: bool,
}

impl Parameters {
    /// Reads a decoded query.
    pub(crate) fn parse(query: &[(String, String)]) -> Result<Self, Refusal> {
        let mut parameters = Self::default();
        for (name, value) in query {
            match name.as_str() {
                "prefix" => parameters.prefix = value.clone(),
                "delimiter" => {
                    parameters.delimiter =
                        Some(value.clone()).filter(|delimiter| !delimiter.is_empty())
                }
                "start-after" => {
                    parameters.start_after = Some(value.clone()).filter(|key| !key.is_empty())
                }
                "continuation-token" => parameters.continuation = Some(value.clone()),
                "max-keys" => {
                    let most = value
                        .parse()
                        .map_err(|_| Refusal::invalid_argument("max-keys is not a number"))?;
                    parameters.most = Some(most);
                }
                "encoding-type" if value == "url" => parameters.url = true,
                "encoding-type" => {
                    return Err(Refusal::invalid_argument(
                        "Invalid Encoding Method specified in Request",
                    ));
                }
                "list-type" | "fetch-owner" | "x-id" => {}
                signing if signing.starts_with("X-Amz-") => {}
                other => {
                    return Err(Refusal::invalid_argument(format!(
                        "{other} is not a parameter of ListObjectsV2"
                    )));
                }
            }
        }
        Ok(parameters)
    }

    fn delimiter(&self) -> &str {
        self.delimiter.as_deref().unwrap_or_default()
    }

    fn first(&self, name: &str, knobs: &Knobs) -> Result<String, Refusal> {
        if let Some(token) = &self.continuation {
            return self.read_token(name, token).ok_or_else(|| {
                Refusal::invalid_argument("The continuation token provided is incorrect")
            });
        }
        let Some(after) = &self.start_after else { return Ok(String::new()) };
        let skipped = listing::group(after, &self.prefix, self.delimiter())
            .filter(|_| knobs.start_after_skips_group);
        Ok(skipped.and_then(listing::successor).unwrap_or_else(|| format!("{after}\0")))
    }

    /// A token is good only for the listing that it came from.
    fn seal(&self, name: &str) -> [u8; 16] {
        Md5::digest(format!("{name}\0{}\0{}", self.prefix, self.delimiter())).into()
    }

    fn write_token(&self, name: &str, from: &str) -> String {
        // Tokens never repeat, even where a page moved nothing on: paginators take a repeated token
        // for an endless loop.
        URL_SAFE_NO_PAD.encode(
            [&self.seal(name), &fastrand::u64(..).to_le_bytes()[..], from.as_bytes()].concat(),
        )
    }

    fn read_token(&self, name: &str, token: &str) -> Option<String> {
        let token = URL_SAFE_NO_PAD.decode(token).ok()?;
        let from = token.strip_prefix(&self.seal(name))?.get(8..)?;
        String::from_utf8(from.to_vec()).ok()
    }
}

/// Answers a listing that is allowed.
pub(crate) fn answer(
    name: &str,
    bucket: &Bucket,
    parameters: &Parameters,
    knobs: &Knobs,
) -> Result<Response<Payload>, Refusal> {
    let most = parameters.most.unwrap_or(1000).min(1000);
    let mut limit = most.min(knobs.page_size);
    if knobs.short_pages {
        limit = fastrand::usize(0..=limit);
    }
    let from = parameters.first(name, knobs)?;
    let query =
        Query { prefix: &parameters.prefix, delimiter: parameters.delimiter(), from, most: limit };
    let page = if most == 0 {
        Page { items: Vec::new(), next: None }
    } else {
        listing::page(bucket, &query)
    };
    let mut answer =
        Response::new(Payload::from(Bytes::from(write(name, parameters, most, &page, knobs))));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    Ok(answer)
}

fn write(name: &str, parameters: &Parameters, most: usize, page: &Page, knobs: &Knobs) -> String {
    let encode = |text: &str| if parameters.url { url(text, knobs) } else { escape(text) };
    let mut xml = String::with_capacity(512 + page.items.len() * 320);
    xml.push_str(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
    );
    let mut element =
        |name: &str, value: &str| xml.extend(["<", name, ">", value, "</", name, ">"]);
    element("Name", &escape(name));
    element("Prefix", &encode(&parameters.prefix));
    element("KeyCount", &page.items.len().to_string());
    element("MaxKeys", &most.to_string());
    element("IsTruncated", if page.next.is_some() { "true" } else { "false" });
    if let Some(delimiter) = &parameters.delimiter {
        element("Delimiter", &encode(delimiter));
    }
    if let Some(after) = &parameters.start_after {
        element("StartAfter", &encode(after));
    }
    if let Some(token) = &parameters.continuation {
        element("ContinuationToken", &escape(token));
    }
    if let Some(next) = page.next.as_ref().filter(|_| !knobs.tokenless_pages) {
        element("NextContinuationToken", &parameters.write_token(name, next));
    }
    if parameters.url {
        element("EncodingType", "url");
    }
    for item in &page.items {
        // Writing to a String cannot fail.
        let _ = match item {
            Item::Group(group) => {
                write!(xml, "<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", encode(group))
            }
            Item::Key(key, object) => {
                let key = encode(key);
                let key = if parameters.url && knobs.slash_as_percent {
                    key.replace('/', "%2F")
                } else {
                    key
                };
                write!(
                    xml,
                    "<Contents><Key>{key}</Key><LastModified>{}</LastModified><ETag>&quot;{}&quot;</ETag><Size>{}</Size>\
                     <StorageClass>{}</StorageClass></Contents>",
                    seconds(object.modified),
                    object.etag,
                    object.size,
                    object.class
                )
            }
        };
    }
    xml.push_str("</ListBucketResult>");
    xml
}

fn url(text: &str, knobs: &Knobs) -> String {
    let encoded = utf8_percent_encode(text, KEPT).to_string();
    if knobs.space_as_percent { encoded } else { encoded.replace("%20", "+") }
}

/// S3 keeps whole seconds and writes three zeros.
fn seconds(time: SystemTime) -> String {
    let time = Timestamp::try_from(time).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{Names, Synthetic};
    use crate::store::{Attributes, Store};
    use std::time::Instant;

    #[test]
    fn a_token_is_good_only_for_its_own_listing() {
        let parameters =
            |prefix: &str| Parameters { prefix: prefix.into(), ..Parameters::default() };
        let token = parameters("a/").write_token("b", "a/x\0");
        assert_eq!(parameters("a/").read_token("b", &token).as_deref(), Some("a/x\0"));
        assert_eq!(parameters("a").read_token("b", &token), None);
        assert_eq!(parameters("a/").read_token("c", &token), None);
        assert_eq!(parameters("a/").read_token("b", "a/x"), None);
    }

    #[test]
    fn names_are_encoded_as_s3_does() {
        let knobs = Knobs::default();
        assert_eq!(url("a b+c/%é~\n*", &knobs), "a+b%2Bc/%25%C3%A9%7E%0A*");
        assert_eq!(url("a b", &Knobs { space_as_percent: true, ..knobs }), "a%20b");
    }

    #[test]
    fn the_manners_of_other_stores_can_be_put_on() {
        let mut store = Store::default();
        for key in ["a/b c", "a/d", "e"] {
            store.put("b", key, "".into(), Attributes::default());
        }
        let list = |query: &str, knobs: Knobs| {
            let query: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            let parameters = Parameters::parse(&query).unwrap();
            let first = parameters.first("b", &knobs).unwrap();
            let asked = Query {
                prefix: &parameters.prefix,
                delimiter: parameters.delimiter(),
                from: first,
                most: knobs.page_size,
            };
            write(
                "b",
                &parameters,
                1000,
                &listing::page(store.bucket("b").unwrap(), &asked),
                &knobs,
            )
        };
        let usual = Knobs { page_size: 1, ..Knobs::default() };
        let page = list("encoding-type=url", usual.clone());
        assert!(
            page.contains("<Key>a/b+c</Key>") && page.contains("<NextContinuationToken>"),
            "{page}"
        );
        let other = Knobs {
            slash_as_percent: true,
            space_as_percent: true,
            tokenless_pages: true,
            ..usual.clone()
        };
        let page = list("encoding-type=url&prefix=a/", other.clone());
        assert!(
            page.contains("<Key>a%2Fb%20c</Key>") && page.contains("<Prefix>a/</Prefix>"),
            "{page}"
        );
        assert!(
            page.contains("<IsTruncated>true<") && !page.contains("NextContinuationToken"),
            "{page}"
        );
        assert!(
            list("encoding-type=url&delimiter=/", other)
                .contains("<Prefix>a/</Prefix></CommonPrefixes>")
        );
        let after = "delimiter=/&start-after=a/b+c";
        assert!(list(after, usual.clone()).contains("<Prefix>a/</Prefix></CommonPrefixes>"));
        assert!(
            list(after, Knobs { start_after_skips_group: true, ..usual }).contains("<Key>e</Key>")
        );
    }

    #[test]
    fn a_page_of_a_large_prefix_takes_milliseconds() {
        let mut store = Store::default();
        let set = Synthetic { pattern: "flat/{200:date}-GRANULE-{1000}.nc".into(), size: 1 << 20 };
        store.create("b").add(Names::parse(&set).unwrap());
        let bucket = store.bucket("b").unwrap();
        let start_after = Some("flat/20020701-GRANULE-500.nc".into());
        let parameters = Parameters {
            prefix: "flat/".into(),
            delimiter: Some("/".into()),
            start_after,
            url: true,
            ..Parameters::default()
        };
        let started = Instant::now();
        assert!(answer("b", bucket, &parameters, &Knobs::default()).is_ok());
        // A release build needs well under 3 ms; this bound is for debug builds on a busy machine.
        assert!(started.elapsed().as_millis() < 200, "{:?}", started.elapsed());
    }
}
