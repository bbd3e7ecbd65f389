//! Every message for an authentication or permission problem is in a table of
//! `docs/troubleshooting.md`, in the words of the code.

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Returns the variants of the enum in `source`, each with the message in its `#[error]` attribute.
fn messages(source: &str) -> Vec<(String, String)> {
    let mut messages = Vec::new();
    for part in source.split("#[error(").skip(1) {
        let (attribute, rest) = part.split_once(")]").unwrap();
        let (_, literal) = attribute.split_once('"').unwrap();
        let (literal, _) = literal.rsplit_once('"').unwrap();
        let name = rest.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
        messages.push((name, plain(literal)));
    }
    messages
}

/// Returns the text of a string literal as the compiler reads it.
fn plain(literal: &str) -> String {
    let mut text = String::new();
    let mut lines = literal.lines();
    text.push_str(lines.next().unwrap_or_default());
    for line in lines {
        assert!(text.ends_with('\\'), "a line of a message that does not go on: {text}");
        text.pop();
        text.push_str(line.trim_start());
    }
    text.replace("\\\"", "\"")
}

/// Returns the first column of the table below the heading `heading`, without its backticks.
fn first_column(document: &str, heading: &str) -> Vec<String> {
    let (_, section) = document.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    cells.map(|(cell, _)| cell.to_owned()).collect()
}

/// Every refusal has a row, every row has a refusal, and their words are the same.
#[test]
fn every_refusal_is_in_the_table_in_its_own_words() {
    let code = messages(&read("src/error/refusal.rs"));
    assert!(code.len() >= 13, "{code:?}");
    let documented = first_column(&read("docs/troubleshooting.md"), "Every refusal");
    for (name, message) in &code {
        assert!(
            documented.contains(message),
            "docs/troubleshooting.md has no row for Refusal::{name}: `{message}`"
        );
    }
    for message in &documented {
        assert!(code.iter().any(|(_, known)| known == message), "no refusal says `{message}`");
    }
    assert_eq!(documented.len(), code.len());
}

#[test]
fn messages_are_read_as_the_compiler_reads_them() {
    let source =
        "#[error(\n    \"a \\\"b\\\" \\\n     {c}; d\"\n)]\n    Odd {\n#[error(\"e\")]\n    Plain,";
    assert_eq!(
        messages(source),
        [("Odd".into(), "a \"b\" {c}; d".into()), ("Plain".into(), "e".into())]
    );
    assert_eq!(first_column("\n## T\n| a |\n|---|\n| `x` | y |\n\n## U\n| `z` | |\n", "T"), ["x"]);
}
