//! Tests of the library against the fake DAAC, in one process and without a mount.
#![cfg(test)]

mod architecture;
mod canned_server;
mod connect;
mod credential_fallback;
mod credential_renewal;
mod environment;
mod fetch_failures;
mod habits;
mod hedging;
mod identity_changes;
mod lies;
mod listing_memory;
mod login;
mod login_hosts;
mod login_refusals;
mod model;
mod names;
mod path_filesystem;
mod pattern_budgets;
mod permissions;
mod read_budgets;
mod reading;
mod request_budgets;
mod s3_faults;
mod secrets;
mod several_buckets;
mod sidecars;
mod streams;
mod strided_reads;
mod troubleshooting;
mod walks;
mod workload;
mod wrong_answers;
