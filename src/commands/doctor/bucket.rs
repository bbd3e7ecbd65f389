//! Whether the endpoint hands out credentials, and what they open.

use std::collections::{BTreeMap, BTreeSet};

use super::report::Report;
use crate::catalog::{ResolvedBucket, ResolvedSource};
use crate::cli::DoctorArgs;
use crate::commands::logins::{Credentials, Logins};
use crate::commands::reach;
use crate::credentials::instance_region;
use crate::error::{Error, Refusal};
use crate::object::{Object, Prefix};
use crate::s3::{Bucket, Position};

/// The credentials of each endpoint that was asked.
pub(super) struct Stores<'a> {
    args: &'a DoctorArgs,
    resolved: &'a ResolvedSource,
    may_log_in: bool,
    logins: Logins<'a>,
    /// By endpoint. `None`: it gave none.
    tried: BTreeMap<String, Option<Credentials>>,
    is_region_told: bool,
    /// Why there are no credentials: the same reason may be that of many endpoints.
    told: BTreeSet<String>,
}

impl<'a> Stores<'a> {
    pub(super) fn new(
        args: &'a DoctorArgs,
        resolved: &'a ResolvedSource,
        may_log_in: bool,
    ) -> Self {
        let logins = Logins::new(resolved, &args.earthdata, &args.store);
        Self {
            args,
            resolved,
            may_log_in,
            logins,
            tried: BTreeMap::new(),
            is_region_told: false,
            told: BTreeSet::new(),
        }
    }

    pub(super) async fn look_at(
        &mut self,
        place: &ResolvedBucket,
        report: &mut Report,
    ) -> Result<(), Error> {
        let Some(credentials) = self.credentials(place, report).await? else {
            return report.skipped(
                "bucket",
                &format!("{}: there are no credentials to look with", place.location),
            );
        };
        self.look_at_region(place, report).await?;
        let bucket = match reach::bucket(place, &self.args.store, credentials) {
            Ok(bucket) => bucket,
            Err(error) => return report.failed("bucket", &error.to_string()),
        };
        let look = Look { bucket, place, file: self.resolved.file.as_deref(), args: self.args };
        look.at_all(report).await?;
        let endpoint = self.args.earthdata.endpoint(place, self.resolved).unwrap_or_default();
        match look.bucket.refusals() {
            // The login's line has said so.
            None | Some((Error::Refused(Refusal::NoEnvironmentCredentials { .. }), None)) => Ok(()),
            Some((own, None)) => {
                let text = format!(
                    "the environment's credentials were refused ({own}); those of {endpoint} are used instead"
                );
                report.note("fallback", &text)
            }
            Some((_, Some(too))) => {
                let text = format!("those of {endpoint} were tried as well: {too}");
                let is_cure = !look.bucket.was_opened()
                    && !matches!(too, Error::Refused(Refusal::Forbidden { .. }));
                if is_cure {
                    report.failed("fallback", &text)
                } else {
                    report.note("fallback", &text)
                }
            }
        }
    }

    async fn credentials(
        &mut self,
        place: &ResolvedBucket,
        report: &mut Report,
    ) -> Result<Option<Credentials>, Error> {
        let is_ambient = self.args.store.aws_credentials;
        let endpoint =
            self.args.earthdata.endpoint(place, self.resolved).unwrap_or_default().to_owned();
        if (is_ambient || !endpoint.is_empty())
            && let Some(tried) = self.tried.get(&endpoint)
        {
            return Ok(tried.clone());
        }
        if !self.may_log_in {
            return report.skipped("login", &endpoint).map(|()| None);
        }
        let handed_out = match self.logins.credentials(place).await {
            Ok(credentials) => {
                credentials.first_session().await.map(|session| (credentials, session))
            }
            Err(error) => Err(error),
        };
        let credentials = match handed_out {
            Ok((credentials, (session, is_fallback))) => {
                let life = session.life().map_or("for ever".into(), |life| {
                    format!("for {} minutes", life.as_secs() / 60)
                });
                let from = match (is_ambient, is_fallback) {
                    (true, true) => format!("the environment has no AWS credentials; {endpoint}"),
                    (true, false) => "the environment".into(),
                    (false, _) => endpoint.clone(),
                };
                report.ok("login", &format!("{from} hands out credentials {life}"))?;
                Some(credentials)
            }
            Err(error) => {
                let text = error.to_string();
                if self.told.contains(&text) {
                    report.skipped("login", &format!("{endpoint}: the same"))?;
                } else {
                    report.failed("login", &text)?;
                    self.told.insert(text);
                }
                None
            }
        };
        self.tried.insert(endpoint, credentials.clone());
        Ok(credentials)
    }

    /// A hint only: what proves that the region is wrong is S3's refusal.
    async fn look_at_region(
        &mut self,
        place: &ResolvedBucket,
        report: &mut Report,
    ) -> Result<(), Error> {
        if std::mem::replace(&mut self.is_region_told, true) {
            return Ok(());
        }
        let wanted = self.args.store.region.of(place);
        match instance_region().await {
            Some(region) if region == wanted => {
                report.ok("region", &format!("this machine says that it is in {region}"))
            }
            Some(region) => report.note(
                "region",
                &format!("this machine says that it is in {region}, the bucket is in {wanted}"),
            ),
            None => report.note(
                "region",
                &format!("this machine does not say where it is; the bucket is in {wanted}"),
            ),
        }
    }
}

/// One bucket, with credentials.
struct Look<'a> {
    bucket: Bucket,
    place: &'a ResolvedBucket,
    /// The key that was pointed at.
    file: Option<&'a str>,
    args: &'a DoctorArgs,
}

/// What came of a listing.
enum Listed {
    /// It is allowed, and shows this file that can be read, if any.
    Names(Option<Object>),
    /// It is not allowed; names given in full may still open.
    Denied,
    /// There is no point in going on.
    Failed,
}

impl Look<'_> {
    async fn at_all(&self, report: &mut Report) -> Result<(), Error> {
        let prefix = &self.place.location.prefix;
        let root = Prefix::new("");
        let mut listed = Listed::Denied;
        if *prefix != root
            && let Listed::Failed = self.list(&root, report).await?
        {
            return Ok(());
        }
        if self.file.is_none() || *prefix == root {
            listed = self.list(prefix, report).await?;
        }
        let url = self.bucket.url(prefix.as_str());
        match (self.file, listed) {
            (_, Listed::Failed) => Ok(()),
            (Some(key), _) => match self.within(self.bucket.head(key)).await {
                Ok(object) => self.read(&object, report).await,
                Err(error) => report.failed("read", &error.to_string()),
            },
            (None, Listed::Names(Some(object))) => self.read(&object, report).await,
            (None, Listed::Names(None)) => {
                report.skipped("read", "no file to try it with is known; name one, as s3://BUCKET/KEY.nc")
            }
            // Credentials that open nothing at all look just like this.
            (None, Listed::Denied) => report
                .failed("read", &format!("{url} may not be listed, so nothing was read; name a file, as s3://BUCKET/KEY.nc")),
        }
    }

    /// Lists `prefix`.
    async fn list(&self, prefix: &Prefix, report: &mut Report) -> Result<Listed, Error> {
        let url = self.bucket.url(prefix.as_str());
        let is_wanted = *prefix == self.place.location.prefix;
        match self.within(self.bucket.subtree_page(prefix, &Position::Start)).await {
            Ok(page) if page.is_empty() && is_wanted && !prefix.as_str().is_empty() => report
                .failed("list", &format!("there is nothing below {url}; check the prefix (a file is written s3://BUCKET/KEY)"))
                .map(|()| Listed::Failed),
            Ok(page) => {
                report.ok("list", &format!("{url} can be listed"))?;
                Ok(Listed::Names(page.objects.into_iter().find(|object| object.size > 0 && !object.is_archived())))
            }
            Err(Error::Refused(refusal @ Refusal::Forbidden { .. })) => {
                let way_out = if is_wanted { "; names given in full may still open" } else { "; what is below may be listed" };
                report.note("list", &format!("{refusal}{way_out}"))?;
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
        match self.within(self.bucket.download(&object.id, 0..1).next()).await {
            Ok(_) => report.ok("read", &format!("{url} can be read")),
            Err(error) => report.failed("read", &error.to_string()),
        }
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::time::timeout(self.args.timeout, work)
            .await
            .unwrap_or_else(|_| Err(self.bucket.timeout_cause()))
    }
}
