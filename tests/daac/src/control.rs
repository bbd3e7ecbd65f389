//! The listener for scripts: knobs, counts and objects over plain HTTP and JSON.

use bytes::Bytes;
use hyper::{Method, Request, Response};
use serde::Serialize;
use serde_json::Value;

use crate::answers::json;
use crate::content::Content;
use crate::knobs::Knobs;
use crate::payload::Payload;
use crate::state::ServerState;
use crate::store::Attributes;
use crate::{buckets, catalogue};

/// Answers the control listener.
pub(crate) fn answer(world: &ServerState, request: &Request<Bytes>) -> Response<Payload> {
    let query: Vec<_> =
        form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).collect();
    let find =
        |name: &str| query.iter().find(|(known, _)| known == name).map(|(_, value)| &**value);
    match (request.method(), request.uri().path(), find("bucket"), find("key")) {
        (&Method::GET, "/stats", ..) => document(&world.journal.stats()),
        (&Method::GET, "/log", ..) => document(&world.journal.log()),
        (&Method::GET, "/knobs", ..) => document(&*world.knobs()),
        (&Method::PUT, "/knobs", ..) => match turn(world, request.body()) {
            Ok(()) => document(&*world.knobs()),
            Err(complaint) => json(400, &Value::from(complaint).to_string()),
        },
        (&Method::GET, "/buckets", ..) => json(200, &buckets::table(world)),
        (&Method::POST, "/collections", ..) => match serde_json::from_slice(request.body()) {
            Ok(collection) => document(&catalogue::publish(world, collection)),
            Err(error) => json(400, &Value::from(error.to_string()).to_string()),
        },
        (&Method::POST, "/reset", ..) => {
            world.journal.reset();
            json(200, "{}")
        }
        (&Method::POST, "/put", Some(bucket), Some(key)) => {
            let size = find("size").and_then(|size| size.parse().ok());
            let content =
                size.map_or_else(|| Content::Bytes(request.body().clone()), Content::synthetic);
            world.store.write().put(bucket, key, content, Attributes::default());
            json(200, "{}")
        }
        (&Method::POST, "/delete", Some(bucket), Some(key)) => {
            world.store.write().delete(bucket, key);
            json(200, "{}")
        }
        _ => json(
            404,
            r#""GET /stats /log /knobs /buckets, PUT /knobs, POST /collections /reset /put?bucket&key[&size] /delete?bucket&key""#,
        ),
    }
}

fn document(value: &impl Serialize) -> Response<Payload> {
    match serde_json::to_string(value) {
        Ok(text) => json(200, &text),
        Err(error) => json(500, &Value::from(error.to_string()).to_string()),
    }
}

fn turn(world: &ServerState, patch: &[u8]) -> Result<(), String> {
    let knobs = patched(&world.knobs(), patch).map_err(|error| error.to_string())?;
    world.check(&knobs)?;
    world.panel.turn(|current| *current = knobs);
    Ok(())
}

fn patched(knobs: &Knobs, patch: &[u8]) -> serde_json::Result<Knobs> {
    let mut value = serde_json::to_value(knobs)?;
    merge(&mut value, serde_json::from_slice(patch)?);
    serde_json::from_value(value)
}

/// RFC 7396, but null is a value: a DAAC's or a bucket's own knob that is turned back.
pub(crate) fn merge(value: &mut Value, patch: Value) {
    match (value, patch) {
        (Value::Object(fields), Value::Object(patch)) => {
            for (name, change) in patch {
                merge(fields.entry(name).or_insert(Value::Null), change);
            }
        }
        (value, patch) => *value = patch,
    }
}
