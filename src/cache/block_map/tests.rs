use super::super::block::BLOCK_SIZE;
use super::*;
use crate::governor::{Account, Governor, Kind, Product, Totals};

/// The map, and the books of its guesses.
struct Blocks {
    map: BlockMap,
    id: Arc<ObjectId>,
    governor: Arc<Governor>,
    account: Arc<Account>,
}

impl Blocks {
    fn new() -> Self {
        let id = ObjectId { bucket: "b".into(), key: "k".into(), etag: "e".into() };
        let governor = Governor::new(1 << 30);
        let account = governor.account(Kind::Stride, &Product::of(&id));
        Self { map: BlockMap::new(1 << 30), id: Arc::new(id), governor, account }
    }

    fn guess(&mut self, range: Range<u64>) -> BlockRange {
        let account = &self.account;
        self.map.start_fetch(&self.id, range, |_, length| Some(account.fetch(length)))
    }

    fn fetch(&mut self, range: Range<u64>) -> BlockRange {
        self.map.start_fetch(&self.id, range, |_, _| None)
    }

    fn demand(&mut self, range: Range<u64>) -> Option<Piece> {
        self.map.demand(&self.id, range.start / BLOCK_SIZE, &range)
    }

    /// Lets all of a fetch arrive: each byte is the number of its page.
    fn complete(&mut self, range: &mut BlockRange) {
        while !range.is_empty() {
            let (_, part) = range.first_part();
            let bytes: Vec<u8> = part.map(|at| (at / 4096) as u8).collect();
            let outcome = Ok(Bytes::from(bytes));
            let pending = self.map.complete_first(range, &outcome);
            assert!(pending.set(outcome).is_ok());
        }
    }

    fn totals(&self) -> Totals {
        self.governor.totals().into_iter().find(|(kind, _)| *kind == Kind::Stride).unwrap().1
    }
}

fn block(index: u64) -> Range<u64> {
    index * BLOCK_SIZE..(index + 1) * BLOCK_SIZE
}

fn ready(piece: Option<Piece>) -> Bytes {
    let Some(Piece::Ready(bytes)) = piece else { panic!("{piece:?}") };
    bytes
}

#[test]
fn what_was_guessed_outlives_what_was_read() {
    let mut blocks = Blocks::new();
    let mut ahead = blocks.guess(block(0).start..block(2).end);
    // A reader came while it was in flight.
    assert!(matches!(blocks.demand(block(1)), Some(Piece::Pending { .. })));
    let mut demanded = blocks.fetch(block(10));
    blocks.complete(&mut ahead);
    blocks.complete(&mut demanded);
    ready(blocks.demand(block(2)));
    let left = |blocks: &Blocks| [0, 1, 2, 10].map(|at| blocks.map.contains(&blocks.id, at));
    assert!(blocks.map.evict_demanded() && blocks.map.evict_demanded());
    assert_eq!(left(&blocks), [true, false, true, false]);
    assert!(blocks.map.evict_demanded() && !blocks.map.evict_demanded());
    assert_eq!(left(&blocks), [true, false, false, false]);
    assert!(blocks.map.evict() && !blocks.map.evict());
    let (granted, read, wasted) = (3 * BLOCK_SIZE, 2 * BLOCK_SIZE, BLOCK_SIZE);
    assert_eq!(blocks.totals(), Totals { granted, read, wasted });
}

#[test]
fn a_fetch_is_cancelled_only_when_nobody_waits_and_can_be_started_again() {
    let mut blocks = Blocks::new();
    let mut range = blocks.guess(block(3).start..block(4).end);
    let reader = blocks.demand(block(4));
    assert!(!blocks.map.cancel(&mut range));
    drop(reader);
    assert!(blocks.map.cancel(&mut range));
    assert!(blocks.demand(block(4)).is_none() && range.is_empty());
}

#[tokio::test]
async fn a_part_of_a_block_is_given_out_and_the_rest_is_missing() {
    let mut blocks = Blocks::new();
    let part = 4096 * 17..4096 * 19;
    let mut range = blocks.guess(part.clone());
    assert!(blocks.demand(block(1)).is_none(), "in flight, but not all of it");
    let waiting = blocks.demand(4096 * 18..4096 * 18 + 5).unwrap();
    blocks.complete(&mut range);
    assert_eq!(waiting.bytes().await.unwrap()[..], [18; 5]);
    assert_eq!(ready(blocks.demand(part))[..4096], [17; 4096]);
    assert!(blocks.demand(4096 * 18..4096 * 20).is_none());
}

/// A wider fetch takes a block over while somebody waits for a part of it: both get their
/// bytes, in whatever order these arrive, and the wider ones stay.
#[tokio::test]
async fn a_wider_fetch_takes_a_block_over() {
    for is_wide_first in [false, true] {
        let mut blocks = Blocks::new();
        let part = 4096 * 17..4096 * 18;
        let mut narrow = blocks.guess(part.clone());
        let first = blocks.demand(part.clone()).unwrap();
        assert!(blocks.demand(4096 * 20..4096 * 21).is_none());
        let mut wide = blocks.fetch(block(1));
        let second = blocks.demand(4096 * 20..4096 * 21).unwrap();
        assert!(!blocks.map.cancel(&mut narrow), "somebody waits");
        let order = if is_wide_first { [&mut wide, &mut narrow] } else { [&mut narrow, &mut wide] };
        for range in order {
            blocks.complete(range);
        }
        assert_eq!(first.bytes().await.unwrap()[..], [17; 4096]);
        assert_eq!(second.bytes().await.unwrap()[..], [20; 4096]);
        assert_eq!(ready(blocks.demand(block(1)))[4096 * 15..], [31; 4096]);
    }
}

#[test]
fn a_closed_file_wastes_what_was_guessed_and_stops_its_fetches() {
    let mut blocks = Blocks::new();
    let mut arrived = blocks.guess(block(0));
    blocks.complete(&mut arrived);
    let mut in_flight = blocks.guess(block(5).start..block(7).end);
    let noted = blocks.account.note(BLOCK_SIZE);
    blocks.map.note(&blocks.id, 9, noted);
    blocks.map.abandon(&blocks.id, 0..u64::MAX, true);
    let granted = 4 * BLOCK_SIZE;
    assert_eq!(blocks.totals(), Totals { granted, read: 0, wasted: granted });
    assert!(futures_util::FutureExt::now_or_never(in_flight.stop.requested()).is_some());
    assert!(blocks.map.cancel(&mut in_flight));
    ready(blocks.demand(block(0)));
    assert_eq!(blocks.totals().read, 0, "it was booked already");
    assert!(blocks.map.guesses.of_object(&blocks.id, 0..u64::MAX).is_empty());
}

#[test]
fn a_guess_beside_a_read_page_stays_until_the_whole_block_comes() {
    let mut blocks = Blocks::new();
    let mut page = blocks.guess(0..4096);
    blocks.complete(&mut page);
    assert!(blocks.demand(8192..12288).is_none());
    assert!(blocks.map.contains(&blocks.id, 0), "so that the block is fetched whole");
    let mut whole = blocks.fetch(block(0));
    ready(blocks.demand(0..4096));
    blocks.complete(&mut whole);
    ready(blocks.demand(8192..12288));
    let (granted, read) = (4096, 0);
    assert_eq!(blocks.totals(), Totals { granted, read, wasted: granted });
}

#[test]
fn each_of_two_guesses_about_a_block_is_booked() {
    let mut blocks = Blocks::new();
    let mut page = blocks.guess(0..4096);
    let mut whole = blocks.guess(block(0));
    for range in [&mut page, &mut whole] {
        blocks.complete(range);
    }
    assert!(blocks.map.has(&blocks.id, 0, &(8192..12288)));
    blocks.map.abandon(&blocks.id, 0..u64::MAX, true);
    let Totals { granted, read, wasted } = blocks.totals();
    assert_eq!((granted, read + wasted), (4096 + BLOCK_SIZE, 4096 + BLOCK_SIZE));
}

#[test]
fn a_guessed_page_is_found_beside_one_that_was_read() {
    let mut blocks = Blocks::new();
    let mut read = blocks.fetch(0..4096);
    blocks.complete(&mut read);
    let mut guessed = blocks.guess(8192..12288);
    blocks.complete(&mut guessed);
    assert!(blocks.map.has(&blocks.id, 0, &(0..4096)));
    assert!(blocks.map.has(&blocks.id, 0, &(8192..12288)));
}
