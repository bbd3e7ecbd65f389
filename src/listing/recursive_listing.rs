//! A listing of a whole subtree, without delimiter: each page fills many directories.
//!
//! S3 gives all keys below one prefix in byte order. So the listing keeps a stack of the
//! directories that its last key lies in. When a key lies elsewhere, those that it has left are
//! complete.

use std::time::Instant;

use super::key_interpolation::just_before;
use super::packed_page::PackedPage;
use crate::object::{Object, Page, Prefix};
use crate::s3::Position;

/// The state of one recursive listing.
#[derive(Debug)]
pub(super) struct RecursiveListing {
    top: Prefix,
    /// The last key so far. The listing knows nothing of the keys before its start.
    reached: String,
    next: Option<Position>,
    /// The directories that the last key lies in, from the top down.
    open: Vec<OpenDirectory>,
}

/// A directory that the listing is in.
#[derive(Debug)]
struct OpenDirectory {
    prefix: Prefix,
    page: Page,
    /// Whether the listing came from outside, so that it saw the first key.
    is_whole: bool,
    began: Instant,
}

/// A directory with all its names.
#[derive(Debug)]
pub(super) struct ListedDirectory {
    pub(super) prefix: Prefix,
    pub(super) names: PackedPage,
    /// When the page was asked for that its first key is on.
    pub(super) began: Instant,
}

impl RecursiveListing {
    /// Lists what is below `top`, beginning with the directory `first`, which is not `top`.
    pub(super) fn new(top: Prefix, first: &Prefix) -> Self {
        // The first key may be `first` itself, where there is a marker.
        let start = just_before(first.as_str());
        let open = vec![OpenDirectory {
            prefix: top.clone(),
            page: Page::default(),
            is_whole: false,
            began: Instant::now(),
        }];
        Self { top, next: Some(Position::After(start.clone())), reached: start, open }
    }

    /// Returns where the next page starts; `None` when there is none.
    pub(super) fn next(&self) -> Option<&Position> {
        self.next.as_ref()
    }

    /// Returns the prefix whose subtree is listed.
    pub(super) fn top(&self) -> &Prefix {
        &self.top
    }

    /// Returns whether the listing still comes to the directory `prefix`, or is in it.
    pub(super) fn will_fill(&self, prefix: &Prefix) -> bool {
        let is_ahead = self.top.holds(prefix.as_str()) && *prefix.as_str() > *self.reached;
        self.next.is_some() && (is_ahead || self.is_in(prefix))
    }

    /// Returns whether the listing is in the directory `prefix`, and has been since its first key.
    pub(super) fn is_in(&self, prefix: &Prefix) -> bool {
        self.open.iter().any(|open| open.prefix == *prefix && open.is_whole)
    }

    /// Takes in a page that was asked for at `asked`. Returns the directories that it completes.
    pub(super) fn add(&mut self, page: Page, asked: Instant) -> Vec<ListedDirectory> {
        let mut complete = Vec::new();
        self.next = page.next.map(Position::Token);
        for object in page.objects {
            let (parent, _) = Prefix::of_key(&object.id.key);
            self.leave(&parent, &mut complete);
            self.enter(&parent, asked);
            object.id.key[..].clone_into(&mut self.reached);
            self.push(object);
        }
        if self.next.is_none() {
            self.leave(&self.top.clone(), &mut complete);
        }
        complete
    }

    /// Closes the directories that do not hold `parent`.
    fn leave(&mut self, parent: &Prefix, complete: &mut Vec<ListedDirectory>) {
        while let Some(OpenDirectory { prefix, page, is_whole, began }) =
            self.open.pop_if(|open| !open.prefix.holds(parent.as_str()))
        {
            if is_whole {
                let names = PackedPage::new(&prefix, &page);
                complete.push(ListedDirectory { prefix, names, began });
            }
        }
    }

    /// Opens the directories on the way down to `parent`.
    fn enter(&mut self, parent: &Prefix, began: Instant) {
        while let Some(last) = self.open.last_mut()
            && last.prefix != *parent
        {
            let below = &parent.as_str()[last.prefix.as_str().len()..];
            let component = below.split('/').next().unwrap_or_default();
            let prefix = last.prefix.child(component);
            if last.is_whole {
                last.page.prefixes.push(prefix.clone());
            }
            // The listing starts just before a directory, so it enters every directory below the
            // top at its first key.
            self.open.push(OpenDirectory { prefix, page: Page::default(), is_whole: true, began });
        }
    }

    fn push(&mut self, object: Object) {
        if let Some(open) = self.open.last_mut().filter(|open| open.is_whole) {
            open.page.objects.push(object);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use super::*;
    use crate::listing::test_objects::object;
    use crate::object::Name;

    /// What a listing with delimiter shows of `prefix`.
    fn listed(keys: &BTreeSet<String>, prefix: &str) -> BTreeSet<String> {
        let below = keys.iter().filter_map(|key| key.strip_prefix(prefix));
        below.map(|rest| rest.split_inclusive('/').next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn a_directory_is_filled_with_all_its_names_or_not_at_all() {
        let mut random = fastrand::Rng::with_seed(11);
        for _ in 0..2000 {
            let components = ["a", "a-", "a.", "b", "", "c0"];
            let mut component = || components[random.usize(..components.len())];
            let keys: BTreeSet<String> = (0..40)
                .map(|n| format!("t/{}/{}/{}{}", component(), component(), component(), n % 3))
                .collect();
            let keys: BTreeSet<String> = keys
                .into_iter()
                .chain(["t/x".to_owned(), "t/a/".to_owned(), "u".to_owned()])
                .collect();
            let mut listing = RecursiveListing::new(Prefix::new("t"), &Prefix::new("t/a"));
            let Some(Position::After(start)) = listing.next().cloned() else { panic!("a start") };
            let rest: Vec<&String> =
                keys.iter().filter(|key| key.starts_with("t/") && **key > start).collect();
            let size = random.usize(1..8);
            let mut filled = BTreeMap::new();
            for (number, page) in rest.chunks(size).enumerate() {
                let next = ((number + 1) * size < rest.len()).then(|| Arc::from("more"));
                let objects = page.iter().map(|key| object(key, "e")).collect();
                for directory in
                    listing.add(Page { objects, next, ..Page::default() }, Instant::now())
                {
                    let ListedDirectory { prefix, names, .. } = directory;
                    let name = |index| {
                        let name = Name::parse(names.names.name(index)).unwrap();
                        let slash = if names.names.is_directory(index) { "/" } else { "" };
                        format!("{}{slash}", name.component())
                    };
                    let names = (0..names.names.len()).map(name).collect::<BTreeSet<_>>();
                    let prefix = prefix.as_str().to_owned();
                    assert!(filled.insert(prefix, names).is_none(), "filled twice");
                }
            }
            for (prefix, names) in &filled {
                assert_eq!(*names, listed(&keys, prefix), "{prefix}");
            }
            for key in &rest {
                let (parent, _) = Prefix::of_key(key);
                assert!(
                    parent.as_str() == "t/" || filled.contains_key(parent.as_str()),
                    "{key} is in no directory"
                );
            }
        }
    }
}
