//! Which names a listing shows, and how a name that cannot stand for itself is escaped.
//!
//! An escaped name is the key's component, with `%` and NUL percent-encoded, and a suffix that says
//! what it is. No plain name ever ends in such a suffix (a key that does is escaped itself), so an
//! escape collides with nothing. A suffix, not a prefix, keeps a shadowed object beside its
//! directory in byte order.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Entry, Page, Prefix};

const OBJECT: &str = ".granulefs-object";
const DIRECTORY: &str = ".granulefs-directory";

/// The longest name the kernel's FUSE accepts, bytes.
const MAX_NAME: usize = 1024;

/// What a name in a directory asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// The component itself; a directory wins over an object.
    Plain(String),
    /// The object of this component, also where a directory shadows it.
    Object(String),
    /// The directory of this component.
    Directory(String),
}

impl Name {
    /// Reads a name as [`NamedEntry`] writes it. `None`: no listing ever shows this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        if let Some(stem) = name.strip_suffix(OBJECT) {
            unescape(stem).map(Self::Object)
        } else if let Some(stem) = name.strip_suffix(DIRECTORY) {
            unescape(stem).map(Self::Directory)
        } else if is_plain(name) {
            Some(Self::Plain(name.to_owned()))
        } else {
            None
        }
    }
}

impl Name {
    /// The names under which an object of this component may be shown: its own, and the escaped
    /// one.
    #[must_use]
    pub fn of_object(component: &str) -> [String; 2] {
        [component.to_owned(), escape(component, OBJECT)]
    }

    /// The path, below a directory, of the object whose key is the directory's prefix and `rest`;
    /// of a directory when `rest` ends in `/`. An object that a directory shadows is not there.
    /// `None`: the kernel takes no such name.
    #[must_use]
    pub fn path_of(rest: &str) -> Option<String> {
        let (directories, object) = rest
            .rsplit_once('/')
            .map_or((None, rest), |(directories, object)| (Some(directories), object));
        let directories = directories
            .into_iter()
            .flat_map(|path| path.split('/'))
            .map(|name| escape_if_needed(name, DIRECTORY));
        let object = (!object.is_empty()).then(|| escape_if_needed(object, OBJECT));
        Some(directories.chain(object).collect::<Option<Vec<_>>>()?.join("/"))
    }

    /// The key's component that the name stands for.
    #[must_use]
    pub fn component(&self) -> &str {
        let (Self::Plain(component) | Self::Object(component) | Self::Directory(component)) = self;
        component
    }

    /// Whether a component can stand for itself, so that it is escaped only where a directory has
    /// its name.
    #[must_use]
    pub fn is_plain(component: &str) -> bool {
        is_plain(component)
    }
}

/// A name in a directory and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedEntry {
    /// Unique within its directory.
    pub name: Box<str>,
    /// A directory or a file.
    pub entry: Entry,
}

impl NamedEntry {
    /// The names that `page` adds to the directory `prefix`, in byte order, and how many keys have
    /// no name that the kernel would take.
    #[must_use]
    pub fn of_page(prefix: &Prefix, page: Page) -> (Vec<Self>, usize) {
        let mut unshowable = page.undecodable;
        let mut shown = Vec::with_capacity(page.objects.len() + page.prefixes.len());
        let mut add = |component: &str, suffix, entry| match escape_if_needed(component, suffix) {
            Some(name) => shown.push(Self { name: name.into(), entry }),
            None => unshowable += 1,
        };
        for directory in page.prefixes {
            if let Some(component) = directory.as_str().strip_prefix(prefix.as_str()) {
                let component = component.strip_suffix('/').unwrap_or(component).to_owned();
                add(&component, DIRECTORY, Entry::Directory(directory));
            }
        }
        for object in page.objects {
            if let Some(component) = object.id.key.strip_prefix(prefix.as_str()) {
                let is_marker = component.is_empty() && object.size == 0;
                if !is_marker {
                    let component = component.to_owned();
                    add(&component, OBJECT, Entry::File(Arc::new(object)));
                }
            }
        }
        shown.sort_by(|a, b| a.name.cmp(&b.name));
        (shown, unshowable)
    }

    /// Gives the plain name to the directory where an object has it too, and returns how many
    /// objects moved aside.
    ///
    /// `shown` is in byte order before and after.
    pub fn resolve_shadows(shown: &mut [Self]) -> usize {
        let mut moved: BTreeMap<usize, Box<str>> = BTreeMap::new();
        for at in 1..shown.len() {
            if shown[at - 1].name == shown[at].name {
                let file = if matches!(shown[at].entry, Entry::File(_)) { at } else { at - 1 };
                moved.insert(file, escape(&shown[file].name, OBJECT).into());
            }
        }
        let count = moved.len();
        for (at, name) in moved {
            shown[at].name = name;
        }
        if count > 0 {
            shown.sort_by(|a, b| a.name.cmp(&b.name));
        }
        count
    }

    /// The names of directories that may still come although names behind them were seen, shortest
    /// first, when the listing has reached the key `last`, given without the directory's prefix.
    ///
    /// S3 orders a directory as `name/`, readdir as `name`. So a directory `D` may still come, and
    /// belong before a name already seen, when `D` starts `last` and the byte after it in `last`
    /// sorts below `/`.
    pub fn open_stems(last: &str) -> impl Iterator<Item = &str> {
        let bytes = last.as_bytes();
        // A key that ends here is a stem as well: `blue`, then `blue-x`, then `blue/`.
        let open = move |&end: &usize| match bytes.get(end) {
            Some(&next) => next < b'/',
            None => !last.ends_with('/'),
        };
        (1..=last.len()).filter(open).map(move |end| &last[..end])
    }
}

fn is_plain(component: &str) -> bool {
    !component.is_empty()
        && component != "."
        && component != ".."
        && !component.contains('\0')
        && !component.ends_with(OBJECT)
        && !component.ends_with(DIRECTORY)
}

fn escape_if_needed(component: &str, suffix: &str) -> Option<String> {
    let name = if is_plain(component) { component.to_owned() } else { escape(component, suffix) };
    (name.len() <= MAX_NAME).then_some(name)
}

fn escape(component: &str, suffix: &str) -> String {
    let mut name = component.replace('%', "%25").replace('\0', "%00");
    name.push_str(suffix);
    name
}

fn unescape(stem: &str) -> Option<String> {
    let component = stem.replace("%00", "\0").replace("%25", "%");
    (escape(&component, "") == stem).then_some(component)
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
                assert!(!name.contains(['\0', '/']) && !["", ".", ".."].contains(&name.as_str()));
                names.insert((name, is_plain(component) || suffix == OBJECT));
            }
        }
        assert_eq!(names.len(), odd.len() * 2 - odd.iter().filter(|c| is_plain(c)).count());
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

    #[test]
    fn a_stem_stays_open_until_the_listing_has_passed_its_slash() {
        let stems =
            |last: &str| NamedEntry::open_stems(last).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(stems("MOD09.A2000-h08x"), ["MOD09", "MOD09.A2000", "MOD09.A2000-h08x"]);
        assert_eq!(stems("blue"), ["blue"]);
        assert_eq!(stems("a0b/"), Vec::<String>::new());
    }
}
