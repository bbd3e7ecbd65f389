//! The library against the local archive, in process, without a mount. Each test names the paragraph of `docs/semantics.md`, or the
//! item of the issue, that it proves.

#[cfg(test)]
mod architecture;
#[cfg(test)]
mod budgets;
#[cfg(test)]
mod credentials;
#[cfg(test)]
mod fallback;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod house;
#[cfg(test)]
mod login;
#[cfg(test)]
mod model;
#[cfg(test)]
mod names;
#[cfg(test)]
mod permissions;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod server;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod tree;
#[cfg(test)]
mod troubleshooting;
