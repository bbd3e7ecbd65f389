//! What can be turned while the archive runs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::journal::Kind;
use crate::overrides::{BucketKnobs, DaacKnobs};

/// How the archive behaves. The default is a healthy archive that adds no delay. In JSON, durations
/// are seconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Knobs {
    /// How long session credentials live.
    #[serde(with = "seconds")]
    pub credential_life: Duration,
    /// A DAAC hands out the same credentials as long as they live.
    pub same_credentials: bool,
    /// How long the cookie of a DAAC is good for.
    #[serde(with = "seconds")]
    pub cookie_life: Duration,
    /// How the answer of `/s3credentials` says when the credentials die.
    pub expiration: Expiration,
    /// The answer of `/s3credentials` claims to be `text/html`.
    pub credentials_as_html: bool,
    /// Seconds by which every clock of the archive is ahead of this machine's.
    pub clock_shift: i64,

    /// Which way of sending the password Earthdata Login takes.
    pub password_ways: PasswordWays,
    /// What Earthdata Login says to the right password.
    pub login: LoginAnswer,
    /// What a DAAC does with the right bearer token.
    pub bearer: BearerAnswer,
    /// What `/s3credentials` answers.
    pub endpoint: EndpointAnswer,
    /// Which redirect of the login leads to a foreign host.
    pub trap: Trap,
    /// Cumulus as the older standalone endpoint: route `/redirect`, answered with 307.
    pub older_callback: bool,
    /// Connections to Earthdata Login are reset, open ones too.
    pub edl_down: bool,
    /// Connections to every DAAC are reset, open ones too.
    pub daac_down: bool,
    /// Connections to S3 are reset, open ones too.
    pub s3_down: bool,
    /// Connections to CMR are reset, open ones too.
    pub cmr_down: bool,
    /// What CMR answers.
    pub cmr: CmrAnswer,

    /// Time before a page of a listing is answered.
    #[serde(with = "seconds")]
    pub list_latency: Duration,
    /// Time before the first byte of a GET or HEAD is answered.
    #[serde(with = "seconds")]
    pub first_byte_latency: Duration,
    /// Time before `/s3credentials` answers.
    #[serde(with = "seconds")]
    pub credentials_latency: Duration,
    /// Time before Earthdata Login answers.
    #[serde(with = "seconds")]
    pub login_latency: Duration,
    /// Time before CMR answers.
    #[serde(with = "seconds")]
    pub cmr_latency: Duration,
    /// Bytes per second of each S3 body; 0 is as fast as it goes.
    pub bandwidth: u64,

    /// The most lines of a page, whatever is asked for.
    pub page_size: usize,
    /// Pages are cut short at random, to nothing even, and say that more is to come.
    pub short_pages: bool,
    /// A page that is not the last one names no continuation token.
    pub tokenless_pages: bool,
    /// `encoding-type=url` writes a space as `%20`, where S3 writes `+`.
    pub space_as_percent: bool,
    /// `encoding-type=url` writes `/` in keys (not in common prefixes) as `%2F`, as some stores do.
    pub slash_as_percent: bool,
    /// `start-after` a key within a common prefix leaves out that common prefix, as some stores do.
    pub start_after_skips_group: bool,
    /// Who may list.
    pub listing: Listing,
    /// Objects under these prefixes are refused with 403.
    pub unreadable: Vec<String>,
    /// Expired credentials get 403 AccessDenied instead of 400 ExpiredToken.
    pub expired_is_denied: bool,
    /// Everything is refused as it is for clients outside us-west-2.
    pub out_of_region: bool,
    /// Buckets that live in another region: 301 to whoever signs for the wrong one.
    pub regions: BTreeMap<String, String>,

    /// DAACs with knobs of their own, by name; [`Knobs::daac`] turns them.
    pub daacs: BTreeMap<String, DaacKnobs>,
    /// Buckets with knobs of their own, by name; [`Knobs::bucket`] turns them.
    pub buckets: BTreeMap<String, BucketKnobs>,
    /// What other users than the first may, by name and bucket; [`Knobs::user`] turns them.
    pub users: BTreeMap<String, BTreeMap<String, BucketKnobs>>,

    /// Things that go wrong; the first one that fits a request happens to it.
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
            password_ways: PasswordWays::default(),
            login: LoginAnswer::default(),
            bearer: BearerAnswer::default(),
            endpoint: EndpointAnswer::default(),
            trap: Trap::default(),
            older_callback: false,
            edl_down: false,
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
            start_after_skips_group: false,
            listing: Listing::default(),
            unreadable: Vec::new(),
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
    pub(crate) fn latency(&self, kind: Kind) -> Duration {
        match kind {
            Kind::List => self.list_latency,
            Kind::Get | Kind::Head => self.first_byte_latency,
            Kind::Credentials => self.credentials_latency,
            Kind::Login => self.login_latency,
            Kind::Cmr => self.cmr_latency,
            _ => Duration::ZERO,
        }
    }
}

/// How `expiration` is written.
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
    /// `2021-01-27 00:50:09`, meaning UTC.
    Zoneless,
    /// The field is not there.
    Missing,
    /// The field is null.
    Null,
    /// The field is no time at all.
    Garbage,
}

/// Which way of sending the password Earthdata Login takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PasswordWays {
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

/// What Earthdata Login says to the right password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginAnswer {
    /// Come in.
    #[default]
    Accept,
    /// 401, as for a wrong password.
    WrongPassword,
    /// A redirect that says which agreements are not accepted.
    Eula,
    /// A redirect that says that the user's profile is incomplete.
    Profile,
}

/// What a DAAC does with the right bearer token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BearerAnswer {
    /// Takes it.
    #[default]
    Accept,
    /// Refuses it the way the family does: Cumulus 307, TEA 401 JSON.
    Refuse,
    /// Refuses it as a token it cannot read: Cumulus 307, TEA 302.
    Redirect,
    /// The user has not accepted an agreement: Cumulus 307, TEA 403 JSON.
    Eula,
}

/// What `/s3credentials` answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointAnswer {
    /// Credentials to whoever is logged in.
    #[default]
    Normal,
    /// 424 JSON, STS failed (Cumulus).
    FailedDependency,
    /// 500 JSON in the family's shape.
    InternalError,
    /// 503, switched off.
    Unavailable,
    /// 400 JSON.
    BadRequest,
    /// 403 HTML, the user's groups give access to nothing (TEA).
    NoPermission,
    /// 200 with something that is not credentials.
    Nonsense,
    /// The login is taken, but asked for again and again.
    RedirectLoop,
}

/// What CMR answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CmrAnswer {
    /// What it is asked.
    #[default]
    Normal,
    /// 500 JSON.
    InternalError,
    /// 503 HTML.
    Unavailable,
    /// 429 JSON.
    TooMany,
    /// 200 with something that is no answer.
    Nonsense,
}

/// Which redirect leads to the trap host instead of where it should.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trap {
    /// None.
    #[default]
    Never,
    /// The one from `/s3credentials` to Earthdata Login.
    Endpoint,
    /// The one from Earthdata Login back to the DAAC.
    Login,
    /// The one from the DAAC's callback to `/s3credentials`.
    Callback,
}

/// Who may list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Listing {
    /// Anyone who may read.
    #[default]
    Allowed,
    /// Nobody; a missing key is then 403.
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
    fn knobs_survive_json_and_unknown_ones_are_refused() {
        let knobs = Knobs {
            faults: vec![Fault::new(Failure::Truncate(5)).on(Kind::Get).next(2)],
            ..Knobs::default()
        };
        let json = serde_json::to_string(&knobs).unwrap();
        let back: Knobs = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), json);
        assert!(serde_json::from_str::<Knobs>(r#"{"list_latencyy": 1}"#).is_err());
    }

    #[test]
    fn listing_under_a_prefix_needs_its_slash() {
        let under = Listing::Under(vec!["X/".into()]);
        for (prefix, allowed) in
            [("", false), ("X", false), ("X/", true), ("X/2020/", true), ("Y/", false)]
        {
            assert_eq!(under.allows(prefix), allowed, "{prefix}");
        }
    }
}
