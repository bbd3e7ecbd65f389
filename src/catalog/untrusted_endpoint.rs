//! An endpoint that only CMR names.

use super::bucket_table::BucketTable;
use crate::http::Url;
use crate::http::host::{host_of, is_loopback};

/// The endpoint that CMR names for a bucket that the bucket table does not have. It is free text
/// that any provider may fill in, and the host it names would see the user's token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UntrustedEndpoint {
    url: String,
    is_trusted: bool,
}

impl UntrustedEndpoint {
    pub(super) fn new(url: &str, table: &BucketTable) -> Self {
        Self {
            url: url.to_owned(),
            is_trusted: Url::parse(url).is_ok_and(|url| may_see_token(&url, table)),
        }
    }

    /// Returns the text as CMR has it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the URL, if its host may see a token.
    #[must_use]
    pub fn trusted(&self) -> Option<&str> {
        Some(self.url()).filter(|_| self.is_trusted)
    }
}

/// Returns whether the host is one of NASA's, that of an endpoint in the table, or this machine
/// itself.
fn may_see_token(url: &Url, table: &BucketTable) -> bool {
    let host = host_of(url);
    let is_nasa = url.host_str().is_some_and(|name| name.ends_with(".nasa.gov"));
    let is_in_table = || table.iter().any(|(_, info)| info.host() == host);
    url.scheme() == "https" && (is_nasa || is_in_table()) || is_loopback(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_shown_to_nasa_to_hosts_of_the_table_and_to_this_machine_only() {
        let table = r#"{
            "b-1": {"endpoint": "https://tea.lab.org:444/s3credentials", "region": "us-west-2"}
        }"#;
        let table = serde_json::from_str(table).unwrap();
        for (url, is_trusted) in [
            ("https://archive.new.earthdata.nasa.gov/s3credentials", true),
            ("https://tea.lab.org:444/other", true),
            ("http://127.0.0.1:8080/s3credentials", true),
            ("http://archive.new.earthdata.nasa.gov/s3credentials", false),
            ("http://tea.lab.org:444/s3credentials", false),
            ("https://tea.lab.org/s3credentials", false),
            ("https://nasa.gov.example.org/s3credentials", false),
            ("https://notnasa.gov/s3credentials", false),
            ("https://archive.nasa.gov@example.org/s3credentials", false),
            ("ftp://archive.nasa.gov/s3credentials", false),
            ("archive.nasa.gov/s3credentials", false),
            ("see the user guide", false),
        ] {
            assert_eq!(
                UntrustedEndpoint::new(url, &table).trusted(),
                is_trusted.then_some(url),
                "{url}"
            );
        }
    }
}
