//! What verbs write to standard output.

use std::io::Write;

use crate::error::Error;

/// Writes `text`, of which the reader may have had enough before its end.
pub(super) fn print(text: &str) -> Result<(), Error> {
    let mut output = std::io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::store(format!("cannot write the output: {e}")))
        }
        _ => Ok(()),
    }
}

/// `value` as JSON for people and programs.
pub(super) fn json(value: &impl serde::Serialize) -> Result<String, Error> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| Error::store(format!("cannot write JSON: {e}")))?;
    Ok(text + "\n")
}

/// Rows below each other in columns as wide as their widest field.
pub(super) fn columns<const N: usize>(rows: &[[&str; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, field) in widths.iter_mut().zip(row) {
            *width = field.chars().count().max(*width);
        }
    }
    let line = |row: &[&str; N]| {
        let fields = row.iter().zip(widths).map(|(field, width)| format!("{field:width$}"));
        fields.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_field() {
        let rows = [["BUCKET", "DAAC"], ["a", "PODAAC"], ["long-name", "ASF"]];
        assert_eq!(columns(&rows), "BUCKET     DAAC\na          PODAAC\nlong-name  ASF\n");
    }
}
