//! Fetches parts of a listing that were let go of again, for a reader that seeks back or is slow.

use std::sync::Arc;

use futures_util::future::try_join_all;

use super::Directory;
use super::key_interpolation::just_before;
use super::name_table::Interval;
use super::packed_names::PackedNames;
use super::packed_page::PackedPage;
use crate::error::Error;
use crate::object::Name;
use crate::s3::Position;
use crate::single_flight::SingleFlight;

/// Parts in flight, by the directory's address and their number.
#[derive(Debug, Default)]
pub(super) struct PartFetcher {
    in_flight: SingleFlight<(usize, usize), ()>,
}

impl PartFetcher {
    /// Fetches a part, and with it some of those behind that were let go of as well, when a reader
    /// comes to one after the other.
    ///
    /// # Errors
    /// Those of [`Bucket::page`](crate::s3::Bucket::page).
    pub(super) async fn fetch(&self, directory: &Arc<Directory>, part: usize) -> Result<(), Error> {
        let parts = directory.parts_to_fetch(part);
        let fetch = |part| {
            let key = (Arc::as_ptr(directory) as usize, part);
            let directory = directory.clone();
            self.in_flight.join(key, || async move { fetch(&directory, part).await })
        };
        try_join_all(parts.into_iter().map(fetch)).await?;
        Ok(())
    }
}

/// Fetches what S3 has now between the first name of a part and that of the one behind.
async fn fetch(directory: &Directory, part: usize) -> Result<(), Error> {
    let (bucket, prefix) = (directory.bucket(), directory.prefix());
    let interval = directory.interval(part);
    let mut at = match &interval.from {
        None => Position::Start,
        Some(from) => Position::After(prefix.key(&just_before(from))),
    };
    let mut names = PackedNames::default();
    loop {
        let page = PackedPage::new(prefix, &bucket.page(prefix, &at).await?);
        names.merge(page.names);
        match page.next {
            // A key behind the end of the part: no key of the part follows, see `Part::must_stay`.
            Some(next) if !interval.is_before(&page.last_key) => at = next,
            _ => break,
        }
    }
    names.resolve_shadows();
    directory.restore(part, within(&names, &interval));
    Ok(())
}

/// Returns the names of an interval. An escaped name is out of order, and is kept elsewhere.
fn within(names: &PackedNames, interval: &Interval) -> PackedNames {
    let mut kept = PackedNames::with_capacity(names.len(), 0);
    for (index, name) in names.names().enumerate() {
        if interval.holds(name) && Name::is_plain(name) {
            kept.push_from(name, names, index);
        }
    }
    kept
}
