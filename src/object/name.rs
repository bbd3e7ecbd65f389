//! Names as directories show them, and how a component that cannot be a name is escaped.
//!
//! An escaped name is the key's component with `%` and NUL percent-encoded, and a suffix that says
//! what it is. No plain name ends in such a suffix, since a component that does is escaped itself,
//! so an escaped name never collides with a plain one. A suffix and not a prefix is used so that a
//! shadowed object sorts beside its directory.

use std::borrow::Cow;

use super::Entry;

const OBJECT: &str = ".granulefs-object";
const DIRECTORY: &str = ".granulefs-directory";

/// The longest name that the kernel's FUSE accepts, in bytes.
const MAX_NAME: usize = 1024;

/// What a name in a directory asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// The component itself. A directory wins over an object.
    Plain(String),
    /// The object of this component, even where a directory shadows it.
    Object(String),
    /// The directory of this component.
    Directory(String),
}

/// A name in a directory and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedEntry {
    /// The name, unique within its directory.
    pub name: Box<str>,
    /// A directory or a file.
    pub entry: Entry,
}

impl Name {
    /// Parses a name as a directory shows it. `None`: no directory ever shows this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        if let Some(escaped) = name.strip_suffix(OBJECT) {
            unescape(escaped).map(Self::Object)
        } else if let Some(escaped) = name.strip_suffix(DIRECTORY) {
            unescape(escaped).map(Self::Directory)
        } else if Self::is_plain(name) {
            Some(Self::Plain(name.to_owned()))
        } else {
            None
        }
    }

    /// Returns the two names under which an object of this component may be shown: its own, and
    /// the escaped one.
    #[must_use]
    pub fn of_object(component: &str) -> [String; 2] {
        [component.to_owned(), Self::of_shadowed_object(component)]
    }

    /// Returns the name of an object whose own name a directory has.
    #[must_use]
    pub fn of_shadowed_object(component: &str) -> String {
        escape(component, OBJECT)
    }

    /// Returns the name under which a directory shows an object of this component, unless a
    /// directory shadows it. `None`: the kernel would not accept the name.
    #[must_use]
    pub fn shown_for_object(component: &str) -> Option<Cow<'_, str>> {
        escape_if_needed(component, OBJECT)
    }

    /// Returns the name under which a directory shows a directory of this component. `None`: the
    /// kernel would not accept the name.
    #[must_use]
    pub fn shown_for_directory(component: &str) -> Option<Cow<'_, str>> {
        escape_if_needed(component, DIRECTORY)
    }

    /// Returns the path, below a directory, of the object whose key is the directory's prefix and
    /// `rest`; of a directory when `rest` ends in `/`.
    ///
    /// The path of an object that a directory shadows leads to that directory. `None`: the kernel
    /// would not accept a name on the way.
    #[must_use]
    pub fn path_of(rest: &str) -> Option<String> {
        let (directories, object) = rest
            .rsplit_once('/')
            .map_or((None, rest), |(directories, object)| (Some(directories), object));
        let directories =
            directories.into_iter().flat_map(|path| path.split('/')).map(Self::shown_for_directory);
        let object = (!object.is_empty()).then(|| Self::shown_for_object(object));
        Some(directories.chain(object).collect::<Option<Vec<_>>>()?.join("/"))
    }

    /// Returns the component of the key that the name stands for.
    #[must_use]
    pub fn component(&self) -> &str {
        let (Self::Plain(component) | Self::Object(component) | Self::Directory(component)) = self;
        component
    }

    /// Returns whether a component can be its own name, so that it is escaped only where a
    /// directory has that name.
    #[must_use]
    pub fn is_plain(component: &str) -> bool {
        !component.is_empty()
            && component != "."
            && component != ".."
            && !component.contains('\0')
            && !component.ends_with(OBJECT)
            && !component.ends_with(DIRECTORY)
    }
}

fn escape_if_needed<'name>(component: &'name str, suffix: &str) -> Option<Cow<'name, str>> {
    let name = if Name::is_plain(component) {
        Cow::Borrowed(component)
    } else {
        Cow::Owned(escape(component, suffix))
    };
    (name.len() <= MAX_NAME).then_some(name)
}

fn escape(component: &str, suffix: &str) -> String {
    let mut name = component.replace('%', "%25").replace('\0', "%00");
    name.push_str(suffix);
    name
}

/// Undoes [`escape`] for a name whose suffix was taken off. `None`: no component is escaped so.
fn unescape(escaped: &str) -> Option<String> {
    let component = escaped.replace("%00", "\0").replace("%25", "%");
    (escape(&component, "") == escaped).then_some(component)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_component_has_one_name_and_every_name_one_component() {
        let odd = [
            "",
            ".",
            "..",
            "a\0b",
            "100%",
            "%00",
            "%2500",
            "x.granulefs-object",
            ".granulefs-directory",
            "a",
            "ü +\n",
        ];
        let mut names = std::collections::BTreeSet::new();
        for component in odd {
            for suffix in [OBJECT, DIRECTORY] {
                let name = escape_if_needed(component, suffix).unwrap();
                let parsed = Name::parse(&name).unwrap();
                match parsed {
                    Name::Plain(c) => assert_eq!(c, component),
                    Name::Object(c) => assert_eq!((c.as_str(), suffix), (component, OBJECT)),
                    Name::Directory(c) => assert_eq!((c.as_str(), suffix), (component, DIRECTORY)),
                }
                assert!(!name.contains(['\0', '/']) && !["", ".", ".."].contains(&&*name));
                names.insert((name.into_owned(), Name::is_plain(component) || suffix == OBJECT));
            }
        }
        assert_eq!(names.len(), odd.len() * 2 - odd.iter().filter(|c| Name::is_plain(c)).count());
    }

    #[test]
    fn a_key_has_one_path() {
        for (rest, path) in [
            ("a/b.nc", "a/b.nc"),
            ("b.nc", "b.nc"),
            ("a/b/", "a/b"),
            ("a//b", "a/.granulefs-directory/b"),
            ("../..", "...granulefs-directory/...granulefs-object"),
            ("", ""),
        ] {
            assert_eq!(Name::path_of(rest).as_deref(), Some(path), "{rest}");
        }
        assert_eq!(Name::path_of(&"x".repeat(1025)), None);
    }
}
