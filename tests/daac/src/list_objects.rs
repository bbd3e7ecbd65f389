//! ListObjectsV2: parses the query and writes a page as XML.

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
use crate::page::{self, Item, Page, PageRequest};
use crate::response_body::ResponseBody;
use crate::s3_error::{S3Error, escape};
use crate::store::Bucket;

/// The characters that `encoding-type=url` escapes, as S3 does.
const KEPT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*').remove(b'/');

/// The parameters of a ListObjectsV2 request.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    pub(crate) prefix: String,
    pub(crate) delimiter: Option<String>,
    pub(crate) start_after: Option<String>,
    pub(crate) continuation: Option<String>,
    max_keys: Option<usize>,
    url: bool,
}

impl Parameters {
    /// Parses a decoded query.
    pub(crate) fn parse(query: &[(String, String)]) -> Result<Self, S3Error> {
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
                    let max_keys = value
                        .parse()
                        .map_err(|_| S3Error::invalid_argument("max-keys is not a number"))?;
                    parameters.max_keys = Some(max_keys);
                }
                "encoding-type" if value == "url" => parameters.url = true,
                "encoding-type" => {
                    return Err(S3Error::invalid_argument(
                        "Invalid Encoding Method specified in Request",
                    ));
                }
                "list-type" | "fetch-owner" | "x-id" => {}
                signing if signing.starts_with("X-Amz-") => {}
                other => {
                    return Err(S3Error::invalid_argument(format!(
                        "{other} is not a parameter of ListObjectsV2"
                    )));
                }
            }
        }
        Ok(parameters)
    }

    /// Makes it the request that a store with these knobs sees.
    pub(crate) fn apply(&mut self, knobs: &Knobs) {
        self.url &= !knobs.raw_keys;
        if knobs.ignored_delimiter {
            self.delimiter = None;
        }
    }

    fn delimiter(&self) -> &str {
        self.delimiter.as_deref().unwrap_or_default()
    }

    fn first_key(&self, name: &str, knobs: &Knobs) -> Result<String, S3Error> {
        if let Some(token) = &self.continuation {
            return self.read_token(name, token).ok_or_else(|| {
                S3Error::invalid_argument("The continuation token provided is incorrect")
            });
        }
        let Some(after) = &self.start_after else { return Ok(String::new()) };
        let skipped = page::common_prefix(after, &self.prefix, self.delimiter())
            .filter(|_| knobs.start_after_skips_common_prefix);
        Ok(skipped.and_then(page::successor).unwrap_or_else(|| format!("{after}\0")))
    }

    /// Returns the hash in each token of this listing, so that no other listing accepts it.
    fn fingerprint(&self, name: &str) -> [u8; 16] {
        Md5::digest(format!("{name}\0{}\0{}", self.prefix, self.delimiter())).into()
    }

    fn write_token(&self, name: &str, from: &str) -> String {
        // Tokens never repeat, not even after an empty page: paginators take a repeated token for
        // an endless loop.
        URL_SAFE_NO_PAD.encode(
            [&self.fingerprint(name), &fastrand::u64(..).to_le_bytes()[..], from.as_bytes()]
                .concat(),
        )
    }

    fn read_token(&self, name: &str, token: &str) -> Option<String> {
        let token = URL_SAFE_NO_PAD.decode(token).ok()?;
        let from = token.strip_prefix(&self.fingerprint(name))?.get(8..)?;
        String::from_utf8(from.to_vec()).ok()
    }
}

/// Answers a listing whose permission has been checked.
pub(crate) fn answer(
    name: &str,
    bucket: &Bucket,
    parameters: &Parameters,
    knobs: &Knobs,
) -> Result<Response<ResponseBody>, S3Error> {
    let max_keys = parameters.max_keys.unwrap_or(1000).min(1000);
    let mut limit = max_keys.min(knobs.page_size);
    if knobs.short_pages {
        limit = fastrand::usize(0..=limit);
    }
    let from = parameters.first_key(name, knobs)?;
    let query = PageRequest {
        prefix: &parameters.prefix,
        delimiter: parameters.delimiter(),
        from,
        max_items: limit,
    };
    let page = if max_keys == 0 {
        Page { items: Vec::new(), next: None }
    } else {
        page::page(bucket, &query)
    };
    let mut answer = Response::new(ResponseBody::from(Bytes::from(write(
        name, parameters, max_keys, &page, knobs,
    ))));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    Ok(answer)
}

fn write(
    name: &str,
    parameters: &Parameters,
    max_keys: usize,
    page: &Page,
    knobs: &Knobs,
) -> String {
    let encode = |text: &str| match parameters.url {
        true => url(text, knobs),
        false if knobs.raw_keys => text.replace('&', "&amp;").replace('<', "&lt;"),
        false => escape(text),
    };
    let mut xml = String::with_capacity(512 + page.items.len() * 320);
    xml.push_str(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult \
         xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
    );
    let mut element =
        |name: &str, value: &str| xml.extend(["<", name, ">", value, "</", name, ">"]);
    element("Name", &escape(name));
    element("Prefix", &encode(&parameters.prefix));
    element("KeyCount", &page.items.len().to_string());
    element("MaxKeys", &max_keys.to_string());
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
            Item::CommonPrefix(prefix) => {
                write!(xml, "<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", encode(prefix))
            }
            Item::Key(key, object) => {
                let key = encode(key);
                let key = if parameters.url && knobs.slash_as_percent {
                    key.replace('/', "%2F")
                } else {
                    key
                };
                let etag = format!("<ETag>&quot;{}&quot;</ETag>", object.etag);
                write!(
                    xml,
                    "<Contents><Key>{key}</Key>{}{}<Size>{}</Size>\
                     <StorageClass>{}</StorageClass></Contents>",
                    if knobs.undated { String::new() } else { last_modified(object.modified) },
                    if knobs.etagless_listings { "" } else { &etag },
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

/// Returns the element with a time in milliseconds. S3's own end in three zeros; other stores know
/// in a listing more than in a header.
fn last_modified(time: SystemTime) -> String {
    let time = Timestamp::try_from(time).unwrap_or_default();
    time.strftime("<LastModified>%Y-%m-%dT%H:%M:%S.%3fZ</LastModified>").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_pattern::{KeyPattern, SyntheticObjects};
    use crate::store::{PutOptions, Store};
    use std::time::{Duration, Instant};

    #[test]
    fn a_token_is_valid_only_for_its_own_listing() {
        let parameters =
            |prefix: &str| Parameters { prefix: prefix.into(), ..Parameters::default() };
        let token = parameters("a/").write_token("b", "a/x\0");
        assert_eq!(parameters("a/").read_token("b", &token).as_deref(), Some("a/x\0"));
        assert_eq!(parameters("a").read_token("b", &token), None);
        assert_eq!(parameters("a/").read_token("c", &token), None);
        assert_eq!(parameters("a/").read_token("b", "a/x"), None);
    }

    #[test]
    fn keys_are_encoded_as_s3_does() {
        let knobs = Knobs::default();
        assert_eq!(url("a b+c/%é~\n*", &knobs), "a+b%2Bc/%25%C3%A9%7E%0A*");
        assert_eq!(url("a b", &Knobs { space_as_percent: true, ..knobs }), "a%20b");
    }

    #[test]
    fn knobs_make_listings_look_like_those_of_other_stores() {
        let mut store = Store::default();
        for key in ["a/b c", "a/d", "e"] {
            store.put("b", key, "".into(), PutOptions::default());
        }
        let list = |query: &str, knobs: Knobs| {
            let query: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            let parameters = Parameters::parse(&query).unwrap();
            let first = parameters.first_key("b", &knobs).unwrap();
            let asked = PageRequest {
                prefix: &parameters.prefix,
                delimiter: parameters.delimiter(),
                from: first,
                max_items: knobs.page_size,
            };
            write("b", &parameters, 1000, &page::page(store.bucket("b").unwrap(), &asked), &knobs)
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
            list(after, Knobs { start_after_skips_common_prefix: true, ..usual })
                .contains("<Key>e</Key>")
        );
    }

    /// Returns the shortest time of several that a page takes in the midst of a prefix of
    /// `days` times 1,000 keys.
    fn page_time(days: usize) -> Duration {
        let mut store = Store::default();
        let pattern = format!("flat/{{{days}:date}}-GRANULE-{{1000}}.nc");
        let set = SyntheticObjects { pattern, size: 1 << 20 };
        store.create("b").add(KeyPattern::parse(&set).unwrap());
        let bucket = store.bucket("b").unwrap();
        let parameters = Parameters {
            prefix: "flat/".into(),
            delimiter: Some("/".into()),
            start_after: Some("flat/20020701-GRANULE-500.nc".into()),
            url: true,
            ..Parameters::default()
        };
        let took = |_| {
            let started = Instant::now();
            assert!(answer("b", bucket, &parameters, &Knobs::default()).is_ok());
            started.elapsed()
        };
        (0..10).map(took).min().unwrap()
    }

    /// The least of ten tells what a page costs on a busy machine as well; going through all keys
    /// would take a hundred times as long.
    #[test]
    fn a_page_of_a_large_prefix_takes_no_longer_than_one_of_a_small_one() {
        let (small, large) = (page_time(40), page_time(4000));
        assert!(large < 10 * small, "{small:?}, {large:?}");
    }
}
