//! Whether a bucket can be listed and read with the credentials that there are.

use std::time::Duration;

use super::report::Report;
use crate::catalog::BucketPrefixes;
use crate::connect::Connection;
use crate::error::{Error, Refusal};
use crate::object::{Object, Prefix};
use crate::s3::{Bucket, Position};

/// Lists and reads in the bucket of `connection`, with requests that may take `timeout` each.
/// `file` is the key that the user pointed at.
pub(super) async fn check(
    connection: &Connection,
    file: Option<&str>,
    timeout: Duration,
    report: &mut Report,
) -> Result<(), Error> {
    let bucket = match connection.bucket() {
        Ok(bucket) => bucket,
        Err(error) => return report.failed("bucket", &error.to_string()),
    };
    let (prefix, stated) = (&connection.location.prefix, &connection.prefixes);
    let checks = Checks { bucket, prefix, stated, file, timeout };
    let impatience = checks.bucket.impatient();
    checks.run(report).await?;
    drop(impatience);
    let endpoint = connection.endpoint.as_deref().unwrap_or_default();
    check_fallback(&checks.bucket, endpoint, report)
}

/// Says what became of the credentials to fall back on, where the first were refused.
fn check_fallback(bucket: &Bucket, endpoint: &str, report: &mut Report) -> Result<(), Error> {
    let (first, fallback) = match bucket.refusals() {
        // That the environment has none is in the line about the login.
        None | Some((Error::Refused(Refusal::NoEnvironmentCredentials { .. }), None)) => {
            return Ok(());
        }
        Some(refusals) => refusals,
    };
    let Some(refusal) = fallback else {
        let text = format!(
            "the environment's credentials were refused ({first}); those of {endpoint} are used \
             instead"
        );
        return report.note("fallback", &text);
    };
    let text = format!("those of {endpoint} were tried as well: {refusal}");
    // A denial by S3 is in the line about listing or reading already.
    let is_denial = matches!(refusal, Error::Refused(Refusal::Forbidden { .. }));
    match bucket.was_opened() || is_denial {
        true => report.note("fallback", &text),
        false => report.failed("fallback", &text),
    }
}

struct Checks<'a> {
    bucket: Bucket,
    prefix: &'a Prefix,
    stated: &'a BucketPrefixes,
    file: Option<&'a str>,
    timeout: Duration,
}

/// What came of a listing.
enum Listed {
    /// It is allowed, and shows this file that can be read, if any.
    Allowed(Option<Object>),
    /// It is not allowed; names given in full may still open.
    Denied,
    /// It failed, and nothing else in the bucket is worth a try.
    Failed,
}

impl Checks<'_> {
    async fn run(&self, report: &mut Report) -> Result<(), Error> {
        let root = Prefix::new("");
        let mut listed = Listed::Denied;
        if *self.prefix != root {
            // Whatever is wrong with the whole bucket shows at its root.
            if let Listed::Failed = self.list(&root, report).await? {
                return Ok(());
            }
        }
        if self.file.is_none() || *self.prefix == root {
            listed = self.list(self.prefix, report).await?;
        }
        match (self.file, listed) {
            (_, Listed::Failed) => Ok(()),
            (Some(key), _) => match self.within(self.bucket.head(key)).await {
                Ok(object) => self.read(&object, report).await,
                Err(error) => report.failed("read", &error.to_string()),
            },
            (None, Listed::Allowed(Some(object))) => self.read(&object, report).await,
            (None, Listed::Allowed(None)) => report.skipped(
                "read",
                "no file to try it with is known; name one, as s3://BUCKET/KEY.nc",
            ),
            // Credentials that open nothing at all look just like this.
            (None, Listed::Denied) => {
                if let Some(object) = self.below_stated(report).await? {
                    return self.read(&object, report).await;
                }
                let url = self.bucket.url(self.prefix.as_str());
                let text = format!(
                    "{url} may not be listed, so nothing was read; name a file, as \
                     s3://BUCKET/KEY.nc"
                );
                report.failed("read", &text)
            }
        }
    }

    /// Looks below the prefixes that CMR knows for one that can be listed. Returns a file there.
    async fn below_stated(&self, report: &mut Report) -> Result<Option<Object>, Error> {
        const TRIED: usize = 5;
        let stated = self.within(self.stated.ask()).await.unwrap_or_default();
        let below = |prefix: &&Prefix| {
            *prefix != self.prefix && prefix.as_str().starts_with(self.prefix.as_str())
        };
        for prefix in stated.iter().filter(below).take(TRIED) {
            let page = self.within(self.bucket.subtree_page(prefix, &Position::Start)).await;
            let Ok(page) = page else { continue };
            if let Some(object) = page.objects.into_iter().find(is_readable) {
                let url = self.bucket.url(prefix.as_str());
                report.ok("list", &format!("{url} can be listed, which CMR knows"))?;
                return Ok(Some(object));
            }
        }
        Ok(None)
    }

    async fn list(&self, prefix: &Prefix, report: &mut Report) -> Result<Listed, Error> {
        let url = self.bucket.url(prefix.as_str());
        let is_wanted = prefix == self.prefix;
        match self.within(self.bucket.subtree_page(prefix, &Position::Start)).await {
            Ok(page) if page.is_empty() && is_wanted && !prefix.as_str().is_empty() => {
                let text = format!(
                    "there is nothing below {url}; check the prefix (a file is written \
                     s3://BUCKET/KEY)"
                );
                report.failed("list", &text).map(|()| Listed::Failed)
            }
            Ok(page) => {
                // A mount asks with a delimiter, which some stores ignore.
                if let Err(error @ Error::Store(_)) =
                    self.within(self.bucket.page(prefix, &Position::Start)).await
                {
                    return report.failed("list", &error.to_string()).map(|()| Listed::Failed);
                }
                report.ok("list", &format!("{url} can be listed"))?;
                Ok(Listed::Allowed(page.objects.into_iter().find(is_readable)))
            }
            Err(Error::Refused(refusal @ Refusal::Forbidden { .. })) => {
                let rest = match is_wanted {
                    true => "names given in full may still open",
                    false => "what is below may be listed",
                };
                report.note("list", &format!("{refusal}; {rest}"))?;
                Ok(Listed::Denied)
            }
            Err(error) => report.failed("list", &error.to_string()).map(|()| Listed::Failed),
        }
    }

    async fn read(&self, object: &Object, report: &mut Report) -> Result<(), Error> {
        let url = object.id.url();
        if object.size == 0 {
            return report.ok("read", &format!("{url} is there, and empty"));
        }
        if object.is_archived() {
            let error = Error::Archived { url: url.into(), class: object.storage_class.clone() };
            return report.failed("read", &error.to_string());
        }
        match self.within(self.bucket.download(&object.id, object.size, 0..1).next()).await {
            Ok(_) => report.ok("read", &format!("{url} can be read")),
            Err(error) => report.failed("read", &error.to_string()),
        }
    }

    async fn within<T>(&self, request: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::time::timeout(self.timeout, request)
            .await
            .unwrap_or_else(|_| Err(self.bucket.timeout_cause()))
    }
}

/// Returns whether a file tells whether reading works.
fn is_readable(object: &Object) -> bool {
    object.size > 0 && !object.is_archived()
}
