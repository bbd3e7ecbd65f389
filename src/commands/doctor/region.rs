//! Where this machine is. This is a hint only: the proof that the region is wrong is S3's refusal.

use super::report::Report;
use crate::credentials::instance_region;
use crate::error::Error;

/// Compares this machine's region with that of a bucket.
pub(super) async fn check(of_bucket: &str, report: &mut Report) -> Result<(), Error> {
    match instance_region().await {
        Some(region) if region == of_bucket => {
            report.ok("region", &format!("this machine says that it is in {region}"))
        }
        Some(region) => report.note(
            "region",
            &format!("this machine says that it is in {region}, the bucket is in {of_bucket}"),
        ),
        None => report.note(
            "region",
            &format!("this machine does not say where it is; the bucket is in {of_bucket}"),
        ),
    }
}
