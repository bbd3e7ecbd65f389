//! What the environment says about the way out of this machine, the same for NASA's web services
//! and for S3: proxies, and certificate authorities beside those of the system.

use std::sync::LazyLock;

use reqwest::Certificate;

use super::{Failure, Url};
use crate::error::{Error, Problem};

/// The variable with which AWS's own tools name a file of certificates.
const CA_BUNDLE: &str = "AWS_CA_BUNDLE";

/// Returns whether requests to `url` go through the proxy that the environment names, if it names
/// one for them. The variables and their meaning are those of hyper-util's matcher.
///
/// Plain http is spoken to this machine only: a proxy would carry the secrets off it in the clear.
pub(crate) fn may_be_proxied(url: &Url) -> bool {
    url.scheme() != "http"
}

/// The variables that replace the system's certificate authorities.
const SYSTEM: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// The certificate authorities of `AWS_CA_BUNDLE`.
#[derive(Clone, Debug, Default)]
pub(crate) struct AddedAuthorities {
    /// The file as it is, in PEM; empty when none is named.
    pub(crate) pem: Vec<u8>,
    pub(super) certificates: Vec<Certificate>,
}

/// Returns the certificate authorities that are trusted beside those of the system, which
/// `SSL_CERT_FILE` and `SSL_CERT_DIR` replace.
///
/// # Errors
/// [`Error::Usage`] when a file that the environment names is not there, or holds no certificate.
pub(crate) fn added_authorities() -> Result<&'static AddedAuthorities, Error> {
    static ADDED: LazyLock<Result<AddedAuthorities, Error>> =
        LazyLock::new(|| check_system().and_then(|()| read()));
    ADDED.as_ref().map_err(Error::clone)
}

/// Tries what replaces the system's authorities: with none, no server could be trusted.
fn check_system() -> Result<(), Error> {
    let set = SYSTEM.map(|name| (name, std::env::var_os(name)));
    let Some((name, value)) = set.iter().find_map(|(name, value)| Some((name, value.as_ref()?)))
    else {
        return Ok(());
    };
    let tried = reqwest::Client::builder().build();
    tried.map(drop).map_err(|error| {
        let problem = Problem::new("no usable certificate is there (in PEM)");
        let shown = std::path::Path::new(value).display();
        let problem = problem.about(format_args!("{name} ({shown})"));
        Error::usage(problem.caused_by(Failure::from(error)))
    })
}

fn read() -> Result<AddedAuthorities, Error> {
    let Some(path) = std::env::var_os(CA_BUNDLE).filter(|path| !path.is_empty()) else {
        return Ok(AddedAuthorities::default());
    };
    let shown = std::path::Path::new(&path).display();
    let failed =
        |words: &'static str| Problem::new(words).about(format_args!("{CA_BUNDLE} ({shown})"));
    let pem = std::fs::read(&path)
        .map_err(|error| Error::usage(failed("cannot read the file").caused_by(error)))?;
    let unusable = "the file holds no usable certificate (in PEM)";
    let certificates = Certificate::from_pem_bundle(&pem)
        .map_err(|error| Error::usage(failed(unusable).caused_by(Failure::from(error))))?;
    // The AWS SDK panics where a certificate cannot be read, so all of them are tried here.
    let tried = reqwest::Client::builder().tls_certs_only(certificates.clone()).build();
    match tried {
        Err(error) => Err(Error::usage(failed(unusable).caused_by(Failure::from(error)))),
        Ok(_) if certificates.is_empty() => Err(Error::usage(failed(unusable))),
        Ok(_) => Ok(AddedAuthorities { pem, certificates }),
    }
}
