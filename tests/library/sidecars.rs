//! Names that are looked up one by one beside a file, as GDAL looks for sidecars: how many requests
//! they cost, and that none is missed (docs/semantics.md, "Names").

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::time::Duration;

use fake_daac::{Listing, RequestKind, Stats, SyntheticObjects};
use fastrand::Rng;
use granulefs::inodes::ROOT;

use crate::environment::{BUCKET, TestEnvironment, in_time};
use crate::path_filesystem::PathFilesystem;

/// What `gdalinfo` 3.6 looks up, in this order, beside `STEM.tif` in a directory of which it has
/// read the first thousand names. `TAIL` is what the name has behind its third byte.
const ASKED_BY_GDAL: &str = "STEM.tif.aux.xml STEM.aux STEM.AUX STEM.tif.aux STEM.tif.AUX \
    STEM.tif.ovr STEM.tif.OVR STEM.tif.msk STEM.tif.MSK STEM.XML STEM.xml STEM.IMD STEM.imd \
    STEM.RPB STEM.rpb STEM.PVL STEM.pvl STEM_rpc.txt STEM_RPC.TXT STEM_metadata.txt \
    STEM_METADATA.txt STEM_MTL.txt STEM_MTL.TXT METADATA.DIM metadata.dim STEM_metadata.xml \
    STEM_METADATA.XML STEM.TXT STEM.txt STEM.RPC STEM.rpc STEM.pass STEM.PASS summary.txt \
    SUMMARY.TXT HDRTAIL.txt HDRTAIL.TXT RPCTAIL.txt RPCTAIL.TXT";

fn asked_by_gdal(stem: &str) -> impl Iterator<Item = String> {
    ASKED_BY_GDAL
        .split_whitespace()
        .map(move |name| name.replace("STEM", stem).replace("TAIL", &stem[3..]))
}

/// Returns the number of LISTs and HEADs since the last call.
fn take_requests(environment: &TestEnvironment) -> u64 {
    let Stats { lists, heads, gets, forbidden, .. } = environment.fake_daac.stats();
    assert_eq!((gets, forbidden), (0, 0));
    environment.fake_daac.reset_stats();
    lists + heads
}

/// Returns what a name is: `Some(true)` for a directory.
async fn kind(filesystem: &PathFilesystem, directory: u64, name: &str) -> Option<bool> {
    let found = in_time(filesystem.lookup(directory, OsStr::new(name))).await.unwrap();
    found.node.map(|(_, attributes)| attributes.is_directory)
}

/// An environment with 300,000 files in one directory, `flat`.
fn flat(pattern: &str) -> TestEnvironment {
    let environment = TestEnvironment::new();
    let objects = SyntheticObjects { pattern: format!("flat/{pattern}"), size: 10 };
    environment.fake_daac.put_synthetic(BUCKET, &objects).unwrap();
    environment
}

/// A file and all the sidecars that it does not have cost eight requests in a long directory, of
/// which the first names were read, and ten where none were.
#[tokio::test]
async fn absent_sidecars_of_a_file_cost_a_few_requests_together() {
    for (pattern, stem) in [
        ("granule-{300000:08}.tif", "granule-00150000"),
        ("20{300000:08}.v2.0.B02.tif", "2000150000.v2.0.B02"),
        ("MOD09.{300000:08}.tif", "MOD09.00000000"),
    ] {
        for (is_read, most) in [(true, 8), (false, 10)] {
            let environment = flat(pattern);
            let filesystem = environment.filesystem();
            let directory = in_time(filesystem.number("flat")).await.unwrap();
            take_requests(&environment);
            if is_read {
                let (handle, _) = in_time(filesystem.open_directory(directory)).await.unwrap();
                for offset in [0, 512] {
                    in_time(filesystem.read_directory(handle, offset)).await.unwrap();
                }
                filesystem.release_directory(handle);
            }
            assert_eq!(kind(&filesystem, directory, &format!("{stem}.tif")).await, Some(false));
            for name in asked_by_gdal(stem) {
                assert_eq!(kind(&filesystem, directory, &name).await, None, "{name}");
            }
            let log = environment.fake_daac.log();
            assert!(take_requests(&environment) <= most, "{stem}, {most}: {log:#?}");
        }
    }
}

/// The sidecars that exist are found among those that do not, in whatever case, and directories as
/// well.
#[tokio::test]
async fn a_sidecar_that_exists_is_found() {
    let environment = flat("granule-{3000:08}.tif");
    let stem = "granule-00001500";
    let there = ["granule-00001500.tif.aux.xml", "granule-00001500.IMD", "SUMMARY.TXT"];
    for name in there {
        environment.put(&format!("flat/{name}"), "1");
    }
    environment.put("flat/granule-00001500.pvl/x", "a directory");
    environment.put("flat/granule-00001500.rpb", "shadowed");
    environment.put("flat/granule-00001500.rpb/x", "a directory");
    environment.put("flat/granule-00001500.rpb.txt", "between the two");
    let filesystem = environment.filesystem();
    let directory = in_time(filesystem.number("flat")).await.unwrap();
    take_requests(&environment);
    assert_eq!(kind(&filesystem, directory, "granule-00001500.tif").await, Some(false));
    for name in asked_by_gdal(stem) {
        let expected = match &*name {
            "granule-00001500.pvl" | "granule-00001500.rpb" => Some(true),
            name => there.contains(&name).then_some(false),
        };
        assert_eq!(kind(&filesystem, directory, &name).await, expected, "{name}");
    }
    let shadowed = "granule-00001500.rpb.granulefs-object";
    assert!(take_requests(&environment) <= 8);
    assert_eq!(kind(&filesystem, directory, shadowed).await, Some(false));
    let aux = in_time(filesystem.find("flat/granule-00001500.tif.aux.xml")).await.unwrap().unwrap();
    assert_eq!(aux.1.size, 1);
}

/// Where more names share a stem than a page has, those behind its end are asked for as well.
#[tokio::test]
async fn a_stem_with_more_names_than_a_page_hides_none() {
    let environment = flat("a.{2500:05}");
    environment.put("flat/a.tif", "1");
    let filesystem = environment.filesystem();
    let directory = in_time(filesystem.number("flat")).await.unwrap();
    take_requests(&environment);
    assert_eq!(kind(&filesystem, directory, "a.tif").await, Some(false));
    for (name, expected) in [
        ("a.00500", Some(false)),
        ("a.005000", None),
        ("a.02400", Some(false)),
        ("a.02400x", None),
        ("a.02401", Some(false)),
        ("a.9", None),
        ("a.00999", Some(false)),
        ("a.01000", Some(false)),
    ] {
        assert_eq!(kind(&filesystem, directory, name).await, expected, "{name}");
    }
    assert!(take_requests(&environment) <= 2 * 9);
}

/// A sidecar that comes after its absence was learned is seen after a refresh, which names it for
/// the kernel, and without one when the absence is no longer believed.
#[tokio::test]
async fn a_sidecar_that_comes_later_is_seen_after_a_refresh_and_after_the_ttl() {
    let environment = flat("granule-{3000:08}.tif");
    let (file, sidecar) = ("granule-00001500.tif", "granule-00001500.tif.ovr");
    for ttl in [Duration::from_secs(3600), Duration::from_secs(2)] {
        environment.delete(&format!("flat/{sidecar}"));
        let filesystem = environment.filesystem_at("", ttl);
        let directory = in_time(filesystem.number("flat")).await.unwrap();
        assert_eq!(kind(&filesystem, directory, file).await, Some(false));
        assert_eq!(kind(&filesystem, directory, "granule-00001500.aux").await, None);
        let absent = in_time(filesystem.lookup(directory, OsStr::new(sidecar))).await.unwrap();
        assert!(absent.node.is_none() && absent.ttl <= ttl / 10 && !absent.ttl.is_zero());
        environment.put(&format!("flat/{sidecar}"), "now it is");
        if ttl > Duration::from_secs(60) {
            assert_eq!(kind(&filesystem, directory, sidecar).await, None);
            let names: Vec<_> = filesystem.refresh(ROOT).unwrap().collect();
            assert!(names.contains(&(directory, sidecar.to_owned())), "{names:?}");
        } else {
            tokio::time::sleep(absent.ttl).await;
        }
        assert_eq!(kind(&filesystem, directory, sidecar).await, Some(false));
    }
}

/// Lookups at the same time share the request for the names of their stem.
#[tokio::test]
async fn concurrent_lookups_of_sidecars_share_a_request() {
    let environment = flat("granule-{3000:08}.tif");
    let filesystem = environment.filesystem();
    let directory = in_time(filesystem.number("flat")).await.unwrap();
    assert_eq!(kind(&filesystem, directory, "granule-00001500.tif").await, Some(false));
    take_requests(&environment);
    let names: Vec<_> = asked_by_gdal("granule-00001500").take(20).collect();
    let lookups = names.iter().map(|name| kind(&filesystem, directory, name));
    let found = futures_util::future::join_all(lookups).await;
    assert!(found.iter().all(Option::is_none));
    assert_eq!(take_requests(&environment), 1);
}

/// Where listing is denied, that is noticed once, and names are asked for as ever.
#[tokio::test]
async fn where_listing_is_denied_sidecars_are_looked_up_by_themselves() {
    let environment = TestEnvironment::with_objects(&["d/a.tif", "d/a.tif.ovr", "d/b.tif"]);
    environment.fake_daac.set(|knobs| knobs.listing = Listing::Denied);
    let filesystem = environment.filesystem();
    let directory = in_time(filesystem.number("d")).await.unwrap();
    for name in ["a.tif", "a.tif.ovr", "b.tif"] {
        assert_eq!(kind(&filesystem, directory, name).await, Some(false), "{name}");
    }
    // What nobody says does not exist may be a directory.
    assert_eq!(kind(&filesystem, directory, "b.tif.ovr").await, Some(true));
    let log = environment.fake_daac.log();
    let of_stems = log.iter().filter(|r| r.kind == RequestKind::List && !r.key.ends_with('/'));
    assert!(of_stems.count() <= 2, "a denied one may be sent again, with renewed credentials");
}

/// A name is found if and only if it exists, in whatever order and company names are looked up, on
/// pages of any size.
#[tokio::test]
async fn lookups_in_any_order_agree_with_the_keys() {
    const PARTS: [&str; 12] = ["a", "b", "B", ".", ".", "_", "-", "0", "tif", "!", "\u{e9}", "/"];
    let seed =
        std::env::var("TEST_SEED").map_or_else(|_| fastrand::u64(..), |s| s.parse().unwrap());
    let mut rng = Rng::with_seed(seed);
    let text =
        |rng: &mut Rng| (0..rng.usize(1..5)).map(|_| PARTS[rng.usize(0..PARTS.len())]).collect();
    for _ in 0..30 {
        let keys: BTreeSet<String> = (0..rng.usize(0..80)).map(|_| text(&mut rng)).collect();
        let is_whole = |key: &&String| !key.starts_with('/') && !key.contains("//");
        let keys: Vec<&str> = keys.iter().filter(is_whole).map(|key| &**key).collect();
        let environment = TestEnvironment::with_objects(&keys);
        let (page_size, short_pages) = ([1, 2, 5, 1000][rng.usize(0..4)], rng.bool());
        environment.fake_daac.set(|knobs| {
            knobs.page_size = page_size;
            knobs.short_pages = short_pages;
        });
        let filesystem = environment.filesystem();
        for n in 0..60 {
            if n == 20 && rng.bool() {
                let (handle, _) = filesystem.open_directory(ROOT).await.unwrap();
                in_time(filesystem.read_directory(handle, 0)).await.unwrap();
                filesystem.release_directory(handle);
            }
            let name: String = match keys.get(rng.usize(0..keys.len() * 2 + 1)) {
                Some(key) => key.split('/').next().unwrap().into(),
                None => text(&mut rng),
            };
            let name = name.replace('/', "");
            if ["", ".", ".."].contains(&&*name) {
                continue;
            }
            let below = format!("{name}/");
            let is_directory = keys.iter().any(|key| key.starts_with(&below));
            let exists = is_directory || keys.contains(&&*name);
            let found = kind(&filesystem, ROOT, &name).await;
            assert_eq!(found, exists.then_some(is_directory), "TEST_SEED={seed} {name} {keys:?}");
        }
    }
}
