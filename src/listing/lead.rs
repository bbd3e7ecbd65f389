//! How far ahead of the reader pages are fetched.

/// How many names a page has at most.
const PAGE: usize = 1000;
/// A reader past this many names is assumed to go on, so that more than one page is fetched ahead.
pub(super) const GOES_ON: usize = 3 * PAGE;
/// The lead grows with what was read, to so many times as much.
const GROWTH: usize = 8;
/// The longest lead, in pages: what comes in half a second, in partitions that are worth their
/// splits.
const LONGEST: usize = 160;

/// Returns how many pages to have ahead of a reader that has come `read` names far, when so many
/// names are `available` behind it: of those that are there, wait or are in flight. Where memory
/// `is_short`, it is no more than a page.
pub(super) fn pages_to_fetch(read: usize, available: usize, is_short: bool) -> usize {
    let lead = if read <= GOES_ON || is_short {
        // One page ahead of what is asked for.
        return usize::from(available < PAGE);
    } else {
        (read / PAGE * GROWTH).min(LONGEST)
    };
    lead.saturating_sub(available / PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lead_grows_with_what_is_read_and_is_bounded() {
        assert_eq!(pages_to_fetch(0, 0, false), 1);
        assert_eq!(pages_to_fetch(2000, 1000, false), 0);
        assert_eq!(pages_to_fetch(5000, 0, false), 40);
        assert_eq!(pages_to_fetch(5000, 30_000, false), 10);
        assert_eq!(pages_to_fetch(5_000_000, 0, false), LONGEST);
        assert_eq!(pages_to_fetch(5_000_000, LONGEST * PAGE, false), 0);
        assert_eq!(pages_to_fetch(5_000_000, 0, true), 1);
    }
}
