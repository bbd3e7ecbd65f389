//! How far ahead of the reader pages are fetched.

use super::memory::Memory;

/// How many names a page has at most.
const PAGE: usize = 1000;
/// A reader past this many names is assumed to go on, so that more than one page is fetched ahead.
pub(super) const GOES_ON: usize = 3 * PAGE;
/// The lead grows with what was read, to so many times as much.
const GROWTH: usize = 4;
/// The longest lead, in pages: what comes in a second or two, in partitions that are worth their
/// splits.
const LONGEST: usize = 384;
/// The lead of one reader takes no more than this part of the memory for names.
const MEMORY_DIVISOR: usize = 3;
/// Bytes of memory that a page takes, with names of 60 bytes.
const PAGE_SIZE: usize = 105_000;

/// Returns how many pages to have ahead of a reader that has come `read` names far, when so many
/// names are `available` behind it: of those that are there, wait or are in flight. Where memory
/// is short, it is no more than a page.
pub(super) fn pages_to_fetch(read: usize, available: usize, memory: &Memory) -> usize {
    if read <= GOES_ON || memory.excess() > 0 {
        // One page ahead of what is asked for.
        return usize::from(available < PAGE);
    }
    let most = (memory.limit() / MEMORY_DIVISOR / PAGE_SIZE).clamp(1, LONGEST);
    (read / PAGE * GROWTH).min(most).saturating_sub(available / PAGE)
}

#[cfg(test)]
mod tests {
    use super::super::memory::Charge;
    use super::*;

    #[test]
    fn the_lead_grows_with_what_is_read_and_is_bounded() {
        let memory = Memory::new(1 << 30);
        assert_eq!(pages_to_fetch(0, 0, &memory), 1);
        assert_eq!(pages_to_fetch(2000, 1000, &memory), 0);
        assert_eq!(pages_to_fetch(5000, 0, &memory), 20);
        assert_eq!(pages_to_fetch(5000, 15_000, &memory), 5);
        assert_eq!(pages_to_fetch(5_000_000, 0, &memory), LONGEST);
        assert_eq!(pages_to_fetch(5_000_000, LONGEST * PAGE, &memory), 0);
        let _charge = Charge::new(&memory, (1 << 30) + 1);
        assert_eq!(pages_to_fetch(5_000_000, 0, &memory), 1);
        assert_eq!(pages_to_fetch(5_000_000, 0, &Memory::new(3 * 10 * PAGE_SIZE)), 10);
    }
}
