//! What is known of one directory at a moment, and who reads it.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::lead;
use super::memory::Memory;
use super::ordered_entries::OrderedEntries;
use super::page_times::PageTimes;
use super::partitioned::PartitionedListing;
use super::place::Place;
use crate::error::Error;
use crate::object::Prefix;

/// The state of a listing.
#[derive(Debug)]
pub(super) struct State {
    pub(super) times: PageTimes,
    /// When names were given out last.
    pub(super) shown: Instant,
    pub(super) entries: OrderedEntries,
    pub(super) pages: PartitionedListing,
    /// Where each open handle reads, by its number.
    pub(super) readers: Vec<(u64, Place)>,
    pub(super) last_reader: u64,
    /// The parts that were last fetched again.
    pub(super) fetched_again: Range<usize>,
    /// Whether anybody has asked for names.
    pub(super) is_touched: bool,
    /// Whether a page fetcher is at work.
    pub(super) is_fetching: bool,
    pub(super) failures: u64,
    pub(super) last_failure: Option<Error>,
}

impl State {
    /// Returns the state of a listing that begins now.
    pub(super) fn new(bucket: Arc<str>, prefix: &Prefix) -> Self {
        let began = Instant::now();
        Self {
            times: PageTimes::new(began),
            shown: began,
            entries: OrderedEntries::new(bucket, prefix.clone()),
            pages: PartitionedListing::new(prefix.clone()),
            readers: Vec::new(),
            last_reader: 0,
            fetched_again: 0..0,
            is_touched: false,
            is_fetching: false,
            failures: 0,
            last_failure: None,
        }
    }

    pub(super) fn is_untouched(&self) -> bool {
        !self.is_touched && !self.entries.is_complete() && self.entries.available() == 0
    }

    pub(super) fn move_reader(&mut self, reader: u64, place: Place) {
        self.is_touched = true;
        if let Some((_, known)) = self.readers.iter_mut().find(|(number, _)| *number == reader) {
            *known = place;
        }
    }

    /// Returns whether more pages are to be fetched.
    pub(super) fn needs_pages(&self, memory: &Memory) -> bool {
        self.pages_ahead(memory) > self.pages.in_flight()
    }

    /// Returns how many pages are to wait or be in flight.
    pub(super) fn pages_ahead(&self, memory: &Memory) -> usize {
        if self.entries.is_complete() {
            return 0;
        }
        let Some((_, front)) = self.readers.iter().max_by_key(|(_, place)| *place) else {
            return 0;
        };
        let available = self.entries.available_behind(*front);
        let read = self.entries.available() - available;
        lead::pages_to_fetch(read, available, memory)
    }

    /// Returns how many pages to ask for at once, of which the bucket allows `most`.
    pub(super) fn at_once(&self, most: usize) -> usize {
        if self.entries.available() <= lead::GOES_ON { 1 } else { most }
    }

    /// Takes in the next page in key order, when it is there. Returns whether it had names, and
    /// whether more names can be given out.
    pub(super) fn take_in_next(&mut self) -> Option<(bool, bool)> {
        let Some(page) = self.pages.next_page() else {
            if self.pages.is_finished() && !self.entries.is_complete() {
                self.entries.complete();
            }
            return None;
        };
        Some((!page.names.is_empty(), self.entries.add(page)))
    }

    /// Returns whether nobody reads.
    pub(super) fn is_abandoned(&self) -> bool {
        self.readers.is_empty()
    }

    /// Records that nobody fetches pages any more.
    pub(super) fn stop_fetching(&mut self) {
        self.pages.cancel_in_flight();
        self.is_fetching = false;
    }

    /// Records that pages cannot be fetched. Those who wait now are told; who comes later tries
    /// again.
    pub(super) fn fail(&mut self, error: Error) {
        self.failures += 1;
        self.last_failure = Some(error);
        self.stop_fetching();
    }
}
