//! Where in a directory a reader is: the offsets of readdir(3).

/// How many bits of an offset are for the name within its part.
const INDEX_BITS: u32 = 16;

/// A name in one part of a directory's names. Parts can be let go of and fetched again, and then
/// have more names or fewer; the places in other parts stay what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) part: usize,
    pub(super) index: usize,
}

impl Place {
    /// How many names of a part can be told apart.
    pub(super) const MOST_IN_PART: usize = (1 << INDEX_BITS) - 1;

    pub(super) fn of_offset(offset: u64) -> Self {
        let part = usize::try_from(offset >> INDEX_BITS).unwrap_or(usize::MAX);
        Self { part, index: (offset & Self::MOST_IN_PART as u64) as usize }
    }

    pub(super) fn offset(self) -> u64 {
        (self.part as u64) << INDEX_BITS | self.index as u64
    }

    /// Returns the place behind this one, where the part has another name.
    pub(super) fn next(self) -> Self {
        Self { index: self.index + 1, ..self }
    }

    /// Returns the first place of the part behind.
    pub(super) fn next_part(self) -> Self {
        Self { part: self.part + 1, index: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_a_place_and_offsets_are_in_the_order_of_places() {
        let places = [(0, 0), (0, 1), (0, Place::MOST_IN_PART), (1, 0), (20_000, 989)];
        let places = places.map(|(part, index)| Place { part, index });
        assert!(places.is_sorted() && places.map(Place::offset).is_sorted());
        for place in places {
            assert_eq!(Place::of_offset(place.offset()), place);
        }
        assert_eq!(Place::of_offset(0), Place::default());
    }
}
