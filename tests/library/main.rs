//! The library against the local archive, in process, without a mount. Each test names the
//! paragraph of `docs/semantics.md`, or the item of the issue, that it proves.
#![cfg(test)]

mod answers;
mod architecture;
mod budgets;
mod connect;
mod credentials;
mod environment;
mod fallback;
mod faults;
mod late;
mod login;
mod model;
mod names;
mod permissions;
mod reading;
mod refusals;
mod secrets;
mod server;
mod several;
mod single_flight;
mod streams;
mod strides;
mod tree;
mod troubleshooting;
mod workloads;
