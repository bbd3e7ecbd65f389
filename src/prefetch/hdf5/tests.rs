//! Properties of [`Metadata`] over files that h5py wrote, damaged files, and files that never end.
//!
//! To look for panics for longer, with overflows among them, since this is not the release profile:
//! `PROPTEST_CASES=1000000 nice cargo test --lib prefetch::hdf5`

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use fastrand::Rng;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// A file that h5py wrote, and what it reads to visit all objects and read all attributes.
struct Fixture {
    name: &'static str,
    file: &'static [u8],
    trace: &'static str,
}

macro_rules! fixtures {
    ($($name:literal),*) => {
        [$(Fixture {
            name: $name,
            file: include_bytes!(concat!("fixtures/", $name, ".h5")),
            trace: include_str!(concat!("fixtures/", $name, ".trace")),
        }),*]
    };
}

/// Written by `fixtures/make.py`, and read with the HDF5 library 1.10.
const FIXTURES: [Fixture; 8] = fixtures![
    "earliest",
    "latest",
    "paged",
    "short_addresses",
    "track_order",
    "user_block",
    "user_block_latest",
    "v108"
];

fn slice(file: &[u8], range: &Range<u64>) -> Vec<u8> {
    file[range.start as usize..range.end as usize].to_vec()
}

/// Follows a file of `size` bytes a level at a time, while `read` returns the bytes of some
/// structures or all. Returns the structures of each level. Asserts that the limits are kept.
fn follow(size: u64, mut read: impl FnMut(&Place) -> Option<Vec<u8>>) -> Vec<Vec<Place>> {
    let mut metadata = Metadata::new(size);
    let (mut levels, mut count, mut bytes) = (Vec::new(), 0, 0);
    while !metadata.wanted.is_empty() {
        let level = metadata.wanted.iter().map(|(place, _)| place.clone()).collect::<Vec<_>>();
        let mut places = level.iter();
        metadata.advance(|range| {
            let place = places.next().filter(|place| place.range == *range)?;
            assert!(range.start < range.end && range.end <= size, "{place:?} of {size}");
            assert!(range.end - range.start <= MAX_STRUCTURE_BYTES, "{place:?}");
            let answer = read(place);
            if answer.is_some() {
                count += 1;
                bytes += range.end - range.start;
            }
            answer
        });
        levels.push(level);
    }
    // A structure is wanted a second time, with its first bytes, once its size is known.
    assert!(count <= 2 * MAX_STRUCTURES && bytes <= 2 * MAX_BYTES, "{count}, {bytes} bytes");
    levels
}

fn follow_file(file: &[u8]) -> Vec<Vec<Place>> {
    follow(file.len() as u64, |place| Some(slice(file, &place.range)))
}

/// Returns which bytes of a file of `size` are in some of `ranges`.
fn marked(size: usize, ranges: impl Iterator<Item = Range<u64>>) -> Vec<bool> {
    let mut marked = vec![false; size];
    for range in ranges {
        marked[range.start as usize..range.end as usize].fill(true);
    }
    marked
}

#[test]
fn all_that_h5py_reads_of_the_metadata_is_wanted_and_little_else() {
    for Fixture { name, file, trace } in &FIXTURES {
        let size = file.len();
        let reads = trace.lines().map(|line| {
            let (offset, length) = line.split_once(' ').unwrap();
            let (offset, length) = (offset.parse::<u64>().unwrap(), length.parse::<u64>().unwrap());
            offset..(offset + length).min(size as u64)
        });
        let levels = follow_file(file);
        let wanted = marked(size, levels.iter().flatten().map(|place| place.range.clone()));
        for read in reads.clone() {
            let bytes = &wanted[read.start as usize..read.end as usize];
            assert!(bytes.iter().all(|is_wanted| *is_wanted), "{name}: {read:?}");
        }
        let count = |marked: &[bool]| marked.iter().filter(|is| **is).count() as u64;
        let read = count(&marked(size, reads));
        let wanted = count(&wanted);
        assert!(wanted <= read * 11 / 10 + superblock::SIZE, "{name}: {wanted} of {read}");
        assert!(levels.len() <= 14, "{name}: {} levels", levels.len());
    }
}

#[test]
fn the_indices_of_chunks_are_wanted_apart() {
    let file = FIXTURES[0].file;
    let mut metadata = Metadata::new(file.len() as u64);
    while metadata.wanted().next().is_some() {
        let wanted = metadata.wanted().cloned().collect::<Vec<_>>();
        metadata.advance(|range| wanted.contains(range).then(|| slice(file, range)));
    }
    let indices = metadata.wanted_chunk_indices().map(|range| slice(file, range));
    let indices = indices.collect::<Vec<_>>();
    assert_eq!(indices.len(), 7, "one for each chunked dataset");
    assert!(indices.iter().all(|index| index.starts_with(b"TREE\x01")));
}

#[test]
fn nothing_more_is_wanted_of_a_file_of_another_format() {
    for file in [&b""[..], b"CDF\x01", &[0; 10_000], b"\x89HDF\r\n\x1a\n"] {
        assert!(follow_file(file).len() <= 1);
    }
}

#[test]
fn a_chain_and_a_tree_without_an_end_are_followed_up_to_the_limits() {
    const SIZE: u64 = 1 << 40;
    let file = |continuations: u64, length: u64| {
        move |place: &Place| {
            let mut bytes = match place.structure {
                Structure::Superblock => FIXTURES[0].file[..4096].to_vec(),
                Structure::ObjectHeader => [&[1, 0], &[0; 6][..], &[0, 2, 0, 0], &[0; 4]].concat(),
                _ => Vec::new(),
            };
            if !matches!(place.structure, Structure::Superblock) {
                let mut random = Rng::with_seed(place.range.start);
                for _ in 0..continuations {
                    bytes.extend([0x10, 0, 16, 0, 0, 0, 0, 0]);
                    bytes.extend(random.u64(0..SIZE).to_le_bytes());
                    bytes.extend(length.to_le_bytes());
                }
            }
            Some(bytes)
        }
    };
    assert_eq!(follow(SIZE, file(1, 500)).len(), MAX_DEPTH as usize + 1);
    follow(SIZE, file(20, 100_000));
    let tree = follow(SIZE, file(20, 500));
    let places = tree.iter().flatten().map(|place| place.range.start).collect::<BTreeSet<_>>();
    assert!(places.len() > MAX_STRUCTURES * 9 / 10, "{}", places.len());
}

/// The bytes of a structure, and where in them the addresses of others are.
type Template = (Vec<u8>, Vec<usize>);

/// The structures of the fixtures that count addresses from their start, by type.
static TEMPLATES: LazyLock<HashMap<Discriminant<Structure>, Vec<Template>>> = LazyLock::new(|| {
    let mut templates = HashMap::<_, Vec<_>>::new();
    for name in ["earliest", "latest", "track_order", "v108"] {
        let file = FIXTURES.iter().find(|fixture| fixture.name == name).unwrap().file;
        let places = follow_file(file).into_iter().flatten().collect::<Vec<_>>();
        let starts = places.iter().map(|place| place.range.start).collect::<BTreeSet<_>>();
        for place in places {
            let bytes = slice(file, &place.range);
            let fields = bytes.windows(8).map(|field| field.try_into().unwrap());
            let addresses = fields.map(u64::from_le_bytes).enumerate();
            let addresses = addresses.filter(|(_, field)| *field > 0 && starts.contains(field));
            let addresses = addresses.map(|(offset, _)| offset).collect::<Vec<_>>();
            let of_type = templates.entry(discriminant(&place.structure)).or_default();
            of_type.push((bytes, addresses));
        }
    }
    for of_type in templates.values_mut() {
        // Most structures name none: such a file would end soon.
        if of_type.iter().any(|(_, addresses)| !addresses.is_empty()) {
            of_type.retain(|(_, addresses)| !addresses.is_empty());
        }
    }
    templates
});

proptest! {
    #[test]
    fn what_is_wanted_does_not_depend_on_what_arrives_first(
        fixture in 0..FIXTURES.len(), arrivals: Vec<bool>,
    ) {
        let file = FIXTURES[fixture].file;
        let mut arrivals = arrivals.into_iter();
        let in_any_order = follow(file.len() as u64, |place| {
            arrivals.next().unwrap_or(true).then(|| slice(file, &place.range))
        });
        let ranges = |levels: Vec<Vec<Place>>| {
            let places = levels.into_iter().flatten();
            places.map(|place| (place.range.start, place.range.end)).collect::<BTreeSet<_>>()
        };
        prop_assert_eq!(ranges(in_any_order), ranges(follow_file(file)));
    }

    #[test]
    fn a_damaged_file_ends_within_the_limits(
        fixture in 0..FIXTURES.len(),
        damages in prop::collection::vec((any::<Index>(), 0..80_u64, any::<u8>()), 1..100),
        cut: Option<Index>,
    ) {
        let mut file = FIXTURES[fixture].file.to_vec();
        let places = follow_file(&file).into_iter().flatten().collect::<Vec<_>>();
        for (place, offset, byte) in damages {
            let start = place.get(&places).range.start;
            if let Some(damaged) = file.get_mut((start + offset) as usize) {
                *damaged = byte;
            }
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        follow_file(&file);
    }

    #[test]
    fn no_bytes_make_a_structure_panic(
        place: Index, fixture in 0..FIXTURES.len(), kept: Index, address_size in 0..3_u32,
        bytes: Vec<u8>,
    ) {
        let file = FIXTURES[fixture].file;
        let places = follow_file(file).into_iter().flatten().collect::<Vec<_>>();
        let place = place.get(&places);
        let mut content = slice(file, &place.range);
        content.truncate(kept.index(content.len() + 1));
        content.extend(bytes);
        let size = 2 << address_size;
        let format = Format { address_size: size, length_size: size, ..Format::default() };
        place.structure.parse(&content, format, &mut Found::default());
    }

    /// Each structure is one of a real file, but some of its bytes are others, and so are all of
    /// its addresses: it has neither an end nor an order.
    #[test]
    fn a_file_that_names_ever_more_structures_ends_within_the_limits(
        seed: u64, damage in 0..20_u64, size in 1_u64 << 20..1 << 36,
    ) {
        follow(size, |place| {
            let mut random = Rng::with_seed(seed ^ place.range.start);
            let templates = TEMPLATES.get(&discriminant(&place.structure));
            let template = templates.and_then(|templates| random.choice(templates));
            let (mut bytes, addresses) = template.cloned().unwrap_or_default();
            for offset in addresses {
                bytes[offset..offset + 8].copy_from_slice(&random.u64(0..size).to_le_bytes());
            }
            for _ in 0..random.u64(0..=damage) {
                if let Some(damaged) = random.choice(&mut bytes) {
                    *damaged = random.u8(..);
                }
            }
            Some(bytes)
        });
    }
}
