//! Keys between and behind those that are known: guesses about a key space that nobody describes.
//!
//! A name is read as a number from 0 to 1. Each of its bytes is a digit whose base is the number of
//! different bytes seen in that column of the names. Where a column has shown digits only, all ten
//! count, until it is known which there are. A key between two names has a number between theirs,
//! and keys behind the last name go on at the density of those so far.

/// How many bytes of a name count. Names that differ only behind these are on the same page.
const COLUMNS: usize = 96;
/// How many digits a guessed key has behind what its neighbours have in common.
const DIGITS: usize = 8;
/// `0` to `9`, as bits of a set.
const DECIMAL: u128 = 0x3ff << b'0';

/// The bytes seen in each column of the names so far.
#[derive(Debug, Default)]
pub(super) struct KeySpace {
    columns: Vec<Column>,
}

/// The ASCII bytes seen in one column, as bits.
#[derive(Clone, Copy, Debug, Default)]
struct Column {
    seen: u128,
    /// Whether a byte went down before the columns on its left went up, so that its range is
    /// known: months begin with 0 and 1 only.
    has_wrapped: bool,
}

impl Column {
    fn bytes(self) -> u128 {
        let is_decimal = self.seen & DECIMAL != 0;
        if is_decimal && !self.has_wrapped { self.seen | DECIMAL } else { self.seen }
    }

    /// Returns how many bytes there are.
    fn base(self) -> f64 {
        f64::from(self.bytes().count_ones().max(1))
    }

    /// Returns how many of them are below `byte`.
    fn rank(self, byte: u8) -> f64 {
        let below = if byte < 128 { (1_u128 << byte) - 1 } else { u128::MAX };
        f64::from((self.bytes() & below).count_ones())
    }

    /// Returns the byte with `rank` others below it, or the greatest.
    fn byte(self, rank: f64) -> Option<u8> {
        let bytes = self.bytes();
        let found = (0..128_u8)
            .filter(|byte| bytes >> byte & 1 == 1)
            .take_while(|byte| self.rank(*byte) <= rank);
        found.last()
    }
}

impl KeySpace {
    /// Learns from names, which come in byte order; the one before them was `last`, if any.
    pub(super) fn learn<'a>(
        &mut self,
        mut last: &'a str,
        names: impl IntoIterator<Item = &'a str>,
    ) {
        for name in names {
            let common = common(last, name);
            for (column, byte) in name.bytes().take(COLUMNS).enumerate() {
                if column == self.columns.len() {
                    self.columns.push(Column::default());
                }
                if !byte.is_ascii() || byte == b'/' {
                    break;
                }
                self.columns[column].seen |= 1 << byte;
                self.columns[column].has_wrapped |=
                    column > common && last.as_bytes().get(column).is_some_and(|last| *last > byte);
            }
            last = name;
        }
    }

    /// Returns a name strictly between `low` and `high`, about the given part of the way behind
    /// `low`.
    pub(super) fn between(&self, low: &str, high: &str, part: f64) -> Option<String> {
        let base = common(low, high);
        let (start, end) = (self.value(low, base), self.value(high, base));
        self.name(&low[..base], start + (end - start) * part)
            .filter(|guess| low < guess.as_str() && guess.as_str() < high)
    }

    /// Returns a name behind `last`, about so many times as far from it as that is from `first`.
    pub(super) fn beyond(&self, first: &str, last: &str, times: f64) -> Option<String> {
        let mut base = common(first, last);
        loop {
            let (start, end) = (self.value(first, base), self.value(last, base));
            let step = ((end - start) * times).max(f64::EPSILON);
            if end + step < 1.0
                && let Some(guess) =
                    self.name(&last[..base], end + step).filter(|guess| guess.as_str() > last)
            {
                return Some(guess);
            }
            // The names so far use this column up: carry to the one before.
            match last[..base].char_indices().next_back() {
                Some((before, _)) => base = before,
                None => return self.unseen_beyond(last),
            }
        }
    }

    /// Returns a name behind all of those that start as `last` does. Its first byte is one that was
    /// seen in another column, such as `a` behind `9`.
    fn unseen_beyond(&self, last: &str) -> Option<String> {
        let first = *last.as_bytes().first()?;
        let seen = self.columns.iter().fold(0, |seen, column| seen | column.bytes());
        let above: Vec<u8> = (first + 1..128).filter(|byte| seen >> byte & 1 == 1).collect();
        above.get(above.len() / 2).map(|byte| char::from(*byte).to_string())
    }

    /// Returns how far `to` is behind `from`, as a part of the names that start as both `first` and
    /// `last` do.
    pub(super) fn distance(&self, from: &str, to: &str, first: &str, last: &str) -> f64 {
        let base = common(first, last);
        (self.value(to, base) - self.value(from, base)).max(0.0)
    }

    /// Returns how far `name` is into the names that share its first `base` bytes, from 0 to 1.
    fn value(&self, name: &str, base: usize) -> f64 {
        let mut value = 0.0;
        let mut unit = 1.0;
        for (byte, column) in name.bytes().zip(&self.columns).skip(base).take(DIGITS + 4) {
            unit /= column.base();
            value += unit * column.rank(byte);
        }
        value
    }

    /// Returns the name that is `value` of the way into those that start with `start`.
    fn name(&self, start: &str, mut value: f64) -> Option<String> {
        let mut name = start.to_owned();
        for column in self.columns.iter().skip(start.len()).take(DIGITS) {
            value *= column.base();
            name.push(char::from(column.byte(value.floor())?));
            value -= value.floor();
        }
        (name.len() > start.len()).then_some(name)
    }
}

/// Returns a string below `key` with no key between them but some that nobody has.
pub(super) fn just_before(key: &str) -> String {
    let mut chars = key.chars();
    match chars.next_back().and_then(|last| ('\0'..last).next_back()) {
        Some(lower) => format!("{}{lower}\u{10FFFF}", chars.as_str()),
        None => chars.as_str().to_owned(),
    }
}

/// Returns how many bytes two names have in common at their start, whole characters only.
fn common(a: &str, b: &str) -> usize {
    let mut both = a.char_indices().zip(b.chars());
    both.find(|((_, a), b)| a != b).map_or(a.len().min(b.len()), |((at, _), _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taught(names: &[&str]) -> KeySpace {
        let mut keys = KeySpace::default();
        names.iter().for_each(|name| keys.learn("", [*name]));
        keys
    }

    #[test]
    fn the_middle_is_found_in_numbers_and_dates() {
        let numbers = taught(&["granule-00000000.nc", "granule-00000999.nc"]);
        let guess = numbers.between("granule-00001000.nc", "granule-00003000.nc", 0.5).unwrap();
        assert!(("granule-00001900".."granule-00002100").contains(&guess.as_str()), "{guess}");
        let guess = numbers.beyond("granule-00000000.nc", "granule-00000999.nc", 1.0).unwrap();
        assert!(("granule-00001800".."granule-00002100").contains(&guess.as_str()), "{guess}");
    }

    #[test]
    fn a_column_that_is_full_carries_to_the_one_before() {
        let numbers = taught(&["a-1900", "a-1999"]);
        let guess = numbers.beyond("a-1900", "a-1999", 1.0).unwrap();
        assert!(guess.as_str() > "a-1999" && guess.as_str() < "a-3", "{guess}");
        assert_eq!(taught(&["z"]).beyond("z", "z", 1.0), None);
        let hex = taught(&["00ff", "9fa3"]);
        assert!(hex.beyond("00ff", "9fa3", 1.0).unwrap().as_str() >= "a");
    }

    #[test]
    fn a_guess_lies_between_its_neighbours_or_there_is_none() {
        const SYMBOLS: [char; 12] = ['0', '1', '2', '9', 'a', 'b', 'Z', '_', '-', '.', 'é', '日'];
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let mut name = || {
                (0..random.usize(0..6)).map(|_| random.choice(SYMBOLS).unwrap()).collect::<String>()
            };
            let (a, b) = (name(), name());
            let (low, high) = if a < b { (a, b) } else { (b, a) };
            let keys = taught(&[&low, &high, &name()]);
            let (part, times) = (random.f64(), random.f64() * 3.0);
            let guesses = [keys.between(&low, &high, part), keys.beyond(&low, &high, times)];
            for guess in guesses.into_iter().flatten() {
                assert!(guess > low && !guess.contains('/'), "{low:?} {high:?} {guess:?}");
            }
            if let Some(guess) = keys.between(&low, &high, part) {
                assert!(guess < high);
            }
        }
    }
}
