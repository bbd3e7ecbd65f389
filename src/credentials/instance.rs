//! Where this machine is, by what it says of itself.

use std::time::Duration;

use aws_config::imds;
use aws_config::imds::region::ImdsRegionProvider;

/// The metadata service is on the machine itself; elsewhere nobody answers.
const PATIENCE: Duration = Duration::from_millis(500);

/// The AWS region that the instance metadata service names; `None`: there is none, or it was
/// switched off.
pub async fn instance_region() -> Option<String> {
    let client = imds::Client::builder()
        .max_attempts(1)
        .connect_timeout(PATIENCE)
        .read_timeout(PATIENCE)
        .build();
    let region = ImdsRegionProvider::builder().imds_client(client).build().region().await;
    region.map(|region| region.to_string())
}
