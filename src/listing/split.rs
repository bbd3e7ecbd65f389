//! Where to cut a long listing, so that its parts can be listed side by side: guesses about a key space that nobody describes.
//!
//! A name is read as a number in 0..1: each of its bytes is a digit, in a base of the bytes that were seen at that place
//! (all ten where only digits were seen). Between two names the cut is in the middle; behind the last one it doubles the
//! distance covered so far, since nothing says where the names end.

use std::collections::BTreeSet;

/// How many bytes of a name count: beyond this, differences are finer than a page.
const PLACES: usize = 96;
/// How many digits a cut has behind what its neighbours have in common.
const DIGITS: usize = 8;

/// The bytes seen at each place of the names so far.
#[derive(Debug, Default)]
pub(super) struct Alphabet {
    places: Vec<BTreeSet<u8>>,
}

impl Alphabet {
    /// Learns from a name.
    pub(super) fn learn(&mut self, name: &str) {
        for (place, byte) in name.bytes().take(PLACES).enumerate() {
            if place == self.places.len() {
                self.places.push(BTreeSet::new());
            }
            if !byte.is_ascii() || byte == b'/' {
                break;
            }
            let seen = &mut self.places[place];
            if byte.is_ascii_digit() {
                seen.extend(b'0'..=b'9');
            } else {
                seen.insert(byte);
            }
        }
    }

    /// A name strictly between `low` and `high`, about in the middle.
    pub(super) fn between(&self, low: &str, high: &str) -> Option<String> {
        let base = common(low, high);
        let middle = f64::midpoint(self.value(low, base), self.value(high, base));
        self.name(&low[..base], middle).filter(|cut| low < cut.as_str() && cut.as_str() < high)
    }

    /// A name behind `last`, about as far from it as that is from `first`.
    pub(super) fn beyond(&self, first: &str, last: &str) -> Option<String> {
        let mut base = common(first, last);
        loop {
            let (start, end) = (self.value(first, base), self.value(last, base));
            let step = (end - start).max(f64::EPSILON);
            if end + step < 1.0
                && let Some(cut) = self.name(&last[..base], end + step).filter(|cut| cut.as_str() > last)
            {
                return Some(cut);
            }
            // The names so far fill what is left of this place: carry to the one before.
            match last[..base].char_indices().next_back() {
                Some((before, _)) => base = before,
                None => return self.unseen_beyond(last),
            }
        }
    }

    /// A name behind all of those that start as `last` does: with a byte that was seen elsewhere, as `a` behind `9`.
    fn unseen_beyond(&self, last: &str) -> Option<String> {
        let first = *last.as_bytes().first()?;
        let seen: BTreeSet<u8> = self.places.iter().flatten().copied().collect();
        let above: Vec<u8> = seen.into_iter().filter(|byte| *byte > first).collect();
        above.get(above.len() / 2).map(|byte| char::from(*byte).to_string())
    }

    /// How far `to` is behind `from`, in units that compare among names between `first` and `last`.
    pub(super) fn distance(&self, from: &str, to: &str, first: &str, last: &str) -> f64 {
        let base = common(first, last);
        (self.value(to, base) - self.value(from, base)).max(0.0)
    }

    /// How far `name` is into the names that share its first `base` bytes, 0..1.
    fn value(&self, name: &str, base: usize) -> f64 {
        let mut value = 0.0;
        let mut unit = 1.0;
        for (byte, seen) in name.bytes().zip(&self.places).skip(base).take(DIGITS + 4) {
            unit /= seen.len().max(1) as f64;
            value += unit * seen.range(..byte).count() as f64;
        }
        value
    }

    fn name(&self, stem: &str, mut value: f64) -> Option<String> {
        let mut name = stem.to_owned();
        for seen in self.places.iter().skip(stem.len()).take(DIGITS) {
            value *= seen.len() as f64;
            // Below the base by construction, but for rounding.
            let digit = *seen.iter().nth((value as usize).min(seen.len().checked_sub(1)?))?;
            value -= value.floor();
            name.push(char::from(digit));
        }
        (name.len() > stem.len()).then_some(name)
    }
}

/// How many bytes two names have in common, whole characters only.
fn common(a: &str, b: &str) -> usize {
    let mut both = a.char_indices().zip(b.chars());
    both.find(|((_, a), b)| a != b).map_or(a.len().min(b.len()), |((at, _), _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taught(names: &[&str]) -> Alphabet {
        let mut alphabet = Alphabet::default();
        names.iter().for_each(|name| alphabet.learn(name));
        alphabet
    }

    #[test]
    fn the_middle_is_found_in_numbers_and_dates() {
        let numbers = taught(&["granule-00000000.nc", "granule-00000999.nc"]);
        let cut = numbers.between("granule-00001000.nc", "granule-00003000.nc").unwrap();
        assert!(("granule-00001900".."granule-00002100").contains(&cut.as_str()), "{cut}");
        let cut = numbers.beyond("granule-00000000.nc", "granule-00000999.nc").unwrap();
        assert!(("granule-00001800".."granule-00002100").contains(&cut.as_str()), "{cut}");
    }

    #[test]
    fn a_place_that_is_full_carries_to_the_one_before() {
        let numbers = taught(&["a-1900", "a-1999"]);
        let cut = numbers.beyond("a-1900", "a-1999").unwrap();
        assert!(cut.as_str() > "a-1999" && cut.as_str() < "a-3", "{cut}");
        assert_eq!(taught(&["z"]).beyond("z", "z"), None);
        let hex = taught(&["00ff", "9fa3"]);
        assert!(hex.beyond("00ff", "9fa3").unwrap().as_str() >= "a");
    }

    #[test]
    fn a_cut_lies_between_its_neighbours_or_there_is_none() {
        const SYMBOLS: [char; 12] = ['0', '1', '2', '9', 'a', 'b', 'Z', '_', '-', '.', 'é', '日'];
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let mut name = || (0..random.usize(0..6)).map(|_| random.choice(SYMBOLS).unwrap()).collect::<String>();
            let (a, b) = (name(), name());
            let (low, high) = if a < b { (a, b) } else { (b, a) };
            let alphabet = taught(&[&low, &high, &name()]);
            for cut in [alphabet.between(&low, &high), alphabet.beyond(&low, &high)].into_iter().flatten() {
                assert!(cut > low && !cut.contains('/'), "{low:?} {high:?} {cut:?}");
            }
            if let Some(cut) = alphabet.between(&low, &high) {
                assert!(cut < high);
            }
        }
    }
}
