use proptest::prelude::*;

use super::*;
use crate::object::ObjectId;

const MIB: u64 = 1 << 20;

fn account(governor: &Arc<Governor>, kind: Kind) -> Arc<Account> {
    let id = ObjectId { bucket: "b".into(), key: "d/f.nc".into(), etag: "e".into() };
    governor.account(kind, &Product::of(&id))
}

/// Proposes `bytes`, and returns the guesses that are fetched and those that are on paper.
fn propose(account: &Arc<Account>, bytes: u64) -> (Option<Guess>, Option<Guess>) {
    let Allowance { granted, is_noted } = account.allowance(bytes);
    let fetched = (granted > 0).then(|| account.fetch(granted));
    (fetched, is_noted.then(|| account.note(bytes - granted)))
}

fn granted(account: &Arc<Account>, bytes: u64) -> u64 {
    account.allowance(bytes).granted
}

#[test]
fn guesses_that_are_wasted_close_a_purse_and_right_ones_on_paper_open_it() {
    let governor = Governor::new(1024 * MIB);
    let tails = account(&governor, Kind::FileTail);
    let mut wasted = 0;
    while let (Some(guess), _) = propose(&tails, MIB / 8) {
        guess.waste();
        wasted += MIB / 8;
        assert!(wasted <= MIB / 2, "what a purse starts with");
    }
    // Wrong guesses on paper cost nothing and change nothing.
    for _ in 0..10 {
        let (fetched, on_paper) = propose(&tails, MIB / 8);
        assert!(fetched.is_none());
        on_paper.unwrap().waste();
    }
    let (_, on_paper) = propose(&tails, MIB / 8);
    on_paper.unwrap().read();
    assert_eq!(granted(&tails, MIB / 8), MIB / 8);
    let totals = governor.totals();
    let (_, of_tails) = totals.iter().find(|(kind, _)| *kind == Kind::FileTail).unwrap();
    assert_eq!(*of_tails, Totals { granted: wasted, read: 0, wasted });
}

#[test]
fn kinds_and_products_have_purses_of_their_own() {
    let governor = Governor::new(1024 * MIB);
    let (tails, strides) = (account(&governor, Kind::FileTail), account(&governor, Kind::Stride));
    while let (Some(guess), _) = propose(&tails, MIB / 8) {
        guess.waste();
    }
    assert_eq!(granted(&strides, MIB), MIB);
    let other = ObjectId { bucket: "b".into(), key: "d/f.h5".into(), etag: "e".into() };
    let other = governor.account(Kind::FileTail, &Product::of(&other));
    assert_eq!(granted(&other, MIB / 8), MIB / 8);
    // Another predictor of the same kind and product goes on where this one ended.
    assert_eq!(granted(&account(&governor, Kind::FileTail), MIB / 8), 0);
}

#[test]
fn whole_objects_are_granted_whole_and_one_tells_whether_they_are_worth_it() {
    let governor = Governor::new(1024 * MIB);
    let wholes = account(&governor, Kind::WholeObject);
    let (first, _) = propose(&wholes, 40 * MIB);
    first.unwrap().waste();
    let (fetched, on_paper) = propose(&wholes, 40 * MIB);
    assert!(fetched.is_none());
    // A chunk of it is read, which does not make up for the rest.
    drop(on_paper);
    let (chunk, rest) = (wholes.note(MIB / 4), wholes.note(40 * MIB - MIB / 4));
    chunk.read();
    assert_eq!(granted(&wholes, 30 * MIB), 0);
    rest.waste();
    assert_eq!(granted(&wholes, 40 * MIB), 0);
    // Several chunks do.
    for _ in 0..4 {
        wholes.note(MIB / 4).read();
    }
    assert_eq!(granted(&wholes, 40 * MIB), 40 * MIB);
}

#[test]
fn streams_share_evenly_and_together_never_exceed_the_limit() {
    let governor = Governor::new(8 * MIB);
    let (first, second) = (account(&governor, Kind::Stream), account(&governor, Kind::Stream));
    let both = first.fetch(3 * MIB);
    let of_first = first.fetch(MIB);
    assert_eq!((granted(&second, 9 * MIB), granted(&first, 9 * MIB)), (4 * MIB, 0));
    drop(second);
    assert_eq!((first.limit(), granted(&first, 9 * MIB)), (8 * MIB, 4 * MIB));
    both.read();
    of_first.waste();
    assert_eq!(granted(&first, 9 * MIB), 8 * MIB);
}

#[test]
fn other_guesses_leave_room_for_streams() {
    let governor = Governor::new(32 * MIB);
    let whole = account(&governor, Kind::WholeObject);
    let _unread = propose(&whole, 32 * MIB).0.unwrap();
    assert_eq!(granted(&account(&governor, Kind::Stride), MIB), 0);
    assert_eq!(granted(&account(&governor, Kind::Stream), 64 * MIB), 16 * MIB);
}

#[test]
fn an_account_that_is_given_up_leaves_nothing_behind() {
    let governor = Governor::new(8 * MIB);
    let first = account(&governor, Kind::Stream);
    let guess = first.fetch(8 * MIB);
    drop(first);
    assert_eq!(granted(&account(&governor, Kind::Stride), MIB), 0, "it is still unread");
    drop(guess);
    assert_eq!(granted(&account(&governor, Kind::Stride), MIB), MIB);
    assert!(governor.state.lock().usages.is_empty());
}

proptest! {
    /// Whatever becomes of guesses, what is unread never exceeds the limit of the mount, and what
    /// is wasted never exceeds what the purse started with and what was earned.
    #[test]
    fn waste_is_paid_from_what_was_earned(
        steps in prop::collection::vec((0..4 * MIB, 0..4_u8), 1..200), is_stream: bool,
    ) {
        let governor = Governor::new(64 * MIB);
        let kind = if is_stream { Kind::Stream } else { Kind::Stride };
        let account = account(&governor, kind);
        let (mut unread, mut bytes) = (Vec::new(), 0);
        let mut paid = kind.first_balance(0);
        for (wanted, outcome) in steps {
            let (fetched, on_paper) = propose(&account, wanted);
            drop(on_paper);
            bytes += wanted.min(64 * MIB) * u64::from(fetched.is_some());
            unread.extend(fetched);
            if let Some(guess) = (outcome > 1).then(|| unread.pop()).flatten() {
                let size = guess_bytes(&guess);
                match outcome {
                    2 => {
                        paid += size * kind.gain();
                        guess.read();
                    }
                    _ => {
                        prop_assert!(size <= paid, "{size} wasted of {paid}");
                        paid -= size;
                        guess.waste();
                    }
                }
            }
            let held: u64 = unread.iter().map(guess_bytes).sum();
            prop_assert!(held <= 64 * MIB && held <= bytes);
        }
    }
}

fn guess_bytes(guess: &Guess) -> u64 {
    guess.bytes
}
