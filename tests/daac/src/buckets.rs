//! The endpoint of each bucket, as granulefs' bucket table and the https links of granules state
//! it.

use percent_encoding::utf8_percent_encode;
use serde_json::{Value, json};

use crate::sigv4::ESCAPED_IN_PATH;
use crate::state::ServerState;

/// Returns the table of all DAACs' buckets, as JSON.
pub(crate) fn table(state: &ServerState) -> String {
    let mut table = serde_json::Map::new();
    for (index, daac) in state.setup.daacs.iter().enumerate() {
        for bucket in &daac.buckets {
            let region = state.knobs().regions.get(bucket).unwrap_or(&state.setup.region).clone();
            let endpoint = state.credentials_url(index);
            let providers = [provider(&daac.name)];
            let known = json!({ "endpoint": endpoint, "providers": providers, "region": region });
            table.insert(bucket.clone(), known);
        }
    }
    format!("{:#}\n", Value::from(table))
}

/// Returns the https link of an object, `None` when no DAAC has its bucket.
pub(crate) fn link(state: &ServerState, bucket: &str, key: &str) -> Option<String> {
    let host = state.addresses.daacs[state.owner(bucket)?];
    Some(format!("http://{host}/{bucket}/{}", utf8_percent_encode(key, ESCAPED_IN_PATH)))
}

/// Returns CMR's provider name for a DAAC's data in the cloud, which may differ from the DAAC's own
/// name.
pub(crate) fn provider(daac: &str) -> &str {
    match daac {
        "PODAAC" => "POCLOUD",
        "NSIDC" => "NSIDC_CPRD",
        "LPDAAC" => "LPCLOUD",
        "ORNL" => "ORNL_CLOUD",
        "GHRC" => "GHRC_DAAC",
        "ASDC" => "LARC_CLOUD",
        "GES DISC" => "GES_DISC",
        "OB.DAAC" => "OB_CLOUD",
        same => same,
    }
}
