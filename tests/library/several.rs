//! A volume of several trees: semantics.md, "Several buckets".

use std::ffi::OsStr;
use std::time::Duration;

use fake_daac::{Content, Failure, FakeDaac, Fault, Kind, Listing, Setup};
use futures_util::future::join_all;
use granulefs::credentials::{CredentialsCache, Provider};
use granulefs::error::{Error, Refusal};
use granulefs::filesystem::{Filesystem, Limits, OwnerAndModes};
use granulefs::inodes::ROOT;
use granulefs::login::{Identity, Login, Token};
use granulefs::object::Prefix;
use granulefs::s3::{Bucket, BucketLocation};

use crate::environment::soon;
use crate::tree::Tree;

/// Where in each bucket the tree begins; not in the order of the names.
const TREES: [(&str, &str, &str); 3] = [
    ("PODAAC", "podaac-local-public", "deep/er/"),
    ("ASF", "asf-local-products", ""),
    ("PODAAC", "podaac-local-protected", ""),
];

const CACHE: usize = 16 << 20;
const MIB: u32 = 1 << 20;

fn several(archive: &FakeDaac) -> Tree {
    let place = |(daac, bucket, prefix): (&str, &str, &str)| {
        let token = Some(Token { secret: archive.token().into(), origin: "here".into() });
        let identity = Identity::new(token, None);
        let login =
            Login::new(&archive.credentials_url(daac), &archive.edl_host(), identity).unwrap();
        let credentials = CredentialsCache::new(Provider::Earthdata(Box::new(login)));
        let endpoint_url = Some(archive.s3_url());
        let place = BucketLocation {
            bucket: bucket.into(),
            region: "us-west-2".into(),
            endpoint_url,
            path_style: true,
        };
        (Bucket::new(place, credentials).unwrap(), Prefix::new(prefix))
    };
    let appearance = OwnerAndModes { uid: 7, gid: 8, file_mode: 0o444, dir_mode: 0o555 };
    let limits = Limits { metadata_ttl: Duration::from_secs(3600), cache_size: CACHE };
    Tree::new(Filesystem::of_several(TREES.map(place).into(), appearance, limits))
}

fn archive() -> FakeDaac {
    let archive = FakeDaac::start(Setup { threads: 1, ..Setup::three_daacs() }).unwrap();
    for (_, bucket, prefix) in TREES {
        archive.put(bucket, &format!("{prefix}same/name.nc"), format!("{bucket}\n"));
        archive.put(bucket, "outside.nc", "outside");
    }
    archive
}

/// "A directory for each at the root, in byte order of their names (...). The root costs no
/// request, and never changes: any other name is ENOENT."
#[tokio::test]
async fn the_root_has_the_buckets_in_byte_order_and_costs_nothing() {
    let archive = archive();
    let tree = several(&archive);
    assert_eq!(
        tree.names("").await.unwrap(),
        ["asf-local-products/", "podaac-local-protected/", "podaac-local-public/"]
    );
    for name in ["asf", "asf-local-products2", "outside.nc", ""] {
        assert!(tree.lookup(ROOT, OsStr::new(name)).await.unwrap().node.is_none(), "{name}");
    }
    let first = tree.open_directory(ROOT).unwrap();
    let (rest, _) = tree.read_directory(first.0, 2).await.unwrap();
    assert_eq!(
        rest.iter().map(|listed| listed.shown.name.to_string()).collect::<Vec<_>>(),
        ["podaac-local-public"]
    );
    let url = |number| tree.xattr(number, OsStr::new("user.s3.url"));
    assert!(matches!(url(ROOT), Err(Error::NoAttribute)));
    assert_eq!(
        url(tree.number("podaac-local-public").await.unwrap()).unwrap(),
        "s3://podaac-local-public/deep/er/"
    );
    let stats = archive.stats();
    assert_eq!((stats.s3_requests(), stats.credentials), (0, 0));
}

/// The same key in every bucket is another inode with other bytes, below the tree's own prefix.
#[tokio::test]
async fn the_same_name_in_each_tree_is_a_node_and_bytes_of_its_own() {
    let archive = archive();
    let tree = several(&archive);
    let mut numbers = Vec::new();
    for (_, bucket, prefix) in TREES {
        assert_eq!(
            soon(tree.bytes(&format!("{bucket}/same/name.nc"))).await.unwrap(),
            format!("{bucket}\n").into_bytes()
        );
        let is_whole = soon(tree.find(&format!("{bucket}/outside.nc"))).await.unwrap().is_some();
        assert_eq!(is_whole, prefix.is_empty(), "{bucket}");
        for path in ["", "/same", "/same/name.nc"] {
            numbers.push(tree.number(&format!("{bucket}{path}")).await.unwrap());
        }
    }
    numbers.push(ROOT);
    let count = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), count);
    // The cache is one: what is read again costs nothing.
    let before = archive.stats().s3_requests();
    for (_, bucket, _) in TREES {
        soon(tree.bytes(&format!("{bucket}/same/name.nc"))).await.unwrap();
    }
    assert_eq!(archive.stats().s3_requests(), before);
}

/// "A bucket whose endpoint fails fails alone", and so does one whose S3 refuses.
#[tokio::test]
async fn what_is_refused_in_one_tree_is_no_matter_to_the_others() {
    let archive = archive();
    archive.set(|knobs| {
        knobs.daac("ASF").bearer = Some(fake_daac::BearerAnswer::Refuse);
        knobs.bucket("podaac-local-public").listing = Some(Listing::Denied);
    });
    let tree = several(&archive);
    let asf = soon(tree.names("asf-local-products")).await.unwrap_err();
    assert!(
        matches!(&asf, Error::Refused(Refusal::TokenRefused { endpoint, .. }) if **endpoint == archive.credentials_url("ASF"))
    );
    let public = soon(tree.names("podaac-local-public")).await.unwrap_err();
    assert!(
        matches!(&public, Error::Refused(Refusal::Forbidden { url, .. }) if url.starts_with("s3://podaac-local-public/"))
    );
    assert_eq!(soon(tree.names("podaac-local-protected")).await.unwrap(), ["outside.nc", "same/"]);
    let timeout_cause = |path: &'static str| async {
        tree.timeout_cause(tree.number(path).await.unwrap()).to_string()
    };
    assert!(timeout_cause("podaac-local-protected").await.contains("s3://podaac-local-protected/"));
    assert!(timeout_cause("asf-local-products").await.contains(&archive.credentials_url("ASF")));
}

/// What is forgotten of one tree is known of the others; at the root, all is forgotten.
#[tokio::test]
async fn a_refresh_forgets_one_tree_or_all() {
    let archive = archive();
    let tree = several(&archive);
    for (_, bucket, prefix) in TREES {
        soon(tree.names(&format!("{bucket}/same"))).await.unwrap();
        archive.put(bucket, &format!("{prefix}same/new.nc"), "new");
    }
    let counts = || async {
        let mut counts = Vec::new();
        for (_, bucket, _) in TREES {
            counts.push(soon(tree.names(&format!("{bucket}/same"))).await.unwrap().len());
        }
        counts
    };
    assert_eq!(counts().await, [1, 1, 1]);
    drop(tree.refresh(tree.number("asf-local-products").await.unwrap()).unwrap());
    assert_eq!(counts().await, [1, 2, 1]);
    drop(tree.refresh(ROOT).unwrap());
    assert_eq!(counts().await, [2, 2, 2]);
}

/// What was asked before a refresh and answered after it may be from before, so nobody is told to
/// believe it.
#[tokio::test]
async fn an_answer_that_a_refresh_overtook_is_not_believed() {
    let archive = archive();
    let tree = several(&archive);
    let bucket = tree.number("asf-local-products").await.unwrap();
    let ask = |name: &'static str| tree.lookup(bucket, OsStr::new(name));
    let (handle, _) = tree.open_directory(bucket).unwrap();
    for name in ["same", "absent"] {
        let (found, ()) =
            tokio::join!(biased; soon(ask(name)), async { drop(tree.refresh(ROOT).unwrap()) });
        assert_eq!(found.unwrap().fresh_for, Duration::ZERO, "{name}");
        assert_ne!(soon(ask(name)).await.unwrap().fresh_for, Duration::ZERO, "{name}");
    }
    let (listed, freshness) = soon(tree.read_directory(handle, 0)).await.unwrap();
    assert_eq!(tree.remember(&listed[0], freshness).2, Duration::ZERO);
    let (handle, _) = tree.open_directory(bucket).unwrap();
    let (listed, freshness) = soon(tree.read_directory(handle, 0)).await.unwrap();
    assert_ne!(tree.remember(&listed[0], freshness).2, Duration::ZERO);
}

/// "A bucket whose endpoint fails fails alone": as many readers as fill the budget stand still in
/// one bucket; another is read.
#[tokio::test]
async fn readers_of_a_bucket_that_stands_still_keep_the_budget_from_nobody() {
    let archive = archive();
    let tree = several(&archive);
    let mut stuck = Vec::new();
    for name in 0..CACHE / MIB as usize + 4 {
        archive.put(
            "asf-local-products",
            &format!("{name}"),
            Content::synthetic(u64::from(2 * MIB)),
        );
        stuck.push(
            tree.open(tree.number(&format!("asf-local-products/{name}")).await.unwrap()).unwrap(),
        );
    }
    archive.fault(Fault::new(Failure::Stall).on(Kind::Get).in_bucket("asf-local-products"));
    let stand_still = join_all(stuck.iter().map(|handle| tree.read(*handle, 0, MIB)));
    let is_full = async {
        while tree.held() < CACHE as u64 {
            tokio::task::yield_now().await;
        }
        soon(tree.bytes("podaac-local-protected/same/name.nc")).await
    };
    tokio::select! {
        biased;
        read = is_full => assert_eq!(read.unwrap(), b"podaac-local-protected\n"),
        _ = stand_still => panic!("nothing stood still"),
    }
}
