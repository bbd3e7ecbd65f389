//! A listing of a whole subtree, without delimiter: each page fills many directories.
//!
//! S3 gives all keys below one prefix in a row. So a walk has a stack of the directories that its
//! last key lies in; when a key lies elsewhere, those it has left are complete.

use std::time::{Duration, Instant};

use crate::object::{Object, Page, Prefix};
use crate::s3::Position;

/// The directories that a walk is still in.
#[derive(Debug)]
pub(super) struct RecursiveListing {
    top: Prefix,
    /// Behind this no key was seen yet; the walk knows nothing of what comes before its start.
    reached: String,
    next: Option<Position>,
    open: Vec<Open>,
}

/// A directory that is filling.
#[derive(Debug)]
struct Open {
    prefix: Prefix,
    page: Page,
    /// The walk came here from outside, so it saw the first key.
    is_whole: bool,
    began: Instant,
}

/// A directory of which every name is known.
#[derive(Debug)]
pub(super) struct Filled {
    pub(super) prefix: Prefix,
    pub(super) names: Page,
    pub(super) began: Instant,
}

impl RecursiveListing {
    /// A walk below `top` that starts with the directory `first`.
    pub(super) fn new(top: Prefix, first: &Prefix) -> Self {
        // Just before its first key, which is `first` itself where there is a marker. No key lies
        // between.
        let start = format!("{}.\u{10FFFF}", first.as_str().trim_end_matches('/'));
        let open = vec![Open {
            prefix: top.clone(),
            page: Page::default(),
            is_whole: false,
            began: Instant::now(),
        }];
        Self { top, next: Some(Position::After(start.clone())), reached: start, open }
    }

    /// Where the next page starts; `None` when there is none.
    pub(super) fn next(&self) -> Option<&Position> {
        self.next.as_ref()
    }

    /// The prefix that is walked.
    pub(super) fn top(&self) -> &Prefix {
        &self.top
    }

    /// Whether the walk still has to come to the directory `prefix`, or is in it.
    pub(super) fn will_fill(&self, prefix: &Prefix) -> bool {
        let is_ahead =
            prefix.as_str().starts_with(self.top.as_str()) && *prefix.as_str() > *self.reached;
        self.next.is_some() && (is_ahead || self.is_in(prefix))
    }

    /// Whether the walk is in the directory `prefix`, and has been since its first key.
    pub(super) fn is_in(&self, prefix: &Prefix) -> bool {
        self.open.iter().any(|open| open.prefix == *prefix && open.is_whole)
    }

    /// Takes in a page that was asked for at `asked`, and answers the directories that it
    /// completes.
    pub(super) fn absorb(&mut self, page: Page, asked: Instant) -> Vec<Filled> {
        let mut filled = Vec::new();
        self.next = page.next.map(Position::Token);
        for object in page.objects {
            let (parent, _) = Prefix::of_key(&object.id.key);
            self.leave(&parent, &mut filled);
            self.enter(&parent, asked);
            self.reached = object.id.key.to_string();
            self.put(object);
        }
        if self.next.is_none() {
            self.leave(&self.top.clone(), &mut filled);
        }
        filled
    }

    /// Closes the directories that do not hold `parent`.
    fn leave(&mut self, parent: &Prefix, filled: &mut Vec<Filled>) {
        while let Some(open) =
            self.open.pop_if(|open| !parent.as_str().starts_with(open.prefix.as_str()))
        {
            if open.is_whole {
                filled.push(Filled { prefix: open.prefix, names: open.page, began: open.began });
            }
        }
    }

    /// Opens those on the way down to `parent`.
    fn enter(&mut self, parent: &Prefix, began: Instant) {
        while let Some(at) = self.open.last_mut()
            && at.prefix != *parent
        {
            let below = &parent.as_str()[at.prefix.as_str().len()..];
            let component = below.split('/').next().unwrap_or_default();
            let prefix = at.prefix.child(component);
            if at.is_whole {
                at.page.prefixes.push(prefix.clone());
            }
            // A walk starts just before a directory, so every one below the top is entered at its
            // first key.
            self.open.push(Open { prefix, page: Page::default(), is_whole: true, began });
        }
    }

    fn put(&mut self, object: Object) {
        if let Some(open) = self.open.last_mut() {
            open.page.objects.push(object);
        }
    }
}

/// Recognises that children of one prefix are listed one after the other.
#[derive(Debug, Default)]
pub(super) struct Habit {
    /// Children listed one after the other so far.
    listed: u32,
    last: Option<Instant>,
    /// How many more have to be listed before a walk is tried again, after one that was of no use.
    patience: u32,
    failures: u32,
}

impl Habit {
    /// Two of a kind may be chance.
    const ENOUGH: u32 = 2;
    /// Who comes back later than this is somebody else.
    const PAUSE: Duration = Duration::from_secs(10);

    /// Takes note of one more child, and answers whether to walk from there.
    pub(super) fn note(&mut self, now: Instant) -> bool {
        if self.last.replace(now).is_some_and(|last| now.duration_since(last) > Self::PAUSE) {
            self.listed = 0;
        }
        self.listed += 1;
        self.patience = self.patience.saturating_sub(1);
        self.listed > Self::ENOUGH && self.patience == 0
    }

    /// A walk was of no use: the subtree is huge, or nobody read what it brought.
    pub(super) fn disappointed(&mut self) {
        self.failures += 1;
        self.patience = 1 << self.failures.min(10);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;
    use std::time::SystemTime;

    use super::*;
    use crate::object::ObjectId;

    fn object(key: &str) -> Object {
        let id = ObjectId { bucket: "b".into(), key: key.into(), etag: "e".into() };
        Object { id, size: 1, modified: SystemTime::UNIX_EPOCH, storage_class: "STANDARD".into() }
    }

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
            let mut walk = RecursiveListing::new(Prefix::new("t"), &Prefix::new("t/a"));
            let Some(Position::After(start)) = walk.next().cloned() else { panic!("a start") };
            let rest: Vec<&String> =
                keys.iter().filter(|key| key.starts_with("t/") && **key > start).collect();
            let size = random.usize(1..8);
            let mut filled = BTreeMap::new();
            for (number, page) in rest.chunks(size).enumerate() {
                let next = ((number + 1) * size < rest.len()).then(|| Arc::from("more"));
                let objects = page.iter().map(|key| object(key)).collect();
                for directory in
                    walk.absorb(Page { objects, next, ..Page::default() }, Instant::now())
                {
                    let names = directory.names.objects.iter().map(|o| o.id.key.to_string());
                    let names =
                        names.chain(directory.names.prefixes.iter().map(|p| p.as_str().to_owned()));
                    let prefix = directory.prefix.as_str().to_owned();
                    let names =
                        names.map(|name| name[prefix.len()..].to_owned()).collect::<BTreeSet<_>>();
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

    #[test]
    fn a_habit_is_three_of_a_kind_and_disappointments_last() {
        let (mut habit, now) = (Habit::default(), Instant::now());
        assert_eq!([habit.note(now), habit.note(now), habit.note(now)], [false, false, true]);
        habit.disappointed();
        assert_eq!([habit.note(now), habit.note(now)], [false, true]);
        habit.disappointed();
        assert_eq!((0..4).filter(|_| habit.note(now)).count(), 1);
        assert!(!habit.note(now + Habit::PAUSE * 2));
    }
}
