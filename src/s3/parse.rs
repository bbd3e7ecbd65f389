//! S3's answers as pages and objects.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::EncodingType;
use percent_encoding::percent_decode_str;

use crate::object::{Object, ObjectId, Page, Prefix, modification_time};

/// Returns the page that `output` holds; `None` when it was cut or does not say where the listing
/// goes on, so that it is of no use.
pub(super) fn page(bucket: &Arc<str>, output: &ListObjectsV2Output) -> Option<Page> {
    let is_encoded = output.encoding_type() == Some(&EncodingType::Url);
    let decode = |text| if is_encoded { decoded(text) } else { Some(Cow::Borrowed(text)) };
    let mut page = Page::default();
    // The SDK reads a document that ends in the middle as a shorter one.
    let count = output.contents().len() + output.common_prefixes().len();
    if output
        .key_count()
        .is_some_and(|stated| usize::try_from(stated).is_ok_and(|stated| stated > count))
    {
        return None;
    }
    if output.is_truncated()? {
        page.next = Some(output.next_continuation_token()?.into());
    }
    for common in output.common_prefixes() {
        match decode(common.prefix()?) {
            Some(prefix) => page.prefixes.push(Prefix::new(&prefix)),
            None => page.undecodable += 1,
        }
    }
    for listed in output.contents() {
        let class = listed.storage_class().map(|class| class.as_str());
        let (key, size) = (listed.key()?, u64::try_from(listed.size()?).ok()?);
        let Some(key) = decode(key) else {
            page.undecodable += 1;
            continue;
        };
        let modified = listed.last_modified().and_then(|time| SystemTime::try_from(*time).ok());
        let class = class.unwrap_or("STANDARD").into();
        page.objects.push(listed_object(bucket, &key, listed.e_tag(), size, modified, class));
    }
    Some(page)
}

/// Returns a key of `page` that a listing of `prefix` must not have, if there is one.
pub(super) fn foreign_key<'page>(page: &'page Page, prefix: &str) -> Option<&'page str> {
    let objects = page.objects.iter().map(|object| &*object.id.key);
    let mut keys = objects.chain(page.prefixes.iter().map(Prefix::as_str));
    keys.find(|key| !key.starts_with(prefix))
}

/// Returns an object as a listing describes it.
pub(super) fn listed_object(
    bucket: &Arc<str>,
    key: &str,
    etag: Option<&str>,
    size: u64,
    modified: Option<SystemTime>,
    storage_class: Arc<str>,
) -> Object {
    // S3's schema allows a listing without etags.
    let etag = etag.map(unquoted).filter(|etag| !etag.is_empty());
    let modified = modification_time(modified);
    let etag = etag.map_or_else(|| ObjectId::stand_in(size, modified).into(), Arc::from);
    let id = ObjectId { bucket: bucket.clone(), key: key.into(), etag };
    Object { id, size, modified, storage_class }
}

/// The object `key` that `output` describes. `None`: it lacks size or etag.
pub(super) fn head(bucket: &Arc<str>, key: &str, output: &HeadObjectOutput) -> Option<Object> {
    let class = output.storage_class().map(|class| class.as_str());
    let etag = output.e_tag().map(unquoted).filter(|etag| !etag.is_empty())?.into();
    let size = u64::try_from(output.content_length()?).ok()?;
    Some(Object {
        id: ObjectId { bucket: bucket.clone(), key: key.into(), etag },
        size,
        modified: time(output.last_modified()),
        storage_class: class.unwrap_or("STANDARD").into(),
    })
}

fn time(modified: Option<&DateTime>) -> SystemTime {
    modification_time(modified.and_then(|time| SystemTime::try_from(*time).ok()))
}

/// The etag without the quotes that HTTP wants and some listings leave out.
pub(super) fn unquoted(etag: &str) -> &str {
    etag.trim_matches('"')
}

/// Undoes `encoding-type=url`, which writes a space as `+`.
pub(super) fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('+') {
        return percent_decode_str(text).decode_utf8().ok();
    }
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(|text| Cow::Owned(text.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_url_encoding() {
        for (encoded, key) in [
            ("a+b%2Bc", "a b+c"),
            ("p%2Fq/r", "p/q/r"),
            ("%C3%BC%0A%25", "ü\n%"),
            ("a%20b", "a b"),
            ("100%25", "100%"),
        ] {
            assert_eq!(decoded(encoded).as_deref(), Some(key));
        }
        assert_eq!(decoded("%FF"), None);
    }

    #[test]
    fn a_page_that_ends_in_the_middle_is_no_page() {
        let bucket = Arc::from("b");
        let whole = ListObjectsV2Output::builder().is_truncated(false).key_count(0).build();
        assert!(page(&bucket, &whole).is_some());
        let before_the_names =
            ListObjectsV2Output::builder().is_truncated(false).key_count(1).build();
        let before_that = ListObjectsV2Output::builder().build();
        assert!(
            page(&bucket, &before_the_names).is_none() && page(&bucket, &before_that).is_none()
        );
    }

    #[test]
    fn a_page_that_is_cut_without_a_token_is_no_page() {
        let bucket = Arc::from("b");
        let output = |truncated, token: Option<&str>| {
            ListObjectsV2Output::builder()
                .is_truncated(truncated)
                .set_next_continuation_token(token.map(Into::into))
                .build()
        };
        assert!(page(&bucket, &output(true, None)).is_none());
        assert_eq!(page(&bucket, &output(true, Some("t"))).unwrap().next.as_deref(), Some("t"));
        assert_eq!(page(&bucket, &output(false, Some("t"))).unwrap().next, None);
    }
}
