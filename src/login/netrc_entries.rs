//! The entries of a netrc file: which one is for a host, and what is wrong where none is.

use super::netrc_words::{Word, words};

/// The user and the password of one entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) user: String,
    pub(super) password: String,
    /// The number of the line that it begins at, from 1.
    pub(super) line: usize,
}

/// Why there is no user and password for a host, in words without secrets.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missing {
    /// What the file has instead, to be read behind the file's name.
    pub(super) words: String,
    /// Whether the file means to have one.
    pub(super) is_mistake: bool,
}

/// What stands between one `machine` or `default` and the next.
#[derive(Debug)]
struct Section {
    /// `None`: `default`.
    machine: Option<Word>,
    line: usize,
    login: Option<Word>,
    password: Option<Word>,
    /// Words that mean nothing there.
    strays: Vec<Word>,
    /// The number of the line where a second `login` follows a word that means nothing.
    glued: Option<usize>,
}

/// Returns the entry of `host` (`name` or `name:port`) in `file`: that of the host with its port,
/// or else that of the name alone, or else `default`, wherever each of them stands. Of several for
/// the same host, the first that is complete counts.
///
/// # Errors
/// [`Missing`], where there is none or it cannot be used.
pub(super) fn find_entry(file: &[u8], host: &str) -> Result<Entry, Missing> {
    if file.starts_with(b"\xff\xfe") || file.starts_with(b"\xfe\xff") {
        return Err(mistake("is UTF-16; save it as UTF-8".into()));
    }
    let words = words(file);
    let sections = sections(&words);
    let name = host.split(':').next().unwrap_or(host);
    for wanted in [Some(host), Some(name), None] {
        let mut candidates = sections.iter().filter(|section| section.is_of(wanted)).peekable();
        let Some(first) = candidates.peek().copied() else { continue };
        return candidates.find(|section| section.is_complete()).unwrap_or(first).entry();
    }
    Err(absent(&words, host, name))
}

fn sections(words: &[Word]) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut words = words.iter().cloned();
    while let Some(word) = words.next() {
        let line = word.line;
        match (word.text.as_str(), sections.last_mut()) {
            ("machine", _) => sections.extend(
                words
                    .next()
                    .map(|name| Section { machine: Some(name), ..Section::starting_at(line) }),
            ),
            ("default", _) => sections.push(Section::starting_at(line)),
            ("login", Some(section)) => {
                if section.login.is_some() && !section.strays.is_empty() {
                    section.glued.get_or_insert(line);
                }
                section.login = section.login.take().or_else(|| words.next());
            }
            ("password", Some(section)) => {
                section.password = section.password.take().or_else(|| words.next());
            }
            ("account", _) => drop(words.next()),
            (_, Some(section)) => section.strays.push(word),
            (_, None) => {}
        }
    }
    sections
}

impl Section {
    fn starting_at(line: usize) -> Self {
        let (machine, login, password) = (None, None, None);
        Self { machine, line, login, password, strays: Vec::new(), glued: None }
    }

    fn is_of(&self, wanted: Option<&str>) -> bool {
        match (&self.machine, wanted) {
            (Some(machine), Some(wanted)) => machine.text.eq_ignore_ascii_case(wanted),
            (None, None) => true,
            _ => false,
        }
    }

    fn is_complete(&self) -> bool {
        self.login.is_some() && self.password.is_some()
    }

    /// The entry, or what is wrong with it.
    fn entry(&self) -> Result<Entry, Missing> {
        if let Some(line) = self.glued {
            return Err(mistake(format!(
                "has two entries run together on line {line}; begin a new line before \"machine\""
            )));
        }
        let (Some(login), Some(password)) = (&self.login, &self.password) else {
            return Err(mistake(self.what_is_missing()));
        };
        for (what, word) in [("user name", login), ("password", password)] {
            if !word.is_utf8 {
                return Err(mistake(format!(
                    "has a {what} on line {} that is not UTF-8; save the file as UTF-8",
                    word.line
                )));
            }
        }
        let (user, password) = (login.text.clone(), password.text.clone());
        Ok(Entry { user, password, line: self.line })
    }

    fn what_is_missing(&self) -> String {
        for stray in &self.strays {
            let line = stray.line;
            let is = |others: &[&str]| others.contains(&stray.text.trim_end_matches([':', '=']));
            let begins = |word: &str| stray.text.starts_with(word);
            if self.login.is_none() && is(&["username", "user", "login"]) {
                return format!("has \"{}\" on line {line} where \"login\" belongs", stray.text);
            }
            if self.password.is_none() && is(&["passwd", "pass", "pwd", "password"]) {
                return format!("has \"{}\" on line {line} where \"password\" belongs", stray.text);
            }
            for keyword in ["login", "password"] {
                if begins(keyword) {
                    return format!("needs a blank after \"{keyword}\" on line {line}");
                }
            }
        }
        let missing = if self.login.is_none() { "login" } else { "password" };
        let quotes = "one that begins with # must be in double quotes";
        let hint = if missing == "password" { format!(" ({quotes})") } else { String::new() };
        format!("has an entry without \"{missing}\" on line {}{hint}", self.line)
    }
}

/// What a file has that has no entry for the host.
fn absent(words: &[Word], host: &str, name: &str) -> Missing {
    let is_host = |text: &str| text.eq_ignore_ascii_case(host) || text.eq_ignore_ascii_case(name);
    for (at, word) in words.iter().enumerate() {
        let lower = word.text.to_ascii_lowercase();
        let (name, line) = (name.to_ascii_lowercase(), word.line);
        let follows_machine = at > 0 && words[at - 1].text == "machine";
        let before_host = words.get(at + 1).is_some_and(|next| is_host(&next.text));
        if follows_machine && lower.contains("://") && lower.contains(&name) {
            return mistake(format!("has a URL on line {line} where {host} alone belongs"));
        }
        if before_host && lower.ends_with("machine") {
            return mistake(format!(
                "has two entries run together on line {line}; begin a new line before \"machine\""
            ));
        }
        if lower == format!("machine{name}") {
            return mistake(format!("needs a blank after \"machine\" on line {line}"));
        }
        if follows_machine
            && lower.strip_prefix(&name).is_some_and(|rest| rest.starts_with("login"))
        {
            return mistake(format!("needs a blank after {name} on line {line}"));
        }
    }
    Missing { words: format!("has no entry for {host}"), is_mistake: false }
}

fn mistake(words: String) -> Missing {
    Missing { words, is_mistake: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "urs.earthdata.nasa.gov";

    fn read(file: &[u8], host: &str) -> Result<(String, String, usize), String> {
        let found = find_entry(file, host);
        found.map(|entry| (entry.user, entry.password, entry.line)).map_err(|none| none.words)
    }

    #[test]
    fn a_netrc_is_read_as_curl_reads_it() {
        let text = b"# my accounts\nmachine example.org login other password no\n\
                    macdef init\nmachine urs.earthdata.nasa.gov login macro password macro\n\n\
                    machine urs.earthdata.nasa.gov\n\tlogin jane\n\
                    \taccount x\n\tpassword \"p w\\\"#\"\n\
                    default login anonymous password guest\n";
        let found = |user: &str, password: &str, line| Ok((user.into(), password.into(), line));
        assert_eq!(read(text, HOST), found("jane", "p w\"#", 6));
        assert_eq!(read(text, "example.org"), found("other", "no", 2));
        assert_eq!(read(text, "elsewhere"), found("anonymous", "guest", 10));
        let one_line = b"machine a login b password c#d machine e password f login g";
        assert_eq!(read(one_line, "e"), found("g", "f", 1));
        assert_eq!(read(one_line, "a"), found("b", "c#d", 1));
    }

    #[test]
    fn the_closest_entry_counts_wherever_it_stands() {
        let wanted = Ok(("jane".into(), "pw".into()));
        for (file, host) in [
            ("default login a password b\nmachine h login jane password pw", "h"),
            ("machine h login jane password pw\ndefault login a password b", "h:81"),
            ("default login a password b\nmachine h login jane password pw", "h:81"),
            ("machine h login a password b\nmachine h:81 login jane password pw", "h:81"),
            ("machine i login a password b\ndefault login jane password pw", "h:81"),
            ("machine h login half\nmachine h login jane password pw", "h"),
            ("machine H login jane password pw", "h"),
            ("machine h\r\nlogin jane\r\npassword pw\r\n", "h"),
            ("\u{feff}machine h login jane password pw", "h"),
            ("machine h login jane password pw port 21", "h"),
        ] {
            let found = read(file.as_bytes(), host).map(|(user, password, _)| (user, password));
            assert_eq!(found, wanted, "{file}");
        }
    }

    /// A byte outside UTF-8 matters in the entry that is wanted, and nowhere else.
    #[test]
    fn bytes_outside_utf8_matter_only_where_they_are_sent() {
        let other = b"machine i login caf\xe9 password \xff\n# \xe9\nmachine h login j password p";
        assert_eq!(read(other, "h"), Ok(("j".into(), "p".into(), 3)));
        let own = b"\nmachine h login jane\npassword p\xe9";
        let words = "has a password on line 3 that is not UTF-8; save the file as UTF-8";
        assert_eq!(read(own, "h"), Err(words.into()));
        let user = b"machine h login j\xe9 password p";
        assert!(read(user, "h").unwrap_err().starts_with("has a user name on line 1 that"));
        let sixteen: Vec<_> =
            "\u{feff}machine h".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(read(&sixteen, "h"), Err("is UTF-16; save it as UTF-8".into()));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_without_its_secrets() {
        let rows = [
            (
                "machine urs.earthdata.nasa.gov username jane password hush",
                "\"username\" on line 1",
            ),
            ("machine urs.earthdata.nasa.gov\nuser jane\npassword hush", "\"user\" on line 2"),
            ("machine urs.earthdata.nasa.gov login jane passwd hush", "\"passwd\" on line 1"),
            ("machine urs.earthdata.nasa.gov login: jane password: hush", "\"login:\" on line 1"),
            (
                "machine urs.earthdata.nasa.gov login jane password",
                "without \"password\" on line 1",
            ),
            ("machine urs.earthdata.nasa.gov password hush", "without \"login\" on line 1"),
            (
                "machine urs.earthdata.nasa.gov login jane passwordhush",
                "after \"password\" on line 1",
            ),
            ("machine urs.earthdata.nasa.gov loginjane password hush", "after \"login\" on line 1"),
            ("machine urs.earthdata.nasa.govlogin jane password hush", "needs a blank after urs."),
            ("\nmachineurs.earthdata.nasa.gov login jane password hush", "\"machine\" on line 2"),
            (
                "machine a login b password hushmachine urs.earthdata.nasa.gov login c password d",
                "two entries run together on line 1",
            ),
            (
                "machine urs.earthdata.nasa.gov login a password hushmachine b login c password d",
                "two entries run together on line 1",
            ),
            (
                "machine https://urs.earthdata.nasa.gov/ login a password hush",
                "a URL on line 1 where urs.earthdata.nasa.gov alone belongs",
            ),
        ];
        for (file, words) in rows {
            let missing = find_entry(file.as_bytes(), HOST).unwrap_err();
            assert!(missing.is_mistake && missing.words.contains(words), "{file}: {missing:?}");
            assert!(!missing.words.contains("hush"), "{missing:?}");
        }
        for file in ["", "machine a login hush password hush\n", "hush"] {
            let missing = find_entry(file.as_bytes(), HOST).unwrap_err();
            let words = "has no entry for urs.earthdata.nasa.gov".into();
            assert_eq!(missing, Missing { words, is_mistake: false }, "{file}");
        }
    }
}
