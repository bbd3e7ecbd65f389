//! The code is built as `docs/architecture.md` draws it.

use std::fs;
use std::path::Path;

/// Bottom up: a room may import only those before it.
const ROOMS: [&str; 22] = [
    "error",
    "object",
    "weighted_lru",
    "single_flight",
    "http",
    "login",
    "catalog",
    "credentials",
    "s3",
    "connect",
    "listing",
    "governor",
    "cache",
    "prefetch",
    "reader",
    "inodes",
    "filesystem",
    "fuse",
    "logging",
    "cli",
    "commands",
    "main",
];

/// Each foreign crate and the only room that names it.
const DOORS: [(&str, &str); 22] = [
    ("libc", "error"),
    ("thiserror", "error"),
    ("lru", "weighted_lru"),
    ("base64", "login"),
    ("httpdate", "http"),
    ("jiff", "login"),
    ("reqwest", "http"),
    ("strsim", "catalog"),
    ("aws_config", "credentials"),
    ("aws_sdk_s3", "s3"),
    ("aws_smithy_http_client", "s3"),
    ("aws_smithy_types", "s3"),
    ("http_body", "s3"),
    ("hyper_util", "s3"),
    ("fuser", "fuse"),
    ("bytesize", "cli"),
    ("clap", "cli"),
    ("humantime", "cli"),
    ("nix", "cli"),
    ("mimalloc", "main"),
    ("syslog_tracing", "logging"),
    ("tracing_subscriber", "logging"),
];

/// Foreign crates that any room may name.
const COMMON: [&str; 12] = [
    "aws_credential_types",
    "bytes",
    "fastrand",
    "futures_util",
    "parking_lot",
    "percent_encoding",
    "rustix",
    "secrecy",
    "serde",
    "serde_json",
    "tokio",
    "tracing",
];

/// A source file: its path below `src`, and its text.
type Source = (String, String);

fn sources(folder: &Path, below: &str, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            sources(&path, &format!("{below}{name}/"), found);
        } else if name.ends_with(".rs") {
            found.push((format!("{below}{name}"), fs::read_to_string(&path).unwrap()));
        }
    }
}

fn room(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

/// Lines of code with their numbers; comments left out.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .zip(1..)
        .map(|(line, number)| (number, line.trim()))
        .filter(|(_, line)| !line.starts_with("//"))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// What follows each whole word `word` and `::` in `line`.
fn after<'l>(line: &'l str, word: &str) -> impl Iterator<Item = &'l str> {
    let path = format!("{word}::");
    line.match_indices(&path)
        .filter(|(at, _)| *at == 0 || !is_word(line.as_bytes()[at - 1]))
        .map(|(at, found)| &line[at + found.len()..])
        .collect::<Vec<_>>()
        .into_iter()
}

/// The rooms named by what follows `crate::`: one, or several in braces.
fn named(rest: &str) -> Vec<&str> {
    let first = |text: &str| text.bytes().take_while(|byte| is_word(*byte)).count();
    match rest.strip_prefix('{') {
        Some(list) => list
            .split(['}', ','])
            .map(|item| item.trim())
            .map(|item| &item[..first(item)])
            .collect(),
        None => vec![&rest[..first(rest)]],
    }
}

fn wrong_imports(files: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (file, text) in files.iter().filter(|(file, _)| file != "lib.rs") {
        let Some(own) = ROOMS.iter().position(|known| *known == room(file)) else {
            wrong.push(format!("src/{file}: a room that the table does not know"));
            continue;
        };
        // `super` of a room's own file is the crate.
        let words: &[&str] = if file.contains('/') && !file.ends_with("/mod.rs") {
            &["crate"]
        } else {
            &["crate", "super"]
        };
        for (number, line) in code(text) {
            for name in words.iter().flat_map(|word| after(line, word)).flat_map(named) {
                if ROOMS.iter().position(|known| *known == name).is_some_and(|other| other > own) {
                    wrong.push(format!(
                        "src/{file}:{number}: {} imports {name}, which is listed after it",
                        ROOMS[own]
                    ));
                }
            }
        }
    }
    wrong
}

fn wrong_doors(files: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (file, text) in files {
        for (number, line) in code(text) {
            for (name, door) in DOORS {
                let is_named = after(line, name).next().is_some() || line == format!("use {name};");
                if is_named && room(file) != door {
                    wrong.push(format!("src/{file}:{number}: {name} is named outside {door}"));
                }
            }
        }
    }
    wrong
}

fn own_sources() -> Vec<Source> {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut files);
    assert!(files.len() > 20, "{files:?}");
    files
}

/// architecture.md, "Rooms, bottom up": a module may import only modules above it in the table.
#[test]
fn imports_point_one_way() {
    assert_eq!(wrong_imports(&own_sources()), Vec::<String>::new());
}

/// architecture.md, "Rooms, bottom up": one door per foreign crate.
#[test]
fn each_foreign_crate_is_named_in_one_room_only() {
    assert_eq!(wrong_doors(&own_sources()), Vec::<String>::new());
}

/// A new dependency is given a door, or declared common, before it is used.
#[test]
fn every_dependency_has_its_place() {
    let manifest =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let (_, dependencies) = manifest.split_once("\n[dependencies]\n").unwrap();
    let (dependencies, _) = dependencies.split_once("\n[").unwrap();
    for line in dependencies.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let name = line.split([' ', '=', '.']).next().unwrap().replace('-', "_");
        assert!(
            DOORS.iter().any(|(known, _)| *known == name) || COMMON.contains(&&*name),
            "{name} has no module"
        );
    }
}

/// The rules above are able to fail.
#[test]
fn a_breach_is_found_with_its_file_and_line() {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    for (name, text, breaches) in [
        ("s3/mod.rs", "\nuse crate::filesystem::Filesystem;", 1),
        ("s3/mod.rs", "use crate::{error::Error, cache, filesystem};", 2),
        ("single_flight.rs", "let x = super::s3::Bucket;", 1),
        (
            "s3/mod.rs",
            "// crate::filesystem\nuse crate::credentials::Age;\nuse super::BucketLocation;",
            0,
        ),
        ("reader.rs", "use lru::LruCache;\nlet e = libc::EIO;", 2),
        ("error/mod.rs", "let e = libc::EIO; my_lru::new()", 0),
        ("unlisted.rs", "", 1),
    ] {
        let files = [file(name, text)];
        let found = [wrong_imports(&files), wrong_doors(&files)].concat();
        assert_eq!(found.len(), breaches, "{name} {text}: {found:?}");
        assert!(found.iter().all(|line| line.starts_with(&format!("src/{name}:"))), "{found:?}");
    }
    assert_eq!(
        wrong_imports(&[file("s3/mod.rs", "\nuse crate::filesystem;")])[0],
        "src/s3/mod.rs:2: s3 imports filesystem, which is listed after it"
    );
}

/// A file has one noun: none is longer than 400 lines, and no line longer than 100 characters.
#[test]
fn files_and_lines_stay_short() {
    let mut too_long = Vec::new();
    for folder in ["src", "tests"] {
        let mut files = Vec::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        sources(&root, &format!("{folder}/"), &mut files);
        for (file, text) in files {
            if text.lines().count() > 400 {
                too_long.push(file.clone());
            }
            let wide = |(_, line): &(usize, &str)| line.chars().count() > 100;
            let lines = (1..).zip(text.lines()).filter(wide);
            // A table of a doc comment cannot be wrapped.
            let lines = lines.filter(|(_, line)| !line.trim_start().starts_with("//! |"));
            too_long.extend(lines.map(|(number, _)| format!("{file}:{number}")));
        }
    }
    assert_eq!(too_long, Vec::<String>::new());
}
