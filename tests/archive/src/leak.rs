//! Secrets where they do not belong.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::Request;
use hyper::header::{AUTHORIZATION, COOKIE};

use crate::server::Role;
use crate::world::World;

/// Names the secret that a request shows to a server that must not see it.
///
/// The password belongs to Earthdata Login, the bearer token to `/s3credentials`, nothing at all to the trap host, and no secret to any URL.
pub(crate) fn find(world: &World, role: Role, request: &Request<Bytes>) -> Option<&'static str> {
    let path = request.uri().path();
    let authorization = request.headers().get(AUTHORIZATION).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let authorization = authorization.unwrap_or_default();
    let target = request.uri().to_string();
    let password = STANDARD.encode(format!("{}:{}", world.setup.user, world.setup.password));
    let body =
        form_urlencoded::parse(request.body()).any(|(_, value)| value == password || value == world.setup.password.as_str());
    if authorization.starts_with("Basic ") && role != Role::Login {
        return Some("Basic credentials");
    }
    if authorization.starts_with("Bearer ") && !(matches!(role, Role::Daac(_)) && path == "/s3credentials") {
        return Some("bearer token");
    }
    if body && role != Role::Login {
        return Some("password in a body");
    }
    if [&world.token, &world.setup.password, &password].into_iter().any(|secret| target.contains(secret.as_str())) {
        return Some("secret in a URL");
    }
    if role == Role::Trap && (!authorization.is_empty() || request.headers().contains_key(COOKIE)) {
        return Some("credentials at a foreign host");
    }
    None
}
