//! The library against the local archive, in process, without a mount. Each test names the paragraph of `docs/semantics.md`, or the
//! item of the issue, that it proves.

#[cfg(test)]
mod architecture;
#[cfg(test)]
mod house;
#[cfg(test)]
mod login;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod tree;
