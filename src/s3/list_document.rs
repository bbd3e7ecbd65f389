//! S3's document of a listing as a page, in one pass: the SDK's own reading of it takes several
//! milliseconds a page.
//!
//! Only documents as S3 writes them are read here. Whatever is unusual in one, or missing, is left
//! to the SDK.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::parse::{decoded, listed_object};
use crate::object::{Page, Prefix};

/// Returns the page that a document holds; `None` when it is not one that S3 writes.
pub(super) fn page(bucket: &Arc<str>, document: &[u8]) -> Option<Page> {
    // XML has no other control characters: a key with one may have been meant otherwise.
    if document.iter().any(|byte| *byte < b' ' && !b"\t\n\r".contains(byte)) {
        return None;
    }
    let mut reader = Reader { rest: std::str::from_utf8(document).ok()? };
    if reader.rest.starts_with("<?xml") {
        reader.skip_to("?>")?;
    }
    let mut listing = Listing::default();
    let Tag::Open("ListBucketResult") = reader.tag()? else { return None };
    reader.children("ListBucketResult", |reader, name| {
        match name {
            "Contents" => listing.contents.push(Contents::read(reader)?),
            "CommonPrefixes" => reader.children(name, |reader, name| {
                if name == "Prefix" {
                    listing.prefixes.push(reader.text(name)?);
                } else {
                    reader.skip(name)?;
                }
                Some(())
            })?,
            "IsTruncated" => listing.is_truncated = Some(reader.text(name)?.parse().ok()?),
            "NextContinuationToken" => listing.next = Some(reader.text(name)?.into()),
            "KeyCount" => listing.key_count = Some(reader.text(name)?.parse().ok()?),
            "EncodingType" => listing.is_encoded = reader.text(name)? == "url",
            _ => reader.skip(name)?,
        }
        Some(())
    })?;
    if !reader.rest.trim_ascii().is_empty() {
        return None;
    }
    listing.page(bucket)
}

/// What a document holds, as it is written there.
#[derive(Default)]
struct Listing<'a> {
    contents: Vec<Contents<'a>>,
    prefixes: Vec<Cow<'a, str>>,
    is_truncated: Option<bool>,
    next: Option<Arc<str>>,
    key_count: Option<usize>,
    is_encoded: bool,
}

#[derive(Default)]
struct Contents<'a> {
    key: Option<Cow<'a, str>>,
    size: Option<u64>,
    modified: Option<SystemTime>,
    etag: Option<Cow<'a, str>>,
    class: Option<Cow<'a, str>>,
}

impl<'a> Contents<'a> {
    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let mut contents = Self::default();
        reader.children("Contents", |reader, name| {
            match name {
                "Key" => contents.key = Some(reader.text(name)?),
                "Size" => contents.size = Some(reader.text(name)?.parse().ok()?),
                "LastModified" => contents.modified = Some(time(&reader.text(name)?)?),
                "ETag" => contents.etag = Some(reader.text(name)?),
                "StorageClass" => contents.class = Some(reader.text(name)?),
                _ => reader.skip(name)?,
            }
            Some(())
        })?;
        Some(contents)
    }
}

impl Listing<'_> {
    fn page(self, bucket: &Arc<str>) -> Option<Page> {
        let count = self.contents.len() + self.prefixes.len();
        let is_whole = self.key_count.is_none_or(|stated| stated <= count);
        let is_last = !self.is_truncated?;
        if !is_whole || !is_last && self.next.is_none() {
            return None;
        }
        let mut page = Page { next: self.next.filter(|_| !is_last), ..Page::default() };
        page.objects.reserve_exact(self.contents.len());
        page.prefixes.reserve_exact(self.prefixes.len());
        let decode = |text| if self.is_encoded { decoded(text) } else { Some(Cow::Borrowed(text)) };
        for prefix in &self.prefixes {
            match decode(prefix) {
                Some(prefix) => page.prefixes.push(Prefix::new(&prefix)),
                None => page.undecodable += 1,
            }
        }
        // Nearly all objects of a page have the same class.
        let mut class: Arc<str> = "STANDARD".into();
        for Contents { key, size, modified, etag, class: own } in &self.contents {
            let (key, size) = (key.as_deref()?, (*size)?);
            let own = own.as_deref().unwrap_or("STANDARD");
            if *class != *own {
                class = own.into();
            }
            match decode(key) {
                Some(key) => {
                    let etag = etag.as_deref();
                    let object = listed_object(bucket, &key, etag, size, *modified, class.clone());
                    page.objects.push(object);
                }
                None => page.undecodable += 1,
            }
        }
        Some(page)
    }
}

/// What is left of a document.
struct Reader<'a> {
    rest: &'a str,
}

enum Tag<'a> {
    Open(&'a str),
    Close(&'a str),
    /// An element without content.
    Empty,
}

impl<'a> Reader<'a> {
    /// Reads the next tag, before which there may be white space only.
    fn tag(&mut self) -> Option<Tag<'a>> {
        let text = self.rest.trim_ascii_start().strip_prefix('<')?;
        let end = text.find('>')?;
        let (tag, rest) = (&text[..end], &text[end + 1..]);
        self.rest = rest;
        if let Some(name) = tag.strip_prefix('/') {
            return Some(Tag::Close(name));
        }
        // Neither a comment, nor a section of text, nor an instruction.
        tag.bytes().next().filter(u8::is_ascii_alphabetic)?;
        let name = tag.split_ascii_whitespace().next()?;
        Some(if tag.ends_with('/') { Tag::Empty } else { Tag::Open(name) })
    }

    /// Calls `read` at the start of each element in the element `parent`, whose start has been
    /// read, and reads its end. An element without content is left out.
    fn children(
        &mut self,
        parent: &str,
        mut read: impl FnMut(&mut Self, &'a str) -> Option<()>,
    ) -> Option<()> {
        loop {
            match self.tag()? {
                Tag::Open(name) => read(self, name)?,
                Tag::Empty => {}
                Tag::Close(name) => return (name == parent).then_some(()),
            }
        }
    }

    /// Reads the text and the end of an element.
    fn text(&mut self, name: &str) -> Option<Cow<'a, str>> {
        let (text, rest) = self.rest.split_at(self.rest.find('<')?);
        self.rest = rest.strip_prefix("</")?.strip_prefix(name)?.strip_prefix('>')?;
        unescaped(text)
    }

    /// Skips the content and the end of an element.
    fn skip(&mut self, name: &str) -> Option<()> {
        loop {
            self.rest = &self.rest[self.rest.find('<')?..];
            match self.tag()? {
                Tag::Open(child) => self.skip(child)?,
                Tag::Empty => {}
                Tag::Close(closed) => return (closed == name).then_some(()),
            }
        }
    }

    fn skip_to(&mut self, end: &str) -> Option<()> {
        self.rest = self.rest.split_once(end)?.1;
        Some(())
    }
}

/// Replaces the entities that XML has. `None` for any other.
fn unescaped(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('&') {
        return Some(Cow::Borrowed(text));
    }
    let mut parts = text.split('&');
    let mut plain = parts.next()?.to_owned();
    for part in parts {
        let (entity, rest) = part.split_once(';')?;
        plain.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => character(entity.strip_prefix('#')?)?,
        });
        plain.push_str(rest);
    }
    Some(Cow::Owned(plain))
}

/// Returns the character that has a number, as in `&#10;` and `&#xA;`.
fn character(number: &str) -> Option<char> {
    let number = match number.strip_prefix('x') {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => number.parse(),
    };
    char::from_u32(number.ok()?)
}

/// Reads a time as S3 writes it in listings, `2020-01-31T12:00:00.000Z`.
fn time(text: &str) -> Option<SystemTime> {
    let text = text.strip_suffix('Z')?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let form = whole.bytes().map(|byte| if byte.is_ascii_digit() { b'0' } else { byte });
    if !form.eq(*b"0000-00-00T00:00:00") || fraction.len() > 9 {
        return None;
    }
    let number = |at: std::ops::Range<usize>| whole[at].parse::<u64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let is_usual = (1970..).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !is_usual {
        return None;
    }
    // The days since 1970-01-01, with years that begin in March, so that a leap day is their last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    let seconds = (days - 719_469) * 86_400 + hour * 3600 + minute * 60 + second;
    let nanos = format!("{fraction:0<9}").parse().ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(document: &str) -> Option<Page> {
        page(&"b".into(), document.as_bytes())
    }

    const DOCUMENT: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
        <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name>\
        <Prefix>p/</Prefix><StartAfter/><KeyCount>3</KeyCount><IsTruncated>true</IsTruncated>\
        <NextContinuationToken>a&amp;b==</NextContinuationToken>\n\
        <Contents><Key>p/a+b%2Bc&apos;</Key>\
        <LastModified>2020-02-29T12:30:01.500Z</LastModified><ETag>&quot;x-1&quot;</ETag>\
        <Owner><ID>me</ID></Owner><Size>7</Size><StorageClass>GLACIER</StorageClass></Contents>\
        <Contents><Key>p/%FF</Key><Size>1</Size></Contents>\
        <CommonPrefixes><Prefix>p/d%C3%A9/</Prefix></CommonPrefixes>\
        <EncodingType>url</EncodingType></ListBucketResult>\n";

    #[test]
    fn a_document_is_read_whatever_the_order_of_its_elements() {
        let page = read(DOCUMENT).unwrap();
        let [object] = &page.objects[..] else { panic!("{page:?}") };
        assert_eq!((&*object.id.key, &*object.id.etag, object.size), ("p/a b+c'", "x-1", 7));
        assert_eq!(&*object.storage_class, "GLACIER");
        let written = SystemTime::UNIX_EPOCH + Duration::from_secs(1_582_979_401);
        assert_eq!(
            object.modified,
            crate::object::modification_time(Some(written + Duration::from_millis(500)))
        );
        assert_eq!((&page.prefixes[..], page.undecodable), (&[Prefix::new("p/dé")][..], 1));
        assert_eq!(page.next.as_deref(), Some("a&b=="));
    }

    #[test]
    fn what_is_cut_or_unusual_is_left_to_the_sdk() {
        for end in 0..DOCUMENT.len() - 1 {
            assert!(!DOCUMENT.is_char_boundary(end) || read(&DOCUMENT[..end]).is_none(), "{end}");
        }
        for (usual, unusual) in [
            ("<KeyCount>3", "<KeyCount>4"),
            ("<IsTruncated>true</IsTruncated>", ""),
            ("<NextContinuationToken>a&amp;b==</NextContinuationToken>", ""),
            ("<Size>7</Size>", ""),
            ("&apos;", "&nbsp;"),
            ("p/a+b", "p/a\u{1}b"),
            ("2020-02-29T12:30:01.500Z", "Sat, 29 Feb 2020 12:30:01 GMT"),
            ("<Key>p/a+b%2Bc&apos;</Key>", "<Key><![CDATA[p/a]]></Key>"),
            ("<Name>b</Name>", "<!-- b -->"),
            ("<Name>b</Name>", "<Name>b</Prefix>"),
            ("ListBucketResult>\n", "ListBucketResult>\n<more/>"),
            ("ListBucketResult", "Error"),
        ] {
            let document = DOCUMENT.replace(usual, unusual);
            assert!(document != DOCUMENT && read(&document).is_none(), "{unusual}");
        }
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        let seconds =
            |text| Some(time(text)?.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs());
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-03-01T00:00:00.000Z", Some(951_868_800)),
            ("2020-01-01T00:00:00.000Z", Some(1_577_836_800)),
            ("2023-12-31T23:59:59.999Z", Some(1_704_067_199)),
            ("2020-13-01T00:00:00Z", None),
            ("2020-01-01T00:00:00", None),
            ("2020-01-01 00:00:00Z", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
