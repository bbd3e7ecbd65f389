//! What an answer means in the login conversation.

use std::time::SystemTime;

use super::temporary_credentials::TemporaryCredentials;
use crate::error::{Error, Problem, Refusal, StoreAnswer};
use crate::http::host::host_of;
use crate::http::{StatusCode, Url, is_transient};

const MAY_PASS: &str = "a fault at its end that may pass";

/// The answer that ends a conversation.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) store_answer: StoreAnswer,
    /// The page that gave it.
    pub(super) url: Url,
    /// When it was given, by the server's clock.
    pub(super) time: SystemTime,
    pub(super) text: String,
}

impl Answer {
    /// Reads the credentials for `endpoint`, or makes an error of every other answer.
    pub(super) fn credentials(
        &self,
        endpoint: &Url,
        earthdata_host: &str,
    ) -> Result<TemporaryCredentials, Error> {
        let page = format!("{}{}", host_of(&self.url), self.url.path());
        match self.status {
            // They count from any page: a TEA behind an alias answers under its own name.
            StatusCode::OK => TemporaryCredentials::parse(&self.text, self.time).map_err(|e| {
                match self.is_from(endpoint) {
                    true => Error::transient(e.about(endpoint)),
                    false => unexpected(endpoint, &format!("it ended at a page of {page}")),
                }
            }),
            StatusCode::FORBIDDEN => Err(self.forbidden(endpoint, earthdata_host).into()),
            status if is_transient(status) => {
                let problem = Problem::new(MAY_PASS).about(page);
                Err(Error::transient(problem.answered(self.store_answer.clone())))
            }
            status => Err(unexpected(endpoint, &format!("{page} answered {status}"))),
        }
    }

    fn is_from(&self, endpoint: &Url) -> bool {
        self.url.path() == endpoint.path() && host_of(&self.url) == host_of(endpoint)
    }

    /// TEA answers 403 with JSON that names the page of a missing agreement, or with HTML when the
    /// user's groups give access to nothing.
    fn forbidden(&self, endpoint: &Url, earthdata_host: &str) -> Refusal {
        #[derive(serde::Deserialize)]
        struct Denial {
            #[serde(default)]
            error_description: String,
            resolution_url: String,
        }
        match serde_json::from_str::<Denial>(&self.text) {
            Ok(denial) => {
                resolution(&denial.error_description, Some(denial.resolution_url), earthdata_host)
            }
            Err(_) => Refusal::NoData { endpoint: endpoint.as_str().into() },
        }
    }
}

/// Cumulus and TEA answer a refused bearer with a redirect to the login page, TEA also with 401, a
/// malformed one with 400.
pub(super) fn is_token_refusal(status: StatusCode) -> bool {
    status == StatusCode::UNAUTHORIZED || status == StatusCode::BAD_REQUEST
}

/// Returns whether `url` is Earthdata Login's page for a user name and password, on whatever host.
pub(super) fn is_login_page(url: &Url) -> bool {
    url.path().ends_with("/oauth/authorize")
}

/// Returns why Earthdata Login redirects to `url` without a login code. The redirect's query says
/// what is missing; the page behind it says less.
pub(super) fn denial(url: &Url, earthdata_host: &str) -> Option<Error> {
    let query = |name: &str| {
        url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let error = query("error")?;
    if matches!(error.as_str(), "server_error" | "temporarily_unavailable") {
        return Some(Error::transient(format!(
            "Earthdata Login at {earthdata_host} says {error}, {MAY_PASS}"
        )));
    }
    let message = query("error_msg").unwrap_or(error);
    Some(resolution(&message, query("resolution_url"), earthdata_host).into())
}

/// Returns the refusal for a conversation that leaves the documented path.
pub(super) fn unexpected(endpoint: &Url, detail: &str) -> Error {
    Refusal::Conversation { endpoint: endpoint.as_str().into(), detail: detail.into() }.into()
}

fn resolution(message: &str, resolution_url: Option<String>, earthdata_host: &str) -> Refusal {
    let message = match message.trim().trim_end_matches('.') {
        "" => "an agreement or a profile entry is missing",
        message => message,
    };
    let resolution_url =
        resolution_url.unwrap_or_else(|| format!("https://{earthdata_host}/profile"));
    Refusal::Resolution { message: message.into(), resolution_url: resolution_url.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_read_from_the_redirect() {
        let url = "https://d.org/login?error=access_denied&error_msg=Please%20approve%20it.\
                   &resolution_url=https%3A%2F%2Fu.org%2Fa";
        let read = |url: &str| denial(&Url::parse(url).unwrap(), "u.org");
        let expected = Refusal::Resolution {
            message: "Please approve it".into(),
            resolution_url: "https://u.org/a".into(),
        };
        assert!(matches!(read(url), Some(Error::Refused(refusal)) if refusal == expected));
        assert!(read("https://d.org/login?code=1&state=2").is_none());
        // RFC 6749, 4.1.2.1
        for transient in ["server_error", "temporarily_unavailable"] {
            let error = read(&format!("https://d.org/login?error={transient}"));
            assert!(matches!(error, Some(Error::Transient(_))), "{error:?}");
        }
    }

    #[test]
    fn an_answer_is_judged_by_its_status_and_its_sender() {
        let endpoint = Url::parse("https://d.org/s3credentials").unwrap();
        let credentials = |status: u16, url: &str, text: &str| {
            let answer = Answer {
                status: StatusCode::from_u16(status).unwrap(),
                store_answer: StoreAnswer { status, code: None, request_id: None },
                url: Url::parse(url).unwrap(),
                time: SystemTime::now(),
                text: text.into(),
            };
            answer.credentials(&endpoint, "u.org")
        };
        let own = endpoint.as_str();
        let good = r#"{"accessKeyId":"A","secretAccessKey":"s","sessionToken":"t"}"#;
        assert_eq!(credentials(200, own, good).unwrap().access_key, "A");
        assert_eq!(
            credentials(200, "https://tea.org/s3credentials", good).unwrap().access_key,
            "A"
        );
        let conversation = |error| matches!(error, Error::Refused(Refusal::Conversation { .. }));
        let no_data = |error| matches!(error, Error::Refused(Refusal::NoData { .. }));
        let resolution = |error| matches!(error, Error::Refused(Refusal::Resolution { .. }));
        let transient = |error| matches!(error, Error::Transient(_));
        for (status, url, text, is_expected) in [
            (200, own, "<html>", transient as fn(Error) -> bool),
            (200, "https://d.org/", "<html>", conversation),
            (403, own, "<html>", no_data),
            (403, own, r#"{"resolution_url":"https://u.org/a"}"#, resolution),
            (424, own, "{}", transient),
            (503, own, "", transient),
            (404, own, "", conversation),
        ] {
            let error = credentials(status, url, text).unwrap_err();
            assert!(is_expected(error.clone()), "{status} {url} {text}: {error}");
        }
    }
}
