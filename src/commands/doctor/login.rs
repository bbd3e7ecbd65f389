//! Whether the endpoint of a bucket hands out credentials.

use std::collections::{BTreeMap, BTreeSet};

use super::report::Report;
use crate::commands::output;
use crate::connect::{Connection, FirstCredentials};
use crate::error::Error;

/// The logins that were tried.
pub(super) struct LoginChecks {
    /// Whether the environment's credentials are tried first.
    prefer_environment: bool,
    may_log_in: bool,
    /// Whether each endpoint handed out credentials.
    by_endpoint: BTreeMap<String, bool>,
    /// Failures that the report has: many endpoints may fail for the same reason.
    reported: BTreeSet<String>,
}

impl LoginChecks {
    pub(super) fn new(prefer_environment: bool, may_log_in: bool) -> Self {
        Self {
            prefer_environment,
            may_log_in,
            by_endpoint: BTreeMap::new(),
            reported: BTreeSet::new(),
        }
    }

    /// Returns whether there are credentials for the bucket of `connection`. Each endpoint is asked
    /// once.
    pub(super) async fn check(
        &mut self,
        connection: &Connection,
        report: &mut Report,
    ) -> Result<bool, Error> {
        let endpoint = connection.endpoint.clone().unwrap_or_default();
        // Buckets without an endpoint have different failures; the environment's credentials are
        // the same for all.
        if (self.prefer_environment || !endpoint.is_empty())
            && let Some(has_worked) = self.by_endpoint.get(&endpoint)
        {
            return Ok(*has_worked);
        }
        if !self.may_log_in {
            return report.skipped("login", &endpoint).map(|()| false);
        }
        let has_worked = match connection.log_in(output::progress).await {
            Ok(first) => {
                report.ok("login", &self.handed_out(&first, &endpoint))?;
                true
            }
            Err(error) => {
                let text = error.to_string();
                if self.reported.contains(&text) {
                    report.skipped("login", &format!("{endpoint}: the same"))?;
                } else {
                    report.failed("login", &text)?;
                    self.reported.insert(text);
                }
                false
            }
        };
        self.by_endpoint.insert(endpoint, has_worked);
        Ok(has_worked)
    }

    fn handed_out(&self, first: &FirstCredentials, endpoint: &str) -> String {
        let from = match (self.prefer_environment, first.is_fallback) {
            (true, true) => format!("the environment has no AWS credentials; {endpoint}"),
            (true, false) => "the environment".into(),
            (false, _) => endpoint.to_owned(),
        };
        let life = first.credentials.life();
        let life =
            life.map_or("for ever".into(), |life| format!("for {} minutes", life.as_secs() / 60));
        format!("{from} hands out credentials {life}")
    }
}
