//! An endpoint that nobody but CMR names.

use reqwest::Url;

use super::bucket_table::BucketTable;
use crate::http::host::{host_of, is_loopback};

/// What CMR says of who hands out credentials for a bucket that the table does not know. It is free
/// text, and whoever it names would see a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UntrustedEndpoint {
    url: String,
    is_believed: bool,
}

impl UntrustedEndpoint {
    pub(super) fn new(url: &str, table: &BucketTable) -> Self {
        Self {
            url: url.to_owned(),
            is_believed: Url::parse(url).is_ok_and(|url| is_credible(&url, table)),
        }
    }

    /// The text.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL, if it is that of one who may see a token.
    #[must_use]
    pub fn believed(&self) -> Option<&str> {
        Some(self.url()).filter(|_| self.is_believed)
    }
}

/// NASA's own hosts, and those of endpoints that the table has; this machine itself.
fn is_credible(url: &Url, table: &BucketTable) -> bool {
    let host = host_of(url);
    let is_nasa = url.host_str().is_some_and(|name| name.ends_with(".nasa.gov"));
    let is_known = || table.iter().any(|(_, known)| known.host() == host);
    url.scheme() == "https" && (is_nasa || is_known()) || is_loopback(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_shown_to_nasa_to_whom_the_table_knows_and_to_this_machine_only() {
        let table = r#"{"b-1": {"endpoint": "https://tea.lab.org:444/s3credentials", "region": "us-west-2"}}"#;
        let table = serde_json::from_str(table).unwrap();
        for (url, is_believed) in [
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
                UntrustedEndpoint::new(url, &table).believed(),
                is_believed.then_some(url),
                "{url}"
            );
        }
    }
}
