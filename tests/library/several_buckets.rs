//! A filesystem over several buckets (docs/semantics.md, "Several buckets").

use std::ffi::OsStr;
use std::time::Duration;

use fake_daac::{Content, Failure, FakeDaac, Fault, Listing, RequestKind, Setup};
use futures_util::future::join_all;
use granulefs::credentials::{CredentialsCache, Provider};
use granulefs::error::{Error, Refusal};
use granulefs::filesystem::{CacheSettings, Filesystem, OwnerAndModes};
use granulefs::inodes::ROOT;
use granulefs::login::{Identity, Login, Token};
use granulefs::object::Prefix;
use granulefs::s3::{Bucket, BucketLocation};

use crate::environment::in_time;
use crate::path_filesystem::PathFilesystem;

/// DAAC, bucket and prefix of each mounted bucket, not in the order of their names.
const BUCKETS: [(&str, &str, &str); 3] = [
    ("PODAAC", "podaac-local-public", "deep/er/"),
    ("ASF", "asf-local-products", ""),
    ("PODAAC", "podaac-local-protected", ""),
];

const CACHE: usize = 16 << 20;
const MIB: u32 = 1 << 20;

fn filesystem_over(fake_daac: &FakeDaac) -> PathFilesystem {
    let location = |(daac, bucket, prefix): (&str, &str, &str)| {
        let token = Some(Token { secret: fake_daac.token().into(), origin: "here".into() });
        let identity = Identity::new(token, None);
        let login = Login::new(&fake_daac.credentials_url(daac), &fake_daac.login_host(), identity)
            .unwrap();
        let credentials = CredentialsCache::new(Provider::Earthdata(Box::new(login)));
        let endpoint_url = Some(fake_daac.s3_url());
        let location = BucketLocation {
            bucket: bucket.into(),
            region: "us-west-2".into(),
            endpoint_url,
            path_style: true,
        };
        (Bucket::new(location, credentials).unwrap(), Prefix::new(prefix))
    };
    let owner_and_modes = OwnerAndModes { uid: 7, gid: 8, file_mode: 0o444, dir_mode: 0o555 };
    let limits = CacheSettings {
        metadata_ttl: Duration::from_secs(3600),
        cache_size: CACHE,
        metadata_memory: 64 << 20,
    };
    PathFilesystem::new(Filesystem::of_buckets(
        BUCKETS.map(location).into(),
        owner_and_modes,
        limits,
    ))
}

fn fake_daac() -> FakeDaac {
    let fake_daac = FakeDaac::start(Setup { threads: 1, ..Setup::three_daacs() }).unwrap();
    for (_, bucket, prefix) in BUCKETS {
        fake_daac.put(bucket, &format!("{prefix}same/name.nc"), format!("{bucket}\n"));
        fake_daac.put(bucket, "outside.nc", "outside");
    }
    fake_daac
}

/// The root has a directory for each bucket, in byte order of their names. It costs no request, and
/// any other name is ENOENT.
#[tokio::test]
async fn the_root_shows_the_buckets_in_byte_order_without_a_request() {
    let fake_daac = fake_daac();
    let filesystem = filesystem_over(&fake_daac);
    assert_eq!(
        filesystem.names("").await.unwrap(),
        ["asf-local-products/", "podaac-local-protected/", "podaac-local-public/"]
    );
    for name in ["asf", "asf-local-products2", "outside.nc", ""] {
        assert!(filesystem.lookup(ROOT, OsStr::new(name)).await.unwrap().node.is_none(), "{name}");
    }
    let first = filesystem.open_directory(ROOT).await.unwrap();
    let (rest, _) = filesystem.read_directory(first.0, 2).await.unwrap();
    assert_eq!(
        rest.iter().map(|listed| listed.name.to_string()).collect::<Vec<_>>(),
        ["podaac-local-public"]
    );
    let url = |number| filesystem.xattr(number, OsStr::new("user.s3.url"));
    assert!(matches!(url(ROOT), Err(Error::NoAttribute)));
    assert_eq!(
        url(filesystem.number("podaac-local-public").await.unwrap()).unwrap(),
        "s3://podaac-local-public/deep/er/"
    );
    let stats = fake_daac.stats();
    assert_eq!((stats.s3_requests(), stats.credentials), (0, 0));
}

/// The same key in every bucket is another inode with other bytes, below the prefix of the bucket.
#[tokio::test]
async fn the_same_name_in_each_bucket_has_its_own_inode_and_bytes() {
    let fake_daac = fake_daac();
    let filesystem = filesystem_over(&fake_daac);
    let mut numbers = Vec::new();
    for (_, bucket, prefix) in BUCKETS {
        assert_eq!(
            in_time(filesystem.bytes(&format!("{bucket}/same/name.nc"))).await.unwrap(),
            format!("{bucket}\n").into_bytes()
        );
        let is_whole =
            in_time(filesystem.find(&format!("{bucket}/outside.nc"))).await.unwrap().is_some();
        assert_eq!(is_whole, prefix.is_empty(), "{bucket}");
        for path in ["", "/same", "/same/name.nc"] {
            numbers.push(filesystem.number(&format!("{bucket}{path}")).await.unwrap());
        }
    }
    numbers.push(ROOT);
    let count = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), count);
    // All buckets share one cache, so a second read costs no request.
    let before = fake_daac.stats().s3_requests();
    for (_, bucket, _) in BUCKETS {
        in_time(filesystem.bytes(&format!("{bucket}/same/name.nc"))).await.unwrap();
    }
    assert_eq!(fake_daac.stats().s3_requests(), before);
}

/// A bucket whose endpoint or S3 refuses affects no other bucket.
#[tokio::test]
async fn a_refusal_in_one_bucket_affects_no_other() {
    let fake_daac = fake_daac();
    fake_daac.set(|knobs| {
        knobs.daac("ASF").bearer = Some(fake_daac::BearerAnswer::Refuse);
        knobs.bucket("podaac-local-public").listing = Some(Listing::Denied);
    });
    let filesystem = filesystem_over(&fake_daac);
    let asf = in_time(filesystem.names("asf-local-products")).await.unwrap_err();
    let Error::Refused(Refusal::TokenRefused { endpoint, .. }) = &asf else { panic!("{asf}") };
    assert_eq!(**endpoint, fake_daac.credentials_url("ASF"));
    let public = in_time(filesystem.names("podaac-local-public")).await.unwrap_err();
    let Error::Refused(Refusal::Forbidden { url, .. }) = &public else { panic!("{public}") };
    assert!(url.starts_with("s3://podaac-local-public/"), "{url}");
    assert_eq!(
        in_time(filesystem.names("podaac-local-protected")).await.unwrap(),
        ["outside.nc", "same/"]
    );
    let timeout_cause = |path: &'static str| async {
        filesystem.timeout_cause(filesystem.number(path).await.unwrap()).to_string()
    };
    assert!(timeout_cause("podaac-local-protected").await.contains("s3://podaac-local-protected/"));
    assert!(timeout_cause("asf-local-products").await.contains(&fake_daac.credentials_url("ASF")));
}

/// A refresh drops the cached names of one bucket, and at the root of all buckets.
#[tokio::test]
async fn a_refresh_covers_one_bucket_or_all() {
    let fake_daac = fake_daac();
    let filesystem = filesystem_over(&fake_daac);
    for (_, bucket, prefix) in BUCKETS {
        in_time(filesystem.names(&format!("{bucket}/same"))).await.unwrap();
        fake_daac.put(bucket, &format!("{prefix}same/new.nc"), "new");
    }
    let name_counts = || async {
        let mut name_counts = Vec::new();
        for (_, bucket, _) in BUCKETS {
            name_counts
                .push(in_time(filesystem.names(&format!("{bucket}/same"))).await.unwrap().len());
        }
        name_counts
    };
    assert_eq!(name_counts().await, [1, 1, 1]);
    drop(filesystem.refresh(filesystem.number("asf-local-products").await.unwrap()).unwrap());
    assert_eq!(name_counts().await, [1, 2, 1]);
    drop(filesystem.refresh(ROOT).unwrap());
    assert_eq!(name_counts().await, [2, 2, 2]);
}

/// An answer to a request that was sent before a refresh may be outdated, so it is valid for no
/// time.
#[tokio::test]
async fn an_answer_to_a_request_from_before_a_refresh_is_not_cached() {
    let fake_daac = fake_daac();
    let filesystem = filesystem_over(&fake_daac);
    let bucket = filesystem.number("asf-local-products").await.unwrap();
    let ask = |name: &'static str| filesystem.lookup(bucket, OsStr::new(name));
    let (handle, _) = filesystem.open_directory(bucket).await.unwrap();
    for name in ["same", "absent"] {
        let refresh = async { drop(filesystem.refresh(ROOT).unwrap()) };
        let (found, ()) = tokio::join!(biased; in_time(ask(name)), refresh);
        assert_eq!(found.unwrap().ttl, Duration::ZERO, "{name}");
        assert_ne!(in_time(ask(name)).await.unwrap().ttl, Duration::ZERO, "{name}");
    }
    let (listed, ttl) = in_time(filesystem.read_directory(handle, 0)).await.unwrap();
    assert_eq!(filesystem.record_lookup(&listed[0], ttl).2, Duration::ZERO);
    let (handle, _) = filesystem.open_directory(bucket).await.unwrap();
    let (listed, ttl) = in_time(filesystem.read_directory(handle, 0)).await.unwrap();
    assert_ne!(filesystem.record_lookup(&listed[0], ttl).2, Duration::ZERO);
}

/// When stalled reads of one bucket fill the cache, another bucket can still be read.
#[tokio::test]
async fn stalled_reads_of_one_bucket_leave_memory_to_the_others() {
    let fake_daac = fake_daac();
    let filesystem = filesystem_over(&fake_daac);
    let mut handles = Vec::new();
    for name in 0..CACHE / MIB as usize + 4 {
        fake_daac.put(
            "asf-local-products",
            &format!("{name}"),
            Content::synthetic(u64::from(2 * MIB)),
        );
        handles.push(
            filesystem
                .open(filesystem.number(&format!("asf-local-products/{name}")).await.unwrap())
                .await
                .unwrap()
                .handle,
        );
    }
    fake_daac
        .add_fault(Fault::new(Failure::Stall).on(RequestKind::Get).in_bucket("asf-local-products"));
    let stalled_reads = join_all(handles.iter().map(|handle| filesystem.read(*handle, 0, MIB)));
    let is_full = async {
        while filesystem.cached_bytes() < CACHE as u64 {
            tokio::task::yield_now().await;
        }
        in_time(filesystem.bytes("podaac-local-protected/same/name.nc")).await
    };
    tokio::select! {
        biased;
        read = is_full => assert_eq!(read.unwrap(), b"podaac-local-protected\n"),
        _ = stalled_reads => panic!("no read stalled"),
    }
}
