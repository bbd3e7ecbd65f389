//! Temporary S3 credentials, and the answer of an /s3credentials endpoint that holds them.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::civil::DateTime;
use secrecy::SecretString;

use crate::error::Problem;

/// The life of credentials whose answer does not say it: the hour that AWS gives to chained roles,
/// less a margin.
const ASSUMED_LIFE: Duration = Duration::from_secs(55 * 60);

/// S3 credentials, as an endpoint hands them out.
#[derive(Clone, Debug)]
pub struct TemporaryCredentials {
    /// The access key id, which is no secret.
    pub access_key: String,
    /// The secret access key.
    pub secret_key: SecretString,
    /// The session token; static credentials have none.
    pub session_token: Option<SecretString>,
    /// How long they live from the moment of the answer, by the server's own clock; `None`: for
    /// ever.
    pub life: Option<Duration>,
}

#[derive(serde::Deserialize)]
struct Answer {
    #[serde(rename = "accessKeyId")]
    access_key: String,
    #[serde(rename = "secretAccessKey")]
    secret_key: SecretString,
    #[serde(rename = "sessionToken")]
    session_token: SecretString,
    #[serde(default)]
    expiration: serde_json::Value,
}

impl TemporaryCredentials {
    /// Reads the JSON that an endpoint answers, whatever its Content-Type says. `now` is the
    /// server's `Date`.
    ///
    /// # Errors
    /// The text is no such JSON, or the credentials have already expired. Another try may help.
    pub(super) fn parse(text: &str, now: SystemTime) -> Result<Self, Problem> {
        // serde's error is dropped: it could quote the text, which holds secrets.
        let answer: Answer = serde_json::from_str(text).map_err(|_| {
            Problem::new(
                "the answer holds no temporary credentials; is that an /s3credentials URL?",
            )
        })?;
        let life = match answer.expiration.as_str().and_then(parse_expiration) {
            Some(expiration) => expiration.duration_since(now).map_err(|_| {
                Problem::new("the answer holds credentials that have expired already")
            })?,
            None => {
                tracing::warn!(?ASSUMED_LIFE, "the endpoint gave no readable expiration");
                ASSUMED_LIFE
            }
        };
        Ok(Self {
            access_key: answer.access_key,
            secret_key: answer.secret_key,
            session_token: Some(answer.session_token),
            life: Some(life),
        })
    }
}

/// Reads a Python `str(datetime)` or an ISO 8601 time; without a zone it is UTC.
fn parse_expiration(text: &str) -> Option<SystemTime> {
    let text = text.trim();
    let timestamp = text.parse::<Timestamp>().or_else(|_| {
        let civil = text.parse::<DateTime>()?;
        jiff::tz::TimeZone::UTC.to_timestamp(civil)
    });
    timestamp.ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(expiration: &str, now: &str) -> Result<TemporaryCredentials, Problem> {
        let text = format!(
            r#"{{"accessKeyId":"A","secretAccessKey":"hush","sessionToken":"hush"{expiration}}}"#
        );
        TemporaryCredentials::parse(&text, now.parse::<Timestamp>().unwrap().try_into().unwrap())
    }

    #[test]
    fn every_expiration_format_is_read() {
        for text in [
            "2026-11-23 13:55:57+00:00",
            "2026-11-23 13:55:57.000000+00:00",
            "2026-11-23T13:55:57Z",
            "2026-11-23T13:55:57+0000",
            "2026-11-23T13:55:57.000Z",
            "2026-11-23 13:55:57",
            "2026-11-23T13:55:57",
            "2026-11-23 14:55:57+01:00",
        ] {
            let credentials =
                parse(&format!(r#","expiration":"{text}""#), "2026-11-23T12:55:57Z").unwrap();
            assert_eq!(credentials.life, Some(Duration::from_secs(3600)), "{text}");
        }
    }

    #[test]
    fn an_unreadable_expiration_counts_as_55_minutes() {
        for field in
            ["", r#","expiration":"tomorrow""#, r#","expiration":null"#, r#","expiration":17"#]
        {
            assert_eq!(
                parse(field, "2026-11-23T12:00:00Z").unwrap().life,
                Some(ASSUMED_LIFE),
                "{field}"
            );
        }
    }

    #[test]
    fn expired_credentials_and_other_pages_are_errors_without_secrets() {
        let expired = parse(r#","expiration":"2026-11-23 11:00:00+00:00""#, "2026-11-23T12:00:00Z");
        assert!(expired.unwrap_err().to_string().ends_with("expired already"));
        let cut = TemporaryCredentials::parse(
            r#"{"accessKeyId":"A","secretAccessKey":"hush"#,
            SystemTime::now(),
        )
        .unwrap_err();
        assert!(!format!("{cut} {cut:?}").contains("hush"));
        assert!(!format!("{:?}", parse("", "2026-11-23T12:00:00Z").unwrap()).contains("hush"));
    }
}
