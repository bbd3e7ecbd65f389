//! Which bucket is behind which endpoint, as granulefs' table of buckets and the links of granules
//! say it.

use percent_encoding::utf8_percent_encode;
use serde_json::{Value, json};

use crate::sigv4::ESCAPED_IN_PATH;
use crate::state::ServerState;

/// The table of all DAACs' buckets, as JSON.
pub(crate) fn table(world: &ServerState) -> String {
    let mut table = serde_json::Map::new();
    for (index, daac) in world.setup.daacs.iter().enumerate() {
        for bucket in &daac.buckets {
            let region = world.knobs().regions.get(bucket).unwrap_or(&world.setup.region).clone();
            let endpoint = world.credentials_url(index);
            let known = json!({ "endpoint": endpoint, "providers": [provider(&daac.name)], "region": region });
            table.insert(bucket.clone(), known);
        }
    }
    format!("{:#}\n", Value::from(table))
}

/// The link of an object, if a DAAC has its bucket.
pub(crate) fn link(world: &ServerState, bucket: &str, key: &str) -> Option<String> {
    let host = world.addresses.daacs[world.owner(bucket)?];
    Some(format!("http://{host}/{bucket}/{}", utf8_percent_encode(key, ESCAPED_IN_PATH)))
}

/// The name that a DAAC has at CMR, where its bytes in the cloud go by another name than its own.
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
