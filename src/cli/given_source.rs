//! A source together with the words in which it was given.

use std::str::FromStr;

use crate::catalog::{Source, is_link_without_scheme};
use crate::error::Error;

/// A source, and how it was written.
#[derive(Clone, Debug)]
pub struct GivenSource {
    /// What it means.
    pub source: Source,
    /// What mount(8) shows for it: the words as they were given, so that `mount -a` finds the line
    /// of fstab(5) mounted already. The table of mounts is open to everybody, so user name,
    /// password and query of a link, which may hold its signature, are left out.
    pub shown: String,
}

impl FromStr for GivenSource {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Ok(Self { source: text.parse()?, shown: shown(text.trim()) })
    }
}

fn shown(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        // In a key of s3:// these characters are its own.
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("s3") => return text.into(),
        // Browsers, and the parser of links, pass over further slashes before the host.
        Some((scheme, rest)) => (format!("{scheme}://"), rest.trim_start_matches(['/', '\\'])),
        None if is_link_without_scheme(text) => (String::new(), text),
        None => return text.into(),
    };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit('@').next().unwrap_or_default();
    format!("{scheme}{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_shown_as_it_was_given_without_what_may_be_secret() {
        for text in ["b", "b/", "b/p", "s3://b/p?a@b#c", "collection: X@6", "https://d.org/b/a@b"] {
            assert_eq!(shown(text), text);
        }
        let signed = "https://jane:pw@d.org:443/b-1/a%20b.nc?X-Amz-Signature=0a&A-userid=jane#top";
        assert_eq!(shown(signed), "https://d.org:443/b-1/a%20b.nc");
        assert_eq!(shown("https:///jane:pw@d.org/b/x"), "https://d.org/b/x");
        let signed = "b-1.s3.us-west-2.amazonaws.com/a.nc?X-Amz-Signature=0a";
        assert_eq!(shown(signed), "b-1.s3.us-west-2.amazonaws.com/a.nc");
    }
}
