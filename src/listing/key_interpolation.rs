//! Where to cut a long listing, so that its parts can be listed side by side: guesses about a key
//! space that nobody describes.
//!
//! A name is read as a number in 0..1: each of its bytes is a digit, in a base of the bytes that
//! were seen at that place (all ten where only digits were seen, until it is known which there
//! are). Between two names the cut is in the middle; behind the last one it doubles the distance
//! covered so far, since nothing says where the names end.

/// How many bytes of a name count: beyond this, differences are finer than a page.
const PLACES: usize = 96;
/// How many digits a cut has behind what its neighbours have in common.
const DIGITS: usize = 8;
/// `0` to `9`, as bits of a set.
const DECIMAL: u128 = 0x3ff << b'0';

/// The bytes seen at each place of the names so far.
#[derive(Debug, Default)]
pub(super) struct Alphabet {
    places: Vec<Place>,
}

/// ASCII bytes, as bits.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    seen: u128,
    /// A byte went down as a place before it went up, so that its range is known: months begin with
    /// 0 and 1 only.
    has_wrapped: bool,
}

impl Place {
    fn bytes(self) -> u128 {
        let is_decimal = self.seen & DECIMAL != 0;
        if is_decimal && !self.has_wrapped { self.seen | DECIMAL } else { self.seen }
    }

    /// How many bytes there are.
    fn base(self) -> f64 {
        f64::from(self.bytes().count_ones().max(1))
    }

    /// How many of them are below `byte`.
    fn rank(self, byte: u8) -> f64 {
        let below = if byte < 128 { (1_u128 << byte) - 1 } else { u128::MAX };
        f64::from((self.bytes() & below).count_ones())
    }

    /// The byte with `rank` others below it, or the greatest.
    fn byte(self, rank: f64) -> Option<u8> {
        let bytes = self.bytes();
        let found = (0..128_u8)
            .filter(|byte| bytes >> byte & 1 == 1)
            .take_while(|byte| self.rank(*byte) <= rank);
        found.last()
    }
}

impl Alphabet {
    /// Learns from names in byte order.
    pub(super) fn learn<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        let mut last = "";
        for name in names {
            let common = common(last, name);
            for (place, byte) in name.bytes().take(PLACES).enumerate() {
                if place == self.places.len() {
                    self.places.push(Place::default());
                }
                if !byte.is_ascii() || byte == b'/' {
                    break;
                }
                self.places[place].seen |= 1 << byte;
                self.places[place].has_wrapped |=
                    place > common && last.as_bytes().get(place).is_some_and(|last| *last > byte);
            }
            last = name;
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
                && let Some(cut) =
                    self.name(&last[..base], end + step).filter(|cut| cut.as_str() > last)
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

    /// A name behind all of those that start as `last` does: with a byte that was seen elsewhere,
    /// as `a` behind `9`.
    fn unseen_beyond(&self, last: &str) -> Option<String> {
        let first = *last.as_bytes().first()?;
        let seen = self.places.iter().fold(0, |seen, place| seen | place.bytes());
        let above: Vec<u8> = (first + 1..128).filter(|byte| seen >> byte & 1 == 1).collect();
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
        for (byte, place) in name.bytes().zip(&self.places).skip(base).take(DIGITS + 4) {
            unit /= place.base();
            value += unit * place.rank(byte);
        }
        value
    }

    fn name(&self, stem: &str, mut value: f64) -> Option<String> {
        let mut name = stem.to_owned();
        for place in self.places.iter().skip(stem.len()).take(DIGITS) {
            value *= place.base();
            name.push(char::from(place.byte(value.floor())?));
            value -= value.floor();
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
        names.iter().for_each(|name| alphabet.learn([*name]));
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
            let mut name = || {
                (0..random.usize(0..6)).map(|_| random.choice(SYMBOLS).unwrap()).collect::<String>()
            };
            let (a, b) = (name(), name());
            let (low, high) = if a < b { (a, b) } else { (b, a) };
            let alphabet = taught(&[&low, &high, &name()]);
            for cut in
                [alphabet.between(&low, &high), alphabet.beyond(&low, &high)].into_iter().flatten()
            {
                assert!(cut > low && !cut.contains('/'), "{low:?} {high:?} {cut:?}");
            }
            if let Some(cut) = alphabet.between(&low, &high) {
                assert!(cut < high);
            }
        }
    }
}
