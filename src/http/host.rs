//! Hosts: how they are written, and which may see a secret.

use reqwest::Url;

use crate::error::{Error, Refusal};

/// `host` or `host:port`, as `--earthdata-host` is written.
pub(crate) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// An Earthdata Login host in the one way that it is written: `host` or `host:port`, out of what
/// people copy.
///
/// # Errors
/// [`Error::Usage`] when more than that is in it, or less.
pub fn normal_host(text: &str) -> Result<String, Error> {
    // Without repeating it: people copy passwords along.
    let failed = || Error::usage("this is no host (write HOST or HOST:PORT)");
    let text = text.trim();
    let url = if text.contains("://") {
        Url::parse(text)
    } else {
        Url::parse(&format!("https://{text}"))
    };
    let url = url.map_err(|_| failed())?;
    let is_bare = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if url.scheme() != "https" || url.path() != "/" || !is_bare {
        return Err(failed());
    }
    Ok(host_of(&url))
}

/// Lets https pass, and http to this machine itself.
///
/// # Errors
/// [`Refusal::Unencrypted`] for everything else.
pub fn require_private(url: &Url) -> Result<(), Refusal> {
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(url) => Ok(()),
        scheme => Err(Refusal::Unencrypted { url: format!("{scheme}://{}", host_of(url)).into() }),
    }
}

/// [`require_private`] for the value of `flag`, which is still text.
///
/// # Errors
/// [`Error::Usage`] when it is no URL.
pub fn require_private_url(flag: &str, url: &str) -> Result<(), Error> {
    // Without repeating it: there may be a password in it.
    let parsed =
        Url::parse(url).map_err(|e| Error::usage(format!("the value of {flag} is no URL: {e}")))?;
    Ok(require_private(&parsed)?)
}

/// The root of the server at `host`, as [`normal_host`] writes it: https, or http on this machine
/// itself.
///
/// # Errors
/// [`Error::Usage`] when it is no host.
pub(crate) fn root_of(host: &str) -> Result<Url, Error> {
    let url = |scheme: &str| {
        Url::parse(&format!("{scheme}://{host}/"))
            .map_err(|e| Error::usage(format!("{host:?} is no host: {e}")))
    };
    let secure = url("https")?;
    if is_loopback(&secure) { url("http") } else { Ok(secure) }
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_over_https_or_to_loopback_only() {
        let private = |url: &str| require_private(&Url::parse(url).unwrap()).is_ok();
        assert!(
            ["https://a.org/x", "http://localhost:1/", "http://127.0.0.2/", "http://[::1]:8/"]
                .into_iter()
                .all(private)
        );
        assert!(
            !["http://a.org/", "http://localhost.a.org/", "http://10.0.0.1/", "ftp://localhost/"]
                .into_iter()
                .any(private)
        );
    }

    #[test]
    fn a_host_is_written_in_many_ways() {
        for text in ["u.org", "U.org", "u.org:443", "https://u.org", "https://u.org/", " u.org/ "] {
            assert_eq!(normal_host(text).unwrap(), "u.org", "{text}");
        }
        assert_eq!(normal_host("LOCALHOST:8080").unwrap(), "localhost:8080");
        for text in
            ["", "https://", "http://u.org", "u.org/login", "jane@u.org", "u.org?x", "u org"]
        {
            assert!(normal_host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_this_machine_is_spoken_to_without_tls() {
        let root = |host| root_of(host).unwrap().to_string();
        assert_eq!(root("cmr.earthdata.nasa.gov"), "https://cmr.earthdata.nasa.gov/");
        assert_eq!(
            (root("127.0.0.3:81"), root("localhost")),
            ("http://127.0.0.3:81/".into(), "http://localhost/".into())
        );
        assert_eq!(root("localhost.org:81"), "https://localhost.org:81/");
    }
}
