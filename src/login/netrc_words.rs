//! The words of a netrc file, whatever bytes it holds.

/// One word, without its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// The number of its line, from 1.
    pub(super) line: usize,
    /// Whether the file has it in UTF-8. If not, `text` is not what the file has.
    pub(super) is_utf8: bool,
}

/// Returns the words of a netrc file. A `macdef` ends at an empty line, `#` starts a comment, a
/// word may be quoted. A byte order mark, which some editors write, is no part of a word.
pub(super) fn words(file: &[u8]) -> Vec<Word> {
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let mut words = Vec::new();
    let mut in_macro = false;
    for (line, number) in file.split(|byte| *byte == b'\n').zip(1..) {
        let is_valid = std::str::from_utf8(line).is_ok();
        let line = String::from_utf8_lossy(line);
        if in_macro {
            in_macro = !line.trim().is_empty();
            continue;
        }
        let mut rest = line.trim_start();
        while !rest.is_empty() && !rest.starts_with('#') {
            let (text, after) = split_word(rest);
            if text == "macdef" {
                in_macro = true;
                break;
            }
            let is_utf8 = is_valid || !text.contains(char::REPLACEMENT_CHARACTER);
            words.push(Word { text, line: number, is_utf8 });
            rest = after.trim_start();
        }
    }
    words
}

/// Returns the first word of `text` without its quotes, and what follows it.
fn split_word(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut word = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (word, &quoted[at + 1..]),
            '\\' => word.extend(chars.next().map(|(_, escaped)| escaped)),
            _ => word.push(c),
        }
    }
    (word, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_know_their_lines_and_whether_they_are_utf8() {
        let file = b"\xef\xbb\xbfmachine a # not this\r\nmacdef x\nlogin y\n\nlogin caf\xe9 \
                     password \"p \\\"w\"\n";
        let found = words(file);
        let texts: Vec<_> = found.iter().map(|word| (&*word.text, word.line)).collect();
        assert_eq!(
            texts,
            [
                ("machine", 1),
                ("a", 1),
                ("login", 5),
                ("caf\u{fffd}", 5),
                ("password", 5),
                ("p \"w", 5)
            ]
        );
        let invalid = found.iter().filter(|word| !word.is_utf8);
        assert_eq!(invalid.map(|word| word.line).collect::<Vec<_>>(), [5]);
    }
}
