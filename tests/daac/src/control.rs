//! The control listener for scripts: knobs, counts and objects over plain HTTP and JSON.

use bytes::Bytes;
use hyper::{Method, Request, Response};
use serde::Serialize;
use serde_json::Value;

use crate::answers::json;
use crate::content::Content;
use crate::knobs::Knobs;
use crate::response_body::ResponseBody;
use crate::state::ServerState;
use crate::store::PutOptions;
use crate::{buckets, catalog};

/// Answers a request to the control listener.
pub(crate) fn answer(state: &ServerState, request: &Request<Bytes>) -> Response<ResponseBody> {
    let query: Vec<_> =
        form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).collect();
    let find =
        |name: &str| query.iter().find(|(known, _)| known == name).map(|(_, value)| &**value);
    match (request.method(), request.uri().path(), find("bucket"), find("key")) {
        (&Method::GET, "/stats", ..) => document(&state.request_log.stats()),
        (&Method::GET, "/log", ..) => document(&state.request_log.log()),
        (&Method::GET, "/knobs", ..) => document(&*state.knobs()),
        (&Method::PUT, "/knobs", ..) => match patch_knobs(state, request.body()) {
            Ok(()) => document(&*state.knobs()),
            Err(complaint) => json(400, &Value::from(complaint).to_string()),
        },
        (&Method::GET, "/buckets", ..) => json(200, &buckets::table(state)),
        (&Method::POST, "/collections", ..) => match serde_json::from_slice(request.body()) {
            Ok(collection) => document(&catalog::publish(state, collection)),
            Err(error) => json(400, &Value::from(error.to_string()).to_string()),
        },
        (&Method::POST, "/reset", ..) => {
            state.request_log.reset();
            json(200, "{}")
        }
        (&Method::POST, "/put", Some(bucket), Some(key)) => {
            let size = find("size").and_then(|size| size.parse().ok());
            let content =
                size.map_or_else(|| Content::Bytes(request.body().clone()), Content::synthetic);
            state.store.write().put(bucket, key, content, PutOptions::default());
            json(200, "{}")
        }
        (&Method::POST, "/delete", Some(bucket), Some(key)) => {
            state.store.write().delete(bucket, key);
            json(200, "{}")
        }
        _ => json(
            404,
            "\"GET /stats /log /knobs /buckets, PUT /knobs, POST /collections /reset \
             /put?bucket&key[&size] /delete?bucket&key\"",
        ),
    }
}

fn document(value: &impl Serialize) -> Response<ResponseBody> {
    match serde_json::to_string(value) {
        Ok(text) => json(200, &text),
        Err(error) => json(500, &Value::from(error.to_string()).to_string()),
    }
}

fn patch_knobs(state: &ServerState, patch: &[u8]) -> Result<(), String> {
    let knobs = patched(&state.knobs(), patch).map_err(|error| error.to_string())?;
    state.check(&knobs)?;
    state.live_knobs.change(|current| *current = knobs);
    Ok(())
}

fn patched(knobs: &Knobs, patch: &[u8]) -> serde_json::Result<Knobs> {
    let mut value = serde_json::to_value(knobs)?;
    merge(&mut value, serde_json::from_slice(patch)?);
    serde_json::from_value(value)
}

/// Merges as RFC 7396 says, except that null is a value: it resets a DAAC's or a bucket's own knob.
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
