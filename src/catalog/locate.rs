//! Asks a data center's own host which bucket a link leads to: those that run the Thin Egress App
//! answer `GET /locate?bucket_name=BUCKET`, without a login, with the paths of the bucket's links.

use std::time::Duration;

use futures_util::StreamExt;

use super::bucket_table::{BucketInfo, BucketTable};
use super::resolve::directory_of;
use super::resolved::ResolvedSource;
use super::system;
use crate::error::Error;
use crate::http::{Client, StatusCode, host};

/// All questions together may take this long: the user waits, and may give an s3:// link instead.
const TIMEOUT: Duration = Duration::from_secs(8);
const AT_ONCE: usize = 8;

/// Asks `host` which of the buckets that `table` has there holds `https://HOST/PATH`; where it has
/// none there, which of all buckets. `None`: it does not say, or is a host that is not asked since
/// it is neither in the table nor NASA's.
pub(super) async fn at(
    host: &str,
    path: &str,
    table: &BucketTable,
) -> Result<Option<ResolvedSource>, Error> {
    let at_host = table.iter().filter(|(_, info)| info.host() == host).collect::<Vec<_>>();
    if at_host.is_empty() && system::of_host(host).is_none() {
        return Ok(None);
    }
    let candidates = if at_host.is_empty() { table.iter().collect() } else { at_host };
    let asked = tokio::time::timeout(TIMEOUT, ask(host, path, candidates)).await;
    asked.unwrap_or_else(|_| {
        tracing::debug!(host, "no answer to /locate in time");
        Ok(None)
    })
}

async fn ask(
    host: &str,
    path: &str,
    candidates: Vec<(&str, &BucketInfo)>,
) -> Result<Option<ResolvedSource>, Error> {
    let locate = Locate::new(host)?;
    let Some(((first, info), others)) = candidates.split_first() else { return Ok(None) };
    // A host that does not know the question is not asked again.
    let Some(paths) = locate.paths_of(first).await else { return Ok(None) };
    let mut found = vec![(*first, *info, paths)];
    let questions = others.iter().map(|(bucket, info)| {
        let locate = &locate;
        async move { Some((*bucket, *info, locate.paths_of(bucket).await?)) }
    });
    let answers = futures_util::stream::iter(questions).buffer_unordered(AT_ONCE);
    found.extend(answers.filter_map(std::future::ready).collect::<Vec<_>>().await);
    let matches = found.iter().flat_map(|(bucket, info, paths)| {
        paths
            .iter()
            .filter_map(move |start| Some((start.len(), *bucket, *info, below(start, path)?)))
    });
    let longest = matches.max_by_key(|(length, ..)| *length);
    Ok(longest.map(|(_, bucket, info, key)| directory_of(bucket, key, Some(info))))
}

/// Returns what follows the path `start` of a bucket in a link's path.
fn below<'p>(start: &str, path: &'p str) -> Option<&'p str> {
    let rest = path.strip_prefix(start.trim_matches('/'))?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

struct Locate {
    client: Client,
    root: crate::http::Url,
}

impl Locate {
    fn new(host: &str) -> Result<Self, Error> {
        let root = host::root_url(host)?;
        Ok(Self { client: Client::with_timeout(&root, TIMEOUT)?, root })
    }

    /// Returns the paths of the bucket's links; none if the host has no such bucket. `None`: it
    /// gives no such answer.
    async fn paths_of(&self, bucket: &str) -> Option<Vec<String>> {
        let mut url = self.root.join("locate").ok()?;
        url.query_pairs_mut().append_pair("bucket_name", bucket);
        let response = self.client.get(&url).send().await.ok()?;
        let status = response.status();
        let text = response.text().await.ok()?;
        match status {
            StatusCode::OK => serde_json::from_str(&text).ok(),
            StatusCode::NOT_FOUND if text.contains(bucket) => Some(Vec::new()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_a_bucket_ends_where_a_name_ends() {
        for (start, path, key) in [
            ("SLC/SA", "SLC/SA/x.zip", Some("x.zip")),
            ("/SLC/SA/", "SLC/SA/x.zip", Some("x.zip")),
            ("SLC", "SLC/SA/x.zip", Some("SA/x.zip")),
            ("SLC/S", "SLC/SA/x.zip", None),
            ("SLC/SA", "SLC/SA", Some("")),
        ] {
            assert_eq!(below(start, path), key, "{start} {path}");
        }
    }
}
