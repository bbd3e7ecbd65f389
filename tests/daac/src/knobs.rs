//! The knobs: how the servers behave, which can be changed while they run.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::knob_overrides::{BucketKnobs, DaacKnobs};
use crate::request_log::RequestKind;

/// How the servers behave. By default they are healthy and add no delay. In JSON, durations are
/// seconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Knobs {
    /// How long temporary credentials live.
    #[serde(with = "seconds")]
    pub credential_life: Duration,
    /// Whether a DAAC issues the same credentials until they expire.
    pub same_credentials: bool,
    /// How long the cookie of a DAAC is valid.
    #[serde(with = "seconds")]
    pub cookie_life: Duration,
    /// How the answer of `/s3credentials` states when the credentials expire.
    pub expiration: Expiration,
    /// Whether the content type of the answer of `/s3credentials` is `text/html`.
    pub credentials_as_html: bool,
    /// The seconds by which the servers' clocks are ahead of this machine's.
    pub clock_shift: i64,

    /// How Earthdata Login accepts the password.
    pub password_method: PasswordMethod,
    /// How Earthdata Login answers the right password.
    pub login: LoginAnswer,
    /// The first user's password after a change; the one of the setup is wrong then.
    pub new_password: Option<String>,
    /// Whether the first user's token is no longer valid. Other users' tokens stay valid.
    pub token_revoked: bool,
    /// How a DAAC answers the right bearer token.
    pub bearer: BearerAnswer,
    /// What `/s3credentials` answers.
    pub endpoint: EndpointAnswer,
    /// Which redirect of a login leads to a foreign host.
    pub foreign_redirect: ForeignRedirect,
    /// Whether Cumulus is the older standalone endpoint: route `/redirect`, answered with 307.
    pub older_callback: bool,
    /// Whether connections to Earthdata Login are reset, open ones included.
    pub login_down: bool,
    /// Whether connections to every DAAC are reset, open ones included.
    pub daac_down: bool,
    /// Whether connections to S3 are reset, open ones included.
    pub s3_down: bool,
    /// Whether connections to CMR are reset, open ones included.
    pub cmr_down: bool,
    /// What CMR answers.
    pub cmr: CmrAnswer,

    /// The time before a page of a listing is answered.
    #[serde(with = "seconds")]
    pub list_latency: Duration,
    /// The time before the first byte of a GET or HEAD is answered.
    #[serde(with = "seconds")]
    pub first_byte_latency: Duration,
    /// The time before `/s3credentials` answers.
    #[serde(with = "seconds")]
    pub credentials_latency: Duration,
    /// The time before Earthdata Login answers.
    #[serde(with = "seconds")]
    pub login_latency: Duration,
    /// The time before CMR answers.
    #[serde(with = "seconds")]
    pub cmr_latency: Duration,
    /// Bytes per second of each S3 body; 0 is without a limit.
    pub bandwidth: u64,

    /// The most entries of a page, whatever the request asks for.
    pub page_size: usize,
    /// Whether pages end at random, even empty, and say that they are not the last one.
    pub short_pages: bool,
    /// Whether a page that is not the last one lacks its continuation token.
    pub tokenless_pages: bool,
    /// Whether `encoding-type=url` writes a space as `%20`, where S3 writes `+`.
    pub space_as_percent: bool,
    /// Whether `encoding-type=url` writes `/` in keys (not in common prefixes) as `%2F`, as some
    /// stores do.
    pub slash_as_percent: bool,
    /// Whether `start-after` a key within a common prefix leaves out that common prefix, as some
    /// stores do.
    pub start_after_skips_common_prefix: bool,
    /// Whether listings have no etags, which S3's schema allows.
    pub etagless_listings: bool,
    /// Whether `encoding-type` is ignored and keys are written as they are, even those with
    /// characters that XML does not allow.
    pub raw_keys: bool,
    /// Whether `delimiter` is ignored.
    pub ignored_delimiter: bool,
    /// The status with which a web page answers every request in place of S3.
    pub web_page: Option<u16>,
    /// Whether neither listings nor headers have LastModified.
    pub undated: bool,
    /// Which prefixes may be listed.
    pub listing: Listing,
    /// The prefixes whose objects are refused with 403.
    pub unreadable: Vec<String>,
    /// The prefixes whose objects are encrypted with a key of the customer's (SSE-C), so that
    /// requests without it get 400.
    pub customer_key: Vec<String>,
    /// Whether expired credentials get 403 AccessDenied instead of 400 ExpiredToken.
    pub expired_is_denied: bool,
    /// Whether every request is refused as it is for clients outside us-west-2.
    pub out_of_region: bool,
    /// The regions of buckets in other regions; a request signed for the wrong one gets 301.
    pub regions: BTreeMap<String, String>,

    /// The DAACs' own knobs, by name; see [`Knobs::daac`].
    pub daacs: BTreeMap<String, DaacKnobs>,
    /// The buckets' own knobs, by name; see [`Knobs::bucket`].
    pub buckets: BTreeMap<String, BucketKnobs>,
    /// The permissions of other users than the first, by name and bucket; see [`Knobs::user`].
    pub users: BTreeMap<String, BTreeMap<String, BucketKnobs>>,

    /// Injected faults; the first one that matches a request happens to it.
    pub faults: Vec<Fault>,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            credential_life: Duration::from_secs(3600),
            same_credentials: false,
            cookie_life: Duration::from_secs(24 * 3600),
            expiration: Expiration::default(),
            credentials_as_html: false,
            clock_shift: 0,
            password_method: PasswordMethod::default(),
            login: LoginAnswer::default(),
            new_password: None,
            token_revoked: false,
            bearer: BearerAnswer::default(),
            endpoint: EndpointAnswer::default(),
            foreign_redirect: ForeignRedirect::default(),
            older_callback: false,
            login_down: false,
            daac_down: false,
            s3_down: false,
            cmr_down: false,
            cmr: CmrAnswer::default(),
            list_latency: Duration::ZERO,
            first_byte_latency: Duration::ZERO,
            credentials_latency: Duration::ZERO,
            login_latency: Duration::ZERO,
            cmr_latency: Duration::ZERO,
            bandwidth: 0,
            page_size: 1000,
            short_pages: false,
            tokenless_pages: false,
            space_as_percent: false,
            slash_as_percent: false,
            start_after_skips_common_prefix: false,
            etagless_listings: false,
            raw_keys: false,
            ignored_delimiter: false,
            web_page: None,
            undated: false,
            listing: Listing::default(),
            unreadable: Vec::new(),
            customer_key: Vec::new(),
            expired_is_denied: false,
            out_of_region: false,
            regions: BTreeMap::new(),
            daacs: BTreeMap::new(),
            buckets: BTreeMap::new(),
            users: BTreeMap::new(),
            faults: Vec::new(),
        }
    }
}

impl Knobs {
    pub(crate) fn latency(&self, kind: RequestKind) -> Duration {
        match kind {
            RequestKind::List => self.list_latency,
            RequestKind::Get | RequestKind::Head => self.first_byte_latency,
            RequestKind::Credentials => self.credentials_latency,
            RequestKind::Login => self.login_latency,
            RequestKind::Cmr => self.cmr_latency,
            _ => Duration::ZERO,
        }
    }
}

/// How the field `expiration` is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expiration {
    /// `2021-01-27 00:50:09+00:00`
    #[default]
    Python,
    /// `2026-11-23 13:55:57.992482+00:00`
    PythonMicros,
    /// `2021-01-27T00:50:09Z`
    Zulu,
    /// `2021-01-27 00:50:09+0000`
    CompactOffset,
    /// `2021-01-27 00:50:09`, which means UTC.
    Zoneless,
    /// The field is missing.
    Missing,
    /// The field is null.
    Null,
    /// The field is not a time.
    Malformed,
}

/// How Earthdata Login accepts the password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PasswordMethod {
    /// The documented form and Basic.
    #[default]
    Both,
    /// Only Basic; a POST is 401.
    BasicOr401,
    /// Only Basic; a POST is 405.
    BasicOr405,
    /// Only the documented form.
    Form,
}

/// How Earthdata Login answers the right password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginAnswer {
    /// The login succeeds.
    #[default]
    Accept,
    /// 401, as for a wrong password.
    WrongPassword,
    /// A redirect that names the agreements to accept.
    Eula,
    /// A redirect that says that the user's profile is incomplete.
    Profile,
}

/// How a DAAC answers the right bearer token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BearerAnswer {
    /// The token is accepted.
    #[default]
    Accept,
    /// The token is refused: Cumulus 307, TEA 401 JSON.
    Refuse,
    /// The token is refused as malformed: Cumulus 307, TEA 302.
    Redirect,
    /// The user has not accepted an agreement: Cumulus 307, TEA 403 JSON.
    Eula,
}

/// What `/s3credentials` answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointAnswer {
    /// Credentials for a user who is logged in.
    #[default]
    Normal,
    /// 424 JSON: STS failed (Cumulus).
    FailedDependency,
    /// 500 JSON in the family's shape.
    InternalError,
    /// 503: the endpoint is switched off.
    Unavailable,
    /// 400 JSON.
    BadRequest,
    /// 403 HTML: the user's groups may access no data (TEA).
    NoPermission,
    /// 200 with a body that holds no credentials.
    Malformed,
    /// The endpoint redirects to the login after every login.
    RedirectLoop,
}

/// What CMR answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CmrAnswer {
    /// The results of the search.
    #[default]
    Normal,
    /// 500 JSON.
    InternalError,
    /// 503 HTML.
    Unavailable,
    /// 429 JSON.
    TooMany,
    /// 200 with a body that is not JSON.
    Malformed,
}

/// Which redirect of a login leads to a foreign host instead of the right one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForeignRedirect {
    /// No redirect.
    #[default]
    Never,
    /// The one from `/s3credentials` to Earthdata Login.
    Endpoint,
    /// The one from Earthdata Login back to the DAAC.
    Login,
    /// The one from the DAAC's callback to `/s3credentials`.
    Callback,
}

/// Which prefixes may be listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Listing {
    /// Every prefix.
    #[default]
    Allowed,
    /// No prefix; a missing key is then 403.
    Denied,
    /// Only prefixes that start with one of these (`X/` is the policy `s3:prefix` like `X/*`); a
    /// missing key is then 403.
    Under(Vec<String>),
}

impl Listing {
    pub(crate) fn allows(&self, prefix: &str) -> bool {
        match self {
            Self::Allowed => true,
            Self::Denied => false,
            Self::Under(prefixes) => prefixes.iter().any(|allowed| prefix.starts_with(allowed)),
        }
    }
}

mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(duration.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Failure;

    #[test]
    fn knobs_keep_their_values_in_json_and_unknown_ones_are_refused() {
        let knobs = Knobs {
            faults: vec![Fault::new(Failure::Truncate(5)).on(RequestKind::Get).times(2)],
            ..Knobs::default()
        };
        let json = serde_json::to_string(&knobs).unwrap();
        let back: Knobs = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), json);
        assert!(serde_json::from_str::<Knobs>(r#"{"list_latencyy": 1}"#).is_err());
    }

    #[test]
    fn an_allowed_prefix_must_be_listed_with_its_slash() {
        let under = Listing::Under(vec!["X/".into()]);
        for (prefix, allowed) in
            [("", false), ("X", false), ("X/", true), ("X/2020/", true), ("Y/", false)]
        {
            assert_eq!(under.allows(prefix), allowed, "{prefix}");
        }
    }
}
