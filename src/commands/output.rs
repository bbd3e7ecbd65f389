//! What verbs print: results to standard output, remarks to standard error.

use std::fmt::{Arguments, Display};
use std::io::Write;
use std::path::Path;

use crate::catalog::Location;
use crate::connect::{Note, SlowLogin};
use crate::error::{Error, Problem};

/// Writes `text` to standard output. A reader that closes it early has had enough, which is no
/// error.
pub(super) fn print(text: &str) -> Result<(), Error> {
    let mut output = std::io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::store(Problem::new("cannot write the output").caused_by(e)))
        }
        _ => Ok(()),
    }
}

/// Tells the user what is worth knowing.
pub(super) fn notes(notes: &[Note]) {
    notes.iter().for_each(note);
}

/// Tells the user one thing worth knowing.
pub(super) fn note(note: &impl Display) {
    remark(format_args!("note: {note}"));
}

/// Warns the user of something that will not work.
pub(super) fn warning(warning: &impl Display) {
    remark(format_args!("warning: {warning}"));
}

/// Tells the user what a login waits for.
pub(super) fn progress(login: SlowLogin) {
    remark(format_args!("{login}"));
}

/// Tells the user where a mount is that this terminal serves.
pub(super) fn mounted(source: &str, mountpoint: &Path) {
    remark(format_args!("mounted {source} on {}", mountpoint.display()));
}

/// Writes a line to standard error. That nobody reads it is no reason to end a mount.
fn remark(words: Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "granulefs: {words}");
}

/// Tells the user what the first look into a bucket waits for.
pub(super) fn waiting(location: &Location, cause: Error) {
    let cause = match cause {
        // There is time left.
        Error::Deadline(problem) => problem.to_string(),
        cause => cause.to_string(),
    };
    remark(format_args!("waiting for {location}: {cause}"));
}

/// `value` as JSON that people can read as well as programs.
pub(super) fn json(value: &impl serde::Serialize) -> Result<String, Error> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| Error::store(Problem::new("cannot write JSON").caused_by(e)))?;
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
