//! Hosts: how they are written, and which may see a secret.

use super::Url;
use crate::error::{Error, Problem, Refusal};

/// Returns the host of `url`, as `host` or `host:port`.
pub(crate) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Reads a host from `HOST`, `HOST:PORT` or the https URL of a server's root page. Returns it as
/// `host` or `host:port`, in lower case and without the default port.
///
/// # Errors
/// [`Error::Usage`] when it is anything else, such as a URL with a path or a user name.
pub fn parse_host(text: &str) -> Result<String, Error> {
    // The message does not repeat the text: people paste URLs that hold a password.
    let failed = || Error::usage("not a host (write HOST or HOST:PORT)");
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

/// Accepts https, and plain http to this machine itself.
///
/// # Errors
/// [`Refusal::Unencrypted`] for everything else.
pub(crate) fn require_encrypted(url: &Url) -> Result<(), Refusal> {
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(url) => Ok(()),
        scheme => Err(Refusal::Unencrypted { url: format!("{scheme}://{}", host_of(url)).into() }),
    }
}

/// Parses a URL that people write.
///
/// # Errors
/// What is wrong with it, in words that do not repeat it: it may hold a password.
pub(crate) fn parse_url(text: &str) -> Result<Url, &'static str> {
    if !text.contains("://") {
        return Err("it is not a URL: write it with https:// before the host");
    }
    Url::parse(text).map_err(|_| "it is not a URL: write it as https://HOST/PATH")
}

/// Parses `url`, the value of `flag`, and applies [`require_encrypted`].
///
/// # Errors
/// [`Error::Usage`] when it is not a URL, [`Refusal::Unencrypted`].
pub(crate) fn require_encrypted_url(flag: &str, url: &str) -> Result<(), Error> {
    let parsed = parse_url(url).map_err(|words| Error::usage(Problem::new(words).about(flag)))?;
    Ok(require_encrypted(&parsed)?)
}

/// Returns the URL of the root page at `host`, which [`parse_host`] has read: https, or plain http
/// where the host is this machine itself.
///
/// # Errors
/// [`Error::Usage`] when it is not a host.
pub(crate) fn root_url(host: &str) -> Result<Url, Error> {
    let url = |scheme: &str| {
        Url::parse(&format!("{scheme}://{host}/"))
            .map_err(|e| Error::usage(Problem::new("not a host").about(host).caused_by(e)))
    };
    let https = url("https")?;
    if is_loopback(&https) { url("http") } else { Ok(https) }
}

/// Returns whether the host of `url` is this machine itself.
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
        let is_accepted = |url: &str| require_encrypted(&Url::parse(url).unwrap()).is_ok();
        assert!(
            ["https://a.org/x", "http://localhost:1/", "http://127.0.0.2/", "http://[::1]:8/"]
                .into_iter()
                .all(is_accepted)
        );
        assert!(
            !["http://a.org/", "http://localhost.a.org/", "http://10.0.0.1/", "ftp://localhost/"]
                .into_iter()
                .any(is_accepted)
        );
    }

    #[test]
    fn a_host_is_read_however_it_is_written() {
        for text in ["u.org", "U.org", "u.org:443", "https://u.org", "https://u.org/", " u.org/ "] {
            assert_eq!(parse_host(text).unwrap(), "u.org", "{text}");
        }
        assert_eq!(parse_host("LOCALHOST:8080").unwrap(), "localhost:8080");
        for text in
            ["", "https://", "http://u.org", "u.org/login", "jane@u.org", "u.org?x", "u org"]
        {
            assert!(parse_host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_this_machine_is_asked_without_tls() {
        let root = |host| root_url(host).unwrap().to_string();
        assert_eq!(root("cmr.earthdata.nasa.gov"), "https://cmr.earthdata.nasa.gov/");
        assert_eq!(
            (root("127.0.0.3:81"), root("localhost")),
            ("http://127.0.0.3:81/".into(), "http://localhost/".into())
        );
        assert_eq!(root("localhost.org:81"), "https://localhost.org:81/");
    }
}
