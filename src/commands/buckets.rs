//! `granulefs buckets`

use std::collections::BTreeMap;

use super::output;
use crate::catalog::{BucketInfo, BucketTable};
use crate::cli::BucketsArgs;
use crate::error::Error;

/// Prints the buckets that are asked for.
///
/// # Errors
/// [`Error::Usage`] when there are none, or when the table cannot be read.
pub fn run(args: &BucketsArgs) -> Result<(), Error> {
    let mut table = args.table.read()?;
    if let Some(wanted) = &args.wanted {
        table = table.matching(wanted);
        if table.is_empty() {
            return Err(Error::usage(format!(
                "no known bucket is of {wanted}, or has it in its name; see granulefs buckets"
            )));
        }
    }
    let text = if args.json { json(&table)? } else { columns(&table) };
    output::print(&text)
}

fn json(table: &BucketTable) -> Result<String, Error> {
    #[derive(serde::Serialize)]
    struct Row<'t> {
        #[serde(flatten)]
        known: &'t BucketInfo,
        daac: &'t str,
    }
    let rows = table.iter().map(|(bucket, known)| (bucket, Row { known, daac: known.daac() }));
    output::json(&rows.collect::<BTreeMap<_, _>>())
}

fn columns(table: &BucketTable) -> String {
    let head = ["BUCKET", "DAAC", "REGION", "ENDPOINT"];
    let rows = table
        .iter()
        .map(|(bucket, known)| [bucket, known.daac(), &*known.region, &*known.endpoint]);
    output::columns(&[head].into_iter().chain(rows).collect::<Vec<_>>())
}
