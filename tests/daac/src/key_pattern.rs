//! Keys that a pattern generates, in any number, without storing them.

use std::fmt::Write;

use jiff::civil::Date;

/// Objects of one size whose keys a pattern generates.
///
/// The pattern is text with fields in braces. `{500}` counts 000 to 499; `{500:6}` does so with six
/// digits; `{365:date}` counts days from 2002-06-01, written `20020601`. Every combination is a
/// key, the last field changing fastest; a `{}` repeats the field before it.
/// `flat/{3000:date}-{1000}.nc` is three million keys under one prefix, `t/{100}/{200}/{}.nc`
/// twenty thousand directories of one file each.
#[derive(Clone, Debug)]
pub struct SyntheticObjects {
    /// The pattern of the keys.
    pub pattern: String,
    /// The size of every object, in bytes.
    pub size: u64,
}

/// A parsed pattern, which gives keys by their position in byte order.
#[derive(Debug)]
pub(crate) struct KeyPattern {
    parts: Vec<Part>,
    count: u64,
    pub(crate) size: u64,
}

#[derive(Debug)]
enum Part {
    Text(String),
    Field { count: u64, form: FieldFormat, repeats: bool },
}

#[derive(Clone, Copy, Debug)]
enum FieldFormat {
    Digits(usize),
    Date,
}

/// The first day of MUR, a collection of one granule a day.
const FIRST_DAY: Date = Date::constant(2002, 6, 1);

impl KeyPattern {
    /// Parses a pattern. The error is a sentence.
    pub(crate) fn parse(set: &SyntheticObjects) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut count = 1u64;
        let mut last = None;
        let mut rest = set.pattern.as_str();
        while let Some((text, after)) = rest.split_once('{') {
            let (field, after) = after
                .split_once('}')
                .ok_or_else(|| format!("{}: a brace is left open", set.pattern))?;
            rest = after;
            parts.push(Part::Text(text.to_owned()));
            if field.is_empty() {
                let (count, form) =
                    last.ok_or_else(|| format!("{}: nothing to repeat", set.pattern))?;
                parts.push(Part::Field { count, form, repeats: true });
                continue;
            }
            let (number, form) = field.split_once(':').unwrap_or((field, ""));
            let number: u64 = number.parse().map_err(|_| format!("{{{field}}}: not a count"))?;
            let needed = number.saturating_sub(1).to_string().len();
            let form = match form {
                "date" if number <= 2_000_000 => FieldFormat::Date,
                "" => FieldFormat::Digits(needed),
                // Too few digits would break the order that positions rely on.
                width => FieldFormat::Digits(
                    width
                        .parse()
                        .ok()
                        .filter(|width| *width >= needed)
                        .ok_or_else(|| format!("{{{field}}}: no such form"))?,
                ),
            };
            count = count
                .checked_mul(number)
                .ok_or_else(|| format!("{}: too many names", set.pattern))?;
            last = Some((number, form));
            parts.push(Part::Field { count: number, form, repeats: false });
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self { parts, count, size: set.size })
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Returns the key at a position below `count`.
    pub(crate) fn name(&self, index: u64) -> String {
        let mut name = String::with_capacity(64);
        self.write(&mut name, index);
        name
    }

    /// Returns the position of the first key that is `key` or later.
    pub(crate) fn position(&self, key: &str) -> u64 {
        let mut name = String::with_capacity(64);
        let mut is_before = |index| {
            name.clear();
            self.write(&mut name, index);
            name.as_str() < key
        };
        // Most lookups are of keys of other patterns, which these two comparisons find out.
        if self.count == 0 || !is_before(0) {
            return 0;
        }
        if is_before(self.count - 1) {
            return self.count;
        }
        let (mut low, mut high) = (1, self.count - 1);
        while low < high {
            let middle = low + (high - low) / 2;
            if is_before(middle) { low = middle + 1 } else { high = middle }
        }
        low
    }

    fn write(&self, name: &mut String, index: u64) {
        let mut below = self.count;
        let mut rest = index;
        let mut value = 0;
        for part in &self.parts {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Field { count, form, repeats } => {
                    if !repeats {
                        below /= count;
                        value = rest / below;
                        rest %= below;
                    }
                    form.write(name, value);
                }
            }
        }
    }

    pub(crate) fn find(&self, key: &str) -> Option<u64> {
        let index = self.position(key);
        (index < self.count && self.name(index) == key).then_some(index)
    }
}

impl FieldFormat {
    fn write(self, name: &mut String, value: u64) {
        // Writing to a String cannot fail.
        let _ = match self {
            Self::Digits(width) => write!(name, "{value:0width$}"),
            Self::Date => {
                let day = FIRST_DAY.saturating_add(jiff::Span::new().days(value as i64));
                write!(name, "{:04}{:02}{:02}", day.year(), day.month(), day.day())
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pattern: &str) -> KeyPattern {
        KeyPattern::parse(&SyntheticObjects { pattern: pattern.into(), size: 1 }).unwrap()
    }

    #[test]
    fn positions_and_names_are_each_others_inverse_and_sorted() {
        for pattern in ["flat/{40:date}-{25:3}.nc", "t/{3}/{5}/{}/f-{11}", "{1000}", "one"] {
            let names = names(pattern);
            let all: Vec<_> = (0..names.count()).map(|index| names.name(index)).collect();
            assert!(all.is_sorted_by(|a, b| a < b), "{pattern}");
            for (index, name) in all.iter().enumerate() {
                assert_eq!(names.position(name), index as u64);
                assert_eq!(names.find(name), Some(index as u64));
                assert_eq!(names.position(&format!("{name}\0")), index as u64 + 1);
            }
        }
    }

    #[test]
    fn a_pattern_generates_the_documented_keys() {
        assert_eq!(names("flat/{3000:date}-{1000}.nc").count(), 3_000_000);
        assert_eq!(names("flat/{3000:date}-{1000}.nc").name(31_007), "flat/20020702-007.nc");
        assert_eq!(names("t/{100}/{200}/{}.nc").name(19_999), "t/99/199/199.nc");
    }

    #[test]
    fn a_pattern_whose_keys_would_be_out_of_order_is_refused() {
        for pattern in ["{", "{}", "{x}", "{1000:2}", "{5:week}"] {
            assert!(
                KeyPattern::parse(&SyntheticObjects { pattern: pattern.into(), size: 1 }).is_err(),
                "{pattern}"
            );
        }
    }
}
