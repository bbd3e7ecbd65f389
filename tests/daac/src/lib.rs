//! A fake DAAC on loopback: Earthdata Login, `/s3credentials` as both server families serve it,
//! CMR, and an S3 that is stricter than AWS.
//!
//! A test starts a [`FakeDaac`], fills its buckets, changes its [`Knobs`] while it runs, and reads
//! afterwards which requests it received.
//!
//! | purpose | how |
//! |---|---|
//! | five buckets behind three DAACs, two families | [`Setup::three_daacs`]; the table for `--buckets-file`: [`FakeDaac::buckets_file`] |
//! | one DAAC that fails among healthy ones | `set(\|knobs\| knobs.daac("ASF").endpoint = Some(EndpointAnswer::Unavailable))`; [`DaacKnobs`] has the rest |
//! | the permissions of one bucket | `set(\|knobs\| knobs.bucket("asf-local-browse").listing = Some(Listing::Denied))`; [`BucketKnobs`] |
//! | another user with other permissions | [`FakeDaac::add_user`], `set(\|knobs\| knobs.user("eve", "granules").listing = Some(Listing::Denied))` |
//! | everything healthy again | `set(\|knobs\| knobs.daacs.clear())`, `set(\|knobs\| knobs.buckets.clear())` |
//! | which DAAC issued credentials, and how often | [`FakeDaac::daac_stats`] |
//! | credentials of a role, for some buckets | [`FakeDaac::temporary_keys_of`], [`FakeDaac::static_keys_of`] |
//! | the https link of a granule | [`FakeDaac::https_link`]; requests for such links are counted in [`Stats::links`] |
//! | CMR | [`FakeDaac::cmr_host`], [`FakeDaac::publish`] with a [`DirectDistribution`], [`FakeDaac::publish_recorded`]; [`Knobs::cmr`], `cmr_down`, `cmr_latency` |
//! | a failure at random or n times | [`FakeDaac::add_fault`] with a [`Fault`] `.on(RequestKind)`, `.containing(key)`, `.covering(byte)`, `.of_daac(daac)`, `.in_bucket(bucket)`, `.times(n)` |
//!
//! The program `fake-daac` has `--daac`, `--collection` and `--knobs` for the same, and the control
//! listener for the rest.

mod answers;
mod authentication;
mod buckets;
mod catalog;
mod cmr;
mod content;
mod control;
mod daac;
mod dispatch;
mod fake_daac;
mod fault;
pub mod granules;
mod key_pattern;
mod keys;
mod knob_overrides;
mod knobs;
mod lie;
mod list_objects;
mod live_knobs;
mod login;
mod netcdf;
mod page;
mod range;
mod request_log;
mod resettable_stream;
mod response_body;
mod s3;
mod s3_error;
mod secret_leak;
mod server;
mod sessions;
mod setup;
mod sigv4;
mod state;
mod stats;
mod store;
#[cfg(test)]
mod tests;

pub use catalog::{Collection, DirectDistribution};
pub use content::{Content, Object};
pub use fake_daac::FakeDaac;
pub use fault::{Failure, Fault};
pub use key_pattern::SyntheticObjects;
pub use knob_overrides::{BucketKnobs, DaacKnobs};
pub use knobs::{
    BearerAnswer, CmrAnswer, EndpointAnswer, Expiration, ForeignRedirect, Knobs, Listing,
    LoginAnswer, PasswordMethod,
};
pub use lie::Lie;
pub use request_log::{LoggedRequest, RequestKind};
pub use setup::{Daac, Family, Setup};
pub use stats::{DaacStats, Stats};
pub use store::PutOptions;
