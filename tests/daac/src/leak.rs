//! Secrets where they do not belong.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::Request;
use hyper::header::AUTHORIZATION;
use percent_encoding::percent_decode_str;

use crate::server::Role;
use crate::sessions::cookies;
use crate::state::ServerState;

/// Names the secret that a request shows to a server that must not see it.
///
/// The password belongs to Earthdata Login, the bearer token to `/s3credentials`, a cookie to the
/// host that set it, nothing at all to the trap host, and no secret into a URL.
pub(crate) fn find(
    world: &ServerState,
    role: Role,
    request: &Request<Bytes>,
) -> Option<&'static str> {
    let authorization =
        request.headers().get(AUTHORIZATION).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let authorization = authorization.as_deref().unwrap_or_default();
    if authorization.starts_with("Basic ") && role != Role::Login {
        return Some("Basic credentials");
    }
    if authorization.starts_with("Bearer ")
        && !(matches!(role, Role::Daac(_)) && request.uri().path() == "/s3credentials")
    {
        return Some("bearer token");
    }
    if !authorization.is_empty() && role == Role::Trap {
        return Some("authorization at a foreign host");
    }
    let password = world.setup.password.as_str();
    let pair = STANDARD.encode(format!("{}:{password}", world.setup.user));
    if role != Role::Login
        && form_urlencoded::parse(request.body())
            .any(|(_, value)| value == pair || value == password)
    {
        return Some("password in a body");
    }
    let target = request.uri().to_string();
    let target = percent_decode_str(&target).decode_utf8_lossy();
    if [&world.token, password, &pair].into_iter().any(|secret| target.contains(secret)) {
        return Some("secret in a URL");
    }
    let sessions = world.sessions.lock();
    cookies(request)
        .any(|(_, value)| sessions.owner(value).is_some_and(|owner| owner != role))
        .then_some("cookie of another host")
}
