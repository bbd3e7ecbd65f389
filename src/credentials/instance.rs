//! The AWS region that this machine is in.

use std::time::Duration;

use aws_config::imds;
use aws_config::imds::region::ImdsRegionProvider;

/// The metadata service runs on the machine's own host; elsewhere nobody answers.
const TIMEOUT: Duration = Duration::from_millis(500);

/// Returns the AWS region that the instance metadata service names; `None` when there is no such
/// service, or when it was switched off.
pub async fn instance_region() -> Option<String> {
    let client = imds::Client::builder()
        .max_attempts(1)
        .connect_timeout(TIMEOUT)
        .read_timeout(TIMEOUT)
        .build();
    let region = ImdsRegionProvider::builder().imds_client(client).build().region().await;
    region.map(|region| region.to_string())
}
