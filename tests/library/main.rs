//! The library against the local archive, in process, without a mount. Each test names the
//! paragraph of `docs/semantics.md`, or the item of the issue, that it proves.
#![cfg(test)]

mod architecture;
mod canned_server;
mod credential_fallback;
mod credential_renewal;
mod environment;
mod fetch_failures;
mod hedging;
mod login;
mod login_refusals;
mod model;
mod names;
mod path_filesystem;
mod permissions;
mod read_budgets;
mod reading;
mod request_budgets;
mod s3_faults;
mod secrets;
mod several_buckets;
mod streams;
mod strided_reads;
mod troubleshooting;
mod wrong_answers;
