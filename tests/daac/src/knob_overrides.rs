//! Knobs of one DAAC, of one bucket, and of one user in a bucket, where they differ from the
//! general ones.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::knobs::{BearerAnswer, EndpointAnswer, Expiration, Knobs, Listing, LoginAnswer};

/// How one DAAC behaves; `None` means the value in [`Knobs`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DaacKnobs {
    /// How long temporary credentials live.
    #[serde(with = "seconds")]
    pub credential_life: Option<Duration>,
    /// How the answer of `/s3credentials` states when the credentials expire.
    pub expiration: Option<Expiration>,
    /// How Earthdata Login answers the right password, when the login is for this DAAC.
    pub login: Option<LoginAnswer>,
    /// How the DAAC answers the right bearer token.
    pub bearer: Option<BearerAnswer>,
    /// What `/s3credentials` answers.
    pub endpoint: Option<EndpointAnswer>,
    /// The time before `/s3credentials` answers.
    #[serde(with = "seconds")]
    pub credentials_latency: Option<Duration>,
    /// Whether connections to the DAAC are reset, open ones included.
    pub down: Option<bool>,
    /// Whether S3 refuses the DAAC's temporary credentials as it does outside us-west-2.
    pub out_of_region: Option<bool>,
}

/// How one bucket behaves; `None` means the value in [`Knobs`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BucketKnobs {
    /// Which prefixes may be listed.
    pub listing: Option<Listing>,
    /// The prefixes whose objects are refused with 403; `""` is every object.
    pub unreadable: Option<Vec<String>>,
}

impl Knobs {
    /// Returns a DAAC's own knobs, to change them.
    pub fn daac(&mut self, name: &str) -> &mut DaacKnobs {
        self.daacs.entry(name.to_owned()).or_default()
    }

    /// Returns a bucket's own knobs, to change them.
    pub fn bucket(&mut self, name: &str) -> &mut BucketKnobs {
        self.buckets.entry(name.to_owned()).or_default()
    }

    /// Returns the values that hold for one DAAC.
    pub(crate) fn for_daac(&self, name: &str) -> Cow<'_, Self> {
        let Some(own) = self.daacs.get(name) else { return Cow::Borrowed(self) };
        let mut knobs = self.clone();
        replace(&mut knobs.credential_life, own.credential_life);
        replace(&mut knobs.expiration, own.expiration);
        replace(&mut knobs.login, own.login);
        replace(&mut knobs.bearer, own.bearer);
        replace(&mut knobs.endpoint, own.endpoint);
        replace(&mut knobs.credentials_latency, own.credentials_latency);
        replace(&mut knobs.daac_down, own.down);
        replace(&mut knobs.out_of_region, own.out_of_region);
        Cow::Owned(knobs)
    }

    /// Returns a bucket's own knobs for another user than the first, to change them.
    pub fn user(&mut self, name: &str, bucket: &str) -> &mut BucketKnobs {
        self.users.entry(name.to_owned()).or_default().entry(bucket.to_owned()).or_default()
    }

    /// Returns the values that hold for one user in one bucket.
    pub(crate) fn for_user(&self, name: &str, bucket: &str) -> Cow<'_, Self> {
        let Some(own) = self.users.get(name).and_then(|buckets| buckets.get(bucket)) else {
            return self.for_bucket(bucket);
        };
        let mut knobs = self.for_bucket(bucket).into_owned();
        replace(&mut knobs.listing, own.listing.clone());
        replace(&mut knobs.unreadable, own.unreadable.clone());
        Cow::Owned(knobs)
    }

    /// Returns the values that hold for one bucket.
    pub(crate) fn for_bucket(&self, name: &str) -> Cow<'_, Self> {
        let Some(own) = self.buckets.get(name) else { return Cow::Borrowed(self) };
        let mut knobs = self.clone();
        replace(&mut knobs.listing, own.listing.clone());
        replace(&mut knobs.unreadable, own.unreadable.clone());
        Cow::Owned(knobs)
    }
}

fn replace<T>(general: &mut T, own: Option<T>) {
    if let Some(own) = own {
        *general = own;
    }
}

mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        duration.map(|duration| duration.as_secs_f64()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let seconds = Option::<f64>::deserialize(deserializer)?;
        seconds
            .map(|seconds| Duration::try_from_secs_f64(seconds).map_err(D::Error::custom))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daac_and_a_bucket_differ_from_the_general_knobs_only_in_their_own() {
        let mut knobs = Knobs { endpoint: EndpointAnswer::BadRequest, ..Knobs::default() };
        knobs.daac("ASF").credential_life = Some(Duration::from_millis(1500));
        knobs.bucket("b").listing = Some(Listing::Denied);
        let json = serde_json::to_string(&knobs).unwrap();
        let knobs: Knobs = serde_json::from_str(&json).unwrap();
        let asf = knobs.for_daac("ASF");
        assert_eq!(
            (asf.credential_life, asf.endpoint),
            (Duration::from_millis(1500), EndpointAnswer::BadRequest)
        );
        assert_eq!(knobs.for_daac("PODAAC").credential_life, Duration::from_secs(3600));
        assert_eq!(knobs.for_bucket("b").listing, Listing::Denied);
        assert_eq!(knobs.for_bucket("c").listing, Listing::Allowed);
        assert!(
            serde_json::from_str::<Knobs>(r#"{"daacs": {"ASF": {"endpointt": "normal"}}}"#)
                .is_err()
        );
    }
}
